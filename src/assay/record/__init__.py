"""The record: files in, files out; atomic."""

from .folder import RunFolder

__all__ = ["RunFolder"]
