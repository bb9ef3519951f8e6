"""Runs docs/tutorial.md: writes its files, runs its commands in order in an empty folder, and puts what they print in its place.

    python docs/site/tutorial.py              # at the budgets that it has; minutes; rewrites docs/tutorial.md

A ```python block that begins with `# NAME.py` is that file; in a ```console block a line `$ …` is a command, and what follows is
what it prints on standard output. A root that a command prints takes the place of the earlier one in the commands after it.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

PAGE = Path(__file__).parents[1] / "tutorial.md"
BLOCK = re.compile(r"^```(python|console)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
ROOT = re.compile(r"root of the record: (\w+)")
HOME = "/home/you"  # the page's name for the folder that it is run in


class Ran(NamedTuple):
    """A command as the page has it, what the page says that it prints, what it printed, and its exit code."""

    command: str
    written: str
    printed: str
    code: int


def run(text: str, folder: Path, alter: Callable[[str], str] = lambda command: command) -> tuple[list[Ran], str]:
    """Run a page's commands in a folder, each as `alter` makes it; what came of them, and the page as it should read."""
    ran: list[Ran] = []
    roots: dict[str, str] = {}

    def block(found: re.Match[str]) -> str:
        kind, content = found.groups()
        if kind == "python":
            name = re.match(r"# (\w+\.py)\n", content)
            if name:
                (folder / name[1]).write_text(content.removeprefix(name[0]), encoding="utf-8")
            return found[0]
        return f"```console\n{''.join(map(command, _commands(content)))}```"

    def command(written: tuple[str, str]) -> str:
        line, before = written
        for old, new in roots.items():
            line = line.replace(old, new)
        done = subprocess.run(
            ["bash", "-c", alter(line)], cwd=folder, env=_environment(), capture_output=True, text=True
        )
        printed = done.stdout.replace(str(folder), HOME)
        if (old := ROOT.search(before)) and (new := ROOT.search(printed)):
            roots[old[1]] = new[1]
        ran.append(Ran(line, before, printed if not done.returncode else printed + done.stderr, done.returncode))
        return f"$ {line}\n{printed}"

    return ran, BLOCK.sub(block, text)


def _commands(content: str) -> list[tuple[str, str]]:
    parts = re.split(r"^\$ ", content, flags=re.MULTILINE)[1:]
    return [(line, printed) for line, _, printed in (part.partition("\n") for part in parts)]


def _environment() -> dict[str, str]:
    """As a terminal of 100 columns has it, with the `assay` of this interpreter before any other."""
    return {**os.environ, "COLUMNS": "100", "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as there:
        _, page = run(PAGE.read_text(encoding="utf-8"), Path(there).resolve())
    PAGE.write_text(page, encoding="utf-8")
