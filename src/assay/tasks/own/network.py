"""Which network a task of the user's own data has: its usual one, or the user's."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from assay.contenders import load
from assay.errors import UsageError
from assay.tasks.network import Network

if TYPE_CHECKING:
    from torch import nn

EMPTY = inspect.Parameter.empty
POSITIONAL = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)


@dataclass(frozen=True)
class Given:
    """Called, it makes the network that a reference names, with as many of the sizes as it asks for."""

    make: Callable[..., Any]
    sizes: tuple[int, ...]

    def __call__(self) -> nn.Module:
        """A network with new weights."""
        return self.make(*self.sizes)


def network(usual: Network, given: str | None, **sizes: int) -> Callable[[], nn.Module]:
    """The network `given` as file.py:Model or pkg.mod:Model, a class or function of the first of the `sizes`; or `usual`.

    Raises:
        UsageError: there is no such thing, or it wants more than the sizes.
    """
    if given is None:
        return usual
    make = load(given)
    if not callable(make):
        raise UsageError(
            f"--model {given} is {type(make).__name__}; it must be a class or function that makes a network"
        )
    try:
        parameters = list(inspect.signature(make).parameters.values())
    except (TypeError, ValueError):
        parameters = []
    wanted = [p for p in parameters if p.kind in POSITIONAL and p.default is EMPTY]
    if len(wanted) > len(sizes):
        names = ", ".join(p.name for p in wanted)
        raise UsageError(f"--model {given} wants {names}; it is given {', '.join(sizes)} and no more")
    return Given(make, tuple(sizes.values())[: len(wanted)])
