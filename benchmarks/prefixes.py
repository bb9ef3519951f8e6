"""What a prefix of the baseline's own runs loses to the baseline tuned for that length: why no rung of a ladder is one.

    assay run adam sgd --task logistic --epochs 8 --speedup --out prefixes && python benchmarks/prefixes.py prefixes

For each shorter rung of a finished record: how far the final runs that were planned are, after so many epochs, behind those of
the rung, in margins, the mean over replicates with its 95 % interval (paired t). Of a baseline with a schedule it means nothing.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import scipy.stats

from assay.ladder.judged import Climbed
from assay.record import RunFolder


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    climbed = Climbed.of(RunFolder.open(parser.parse_args().folder))
    question = climbed.question
    print("| length, epochs | of the planned | tuned for it, less the prefix, in margins |\n|---|---|---|")
    for epochs, scores in climbed.scores.items():
        if epochs >= question.task.epochs:
            continue
        prefix = question.scores_of(question.curves(0, "test")[:, :, epochs - 1]).mean(axis=1)
        lost = (scores - prefix) / question.task.margin
        low, high = scipy.stats.ttest_1samp(lost, 0).confidence_interval(0.95)
        print(f"| {epochs} | {epochs / question.task.epochs:.2f} | {lost.mean():.2f} ({low:.2f} to {high:.2f}) |")


if __name__ == "__main__":
    main()
