"""A compared optimizer in Lightning: its closure, its schedule and its switch.

    python examples/with_lightning.py

Here the settings are given. After a comparison, `assay.open("assay-runs/…").contender("CautiousSign")` has those that were tuned.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import lightning
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import assay
from assay.driver.ready import Ready

MINE = f"{Path(__file__).with_name('own_class.py')}:CautiousSign"


def data() -> TensorDataset:
    """Four batches of points in the plane, and on which side of a parabola each lies."""
    x = torch.randn(128, 2, generator=torch.Generator().manual_seed(1))
    return TensorDataset(x, (x[:, 1] > x[:, 0] ** 2).long())


class Net(lightning.LightningModule):
    """2 → 16 → 2."""

    def __init__(self, tuned: Ready) -> None:
        super().__init__()
        self.tuned = tuned
        self.net = nn.Sequential(nn.Linear(2, 16), nn.Tanh(), nn.Linear(16, 2))

    def training_step(self, batch: Any, index: int) -> torch.Tensor:
        """The loss of a batch. Lightning steps with a closure around this, so an optimizer that needs one has it."""
        return nn.functional.cross_entropy(self.net(batch[0]), batch[1])

    def configure_optimizers(self) -> Any:
        """As it was compared: with its schedule, which goes by the step."""
        optimizer = self.tuned.optimizer(self.net)
        scheduler = self.tuned.scheduler(optimizer, int(self.trainer.estimated_stepping_batches))
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}

    # Lightning doesn't switch optimizers. Leave these out where `asks` says nothing of a switch.

    def on_train_epoch_start(self) -> None:
        self._switch("train")

    def on_validation_start(self) -> None:
        self._switch("eval")

    def on_validation_end(self) -> None:
        self._switch("train")

    def on_train_epoch_end(self) -> None:
        self._switch("eval")

    def _switch(self, mode: str) -> None:
        optimizer: Any = self.optimizers(use_pl_optimizer=False)
        if self.tuned.asks(optimizer).switch:
            getattr(optimizer, mode)()


def train(tuned: Ready, epochs: int = 10) -> nn.Module:
    """The network after so many epochs of four steps."""
    torch.manual_seed(0)
    model = Net(tuned)
    quiet = {
        "logger": False,
        "enable_checkpointing": False,
        "enable_progress_bar": False,
        "enable_model_summary": False,
    }
    lightning.Trainer(max_epochs=epochs, accelerator="cpu", **quiet).fit(model, DataLoader(data(), batch_size=32))
    return model.net


if __name__ == "__main__":
    tuned = assay.contender_for(f"{MINE}+cosine", lr=0.03)
    x, y = data().tensors
    net = train(tuned)
    print(str(tuned.asks(tuned.optimizer(net))) or "it asks for nothing")
    print(f"{(net(x).argmax(1) == y).float().mean():.0%} of the points are on their side")
