"""Why SGD with momentum is ahead of Adam on python-softmax: the training loss, by how frequent the token is.

    python benchmarks/heavy_tail.py [--samples 8192] [--steps 256 1024]

Adam's lead under a heavy tail (Kunstner et al. 2024, arXiv:2402.19449) is one of the training loss, of long trainings on whole
batches. Here the same softmax regression is trained with batches of 256 and with whole ones, by a plain loop with a cosine, at
the best of some rates for each. Printed are bits a token over the training samples, of all and of the least frequent
tokens that make a quarter of them.
"""

from __future__ import annotations

import argparse
import math

import torch
from torch import nn

from assay.tasks import find

RATES = {"sgd-momentum": (0.1, 0.3, 1.0, 3.0, 10.0, 30.0), "adam": (0.003, 0.01, 0.03, 0.1, 0.3, 1.0)}
BATCH = 256


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samples", type=int, default=8192)
    parser.add_argument("--steps", type=int, nargs="+", default=[256, 1024])
    options = parser.parse_args()
    torch.set_num_threads(1)
    data = find("python-softmax", {"train_samples": options.samples}).draw(0).train
    x, y = torch.from_numpy(data.inputs), torch.from_numpy(data.targets)
    counts = torch.bincount(y, minlength=int(y.max()) + 1)[y]
    rare = counts <= counts.sort().values[len(y) // 4]
    print("| batch | steps | optimizer | rate | bits, all | bits, rare quarter |\n|---|---|---|---|---|---|")
    for batch in (BATCH, len(y)):
        for steps in options.steps:
            for name, rates in RATES.items():
                found = [(*trained(name, rate, x, y, rare, batch, steps), rate) for rate in rates]
                every, few, rate = min(found)
                print(f"| {batch:,} | {steps:,} | {name} | {rate:g} | {every:.3f} | {few:.3f} |", flush=True)


def trained(
    name: str, rate: float, x: torch.Tensor, y: torch.Tensor, rare: torch.Tensor, batch: int, steps: int
) -> tuple[float, float]:
    """Bits a token on the training samples at the end, of all and of the rare ones; infinite where it diverged."""
    torch.manual_seed(0)
    model = nn.Linear(x.shape[1], 2048)
    sgd = name == "sgd-momentum"
    optimizer = torch.optim.SGD(model.parameters(), rate, 0.9) if sgd else torch.optim.Adam(model.parameters(), rate)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    order = torch.empty(0, dtype=torch.int64)
    for _ in range(steps):
        if len(order) < batch:
            order = torch.randperm(len(y))
        rows, order = order[:batch], order[batch:]
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(x[rows]), y[rows]).backward()
        optimizer.step()
        schedule.step()
    with torch.no_grad():
        losses = nn.functional.cross_entropy(model(x), y, reduction="none") / math.log(2)
    every, few = float(losses.mean()), float(losses[rare].mean())
    return (every, few) if math.isfinite(every) else (math.inf, math.inf)


if __name__ == "__main__":
    main()
