"""All optimizers that a package exports, and the checks of each."""

from __future__ import annotations

import importlib.util
import inspect
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from assay.conformance.ask import BUDGET, LIMIT, STARTING, asked_of, check
from assay.conformance.report import Found, Report
from assay.conformance.serve import Refused, alone
from assay.contenders.registry import CONTENDERS, PACKAGED
from assay.contenders.resolve import split_alias
from assay.contenders.schedules import split_schedule
from assay.errors import UsageError, own_frames
from assay.workers.local import cores


def is_package(text: str) -> bool:
    """Whether that names a package, module or file, and no contender."""
    plain = split_schedule(split_alias(text)[1])[0]
    if ":" in text or plain in CONTENDERS or plain in PACKAGED:
        return False
    if text.endswith(".py"):
        return True
    top = text.partition(".")[0]
    sys.path[:0] = [] if "" in sys.path or str(Path.cwd()) in sys.path else [str(Path.cwd())]
    return top.isidentifier() and (top in sys.modules or importlib.util.find_spec(top) is not None)


def exported(package: str) -> list[str]:
    """The names of the optimizer classes that a package or file exports, abstract ones aside; a class with two names has one.

    It is imported in a process of its own.

    Raises:
        UsageError: it can't be imported, or exports none.

    Example:
        >>> "SGD" in exported("torch.optim")
        True
    """
    with asked_of(package, _list, package, [*sys.path]) as heard:
        names: list[str] = heard("importing it", STARTING)
    if not names:
        raise UsageError(
            f"{package} exports no class that derives from torch.optim.Optimizer; give one, as {package}:Name"
        )
    return names


def check_package(
    package: str,
    limit: float = LIMIT,
    matrix: bool = False,
    budget: float = BUDGET,
    on_report: Callable[[str, Report | str], Any] = lambda name, report: None,
) -> Found:
    """Check all optimizers of a package, by PACKAGE:Name, several at once; `on_report` hears of each when it is done.

    Raises:
        UsageError: as in `exported`.
    """

    def one(name: str) -> Report | str:
        try:
            report: Report | str = check(
                f"{package}:{name}", speed=False, limit=limit, matrix=matrix, budget=budget, wide=True
            )
        except UsageError as error:
            report = str(error).splitlines()[0]
        on_report(f"{package}:{name}", report)
        return report

    names = exported(package)
    with ThreadPoolExecutor(max(1, cores() // 2)) as pool:  # each has two processes at work
        return dict(zip((f"{package}:{name}" for name in names), pool.map(one, names), strict=True))


def _list(connection: Any, package: str, paths: Sequence[str]) -> None:
    """Send the names, or `Refused`."""
    alone()
    sys.path[:] = paths
    import torch

    from assay.contenders.load import module_at

    try:
        module = module_at(package)
        found = {n: thing for n, thing in vars(module).items() if inspect.isclass(thing) and not n.startswith("_")}
    except UsageError as error:
        return connection.send(Refused(str(error)))
    except BaseException as error:  # a module may raise anything, SystemExit included
        return connection.send(Refused(f"{package} fails to import: {own_frames(error)}"))
    own = {
        n: thing
        for n, thing in sorted(found.items(), key=lambda item: (item[0] != item[1].__name__, item[0]))
        if issubclass(thing, torch.optim.Optimizer)
        and thing is not torch.optim.Optimizer
        and not inspect.isabstract(thing)
        and thing.step is not torch.optim.Optimizer.step
        and (not package.endswith(".py") or thing.__module__ == module.__name__)
    }
    one_name = {thing: n for n, thing in reversed(own.items())}
    connection.send(sorted(one_name.values()))
    connection.poll(None)
