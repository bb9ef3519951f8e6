"""What users bring is of the right type, or refused in one line; a whole number where a real one is meant becomes one."""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from types import NoneType
from typing import Any, Literal, cast, get_args, get_origin

import msgspec

from assay.errors import UsageError, described

WORDS: dict[Any, str] = {
    int: "a whole number",
    float: "a number",
    bool: "True or False",
    str: "text",
    NoneType: "None",
    Sequence[int]: "a list of whole numbers",
    Sequence[float]: "a list of numbers",
    Sequence[str]: "a list of text",
}


def whole(value: Any, what: str) -> int:
    """A Python whole number: also of NumPy's, or a real number without a fraction. UsageError for anything else."""
    try:
        if isinstance(value, float) and value.is_integer():
            return int(value)
        if not isinstance(value, bool | float):
            return operator.index(value)
    except TypeError:
        pass
    raise UsageError(f"{what} must be a whole number, not {described(value)}")


def real(value: Any, what: str) -> float:
    """A Python float: also of NumPy's numbers, or a whole one. UsageError for anything else."""
    try:
        if not isinstance(value, bool | str | bytes):
            return float(value)
    except (TypeError, ValueError, OverflowError, RuntimeError):  # a tensor of several numbers raises the last
        pass
    raise UsageError(f"{what} must be a number, not {described(value)}")


def instance(value: Any, kind: Any, what: str, wanted: str) -> None:
    """UsageError where it is of no such type: `what` it is, and what was `wanted`."""
    if not isinstance(value, kind):
        raise UsageError(f"{what} must be {wanted}, not {described(value)}")


def function(value: Any, what: str, wanted: str) -> None:
    """UsageError where it can't be called."""
    if not callable(value):
        raise UsageError(f"{what} must be {wanted}, not {described(value)}")


def converted(value: Any, annotation: Any, what: str) -> Any:
    """An option as its annotation says: NumPy's numbers Python's, sequences lists, whole numbers real where those are meant.

    Which words an option knows is not seen to here: whoever reads it names the nearest. UsageError for another type.
    """
    given = _plain(value)
    try:
        return msgspec.convert(given, _any_word(annotation))
    except msgspec.ValidationError:
        pass
    raise UsageError(f"{what} must be {_in_words(annotation)}, not {described(value)}")


def _in_words(annotation: Any) -> str:
    """A type as whoever gives a value would say it."""
    if annotation in WORDS:
        return WORDS[annotation]
    of = get_args(annotation)
    return " or ".join(one if isinstance(one, str) else _in_words(one) for one in of) or annotation.__name__


def _plain(value: Any) -> Any:
    to_list: Callable[[], Any] | None = getattr(value, "tolist", None)  # NumPy's and torch's, numbers among them
    if callable(to_list):
        return to_list()
    return list(cast("Sequence[Any]", value)) if isinstance(value, tuple | range) else value


def _any_word(annotation: Any) -> Any:
    """The annotation with any text in place of the words that it knows."""
    if get_origin(annotation) is Literal:
        return str
    parts = get_args(annotation)
    return str | None if NoneType in parts and any(get_origin(p) is Literal for p in parts) else annotation
