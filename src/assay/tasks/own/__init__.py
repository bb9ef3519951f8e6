"""A user's own data as a task, in one line: a text, a table, a folder of images (`text:FILE`, `table:FILE`, `images:FOLDER`)."""

from __future__ import annotations

from assay.tasks.own.images import images
from assay.tasks.own.table import table
from assay.tasks.own.text import text

KINDS = {"text": text, "table": table, "images": images}
"""By what stands before the colon in `--task`; each takes the path first, then options."""

__all__ = ["KINDS", "images", "table", "text"]
