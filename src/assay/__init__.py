"""Assay: is this optimizer better than a tuned baseline, on this task, and by how much?"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from assay import check, optim
    from assay.core import Contender, Loaders, Metric, Run, Split, Splits, Task
    from assay.driver.compare import Result, compare
    from assay.space import Choice, Float, Int
    from assay.tasks import metrics

__version__ = "0.2.0.dev0"

_HOMES = {
    **dict.fromkeys(("Choice", "Float", "Int"), "assay.space"),
    **dict.fromkeys(("Contender", "Loaders", "Metric", "Run", "Split", "Splits", "Task"), "assay.core"),
    **dict.fromkeys(("Result", "compare"), "assay.driver.compare"),
    "check": "assay",
    "metrics": "assay.tasks",
    "optim": "assay",
}
__all__ = [
    "Choice",
    "Contender",
    "Float",
    "Int",
    "Loaders",
    "Metric",
    "Result",
    "Run",
    "Split",
    "Splits",
    "Task",
    "check",
    "compare",
    "metrics",
    "optim",
]


def __getattr__(name: str) -> Any:
    """Import on first use: `import assay` costs nothing, and only what needs torch imports it."""
    if name not in _HOMES:
        raise AttributeError(f"module 'assay' has no attribute {name!r}")
    from importlib import import_module

    home = _HOMES[name]
    return import_module(f"{home}.{name}") if home in ("assay", "assay.tasks") else getattr(import_module(home), name)
