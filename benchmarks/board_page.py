"""The board as a page of the docs: the tables of a finished `assay board`, and its figure beside them.

    assay board --out /tmp/board
    python benchmarks/board_page.py /tmp/board docs/board.md [--note "…"]

All numbers are those of the folder's `result.json` and `timings.json`, as its report.html shows them.
"""

from __future__ import annotations

import argparse
import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from assay.report import suite as page
from assay.report.command import across, quoted
from assay.report.units import duration, per_cent, signed, span


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path, help="the folder of a finished board")
    parser.add_argument("out", type=Path, help="the page to write; figures go beside it")
    parser.add_argument("--note", default="", help="a remark on the machine")
    options = parser.parse_args()
    reading = page.read(options.run)
    figures = {name: options.out.with_name(f"board-{name}.png") for name in ("across_plot", "profiles")}
    for name, target in figures.items():
        shutil.copyfile(options.run / f"{name}.png", target)
    options.out.write_text(text(reading, figures, options.note), encoding="utf-8")
    print(options.out)


def text(reading: page.Reading, figures: dict[str, Path], note: str) -> str:
    """The page as Markdown."""
    suite, tasks, facts = reading.suite, reading.content["tasks"], dict(page.facts(reading).rows)
    base, costs = suite.baseline, [page.costs(reading, v) for v in reading.verdicts]
    headlines, cells = (per_cent(reading.content["levels"][k]) for k in ("headlines", "tasks"))
    command = quoted(across(suite, reading.plans) or [])
    trials, finals = facts["trials for each contender"], facts["final runs for each contender"]
    replicates = facts["replicates of each task"]
    return "\n".join(
        [
            f"# The board: who beats tuned {base}?",
            "",
            f"Made by `{' '.join(command)}`, then `python benchmarks/board_page.py`: {trials} trials and {finals} final "
            f"runs for each contender in each of {replicates} replicates of each task. Machine: {facts['processor']}, torch "
            f"{facts['torch']}, {duration(reading.timings['wall_seconds'])} in one command{f' ({note})' if note else ''}.",
            "",
            "All numbers are differences in margins, positive is better: 1 is the smallest difference that matters on a "
            "task ([tasks.md](tasks.md)). Errors are controlled over the whole page: with "
            f"{per_cent(1 - suite.alpha - suite.cells_alpha)} probability all intervals of the first table hold "
            f"(Bonferroni: the column of all tasks at {headlines}, each cell at {cells}). So wide an interval is the "
            "price of so many questions at once: what it "
            "does show is shown, what it doesn't is open.",
            "",
            *sentences(reading),
            "",
            f"![Each optimizer against tuned {base}, over all tasks]({figures['across_plot'].name})",
            "",
            "+ better, − worse, = equivalent, ≈ real but too small to matter, ? inconclusive.",
            "",
            *table(
                ["contender", f"all tasks ({headlines})", *(task["name"] for task in tasks)],
                (
                    [
                        v["candidate"],
                        f"**{signed(v['difference'])} {v['outcome']}** ({span(v)})",
                        *(cell(c) for c in v["tasks"]),
                    ]
                    for v in reading.verdicts
                ),
            ),
            "",
            "## At which cost, and other descriptions",
            "",
            f"Nothing here decides. Times are measured, relative to {base}'s, medians over the tasks; to the target, over "
            f"the {page.aimed(reading)} tasks on which {base}'s own median run gets there. The target is the median "
            f"validation score of {base}'s chosen trials, whose seeds are not judged; a run that never gets there takes "
            "infinitely long. Interquartile mean (in margins) and probability of improvement after Agarwal et al. 2021.",
            "",
            *table(
                [
                    "contender",
                    "time of a step",
                    "steps to the target",
                    "runs that get there",
                    "time to it",
                    "interquartile mean",
                    "probability of improvement",
                ],
                (
                    [
                        v["candidate"],
                        row["step"],
                        row["steps"],
                        row["reached"],
                        row["seconds"],
                        f"{row['mean']} ({row['mean_interval']})",
                        f"{row['improvement']} ({row['improvement_interval']})",
                    ]
                    for v, row in zip(reading.verdicts, costs, strict=True)
                ),
            ),
            "",
            f"![Performance profiles]({figures['profiles'].name})",
            "",
            "## Scores",
            "",
            "Test scores (means over replicates) and the learning rates that were chosen (their middle). Where a rate was "
            "chosen in the outer tenth of its range in a third of the replicates or more, a wider range may change what is "
            "said of that task. Ten trials are what Optuna's sampler draws at random before it begins to learn.",
            "",
            *table(
                ["contender", *(f"{t['name']}, {page.units(t).axis}" for t in tasks)],
                ([name, *(", ".join(page.scored(t, name)) for t in tasks)] for name in (base, *suite.candidates)),
            ),
            "",
        ]
    )


def sentences(reading: page.Reading) -> list[str]:
    """What is shown, task by task."""
    found: list[str] = []
    for outcome in ("better", "worse"):
        for verdict in reading.verdicts:
            on = [c["task"] for c in verdict["tasks"] if c["outcome"] == outcome]
            if on:
                found.append(
                    f"- **{verdict['candidate']}** is {outcome} on {', '.join(on)}{wide(reading, verdict, on)}."
                )
    return found or ["- No difference on any task is shown."]


def wide(reading: page.Reading, verdict: dict[str, Any], on: Sequence[str]) -> str:
    """A warning where, on one of these tasks, a range was too narrow."""
    narrow = [
        task["name"]
        for task in reading.content["tasks"]
        if task["name"] in on
        and any(task["contenders"][name]["edges"] for name in (verdict["candidate"], verdict["baseline"]))
    ]
    return f" (a wider range may change this on {', '.join(narrow)}: see the scores)" if narrow else ""


def cell(found: dict[str, Any]) -> str:
    """A difference with its outcome and interval."""
    if found["outcome"] is None:
        return found["why"]
    return f"{signed(found['difference'])} {page.WORDS[found['outcome']]} ({span(found)})"


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """Lines of a Markdown table."""
    return [f"| {' | '.join(line)} |" for line in (head, ["---"] * len(head), *rows)]


if __name__ == "__main__":
    main()
