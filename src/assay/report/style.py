"""How figures look: colours that the colour-blind tell apart (Okabe & Ito 2008), markers and dashes beside them."""

from __future__ import annotations

import json
import math
import warnings
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import quote

import numpy as np

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

INK = "#000000"  # becomes currentColor in the page
FAINT = "#808080"  # grid lines and rugs: reads on white and on black

# The page gives each colour a lighter twin for dark screens: see --series-N in page.css.
PALETTE = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
MARKERS = ("o", "s", "^", "D", "v", "P")
DASHES: tuple[Any, ...] = ("-", (0, (5, 1.6)), (0, (1.5, 1.2)), (0, (6, 1.6, 1.2, 1.6)), (0, (3, 1.2)), (0, (9, 2)))

WIDTH = 4.0  # inches; the page's columns are about this wide
HEIGHT = 3.0
LEFT, RIGHT, BOTTOM, TOP = 0.5, 0.12, 0.45, 0.3  # inches around the axes
LEGEND_ROW = 0.19

RC: dict[Any, Any] = {
    "font.family": ["DejaVu Sans"],
    "font.size": 9,
    "text.parse_math": False,  # a contender called $x$ is a contender called $x$
    "axes.titlesize": 9,
    "axes.titlelocation": "left",
    "axes.titley": 1.0,  # given, matplotlib need not look for a free place
    "axes.linewidth": 0.7,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.facecolor": "none",
    "grid.color": FAINT,
    "grid.alpha": 0.25,
    "grid.linewidth": 0.6,
    "figure.facecolor": "none",
    "xtick.major.width": 0.7,
    "ytick.major.width": 0.7,
    "lines.markersize": 3.6,
    "legend.frameon": False,
    "legend.fontsize": 9,
    "legend.handlelength": 2.2,
    "legend.handletextpad": 0.6,
    "legend.columnspacing": 1.4,
    "legend.borderpad": 0.0,
    "legend.borderaxespad": 0.0,
    "svg.fonttype": "none",  # text stays text
    "svg.hashsalt": "assay",  # the same run, the same page
    "path.simplify_threshold": 0.2,
}


class Look(NamedTuple):
    """How one contender is drawn, the same in every figure."""

    colour: str
    marker: str
    dash: Any


def look(slot: int) -> Look:
    """The look of the contender in a slot. Markers and dashes shift once the colours are used up."""
    other = slot + slot // len(PALETTE)
    return Look(PALETTE[slot % len(PALETTE)], MARKERS[other % len(MARKERS)], DASHES[other % len(DASHES)])


OTHERS = Look(FAINT, "o", "-")  # of whom there are more than colours

OUTCOMES = {
    "better": Look(PALETTE[2], "^", "-"),
    "worse": Look(PALETTE[1], "v", "-"),
    "equivalent": Look(PALETTE[0], "s", "-"),
    "negligible": Look(PALETTE[0], "D", "-"),
    "inconclusive": Look(FAINT, "o", "-"),
}  # how a row is drawn where what was found counts, not who


@contextmanager
def drawing() -> Iterator[None]:
    """Figures made and saved within it have this style. A glyph that the font lacks is no cause for a warning."""
    import matplotlib

    with matplotlib.rc_context(RC), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        yield


TOLD = "told:"


def tell(lines: Iterable[Line2D], texts: Iterable[str]) -> None:
    """What a page shows where a mouse rests on each of these lines' markers: kept with the line until the page is made."""
    for line in lines:
        line.set_gid(TOLD + quote(json.dumps([*texts])))


def canvas(
    labels: Sequence[str] = (), rows: int = 1, columns: int = 1, height: float = HEIGHT
) -> tuple[Figure, list[Axes]]:
    """An empty figure and its axes, row by row; a legend of these labels makes it taller."""
    from assay.report.picture import Picture

    # Margins are set by hand: letting matplotlib find them draws everything twice.
    above = -(-len(labels) // _columns(labels)) * LEGEND_ROW
    height += above
    figure = Picture(figsize=(WIDTH, height))
    axes = figure.subplots(rows, columns, squeeze=False)
    inner = (height - BOTTOM - TOP - above - (rows - 1) * 0.45) / rows
    figure.subplots_adjust(
        left=LEFT / WIDTH,
        right=1 - RIGHT / WIDTH,
        bottom=BOTTOM / height,
        top=1 - (TOP + above) / height,
        hspace=0.45 / inner,
        wspace=0.3,
    )
    return figure, list(axes.flat)


def legend(figure: Figure, lines: Sequence[Line2D]) -> None:
    """The legend of labelled lines above the axes, at the left."""
    labels = [str(line.get_label()) for line in lines]
    figure.legend(
        lines,
        [plain(text) for text in labels],
        loc="upper left",
        bbox_to_anchor=(0.08 / WIDTH, 1 - 0.06 / figure.get_figheight()),
        ncols=_columns(labels),
        labelspacing=0.25,
    )


def plain(text: str, most: int = 48) -> str:
    """A label as matplotlib takes it: one line, not too long, without control characters or a leading underscore."""
    kept = "".join(ch if ch.isprintable() else " " for ch in text)
    if len(kept) > most:
        kept = kept[: most - 1] + "…"
    return f" {kept}" if kept.startswith("_") else kept  # matplotlib hides labels that begin with one


def near_one_scale(axes: Axes, low: float, high: float) -> None:
    """An x axis over [low, high] within (0, 1) that is even in the logarithm of 1 − x: 0.9, 0.99, 0.999, …"""
    from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

    def shown(value: float, _: int | None = None) -> str:
        return f"{value:.12g}"

    axes.set_xscale("function", functions=(_from_one, _towards_one))
    room = (_from_one(high) - _from_one(low)) / 30
    axes.set_xlim(float(_towards_one(_from_one(low) - room)), float(_towards_one(_from_one(high) + room)))
    decades = [1 - 10.0**-k for k in range(16) if low * 0.999 <= 1 - 10.0**-k <= high * (1 + 1e-9)]
    axes.xaxis.set_major_locator(FixedLocator(decades if len(decades) > 1 else [low, high]))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(shown))


def _from_one(value: Any) -> Any:
    return -np.log10(np.maximum(1 - np.asarray(value), 1e-300))


def _towards_one(place: Any) -> Any:
    return 1 - 10.0 ** -np.asarray(place)


def log_scale(axes: Axes, which: str, low: float, high: float, most: int = 12) -> None:
    """A logarithmic x or y axis over [low, high]: whole powers of ten, or finer steps where few of those fit."""
    from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator

    getattr(axes, f"set_{which}scale")("log")
    getattr(axes, f"set_{which}lim")(low, high)
    axis = getattr(axes, f"{which}axis")
    wide = high / low > 100
    decades = LogLocator(subs=(1.0,) if wide else (1.0, 2.0, 5.0), numticks=most)
    axis.set_major_locator(MaxNLocator(4, steps=[1, 2, 5, 10]) if high / low < 8 else decades)
    axis.set_minor_locator(NullLocator())
    raised = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")

    def text(value: float, _: int | None) -> str:
        return f"10{str(round(math.log10(value))).translate(raised)}" if wide else f"{value:g}"

    axis.set_major_formatter(FuncFormatter(text))


def _columns(labels: Sequence[str]) -> int:
    """As many columns as the longest label lets side by side (a character is about 0.07 inches wide)."""
    longest = max((min(len(text), 48) for text in labels), default=1)
    return max(1, min(len(labels), int((WIDTH - 0.1) / (0.53 + 0.07 * longest))))
