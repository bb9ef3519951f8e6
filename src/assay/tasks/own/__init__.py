"""A user's own data as a task, in one line: a text, a table, pictures; or what `datasets` and torchvision hold here."""

from __future__ import annotations

from assay.tasks.own.hub import hf
from assay.tasks.own.images import images
from assay.tasks.own.table import table
from assay.tasks.own.text import text
from assay.tasks.own.vision import torchvision

KINDS = {"text": text, "table": table, "images": images, "hf": hf, "torchvision": torchvision}
"""By what stands before the colon in `--task`; each takes the path or name first, then options."""

__all__ = ["KINDS", "hf", "images", "table", "text", "torchvision"]
