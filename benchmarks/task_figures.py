"""For each task of the suite: what the tuned baseline reaches, beside figures that assay had no hand in.

    python benchmarks/task_figures.py SUITE_FOLDER     (of assay run adam … --task suite)
    python benchmarks/task_figures.py --tasks digits quadratic

Independent are scikit-learn's estimators on the same data, a count model of letters, the theory of the quadratic, and a
plain PyTorch script with a learning rate from a grid of eight, chosen on the validation split (two seeds of data each).
Published figures are quoted with their source. Prints a Markdown table.
"""

from __future__ import annotations

import argparse
import json
import math
import warnings
from collections import Counter, defaultdict
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.neural_network import MLPClassifier, MLPRegressor
from torch.utils.data import DataLoader, TensorDataset

from assay import seeds
from assay.core import Splits, Task
from assay.tasks import TASKS, find
from assay.tasks.logistic import SCALES, teacher
from assay.tasks.quadratic import CONDITION

RATES = 10.0 ** np.arange(-3.5, -0.9, 0.375)
DATA_SEEDS = [seeds.split(0, k) for k in range(2)]


def plain_script(task: Task, splits: Splits) -> float:
    """The test score at the rate that scores best on the validation split: an ordinary loop, one rate after another."""
    held_out = [tuple(map(torch.from_numpy, part)) for part in (splits.validation, splits.test) if part is not None]
    best = -math.inf, math.nan
    for rate in RATES:
        torch.manual_seed(0)
        model = task.model()
        optimizer = torch.optim.Adam(model.parameters(), lr=rate)
        loader = DataLoader(TensorDataset(*map(torch.from_numpy, splits.train)), task.batch_size, shuffle=True)
        for _ in range(task.epochs):
            for x, y in loader:
                optimizer.zero_grad()
                task.loss(model(x), y).backward()
                optimizer.step()
        model.eval()
        with torch.no_grad():
            validation, test = (float(task.metric.score(model(x), y)) for x, y in held_out)
        best = max(best, (task.metric.sign * validation, test))
    return best[1]


def perceptron(task: Task, splits: Splits) -> float:
    """scikit-learn's network with its own Adam: the task's sizes, batches and epochs."""
    widths = [p.shape[0] for p in task.model().parameters() if p.dim() == 2][:-1]
    kind = MLPRegressor if task.name == "friedman1" else MLPClassifier
    best = -math.inf, math.nan
    assert splits.validation is not None
    for rate in RATES:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # it says that it has not converged: neither has any other here
            same = {"batch_size": task.batch_size, "max_iter": task.epochs, "alpha": 0.0, "n_iter_no_change": 1000}
            net = kind(hidden_layer_sizes=widths, learning_rate_init=rate, random_state=0, **same)
            net.fit(*splits.train)
        scores = [_score(net, part) for part in (splits.validation, splits.test)]
        best = max(best, (task.metric.sign * scores[0], scores[1]))
    return best[1]


def _score(net, part) -> float:
    if isinstance(net, MLPRegressor):
        return float(np.sqrt(np.mean((net.predict(part.inputs) - part.targets) ** 2)))
    return float(net.score(*part))


def likelihood(task: Task, splits: Splits) -> float:
    """Multinomial logistic regression by L-BFGS, without a penalty, on standardised inputs."""
    scales = np.geomspace(*SCALES, splits.train.inputs.shape[1])
    fitted = LogisticRegression(C=np.inf, max_iter=1000).fit(splits.train.inputs / scales, splits.train.targets)
    return float(fitted.score(splits.test.inputs / scales, splits.test.targets))


def best_rule(task: Task, splits: Splits) -> float:
    """What the teacher itself scores."""
    scales = np.geomspace(*SCALES, splits.test.inputs.shape[1])
    return float(np.mean(((splits.test.inputs / scales) @ teacher()).argmax(1) == splits.test.targets))


def counted(task: Task, splits: Splits, order: int = 6) -> float:
    """Bits a symbol of a count model: up to `order` symbols before it, interpolated (Witten & Bell 1991)."""
    seen: dict[tuple[int, ...], Counter[int]] = defaultdict(Counter)
    for row, nexts in zip(*splits.train, strict=True):
        for i, symbol in enumerate(nexts):
            for n in range(min(order, i + 1) + 1):
                seen[tuple(row[i + 1 - n : i + 1])][symbol] += 1
    classes = int(splits.train.targets.max()) + 1

    def probability(context: tuple[int, ...], symbol: int) -> float:
        lower = probability(context[1:], symbol) if context else 1 / classes
        counts = seen.get(context)
        if not counts:
            return lower
        total, kinds = counts.total(), len(counts)
        return (counts[symbol] + kinds * lower) / (total + kinds)

    costs = [
        -math.log2(probability(tuple(row[max(0, i + 1 - order) : i + 1]), symbol))
        for row, nexts in zip(*splits.test, strict=True)
        for i, symbol in enumerate(nexts)
    ]
    return float(np.mean(costs))


def theory(task: Task, splits: Splits) -> float:
    """log₁₀ of the expected excess loss of plain SGD at the best constant rate, from the recursion of each eigenvalue.

    E[(θ−μ)²] ← (1 − ηλ)² E[(θ−μ)²] + η²λ²σ²/B, from E = 1 (μ is standard normal) and σ = 1.
    """
    size = splits.train.targets.shape[1]
    h = CONDITION ** -(np.arange(size) / (size - 1))
    steps = task.epochs * -(-len(splits.train.targets) // task.batch_size)
    best = math.inf
    for rate in np.geomspace(1e-3, 1.9, 400):
        shrink = (1 - rate * h) ** 2
        still = (rate * h) ** 2 / task.batch_size / (1 - shrink)
        best = min(best, float(0.5 * np.sum(h * (still + (1 - still) * shrink**steps))))
    return math.log10(best)


def start(task: Task, splits: Splits) -> float:
    """What the constant predictor scores, or the start of the quadratic."""
    return task.metric.constant(splits.train.targets, splits.test.targets)


Figure = tuple[str, Callable[[Task, Splits], float]]
OWN: dict[str, list[Figure]] = {
    "mnist1d-mlp": [("scikit-learn's MLPClassifier", perceptron)],
    "digits": [("scikit-learn's MLPClassifier, without batch normalisation", perceptron)],
    "friedman1": [("scikit-learn's MLPRegressor", perceptron)],
    "char-attention": [(f"counts of up to {n} letters", partial(counted, order=n)) for n in (2, 3, 6)],
    "quadratic": [("theory of SGD at its best constant rate", theory)],
    "logistic": [("scikit-learn's LogisticRegression", likelihood), ("the teacher itself", best_rule)],
}
PUBLISHED = {
    "mnist1d-mlp": "70.1 % (the page of the original study); 68 % (Greydanus & Kobak 2024, 4,000 samples)",
    "mnist1d-cnn": "94 % (Greydanus & Kobak 2024: 6,000 steps)",
    "mnist1d-gru": "91 % (Greydanus & Kobak 2024: one number at a time, both ways, 6,000 steps)",
    "digits": "about 97 to 98 % (nearest neighbours, UCI page of the data)",
    "friedman1": "1.0 is the noise itself (Friedman 1991)",
    "quadratic": "",
    "char-attention": "",
    "logistic": "",
}


def row(name: str, reached: str) -> str:
    task = find(name)
    ways = [("constant", start), ("plain script", plain_script), *OWN.get(name, [])]
    said = []
    for label, way in ways:
        values = [way(task, task.draw(seed)) for seed in DATA_SEEDS]
        said.append(f"{label} {_text(task, float(np.mean(values)))}")
    others = "; ".join(said[1:])
    return f"| {name} | {said[0].removeprefix('constant ')} | {reached} | {others} | {PUBLISHED[name] or '–'} |"


def _text(task: Task, value: float) -> str:
    return f"{100 * value:.1f} %" if task.metric.scale == 100 else f"{value:.3g} {task.metric.unit}".strip()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", nargs="?", type=Path, help="a suite's folder, for the tuned baseline's own figures")
    parser.add_argument("--tasks", nargs="+", default=list(TASKS))
    options = parser.parse_args()
    torch.set_num_threads(1)
    reached = {}
    if options.folder:
        content = json.loads((options.folder / "result.json").read_text())
        for t in content["tasks"]:
            baseline = next(iter(content["verdicts"]))["baseline"]
            c = t["contenders"][baseline]
            task = find(t["name"])
            lr = ", ".join(f"{k} {v:.2g}" for k, v in c["hyperparameters"].items())
            reached[t["name"]] = f"{_text(task, c['score_mean'])} ({baseline}, {lr})"
    print("| task | constant prediction | tuned baseline | independent | published |\n|---|---|---|---|---|")
    for name in options.tasks:
        print(row(name, reached.get(name, "–")), flush=True)


if __name__ == "__main__":
    main()
