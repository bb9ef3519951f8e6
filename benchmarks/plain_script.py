"""The published GNS-Adam experiment as a person would write it in one file: the yardstick for time and for numbers.

One Optuna study per optimizer tunes the learning rate on the test accuracy that is then reported, from one final run
at the best rate. Those habits are the published ones, kept on purpose. Nothing is slowed or tuned for speed.
"""

import argparse
import copy
import json
import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import optuna
import torch
from mnist1d.data import get_dataset_args, make_dataset
from torch import nn
from torch.utils.data import DataLoader, TensorDataset


class GNSAdam:
    """Adam whose learning rate is divided, at each step, by the L2 norm of all gradients together."""

    def __init__(self, base: torch.optim.Adam) -> None:
        self.base = base
        # Read once and reused for ever: a learning-rate scheduler on `base` would have no effect.
        self.initial_lrs = [group["lr"] for group in base.param_groups]

    def zero_grad(self) -> None:
        self.base.zero_grad()

    def step(self) -> None:
        total = 0.0
        for group in self.base.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None:
                    total += parameter.grad.norm(2).item() ** 2
        norm = math.sqrt(total)
        for group, initial_lr in zip(self.base.param_groups, self.initial_lrs, strict=True):
            group["lr"] = initial_lr / norm if norm > 0 else initial_lr
        self.base.step()


Optimizer = torch.optim.Adam | GNSAdam
OPTIMIZERS: dict[str, Callable[[nn.Module, float], Optimizer]] = {
    "adam": lambda model, lr: torch.optim.Adam(model.parameters(), lr=lr),
    "gns-adam": lambda model, lr: GNSAdam(torch.optim.Adam(model.parameters(), lr=lr)),
}


def load_data() -> tuple[DataLoader, torch.Tensor, torch.Tensor]:
    """MNIST-1D: a shuffling loader of 8,000 training signals, and test signals (2,000 × 40) with labels (2,000)."""
    args: Any = get_dataset_args()
    args.num_samples = 10_000
    data = make_dataset(args)
    train_set = TensorDataset(torch.tensor(data["x"], dtype=torch.float32), torch.tensor(data["y"]))
    loader = DataLoader(train_set, batch_size=128, shuffle=True)
    return loader, torch.tensor(data["x_test"], dtype=torch.float32), torch.tensor(data["y_test"])


def train_epoch(model: nn.Module, optimizer: Optimizer, loader: DataLoader) -> None:
    for x, y in loader:
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()


def accuracy(model: nn.Module, x: torch.Tensor, y: torch.Tensor) -> float:
    """Share of the signals classified correctly, in [0, 1]."""
    with torch.no_grad():
        return (model(x).argmax(dim=1) == y).sum().item() / len(y)


def main() -> None:
    parser = argparse.ArgumentParser(description="Adam against GNS-Adam on MNIST-1D, the plain way.")
    parser.add_argument("--seed", type=int, default=0, help="seeds the weights, batch order and Optuna's samplers")
    parser.add_argument("--trials", type=int, default=30, help="learning rates tried for each optimizer")
    parser.add_argument("--epochs", type=int, default=15)
    parser.add_argument("--out", type=Path, default=Path("plain-script-run"), help="folder for comparison_plot.png")
    parser.add_argument("--json", action="store_true", help="print the results as one JSON line at the end")
    options = parser.parse_args()
    if options.trials < 1 or options.epochs < 1 or not 0 <= options.seed < 2**32:
        parser.error("--trials and --epochs must be 1 or more, --seed from 0 to 4294967295")
    options.out.mkdir(parents=True, exist_ok=True)
    optuna.logging.set_verbosity(optuna.logging.WARNING)

    start = time.perf_counter()
    loader, x_test, y_test = load_data()
    torch.manual_seed(options.seed)  # after the data, because make_dataset seeds the global generators itself
    initial_model = nn.Sequential(nn.Linear(40, 256), nn.ReLU(), nn.Linear(256, 10))

    def tune(make: Callable[[nn.Module, float], Optimizer]) -> float:
        def objective(trial: optuna.Trial) -> float:
            model = copy.deepcopy(initial_model)
            optimizer = make(model, trial.suggest_float("lr", 1e-5, 1e-1, log=True))
            for _ in range(options.epochs):
                train_epoch(model, optimizer, loader)
            return accuracy(model, x_test, y_test)

        study = optuna.create_study(direction="maximize", sampler=optuna.samplers.TPESampler(seed=options.seed))
        study.optimize(objective, n_trials=options.trials)
        return study.best_params["lr"]

    results: dict[str, object] = {}
    for name, make in OPTIMIZERS.items():
        lr = tune(make)
        model = copy.deepcopy(initial_model)
        optimizer = make(model, lr)
        curve = []
        for _ in range(options.epochs):
            train_epoch(model, optimizer, loader)
            curve.append(accuracy(model, x_test, y_test))
        epochs = range(1, options.epochs + 1)
        plt.plot(epochs, [100 * value for value in curve], marker="o", label=f"{name} (lr {lr:.3g})")
        results[name] = {"lr": lr, "accuracy": curve[-1]}
        print(f"{name}: best lr {lr:.4g}, test accuracy {100 * curve[-1]:.2f} %", flush=True)

    plt.xlabel("Epoch")
    plt.ylabel("Test accuracy (%)")
    plt.title("Adam and GNS-Adam on MNIST-1D")
    plt.legend()
    plt.grid(alpha=0.3)
    plt.savefig(options.out / "comparison_plot.png", dpi=150)
    results["seconds"] = round(time.perf_counter() - start, 2)
    if options.json:
        print(json.dumps(results))


if __name__ == "__main__":
    main()
