"""The reference, made from the code: nothing in it is written by hand."""

from __future__ import annotations


def pages() -> dict[str, str]:
    """Text by page."""
    return {}
