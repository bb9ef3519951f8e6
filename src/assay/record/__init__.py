"""The record: files in, files out; atomic."""

from assay.record.folder import RunFolder, locked

__all__ = ["RunFolder", "locked"]
