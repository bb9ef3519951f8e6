"""The one place where names outside assay are replaced for the whole process, and put back. Tried with torch 2.13.0.

A `TorchFunctionMode` sees what is called with tensors, and only from outside torch's own Python code. Three kinds of calls
escape it, and are met under their names instead, while one step or one forward pass runs:

- `t in {60, 100}`: a tensor's hash, of which torch tells no mode;
- `math.sqrt(1 - beta2**t)`, `max(lr, floor)`: Python's own functions of numbers read a tensor's value, and members differ;
- `torch.nn.functional.dropout` and its kin, called by functions that torch writes in Python (attention calls dropout).

A process trains one chunk at a time, so that nobody else meets the replacements.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Self

from torch.overrides import TorchFunctionMode


class PatchingMode(TorchFunctionMode):
    """A mode in which each (module or class, name) of `replacements` is another function."""

    def replacements(self) -> Mapping[tuple[Any, str], Callable[..., Any]]:
        """Made as the mode is entered, and not kept."""
        raise NotImplementedError

    def __enter__(self) -> Self:
        functions = self.replacements()
        self.before = {(module, name): getattr(module, name) for module, name in functions}
        for (module, name), function in functions.items():
            setattr(module, name, function)
        return super().__enter__()

    def __exit__(self, *error: Any) -> None:
        super().__exit__(*error)
        for (module, name), function in self.before.items():
            setattr(module, name, function)
