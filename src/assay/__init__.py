"""Assay: is this optimizer better than a tuned baseline, on this task, and by how much?"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from assay import optim, tasks, testing
    from assay.conformance import check, check_optimizer
    from assay.core import Contender, Loaders, Metric, Run, Split, Splits, Task
    from assay.driver.compare import Planned, Result, compare, plan
    from assay.driver.compare import open as open
    from assay.driver.ready import contender_for
    from assay.space import Choice, Float, Int
    from assay.tasks import metrics

__version__ = "0.2.0.dev1"

# No function or class has the name of a room: importing a room would put the module in its place.
_HOMES = {
    **dict.fromkeys(("Choice", "Float", "Int"), "assay.space"),
    **dict.fromkeys(("Contender", "Loaders", "Metric", "Run", "Split", "Splits", "Task"), "assay.core"),
    **dict.fromkeys(("Planned", "Result", "compare", "open", "plan"), "assay.driver.compare"),
    **dict.fromkeys(("check", "check_optimizer"), "assay.conformance"),
    "contender_for": "assay.driver.ready",
    "metrics": "assay.tasks",
    "optim": "assay",
    "tasks": "assay",
    "testing": "assay",
}
__all__ = [  # but `open`, for `from assay import *` would hide Python's own
    "Choice",
    "Contender",
    "Float",
    "Int",
    "Loaders",
    "Metric",
    "Planned",
    "Result",
    "Run",
    "Split",
    "Splits",
    "Task",
    "check",
    "check_optimizer",
    "compare",
    "contender_for",
    "metrics",
    "optim",
    "plan",
    "tasks",
    "testing",
]


if not TYPE_CHECKING:  # to a type checker any name would be there

    def __getattr__(name: str) -> Any:
        """Import on first use: `import assay` costs nothing, and only what needs torch imports it."""
        if name not in _HOMES:
            raise AttributeError(f"module 'assay' has no attribute {name!r}")
        from importlib import import_module

        home = _HOMES[name]
        if home in ("assay", "assay.tasks"):
            return import_module(f"{home}.{name}")
        return getattr(import_module(home), name)


def __dir__() -> list[str]:
    """What an editor or a notebook offers after `assay.`."""
    return sorted({*globals(), *_HOMES})
