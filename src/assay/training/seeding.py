"""Seeding of torch's global generator: what a model's weights, and whatever it draws while it trains, come from."""

from __future__ import annotations

import torch


def seed_all(seed: int, device: str) -> None:
    """As `torch.manual_seed`, of the devices in use.

    On a CPU, `torch.manual_seed` also leaves a note, with a formatted traceback, for each kind of accelerator that is not
    there yet: 1 to 3 ms and some memory a call, which is most of a small training's time.
    """
    if device == "cpu":
        torch.default_generator.manual_seed(seed)
    else:
        torch.manual_seed(seed)
