"""What a board does about a submission that computing alone can't: members trained again, and the question asked anew.

Both run the submission's own code, in a process of its own that begins in its `source/`: do it where that may be done.
"""

from __future__ import annotations

import json
import secrets
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from assay.errors import UsageError
from assay.openboard.received import Received
from assay.openboard.submission import SOURCE
from assay.record.plan import read_plan
from assay.record.suite import open_suite, runs
from assay.report.command import across, command

BOARD = "the board"  # who asks anew


@dataclass(frozen=True)
class Retrained:
    """Members of a submission trained again: how many came out the same to the bit, or as close as another machine comes.

    `wrong`: a line for each that didn't, which refuses the submission; `impossible`: why none could be trained, "" if they could.
    """

    exact: int = 0
    close: int = 0
    wrong: tuple[str, ...] = ()
    impossible: str = ""

    def __str__(self) -> str:
        if self.impossible:
            return f"not retrained: {self.impossible}"
        if self.wrong:
            return (
                f"{len(self.wrong)} of {len(self.wrong) + self.exact + self.close} retrained members are not the same"
            )
        said = [f"{self.exact} the same to the bit"] * bool(self.exact)
        return "retrained: " + ", ".join(
            [*said, *([f"{self.close} as close as another machine comes"] * bool(self.close))]
        )


def retrained(one: Received, number: int) -> Retrained:
    """Train `number` of its members again, drawn at random over its tasks."""
    folders = list(runs(one.record).values())
    shares = np.random.default_rng().multinomial(number, np.full(len(folders), 1 / len(folders)))
    exact, close, wrong = 0, 0, list[str]()
    for folder, share in zip(folders, map(int, shares), strict=True):
        if not share:
            continue
        code, said, error = _assay(one, "verify", str(folder.resolve()), "--retrain", str(share), "--json")
        if code not in (0, 1) or said is None:
            return Retrained(impossible=error)
        sound = [member for member in said["retrained"] if member["sound"]]
        exact += sum(member["exact"] for member in sound)
        close += sum(not member["exact"] for member in sound)
        wrong += [f"{m['contender']}, {m['member']}" for m in said["retrained"] if not m["sound"]] + said["mismatches"]
    return Retrained(exact, close, tuple(wrong))


def asked_anew(one: Received, replicates: int, to: Path) -> None:
    """Ask its question again, with so many replicates and at a root seed that nobody knew, and submit that beside it.

    Raises:
        UsageError: it can't be asked again from its references, or its code doesn't run here.
    """
    plans = [read_plan(folder) for folder in runs(one.record).values()]
    words = across(open_suite(one.record), plans) if one.across else command(plans[0])
    if words is None:
        raise UsageError("it was made in Python: its question can't be asked again from its references")
    asked = ("--seed", str(secrets.randbelow(2**31)), "--replicates", str(replicates), "--quiet", "--json")
    said = ("--by", BOARD, "--licence", one.submission.licence, "--note", f"{one.folder.name}, asked anew")
    with tempfile.TemporaryDirectory() as scratch:
        run = str(Path(scratch) / "run")
        steps = (
            (*_without(words[1:], "--seed", "--replicates", "--looks"), *asked, "--out", run),
            ("submit", run, "--to", str(to.resolve()), *said),
        )
        for step in steps:
            code, _, error = _assay(one, *step)
            if code != 0:
                raise UsageError(error)


def _without(words: Sequence[str], *options: str) -> list[str]:
    """A command without these options and their values."""
    values = {place + 1 for place, word in enumerate(words) if word in options}
    return [word for place, word in enumerate(words) if word not in options and place not in values]


def _assay(one: Received, *words: str) -> tuple[int, dict[str, Any] | None, str]:
    """A command in the submission's sources: exit code, what it printed as JSON, and the last that it said."""
    place = one.folder / SOURCE
    done = subprocess.run(
        [sys.executable, "-m", "assay", *words],
        cwd=place if place.is_dir() else one.folder,
        capture_output=True,
        text=True,
        check=False,
    )
    try:
        said = json.loads(done.stdout)
    except ValueError:
        said = None
    _, _, last = f"\n{done.stderr}".rpartition("\nassay: ")  # its own frames may follow in further lines
    return done.returncode, said, " ".join(last.split()) or "it said nothing"
