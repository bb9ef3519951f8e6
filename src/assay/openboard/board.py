"""The open board as one thing: submissions received, a part of them trained again, questions asked anew, a page written."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from assay.errors import UsageError
from assay.openboard import page
from assay.openboard.again import Retrained, asked_anew, retrained
from assay.openboard.claims import claims
from assay.openboard.received import Received, Refused, received
from assay.report.page import see_that_it_can_be

Told = Callable[[str], None]


@dataclass(frozen=True)
class OpenBoard:
    """A board that was made: its page, a row for each claim (docs/open_board.md), and the submissions that don't stand."""

    page: Path
    claims: list[dict[str, Any]]
    refused: list[Refused]

    @property
    def data(self) -> dict[str, Any]:
        """As plain data, for JSON."""
        refused = [{"submission": one.folder.name, "reason": one.reason} for one in self.refused]
        return {"page": str(self.page), "claims": self.claims, "refused": refused}


def make(to: Path, out: Path, retrain: int = 0, rerun: int = 0, told: Told = lambda line: None) -> OpenBoard:
    """Judge all submissions in a folder anew from their members, and write the page.

    Args:
        retrain: so many members of each submission, drawn at random, are trained again; one that they don't fit is refused.
        rerun: each question that only one run answers is asked again with so many replicates, at a root seed drawn here, and
            the answer is submitted to the same folder.
        told: is given a line at each step.
    Raises:
        UsageError: no such folder, no submission in it, one replicate only; or the page can't be written.
    """
    if retrain < 0 or rerun < 0 or rerun == 1:
        raise UsageError("--retrain must be 1 member at least, --rerun 2 replicates")
    see_that_it_can_be(out)
    standing, refused = received(to, lambda name: told(f"judging {name}"))
    trained: dict[Path, Retrained] = {}
    for one in list(standing) if retrain else []:
        told(f"training {retrain} members of {one.folder.name} again")
        found = trained[one.folder] = retrained(one, retrain)
        if found.wrong:
            standing.remove(one)
            refused.append(Refused(one.folder, f"{found}: {'; '.join(found.wrong[:3])}"))
    if rerun:
        alone = {claim.one.folder: claim.one for claim in claims(standing) if not claim.others}
        for one in alone.values():
            told(f"asking {one.folder.name} anew, with {rerun} replicates")
            _ask_anew(one, rerun, to, told)
        if alone:
            known = {one.folder for one in refused}
            standing, others = received(to)
            standing = [one for one in standing if one.folder not in known]
            refused += [one for one in others if one.folder not in known]
    made = claims(standing)
    rows = [page.row(claim, trained.get(claim.one.folder), out) for claim in made]
    return OpenBoard(page.write(made, rows, refused, out, f"Open board: {to.resolve().name}"), rows, refused)


def _ask_anew(one: Received, replicates: int, to: Path, told: Told) -> None:
    try:
        asked_anew(one, replicates, to)
    except UsageError as error:
        told(f"warning: {one.folder.name} can't be asked anew: {error}")
