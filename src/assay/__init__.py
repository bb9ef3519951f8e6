"""Assay: is this optimizer better than a tuned baseline, on this task, and by how much?"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from assay import check, optim
    from assay.compare import Result, compare
    from assay.core import Contender, Metric, Run, Split, Splits, Task
    from assay.space import Choice, Float, Int

__version__ = "0.1.0"

_HOMES = {
    **dict.fromkeys(("Choice", "Float", "Int"), "assay.space"),
    **dict.fromkeys(("Contender", "Metric", "Run", "Split", "Splits", "Task"), "assay.core"),
    **dict.fromkeys(("Result", "compare"), "assay.compare"),
    "check": "assay",
    "optim": "assay",
}
__all__ = [
    "Choice",
    "Contender",
    "Float",
    "Int",
    "Metric",
    "Result",
    "Run",
    "Split",
    "Splits",
    "Task",
    "check",
    "compare",
    "optim",
]


def __getattr__(name: str) -> Any:
    """Import on first use: `import assay` costs nothing, and only what needs torch imports it."""
    if name not in _HOMES:
        raise AttributeError(f"module 'assay' has no attribute {name!r}")
    from importlib import import_module

    home = _HOMES[name]
    return import_module(f"{home}.{name}") if home == "assay" else getattr(import_module(home), name)
