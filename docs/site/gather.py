"""Gathers the pages of the site in a folder, for Sphinx: python docs/site/gather.py FOLDER

Pages are docs/*.md, which read as well where the repository is hosted; some are files beside docs/, and the reference is made
from the code. Links are written as the repository has them, and lead here to where those files are on the site.
"""

from __future__ import annotations

import posixpath
import re
import shutil
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
import nav
import reference

ROOT = Path(__file__).parents[2]
BESIDE = {  # files beside docs/, and which page each is
    "README.md": "index.md",
    "ARCHITECTURE.md": "project/architecture.md",
    "CHANGELOG.md": "project/changelog.md",
    "CONTRIBUTING.md": "project/contributing.md",
    "benchmarks/README.md": "project/benchmarks.md",
}
EXAMPLES = "project/examples.md"
LINK = re.compile(r"(\]\()(?!\w+:|#)([^)#\s]+)")


def gather(folder: Path) -> None:
    """Fill the folder, emptied first."""
    shutil.rmtree(folder, ignore_errors=True)
    pages = {p.relative_to(ROOT).as_posix(): p.relative_to(ROOT / "docs").as_posix() for p in ROOT.glob("docs/**/*.md")}
    for source, page in {**pages, **BESIDE}.items():
        text = (ROOT / source).read_text(encoding="utf-8")
        _write(folder / page, LINK.sub(lambda m: m[1] + on_site(m[2], source, page), text))  # noqa: B023 - used at once
    shutil.copy(ROOT / "CITATION.cff", folder)
    for picture in ROOT.glob("docs/*.png"):
        shutil.copy(picture, folder)
    _write(folder / EXAMPLES, _examples())
    for page, text in reference.pages().items():
        _write(folder / page, text)
    with (folder / "index.md").open("a", encoding="utf-8") as index:
        index.write(nav.toctrees())


def on_site(target: str, source: str, page: str) -> str:
    """Where a link to `target` in the repository's file `source` leads from its page; Sphinx names it where it leads nowhere."""
    place = posixpath.normpath(posixpath.join(posixpath.dirname(source), target))
    if place.startswith("examples"):
        there = EXAMPLES
    elif place == "CITATION.cff":
        there = place
    elif place in BESIDE or place.startswith("docs/"):
        there = BESIDE.get(place) or place.removeprefix("docs/")
    else:
        return target
    return posixpath.relpath(there, posixpath.dirname(page) or ".")


def _examples() -> str:
    files = [f"## {path.name}\n\n```python\n{path.read_text('utf-8')}```\n" for path in ROOT.glob("examples/*.py")]
    return "# Examples\n\nThe files of `examples/`, as they are.\n\n" + "\n".join(sorted(files))


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    gather(Path(sys.argv[1]))
