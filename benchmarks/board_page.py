"""The board as a page of the docs: the tables of a finished `assay board`, and its figure before them.

    assay board --speedup --out /tmp/board
    assay board --schedule none --out /tmp/constant
    python benchmarks/board_page.py /tmp/board docs/board.md --constant /tmp/constant [--note "…"]

All numbers are those of the folders' `result.json` and `timings.json`, as their report.html shows them.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from assay.report import suite as page
from assay.report.command import across, quoted
from assay.report.drawn import drawn
from assay.report.units import MISSING, duration, per_cent, signed, span


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path, help="the folder of a finished board")
    parser.add_argument("out", type=Path, help="the page to write; figures go beside it")
    parser.add_argument("--constant", type=Path, help="the folder of the same board with --schedule none")
    parser.add_argument("--note", default="", help="a remark on the machine")
    options = parser.parse_args()
    figures = {name: options.out.with_name(f"board-{name}.png") for name in ("across_plot", "profiles")}
    pictures = drawn(options.run)
    for name, target in figures.items():
        target.write_bytes(pictures[f"{name}.png"])
    boards = [folder for folder in (options.run, options.constant) if folder]
    made = [once(page.read(folder), folder) for folder in boards]
    constant = page.read(options.constant) if options.constant else None
    options.out.write_text(text(page.read(options.run), constant, figures, made, options.note), encoding="utf-8")
    print(options.out)


def text(
    reading: page.Reading,
    constant: page.Reading | None,
    figures: dict[str, Path],
    made: Sequence[tuple[str, str]],
    note: str,
) -> str:
    """The page as Markdown."""
    suite, tasks, facts = reading.suite, reading.content["tasks"], dict(page.facts(reading).rows)
    base, costs = suite.baseline, [page.costs(reading, v) for v in reading.verdicts]
    headlines, cells = (per_cent(reading.content["levels"][k]) for k in ("headlines", "tasks"))
    trials, finals = facts["trials for each contender"], facts["final runs for each contender"]
    decided = sum(v["outcome"] != "inconclusive" for v in reading.verdicts)
    beside = {v["candidate"]: v for v in constant.verdicts} if constant else {}
    return "\n".join(
        [
            f"# The board: who beats tuned {base}?",
            "",
            f"![Each optimizer against tuned {base}, over all tasks]({figures['across_plot'].name})",
            "",
            f"{decided} of {len(reading.verdicts)} headlines are decided. Learning rate and weight decay of each are tuned "
            f"with {trials} trials in each of {facts['replicates of each task']} replicates of each task, from a range that "
            f"a pilot found, and trained {finals} times more; so are those of {base}. All follow a schedule but those whose "
            "authors have them go without. Made by",
            "",
            *[f"    {line}" for line, _ in made],
            "",
            f"and `python benchmarks/board_page.py`, on {facts['processor']}, torch {facts['torch']}: "
            f"{'; '.join(said for _, said in made)}{f' ({note})' if note else ''}.",
            "",
            "All numbers are differences in margins, positive is better: 1 is the smallest difference that matters on a "
            f"task ([tasks.md](tasks.md)). All intervals of the column of all tasks hold together with "
            f"{per_cent(1 - suite.alpha)} probability (each at {headlines}); those of the tasks (each at {cells}) have a false "
            f"coverage rate of {per_cent(suite.cells_alpha)}: of those that say something, no more are wrong in the mean.",
            "",
            *sentences(reading),
            "",
            "Signs: + better, − worse, = equivalent, ≈ real but too small to matter, ? inconclusive, also where the range of "
            "whoever comes off worse may be why (see the scores).",
            "",
            *table(
                [
                    "contender",
                    f"all tasks ({headlines})",
                    "on tasks like these",
                    f"worth, of {base}'s steps",
                    *(["all tasks, at a constant rate"] if beside else []),
                    *(task["name"] for task in tasks),
                ],
                (
                    [
                        v["candidate"],
                        headline(v),
                        alike(v),
                        worth(row),
                        *(
                            [headline(beside[v["candidate"]]) if v["candidate"] in beside else MISSING]
                            if beside
                            else []
                        ),
                        *(cell(c) for c in v["tasks"]),
                    ]
                    for v, row in zip(reading.verdicts, costs, strict=True)
                ),
            ),
            "",
            "Whether a finding holds on tasks like these is asked where these decide, over the data sources; there are few of "
            f"them. What each is worth is the geometric mean over the tasks on which longer training helps {base}, of those that "
            f"it takes part in ([speedup.md](speedup.md)); {MISSING} where it is open on one of them.",
            *([CONSTANT.format(base=base)] if beside else []),
            "",
            "## At which cost, and other descriptions",
            "",
            f"Nothing here decides. Times of a step are measured, relative to {base}'s, medians over the tasks. Interquartile "
            "mean (in margins) and probability of improvement after Agarwal et al. 2021.",
            "",
            *table(
                ["contender", "time of a step", "interquartile mean", "probability of improvement"],
                (
                    [
                        v["candidate"],
                        row["step"],
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
            "Test scores (means over replicates) and the settings that were chosen (their middle). Where one was chosen in "
            "the outer tenth of its range in a third of the replicates or more, a wider range may change what is said of "
            "that task.",
            "",
            *table(
                ["contender", *(f"{t['name']}, {page.units(t).axis}" for t in tasks)],
                ([name, *(", ".join(page.scored(t, name)) for t in tasks)] for name in (base, *suite.candidates)),
            ),
            "",
        ]
    )


CONSTANT = (
    " At a constant rate {base} goes without a schedule, too: each column compares like with like, and they don't compare "
    "with each other."
)


def once(reading: page.Reading, folder: Path) -> tuple[str, str]:
    """The command that made a board, and how long its trainings took, in however many goes."""
    command = across(reading.suite, reading.plans, speedup=any("speedup" in v for v in reading.verdicts))
    each = [json.loads((folder / e.folder / "timings.json").read_text(encoding="utf-8")) for e in reading.suite.entries]
    seconds = sum(t["training_seconds"] + t.get("ladder_training_seconds", 0) for t in each)
    return " ".join(quoted(command or [])), f"{duration(seconds)} of a core"


def headline(verdict: dict[str, Any]) -> str:
    """A candidate over all tasks."""
    return f"**{signed(verdict['difference'])} {verdict['outcome']}** ({span(verdict)})"


def alike(verdict: dict[str, Any]) -> str:
    """Whether it holds on tasks like these, which is asked where these decide."""
    found = verdict["details"].get("alike")
    return f"{found['outcome']} ({span(found)})" if found else MISSING


def worth(costs: dict[str, str]) -> str:
    """A candidate's speed-up over all tasks."""
    return (
        f"{costs['worth']} ({costs['worth_interval']}; {costs['worth_on']})"
        if costs["worth_interval"]
        else costs["worth"]
    )


def sentences(reading: page.Reading) -> list[str]:
    """What is shown, task by task."""
    found: list[str] = []
    for outcome in ("better", "worse"):
        for verdict in reading.verdicts:
            on = [c["task"] for c in verdict["tasks"] if c["outcome"] == outcome]
            loser = verdict["baseline" if outcome == "better" else "candidate"]
            if on:
                found.append(f"- **{verdict['candidate']}** is {outcome} on {', '.join(on)}{wide(reading, loser, on)}.")
    return found or ["- No difference on any task is shown."]


def wide(reading: page.Reading, loser: str, on: Sequence[str]) -> str:
    """A warning where, on one of these tasks, the range was too narrow of whoever comes off worse."""
    narrow = [t["name"] for t in reading.content["tasks"] if t["name"] in on and t["contenders"][loser]["edges"]]
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
