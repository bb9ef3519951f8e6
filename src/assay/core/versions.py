"""Versions of what is installed, this package's own among them."""

from __future__ import annotations

import functools
import hashlib
from importlib import metadata
from pathlib import Path


def installed(name: str) -> str:
    """The version of an installed distribution, `unknown` where there is none."""
    try:
        return _version(name)
    except metadata.PackageNotFoundError:
        return "unknown"


_version = functools.cache(metadata.version)  # what isn't there may be installed meanwhile


@functools.cache
def hash_of_sources(package: Path) -> str:
    """SHA-256 of a package's Python files, their names included; of the file itself, where it is one."""
    sha = hashlib.sha256()
    for path in sorted(package.rglob("*.py")) or [package]:
        sha.update(path.relative_to(package).as_posix().encode() + path.read_bytes())
    return sha.hexdigest()
