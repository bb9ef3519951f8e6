"""Versions of what is installed, this package's own among them."""

from __future__ import annotations

import functools
import hashlib
from importlib import metadata
from pathlib import Path


@functools.cache
def installed(name: str) -> str:
    """The version of an installed distribution, `unknown` where there is none."""
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return "unknown"


@functools.cache
def hash_of_sources(package: Path) -> str:
    """SHA-256 of a package's Python files, their names included; of the file itself, where it is one."""
    sha = hashlib.sha256()
    for path in sorted(package.rglob("*.py")) or [package]:
        sha.update(path.relative_to(package).as_posix().encode() + path.read_bytes())
    return sha.hexdigest()
