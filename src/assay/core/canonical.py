"""The one JSON text of a value, and its hash: what plans, chunks and manifests are named by."""

from __future__ import annotations

import hashlib
from typing import Any

import msgspec


def canonical(value: Any) -> bytes:
    """The one JSON text of a value: keys sorted, no spaces, floats in their shortest exact form."""
    return msgspec.json.encode(value, order="deterministic")


def digest(value: Any) -> str:
    """SHA-256 of the canonical JSON, 64 hexadecimal digits."""
    return hashlib.sha256(canonical(value)).hexdigest()
