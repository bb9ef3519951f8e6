"""Versions of what is installed, this package's own among them."""

from __future__ import annotations

from importlib import metadata


def installed(name: str) -> str:
    """The version of an installed distribution, `unknown` where there is none."""
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return "unknown"
