"""The order of the pages. A page that is in none of these lists is an error when the site is built."""

from __future__ import annotations

NAV = {
    "Begin": ["tutorial", "install"],
    "How to": ["guides", "tasks", "cluster", "adopt", "reading", "reviewers", "open_board"],
    "Reference": [
        "reference/commands",
        "reference/python",
        "reference/result",
        "reference/files",
        "reference/environment",
        "reference/exit-codes",
        "plan",
        "record",
        "glossary",
    ],
    "Explanation": ["verdict", "trust", "limits", "speedup", "engine"],
    "Findings": ["answer", "board", "language-model", "survey", "coverage", "project/benchmarks"],
    "Project": ["project/architecture", "project/contributing", "project/changelog", "project/examples"],
}


def toctrees() -> str:
    """What the first page ends with, unseen there: the lists that the side of each page shows."""
    return "".join(_toctree(caption, pages) for caption, pages in NAV.items())


def _toctree(caption: str, pages: list[str]) -> str:
    return "\n".join(["", "```{toctree}", ":hidden:", ":maxdepth: 1", f":caption: {caption}", "", *pages, "```", ""])
