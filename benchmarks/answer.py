"""The answer to the original question, claim by claim, from a finished honest run: the tables of docs/answer.md.

assay run adam gns-adam --controls --out demo-runs/honest
python benchmarks/answer.py demo-runs/honest
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from assay.record import RunFolder


def main() -> None:
    path = Path(sys.argv[1])
    content = json.loads((path / "result.json").read_bytes())
    timings = json.loads((path / "timings.json").read_bytes())
    scale = content["scale"]
    for verdict in content["verdicts"]:
        print("\n".join(claims(verdict, scale, timings)))
    if content.get("controls"):
        print("\n| control | what it came to |\n|---|---|")
        for control in content["controls"]:
            print(f"| {control['control']} | {control['sentence']} |")
    print("\n".join(norms(RunFolder.open(path))))


def claims(verdict: dict[str, Any], scale: float, timings: dict[str, Any]) -> list[str]:
    """A row for each claim: the figure, its interval, and what follows."""
    d, candidate, baseline = verdict["details"], verdict["candidate"], verdict["baseline"]
    stability, speed = d["stability"], d["speed"]
    seconds = timings["optimizer_step_seconds"]
    shown = [
        (
            "better final accuracy?",
            f"{scale * verdict['difference']:+.2f} {verdict['unit']}",
            f"{scale * verdict['ci_low']:+.2f} to {scale * verdict['ci_high']:+.2f}",
            verdict["outcome"],
        ),
        (
            "more stable from seed to seed?",
            f"spread, pooled over replicates, {scale * stability['candidate_pooled']:.2f} against "
            f"{scale * stability['baseline_pooled']:.2f} {verdict['unit']}; geometric mean of the replicates' ratios "
            f"{stability['ratio']:.2f}",
            f"{stability['low']:.2f} to {stability['high']:.2f}",
            "yes" if stability["high"] < 1 else "no: less stable" if stability["low"] > 1 else "not shown",
        ),
        (
            "faster, in epochs? (a first crossing of a noisy curve, nobody was tuned for it; below, what it is worth in steps)",
            f"median {speed['candidate_median']:g} against {speed['baseline_median']:g} epochs to "
            f"{scale * speed['target']:.1f} %; the first in {100 * speed['faster']['mean']:.0f} % of pairs",
            f"{100 * speed['faster']['low']:.0f} to {100 * speed['faster']['high']:.0f} %",
            "yes" if speed["faster"]["low"] > 0.5 else "no: slower" if speed["faster"]["high"] < 0.5 else "not shown",
        ),
        (
            "faster, by the clock?",
            f"an optimizer's step alone: {1e6 * seconds[candidate]:.0f} against {1e6 * seconds[baseline]:.0f} µs",
            f"ratio {seconds[candidate] / seconds[baseline]:.2f}, one measurement",
            "no" if seconds[candidate] > seconds[baseline] else "yes",
        ),
    ]
    head = [f"| is {candidate} … than {baseline} | figure | interval | |", "|---|---|---|---|"]
    return [*head, *(f"| {' | '.join(row)} |" for row in shown)]


def norms(folder: RunFolder) -> list[str]:
    """Means over the final runs, by epoch: gradient norms, update norms, training losses."""
    frame = folder.frame().filter(pl.col("phase") == "final", pl.col("diverged") == 0)
    names = [c.name for c in folder.plan.science.contenders]
    quantities = ("grad_norm", "update_norm", "train_loss")
    means = {
        (q, name): np.array(frame.filter(pl.col("slot") == slot)[q].to_list()).mean(axis=0)
        for q in quantities
        for slot, name in enumerate(names)
    }
    epochs = len(next(iter(means.values())))
    rows = sorted({0, 1, 2, epochs // 3, 2 * epochs // 3, epochs - 1})
    head = ["", "| epoch | " + " | ".join(f"{q.replace('_', ' ')}, {name}" for q, name in means) + " |"]
    head.append("|" + "---|" * (1 + len(means)))
    return [*head, *(f"| {e + 1} | " + " | ".join(f"{m[e]:.3g}" for m in means.values()) + " |" for e in rows)]


if __name__ == "__main__":
    main()
