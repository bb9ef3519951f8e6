"""Does whoever gives no range get the verdict of whoever knows the right one, where defaults mislead?

    python benchmarks/lost_rates.py --to DIR        (goes on where it was interrupted)

Adam and NAdam, whose best rates lie 10² above their default, 10² below it, or at about 3 with no default at all, each against
registered Adam: once with the range that is right (the registered one, moved as far), once with none, so that the pilot has to
find it. Everything else is the honest default.
"""

from __future__ import annotations

import argparse
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import torch

from assay.contenders import contenders
from assay.driver.compare import compare
from assay.report.units import signed, span
from assay.space import Float

TASKS = ("mnist1d-mlp", "digits")
BASES = {"adam": torch.optim.Adam, "nadam": torch.optim.NAdam}
AT = 3.0  # the best rate of those without a default, where the base's is about USUAL
USUAL = 1e-2


class Kind(NamedTuple):
    """How far a contender's rates are from its base's, and its default; None where it has none."""

    factor: float
    default: float | None


KINDS = {"10² above": Kind(100, 1e-3), "10² below": Kind(0.01, 1e-3), "at 3, no default": Kind(AT / USUAL, None)}


def moved(base: type[torch.optim.Optimizer], kind: Kind) -> type[torch.optim.Optimizer]:
    """A class whose rates are `kind.factor` times the base's for the same steps."""

    def fixed(self: Any, params: Any, lr: float) -> None:
        base.__init__(self, params, lr=lr / kind.factor)  # type: ignore[call-arg]

    def usual(self: Any, params: Any, lr: float = kind.default or 0.0) -> None:
        fixed(self, params, lr)

    return type(f"Moved{base.__name__}", (base,), {"__init__": fixed if kind.default is None else usual})


def compared(base: str, kind: Kind, known: bool, task: str, to: Path) -> dict[str, Any]:
    """The verdict on one of them, with the right range or with none."""
    usual = contenders([base])[0].space["lr"]
    assert isinstance(usual, Float)
    low, high = kind.factor * usual.low, kind.factor * usual.high
    cls = moved(BASES[base], kind)
    space = [f"{cls.__name__}.lr={low!r}..{high!r}:log"] if known else []
    return compare("adam", cls, task=task, space=space, out=to).content["verdicts"][0]


def in_margins(verdict: dict[str, Any]) -> str:
    """A verdict's cell."""
    scaled = {key: None if verdict[key] is None else verdict[key] / verdict["margin"] for key in ("ci_low", "ci_high")}
    return f"{verdict['outcome']}, {signed(verdict['difference'] / verdict['margin'])} ({span(scaled)})"


def main() -> None:
    options = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    options.add_argument("--to", type=Path, required=True, help="folder of the run folders")
    options.add_argument("--tasks", nargs="+", default=TASKS)
    asked = options.parse_args()
    print("| task | candidate | its best rates | with the right range, margins | with none | same verdict |")
    print("|---|---|---|---|---|---|")
    for task in asked.tasks:
        for base in BASES:
            for place, (name, kind) in enumerate(KINDS.items()):
                ask = partial(compared, base, kind, task=task)
                known, none = (ask(known=k, to=asked.to / f"{task}-{base}-{place}-{k}") for k in (True, False))
                same = "yes" if known["outcome"] == none["outcome"] else "**no**"
                print(f"| {task} | {base} | {name} | {in_margins(known)} | {in_margins(none)} | {same} |", flush=True)


if __name__ == "__main__":
    main()
