"""Draws docs/architecture.png: the rooms of src/assay on their floors, imports between them, and one member's way.

Run: .venv/bin/python docs/draw_architecture.py   (arrows come from the code, floors from pyproject.toml)
"""

from __future__ import annotations

import tomllib
from pathlib import Path

import grimp
import networkx
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.patches import FancyBboxPatch

HERE = Path(__file__).parent
WIDTH, HEIGHT = 1.5, 0.56
WAY = ["cli", "driver", "workers", "engine", "training", "record", "answer", "judge", "report"]  # of one member


def floors() -> list[list[str]]:
    """The rooms, floor by floor from the top, as the layers contract has them."""
    settings = tomllib.loads((HERE.parent / "pyproject.toml").read_text())["tool"]["importlinter"]
    layers = next(c["layers"] for c in settings["contracts"] if c["type"] == "layers")
    split = [[name.strip().removeprefix("assay.") for name in layer.replace(":", "|").split("|")] for layer in layers]
    return [rooms for rooms in split if rooms != ["__main__"]]


def arrows(rooms: list[str]) -> list[tuple[str, str]]:
    """Pairs of rooms of which the first imports the second; those that a longer way implies are left out."""
    graph = grimp.build_graph("assay", exclude_type_checking_imports=True)
    room = {module: module.split(".")[1] for module in graph.modules if "." in module}
    found = {
        (room[module], room[used])
        for module in room
        for used in graph.find_modules_directly_imported_by(module)
        if used in room
    }
    whole = networkx.DiGraph((a, b) for a, b in found if a != b and {a, b} <= set(rooms))
    return sorted(networkx.transitive_reduction(whole).edges)


def draw(axes: Axes) -> None:
    """Everything, into these axes."""
    place: dict[str, tuple[float, float]] = {}
    levels = floors()
    for i, rooms in enumerate(levels):
        for j, room in enumerate(rooms):
            place[room] = ((j - (len(rooms) - 1) / 2) * 2.6 + (0.5 if i % 2 else -0.5), -float(i))
    for a, b in arrows(list(place)):
        style = {"arrowstyle": "-|>", "color": "0.5", "lw": 0.9, "shrinkA": 14, "shrinkB": 14}
        axes.annotate("", place[b], place[a], arrowprops={**style, "connectionstyle": "arc3,rad=0.08"}, zorder=1)
    for room, (x, y) in place.items():
        corner = (x - WIDTH / 2, y - HEIGHT / 2)
        axes.add_patch(FancyBboxPatch(corner, WIDTH, HEIGHT, "round,pad=0.03", fc="#e8eef4", ec="#345", lw=1, zorder=2))
        axes.text(x, y, room, ha="center", va="center", fontsize=10, zorder=3)
    for number, room in enumerate(WAY, start=1):
        x, y = place[room]
        axes.text(x + WIDTH / 2, y + HEIGHT / 2, str(number), ha="center", va="center", fontsize=8, color="white",
                  bbox={"boxstyle": "circle", "fc": "#b5432a", "ec": "none"}, zorder=4)  # fmt: skip
    axes.set_xlim(-5.2, 5.2)
    axes.set_ylim(-len(levels) + 0.4, 0.6)
    axes.axis("off")


if __name__ == "__main__":
    figure, axes = plt.subplots(figsize=(8, 9.5))
    draw(axes)
    figure.savefig(HERE / "architecture.png", dpi=110, bbox_inches="tight")
