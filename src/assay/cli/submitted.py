"""The open board on the command line: hand a run in, make the page of what was handed in."""

from __future__ import annotations

from pathlib import Path

from assay.events.text import say, tell

from . import printed
from .app import app
from .options import OutputOptions, RunPath


@app.command
def submit(folder: RunPath, *, to: Path, by: str, licence: str = "", note: str = "") -> int:
    """Hand a finished run in: write a folder with its record, the sources of what was compared, and whose it is.

    Parameters
    ----------
    to
        The folder of submissions, from which assay board --from makes a page.
    by
        Whose it is, as the page will say.
    licence
        Under which licence others may have your files, as in MIT; needed where there are any.
    note
        A remark, one line.
    """
    from assay.openboard.submit import write
    from assay.record.inspection import reading

    with reading(folder):
        say(str(write(folder, to, by, licence, note)))
    return 0


def holds_submissions(folder: Path) -> bool:
    """Whether it is a folder of submissions, not of runs."""
    from assay.openboard.submission import is_submission

    return folder.is_dir() and any(is_submission(path) for path in folder.iterdir())


def open_board(folder: Path, output: OutputOptions, retrain: int, rerun: int) -> int:
    """Make the page of a folder of submissions, and say what stands on it."""
    from assay.openboard.board import make

    quiet = output.quiet or output.json
    made = make(folder, output.out or folder / "board.html", retrain, rerun, (lambda line: None) if quiet else tell)
    if output.json:
        printed.as_json(made.data)
        return 0
    for one in made.refused:
        say(f"refused: {one.folder.name}: {one.reason}")
    doubted = sum(claim["skeptical"] for claim in made.claims)
    say(f"{len(made.claims)} claims, {doubted} of them more than other runs bear out; {len(made.refused)} refused")
    say(f"board: {made.page}")
    return 0
