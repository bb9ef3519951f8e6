"""The record: files in, files out; atomic."""

from assay.record.folder import RunFolder
from assay.record.lock import locked

__all__ = ["RunFolder", "locked"]
