"""A compared optimizer in a loop of your own with Accelerate: its closure, its schedule and its switch.

    python examples/with_accelerate.py

Here the settings are given. After a comparison, `assay.open("assay-runs/…").contender("CautiousSign")` has those that were tuned.
"""

from __future__ import annotations

from pathlib import Path

import torch
from accelerate import Accelerator
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import assay
from assay.driver.ready import Ready

MINE = f"{Path(__file__).with_name('own_class.py')}:CautiousSign"


def data() -> TensorDataset:
    """Four batches of points in the plane, and on which side of a parabola each lies."""
    x = torch.randn(128, 2, generator=torch.Generator().manual_seed(1))
    return TensorDataset(x, (x[:, 1] > x[:, 0] ** 2).long())


def train(tuned: Ready, epochs: int = 10) -> nn.Module:
    """The network, 2 → 16 → 2, after so many epochs of four steps."""
    torch.manual_seed(0)
    accelerator = Accelerator(cpu=True)
    model = nn.Sequential(nn.Linear(2, 16), nn.Tanh(), nn.Linear(16, 2))
    loader = DataLoader(data(), batch_size=32)
    optimizer = tuned.optimizer(model)
    asks = tuned.asks(optimizer)
    scheduler = tuned.scheduler(optimizer, epochs * len(loader))
    model, optimizer, loader, scheduler = accelerator.prepare(model, optimizer, loader, scheduler)

    for _ in range(epochs):
        model.train()
        if asks.switch:
            optimizer.train()
        for x, y in loader:

            def closure(x: torch.Tensor = x, y: torch.Tensor = y) -> torch.Tensor:
                optimizer.zero_grad()
                loss = nn.functional.cross_entropy(model(x), y)
                accelerator.backward(loss, create_graph=asks.closure == "graph")
                return loss

            if asks.closure == "no":
                closure()
                optimizer.step()
            else:
                optimizer.step(closure)
            scheduler.step()
    model.eval()
    if asks.switch:
        optimizer.eval()
    return accelerator.unwrap_model(model)


if __name__ == "__main__":
    tuned = assay.contender_for(f"{MINE}+cosine", lr=0.03)
    x, y = data().tensors
    net = train(tuned)
    print(str(tuned.asks(tuned.optimizer(net))) or "it asks for nothing")
    print(f"{(net(x).argmax(1) == y).float().mean():.0%} of the points are on their side")
