"""Faults and hostile inputs, of all kinds: how many are tried, how many are handled, and how.

    python benchmarks/faults.py --processes 2

The tests of each kind are run, one test a fault. A fault is handled where its test passes: it ends in the documented exit
code and one line that names the cause, or its numbers are the loop's; never in a traceback, in a wrong number without a word,
or in lost work. Exit code 1 where one isn't.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple
from xml.etree import ElementTree


class Kind(NamedTuple):
    """Faults of one kind: what is tried, how it is to be handled, and the tests that try it."""

    tried: str
    how: str
    tests: str


KINDS = (
    Kind("planted faults of optimizers", "named by the check that is theirs, and by no other", "check/test_faults.py"),
    Kind("optimizers and models made to deceive the engine", "the loop's numbers, or refused with a reason",
         "engine/test_adversarial.py"),
    Kind("what changes as a training goes on", "the loop's numbers, or refused with a reason", "engine/test_changing.py"),
    Kind("what can't be vectorized", "refused with a reason, trained by the loop", "engine/test_refusals.py"),
    Kind("faults of an engine that begin late", "the run stops with both curves", "engine/test_audit.py"),
    Kind("contenders that change what all share", "put back, named; the others' numbers the same to the bit",
         "workers/test_isolation.py"),
    Kind("code that ends processes, hangs, forks, prints", "a line, an exit code of the contract", "test_hostile.py"),
    Kind("edits of code and data behind a plan", "another plan, or said to be beyond it", "contenders/test_reach.py"),
    Kind("old answers", "said to be from the record, or refused", "test_recorded.py"),
    Kind("records that no run made", "refused by name, in bounded memory", "record/test_hostile.py"),
    Kind("records forged and sealed anew", "a mismatch, or another root", "record/test_forged.py"),
    Kind("records that would run or show something", "shown as text", "test_safety.py"),
    Kind("terminals, pipes, full disks, signals", "a line, an exit code of the contract", "test_terminal.py"),
    Kind("lost processes, files, memory and disks", "said, and gone on from", "test_survival.py"),
    Kind("tasks that are wrong", "a line, before anything is trained", "tasks/test_bad_input.py"),
    Kind("questions that can't end in a verdict", "a line, before anything is trained", "test_wrong_before_training.py"),
    Kind("arguments of the wrong type, and every name twice", "a line, or the same as the first time", "test_public.py"),
    Kind("gradients that GNS-Adam can't be given", "refused by torch's own kinds of error", "optim/test_refusals.py"),
)  # fmt: skip


def main() -> None:
    """Run the tests of each kind and print the table."""
    options = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    options.add_argument("--processes", default="auto", help="that run tests; auto: one a core")
    asked = options.parse_args()
    root, tried_in_all, handled_in_all, unhandled = Path(__file__).parents[1], 0, 0, list[str]()
    print("| tried | what | handled | how |\n|---|---|---|---|")
    for kind in KINDS:
        with tempfile.TemporaryDirectory() as scratch:
            report = Path(scratch) / "report.xml"
            command = ["pytest", f"tests/{kind.tests}", "-n", asked.processes, f"--junitxml={report}"]
            subprocess.run([sys.executable, "-m", *command], cwd=root, capture_output=True, check=False)
            cases = [c for c in ElementTree.parse(report).iter("testcase") if c.find("skipped") is None]
        failed = [c.get("name", "") for c in cases if c.find("failure") is not None or c.find("error") is not None]
        unhandled += [f"{kind.tests}: {name}" for name in failed]
        tried_in_all, handled_in_all = tried_in_all + len(cases), handled_in_all + len(cases) - len(failed)
        print(f"| {len(cases)} | {kind.tried} | {len(cases) - len(failed)} | {kind.how} |", flush=True)
    print(f"| **{tried_in_all}** | in all | **{handled_in_all}** | |")
    print(*unhandled, sep="\n")
    sys.exit(1 if unhandled else 0)


if __name__ == "__main__":
    main()
