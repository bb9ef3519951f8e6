"""Is `python-gpt` right, and is it fast? A plain PyTorch script of another make, on the same text, and counts of tokens.

    python benchmarks/language_model.py                 (bits a token; about 2 min of one core)
    python benchmarks/language_model.py --speed         (tokens a second, in turns)

The script has a network, a schedule and a loop of its own; both train Adam at one rate with a warm-up and a cosine. Counts are of
the two tokens before (Witten & Bell 1991), in the windows that the network is trained on.
"""

from __future__ import annotations

import argparse
import math
import statistics
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import torch
from task_figures import counted
from torch import nn
from torch.nn import functional

from assay.contenders import contenders
from assay.core import Member, Numerics, Split, Splits, Task
from assay.engine.train import train as vectorized
from assay.tasks import find
from assay.tasks.python_source import Windows
from assay.training import loop

RATE = 0.003
SCHEDULED = "adam+warmup5+cosine"


class Layer(nn.TransformerEncoderLayer):
    """torch's own layer with a causal mask."""

    def forward(self, src: torch.Tensor, *_: object, **__: object) -> torch.Tensor:  # type: ignore[override]
        mask = nn.Transformer.generate_square_subsequent_mask(src.shape[1])
        return super().forward(src, src_mask=mask, is_causal=True)


class Script(nn.Module):
    """A GPT of torch's own layers."""

    def __init__(self, symbols: int = 2048, context: int = 64, width: int = 64, depth: int = 2) -> None:
        super().__init__()
        self.symbol, self.place = nn.Embedding(symbols, width), nn.Embedding(context, width)
        shape = {"dropout": 0.0, "activation": "gelu", "batch_first": True, "norm_first": True}
        self.layers = nn.ModuleList(Layer(width, width // 16, 4 * width, **shape) for _ in range(depth))
        self.last = nn.LayerNorm(width)
        for name, p in self.named_parameters():  # as in GPT-2
            if p.ndim > 1:
                added_up = name.endswith(("out_proj.weight", "linear2.weight"))
                nn.init.normal_(p, std=0.02 / (2 * depth) ** 0.5 if added_up else 0.02)
            elif name.endswith("bias"):
                nn.init.zeros_(p)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h = self.symbol(x) + self.place.weight
        for layer in self.layers:
            h = layer(h)
        return self.last(h) @ self.symbol.weight.T


def trained(model: nn.Module, data: Split, task: Task, steps: int | None = None) -> None:
    """The plain loop: Adam, five per cent warm-up, a cosine down to nothing."""
    x, y = (torch.from_numpy(a) for a in data)
    count = task.epochs * math.ceil(len(x) / task.batch_size)
    optimizer = torch.optim.Adam(model.parameters(), lr=RATE)
    warm = 0.05 * count

    def factor(t: int) -> float:
        return t / warm if t < warm else 0.5 * (1 + math.cos(math.pi * (t - warm) / (count - warm)))

    done = 0
    for _ in range(task.epochs):
        for rows in torch.randperm(len(x)).split(task.batch_size):
            for group in optimizer.param_groups:
                group["lr"] = RATE * factor(done)
            loss = functional.cross_entropy(model(x[rows]).flatten(0, 1), y[rows].flatten())
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            done += 1
            if done == steps:
                return


def bits(model: nn.Module, data: Split) -> float:
    with torch.no_grad():
        logits = model(torch.from_numpy(data.inputs))
        return float(
            functional.cross_entropy(logits.flatten(0, 1), torch.from_numpy(data.targets).flatten())
        ) / math.log(2)


def by_script(task: Task, splits: Splits, seed: int) -> float:
    torch.manual_seed(seed)
    model = Script()
    trained(model, splits.train, task)
    return bits(model, splits.test)


def member(index: int, split: int = 0) -> Member:
    return Member(0, "final", 0, index, {"lr": RATE}, split, 10 + index, 20 + index, 30 + index)


def numerics(engine: str, width: int = 1) -> Numerics:
    return Numerics(
        "loop" if engine == "loop" else "vectorized", engine == "compiled", width, "float32", "cpu", 1, "", ""
    )


def by_assay(task: Task, seed: int) -> float:
    (adam,) = contenders([SCHEDULED])
    curves = loop.train(task, adam, [member(seed)], numerics("loop"))
    assert curves.test is not None
    return float(curves.test[0, -1])


def unigram(splits: Splits) -> float:
    counts = 1.0 + np.bincount(splits.train.targets.ravel(), minlength=2048)
    return float(-np.log2(counts / counts.sum())[splits.test.targets].mean())


def figures(seeds: int) -> None:
    task = find("python-gpt")
    splits = task.draw(0)
    print("| what | bits a token |\n|---|---|")
    print(f"| counts of single tokens | {unigram(splits):.2f} |")
    for before in (1, 2):
        print(f"| counts of {before + 1} tokens, interpolated | {counted(task, splits, before):.2f} |", flush=True)
    ways: dict[str, Callable[[int], float]] = {
        "plain script": lambda seed: by_script(task, splits, seed),
        "assay": lambda seed: by_assay(task, seed),
    }
    for name, way in ways.items():
        found = [way(seed) for seed in range(seeds)]
        print(
            f"| {name}, lr {RATE}, {seeds} seeds | {statistics.mean(found):.3f} ± {statistics.stdev(found):.3f} |",
            flush=True,
        )


def speed(rounds: int, widths: Sequence[int]) -> None:
    """Tokens a second on one thread, in turns."""
    windows = 192
    task = replace(find("python-gpt"), data=Windows(64, windows, held_out=8))  # to score, hardly any
    data = task.draw(0).train
    (adam,) = contenders([SCHEDULED])
    torch.manual_seed(0)
    plain, compiled = Script(), torch.compile(Script())
    tokens = task.epochs * windows * 64

    def many(engine: str, width: int) -> None:
        vectorized(task, adam, [member(i) for i in range(width)], numerics(engine, width))

    rows: dict[str, tuple[Callable[[], object], int]] = {
        "plain script": (lambda: trained(plain, data, task), 1),
        "plain script, torch.compile": (lambda: trained(compiled, data, task), 1),  # type: ignore[arg-type]
        "assay, loop": (lambda: loop.train(task, adam, [member(0)], numerics("loop")), 1),
    }
    for width in widths:
        rows[f"assay, compiled, {width} at once"] = (lambda w=width: many("compiled", w), width)
    times: dict[str, list[float]] = defaultdict(list)
    for turn in range(rounds + 1):
        for name, (run, members) in rows.items():
            started = time.perf_counter()
            run()
            if turn:  # the first compiles
                times[name].append(members * tokens / (time.perf_counter() - started))
    print("| row | tokens a second | of the compiled script |\n|---|---|---|")
    best = times["plain script, torch.compile"]
    for name, found in times.items():
        ratios = [a / b for a, b in zip(found, best, strict=True)]
        low, high = np.quantile(ratios, [0.25, 0.75])
        print(
            f"| {name} | {statistics.median(found):,.0f} | {statistics.median(ratios):.2f} ({low:.2f} to {high:.2f}) |"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--speed", action="store_true")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--widths", type=int, nargs="+", default=[1, 2])
    options = parser.parse_args()
    torch.set_num_threads(1)
    if options.speed:
        speed(options.rounds, options.widths)
    else:
        figures(options.seeds)


if __name__ == "__main__":
    main()
