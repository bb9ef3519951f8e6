"""What is to be checked, as data that travels to another process. Torch is never imported."""

from __future__ import annotations

import sys
import sysconfig
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cloudpickle

from assay.contenders import CONTENDERS, contenders, load
from assay.contenders.adapt import adapt
from assay.contenders.place import folders, home, name_of, reference_of
from assay.contenders.resolve import shown_name, split_alias
from assay.contenders.schedules import split_schedule
from assay.core import Brought, Contender
from assay.errors import UsageError


@dataclass(frozen=True)
class Job:
    """A contender by reference, or by value as `packed`; `paths` go before the other side's `sys.path`."""

    name: str
    reference: str = ""
    packed: bytes = b""
    paths: tuple[str, ...] = ()


def job_of(target: Brought) -> Job:
    """A name or reference as it is; an object by reference where another process can import it, else by value.

    Raises:
        UsageError: neither a reference, nor a contender, nor something that can be called.
    """
    if isinstance(target, str):
        return Job(shown_name(target), target)
    if isinstance(target, Contender):
        return Job(target.name, packed=_packed(target, target.make), paths=folders(target.make))
    if not callable(target):
        raise UsageError(f"an optimizer's class, a factory, a contender or its name is checked, not {target!r}")
    name = name_of(target)
    if reference := reference_of(target):
        return Job(name, reference, paths=folders(target))
    return Job(name, packed=_packed(target, target), paths=folders(target))


def opened(job: Job) -> tuple[Contender, Any]:
    """In the process that checks: the contender, and the class or factory behind it (None: it was made as a contender).

    A wrapper wraps Adam.

    Raises:
        UsageError: an unknown name, a module that fails to import, a class that can't be adapted.
    """
    sys.path[:0] = [path for path in job.paths if path not in sys.path]
    if not job.packed:
        contender = contenders([job.reference] if job.name == "adam" else ["adam", job.reference], untuned=True)[-1]
        place = place_of(contender)
        target = load(place) if place else None
        return contender, None if isinstance(target, Contender) else target
    target = cloudpickle.loads(job.packed)
    if isinstance(target, Contender):
        return target, None
    return adapt(target, job.name, baseline=contenders(["adam"])[0], untuned=True), target


def place_of(contender: Contender) -> str:
    """`pkg.mod:Name` or `path/file.py:Name` of what is behind a contender, its schedule aside; "" where it isn't told."""
    reference = split_schedule(split_alias(contender.reference)[1])[0]
    return CONTENDERS[reference].reference if reference in CONTENDERS else reference


def _packed(target: Any, made_by: Any) -> bytes:
    """The target pickled; what the module of its maker defines travels along, unless it is an installed package."""
    module, path = home(made_by)
    registered = cloudpickle.list_registry_pickle_by_value()
    if module is None or not _users_own(module.__name__, path) or module.__name__ in registered:
        return cloudpickle.dumps(target)
    cloudpickle.register_pickle_by_value(module)
    try:
        return cloudpickle.dumps(target)
    finally:
        cloudpickle.unregister_pickle_by_value(module)


def _users_own(name: str, path: str) -> bool:
    """Is a module neither a package's, nor Python's, nor the main one (which travels by value anyway)?"""
    if not path or name == "__main__" or name.startswith(("assay.", "torch.")) or "site-packages" in path:
        return False
    return not Path(path).is_relative_to(sysconfig.get_paths()["stdlib"])
