"""Which network a task of the user's own data has: its usual one, or the user's."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from assay.contenders import load
from assay.errors import UsageError
from assay.tasks.network import Network

if TYPE_CHECKING:
    from torch import nn

NAMES = {
    "inputs": ("inputs", "in_features", "input_dim", "input_size", "n_features", "num_features"),
    "channels": ("channels", "in_channels", "num_channels", "n_channels"),
    "symbols": ("symbols", "vocab_size", "vocabulary", "num_embeddings", "n_tokens"),
    "context": ("context", "block_size", "context_length", "seq_len"),
    "outputs": (
        "outputs",
        "out_features",
        "output_dim",
        "output_size",
        "num_outputs",
        "num_classes",
        "n_classes",
        "classes",
    ),
    "classes": ("classes", "num_classes", "n_classes", "outputs", "out_features"),
}
"""What parameters are called that take a size."""


@dataclass(frozen=True)
class Given:
    """Called, it makes the network that a reference names, with the sizes that it asks for.

    `gives` is the shape that it should give for a sample, which is seen where the task is validated.
    """

    make: Callable[..., Any]
    gives: tuple[int, ...]
    sizes: tuple[int, ...]
    named: tuple[tuple[str, int], ...]

    def __call__(self) -> nn.Module:
        """A network with new weights; that of a quantity may give it as a column, (n, 1)."""
        made = self.make(*self.sizes, **dict(self.named))
        if not self.gives and hasattr(made, "state_dict"):  # its class, so that its parameters keep their names
            made.__class__ = type(type(made).__name__, (_Column, type(made)), {"__module__": type(made).__module__})
        return made


class _Column:
    """Ahead of a network's own class: a column of numbers is those numbers."""

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        found = super().forward(*args, **kwargs)  # type: ignore[misc]
        return found[:, 0] if hasattr(found, "shape") and len(found.shape) == 2 and found.shape[1] == 1 else found


def network(usual: Network, given: str | None, gives: tuple[int, ...], **sizes: int) -> Callable[[], nn.Module]:
    """The network `given` as file.py:Model or pkg.mod:Model, a class or function of some of the `sizes`; or `usual`.

    A parameter that is called as a size usually is gets it; where none is, the sizes come in their order.
    `gives` is the shape of what it gives for a sample.

    Raises:
        UsageError: there is no such thing, or it wants something else.
    """
    if given is None:
        return usual
    make = load(given)
    if not callable(make) or (hasattr(make, "state_dict") and not isinstance(make, type)):
        raise UsageError(
            f"--model {given} is {type(make).__name__}; it must be a class or function that makes a network"
        )
    try:
        parameters = inspect.signature(make).parameters
    except (TypeError, ValueError):
        parameters: Mapping[str, inspect.Parameter] = {}
    known = {p: sizes[s] for s in sizes for p in parameters if p in NAMES[s]}
    wanted = [
        p.name for p in parameters.values() if p.default is p.empty and p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)
    ]
    unknown = [name for name in wanted if name not in known]
    if not unknown:
        return Given(make, gives, (), tuple(known.items()))
    if (
        not known
        and len(unknown) == len(sizes)
        and all(parameters[n].kind is not inspect.Parameter.KEYWORD_ONLY for n in unknown)
    ):
        return Given(make, gives, tuple(sizes.values()), ())
    raise UsageError(
        f"--model {given} wants {', '.join(wanted)}; it can be given {', '.join(sizes)}: call its parameters so"
    )
