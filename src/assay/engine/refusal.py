"""What says that a training can't be vectorized: the caller then uses the loop, and shows the reason."""

from __future__ import annotations

import re
import traceback
import types
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import torch

from assay.core import environment
from assay.errors import said

Made = TypeVar("Made")


class NotVectorizable(Exception):
    """A contender, a task or a chunk that the population engine can't run. Its text is the reason, in one line."""


class NotCompilable(NotVectorizable):
    """What runs in the engine's eager form, but not in its compiled one."""


class Unsteady(NotCompilable):
    """What an optimizer keeps isn't all there yet, or never is: after more steps of the loop it may be."""


class Hindered(NotVectorizable):
    """Memory or disk ran out: the members have no part in it, so they must not end up in another engine for it."""


class Again(NotVectorizable):
    """What can't be run in this way may run in another: `change` of the population's options."""

    def __init__(self, reason: str, **change: int) -> None:
        super().__init__(reason)
        self.change = change


def shared_write(what: str = "a tensor that all share") -> Again:
    """A scalar that was kept once for all members is given a value of each member's own."""
    return Again(f"it writes a member's own value into {what}", share=False)


_PATTERNS = (
    (r"(\S+) hit the vmap fallback", r"torch has no batching rule for \1"),
    (r"(?:Batching rule not implemented for) (\S+?)[;.,]?(?:\s|$)", r"torch has no batching rule for \1"),
    (
        r"operators that can support dynamic shape",
        "it picks entries by a mask, so that their number depends on the values",
    ),
    (r"data-dependent control flow", "it takes branches that the data decides"),
    (r"_local_scalar_dense|calling .item\(\) on a Tensor", "it reads a value that the data decides"),
    (r"Cannot access storage of BatchedTensor", "it looks at a tensor's memory"),
    (r"called random operation while in randomness error mode", "it draws random numbers"),
)


def refusal(error: Exception) -> NotVectorizable:
    """The error as a refusal, with its one-line reason.

    A fault of the engine's own is a refusal too, whose reason asks for a report; where ASSAY_STRICT is set, as it is in the
    tests, it is raised instead.
    """
    if isinstance(error, NotVectorizable):
        return error
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return Hindered(f"memory ran out: {said(error)[:120]}".rstrip(": "))
    text = said(error)
    if "vmap: inplace arithmetic" in text or ("vmap: aten::" in text and "inplace" in text):
        return shared_write()
    if "view size is not compatible" in text:
        return Again(reason_of(error), lay=False)
    if is_fault(error):
        if environment.STRICT.value:
            raise error
        return NotVectorizable(f"{reason_of(error)}; this is a fault of assay's engine, please report it")
    return NotVectorizable(reason_of(error))


def made_with_options(make: Callable[..., Made]) -> Made:
    """What `make(**options)` gives: anew with the options that its refusals ask for. NotVectorizable where none helps."""
    options: dict[str, int] = {}
    while True:
        try:
            return make(**options)
        except Exception as error:
            refused = refusal(error)
            if not isinstance(refused, Again) or refused.change.keys() <= options.keys():
                raise refused from error
            options |= refused.change


_ENGINE = str(Path(__file__).parent)
_MISTAKES = (AssertionError, NameError, AttributeError, TypeError, LookupError, ValueError, RuntimeError)
_handing_on: set[types.CodeType] = set()
_Function = TypeVar("_Function", bound=types.FunctionType)


def hands_on(function: _Function) -> _Function:
    """Marks a function that calls torch's with the arguments of the user's code: that these don't fit is no fault there."""
    _handing_on.add(function.__code__)
    return function


def is_fault(error: Exception) -> bool:
    """Whether an error is the engine's own: of a kind that is a mistake in code, and raised by a line of the engine's."""
    frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__)]
    known = isinstance(error, RuntimeError) and any(re.search(pattern, said(error)) for pattern, _ in _PATTERNS)
    if not frames or known or not isinstance(error, _MISTAKES):
        return False
    code = frames[-1].f_code
    handed_on = code in _handing_on and not isinstance(error, AssertionError | NameError | AttributeError | KeyError)
    return code.co_filename.startswith(_ENGINE) and not handed_on


def reason_of(error: BaseException) -> str:
    """One line that says why, from whatever torch or the contender's own code raised."""
    if isinstance(error, NotVectorizable):
        return str(error)
    text = re.sub(r" at 0x[0-9a-f]+", "", said(error))  # the same in every process
    for pattern, replacement in _PATTERNS:
        if match := re.search(pattern, text):
            return match.expand(replacement)
    return f"{type(error).__name__}: {text[:160]}"
