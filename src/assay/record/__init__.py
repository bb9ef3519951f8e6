"""The record: files in, files out; atomic."""

from .folder import RunFolder, locked

__all__ = ["RunFolder", "locked"]
