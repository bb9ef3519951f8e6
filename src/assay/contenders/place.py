"""Where another process finds what a user gave as an object: by its module's name, or not at all."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType
from typing import Any


def home(target: Any) -> tuple[ModuleType | None, str]:
    """The module that defines the target, and its file; "" where it isn't told."""
    module = sys.modules.get(getattr(target, "__module__", "") or "")
    return module, getattr(module, "__file__", None) or ""


def name_of(target: Any) -> str:
    """What a class, a function or another callable is called: `functools.partial` as what it calls, a lambda "lambda"."""
    named = getattr(target, "func", target)
    return getattr(named, "__name__", type(named).__name__).strip("<>")


def importable(target: Any) -> bool:
    """Does another process find the target by its module's name?"""
    module, path = home(target)
    qualified = getattr(target, "__qualname__", "<")
    if module is None or module.__name__ == "__main__" or "<" in qualified:
        return False
    found: Any = module
    for part in qualified.split("."):
        found = getattr(found, part, None)
    return found is target and ("site-packages" in path or bool(folders(target)))


def reference_of(target: Any) -> str:
    """`pkg.mod:Name` of a class or function; "" for what was made in a notebook, a script or another function."""
    return f"{target.__module__}:{target.__qualname__}" if importable(target) else ""


def folders(target: Any) -> tuple[str, ...]:
    """The folder from which the target's module is imported; none for an installed package's, or where it isn't told."""
    module, path = home(target)
    if module is None or not path or "site-packages" in path:
        return ()
    place = Path(path).resolve().with_suffix("")
    place = place.parent if place.name == "__init__" else place
    parts = tuple(module.__name__.split("."))
    return (str(place.parents[len(parts) - 1]),) if place.parts[-len(parts) :] == parts else ()
