"""The one JSON text of a value, and its hash, by which plans, chunks and manifests are named; what JSON can't say is None."""

from __future__ import annotations

import hashlib
import math
from typing import Any, cast

import msgspec
import numpy as np


def canonical(value: Any) -> bytes:
    """The one JSON text of a value: keys sorted, no spaces, floats in their shortest exact form."""
    return msgspec.json.encode(value, order="deterministic")


def digest(value: Any) -> str:
    """SHA-256 of the canonical JSON, 64 hexadecimal digits."""
    return hashlib.sha256(canonical(value)).hexdigest()


def finite(value: float | None) -> float | None:
    """The number, or None where it is not finite."""
    return float(value) if value is not None and math.isfinite(value) else None


def plain(value: Any) -> Any:
    """The value as JSON knows it: arrays and structs as lists and objects, NumPy numbers Python's, None for not finite."""
    if isinstance(value, msgspec.Struct):
        value = msgspec.structs.asdict(value)
    if isinstance(value, dict):
        items = cast("dict[Any, Any]", value).items()
        return {str(key): plain(item) for key, item in items if item is not msgspec.UNSET}
    if isinstance(value, list | tuple | np.ndarray):
        return [plain(item) for item in cast("list[Any]", value)]
    number: Any = cast("Any", value).item() if isinstance(value, np.generic) else value
    return finite(number) if isinstance(number, float) else number
