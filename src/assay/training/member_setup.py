"""A member's own model and optimizer, made from its seeds: the one place where the loop and every other engine get them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from assay.core import Contender, Member, Numerics, Run, Task
from assay.training.step import Step


@dataclass(frozen=True)
class MemberSetup:
    """What a member trains with. `step` takes its steps and counts them."""

    model: nn.Module
    optimizer: Any
    step: Step


def set_up(task: Task, contender: Contender, member: Member, numerics: Numerics, run: Run) -> MemberSetup:
    """The model with the weights that the member's seed gives, and its optimizer, in training mode.

    Draws from torch's global generator and leaves it seeded with the member's noise.

    Raises:
        UsageError: what the contender makes is no optimizer, or none that its schedule can drive.
    """
    seed_all(member.init, numerics.device)
    model = make_model(task, numerics)
    optimizer = contender.make(model, run, **{**contender.fixed, **member.hyperparameters})
    if not run.fused:
        for group in getattr(optimizer, "param_groups", ()):
            for option in ("foreach", "fused"):  # one tensor at a time is what vmap takes
                if option in group:
                    group[option] = False
    seed_all(member.noise, numerics.device)
    return MemberSetup(model, optimizer, Step(task, contender, model, optimizer, run))


def make_model(task: Task, numerics: Numerics) -> nn.Module:
    """A task's model in the dtype and on the device that it trains on."""
    return task.model().to(numerics.device, getattr(torch, numerics.dtype))


def seed_all(seed: int, device: str) -> None:
    """As `torch.manual_seed`, of the devices in use.

    On a CPU, `torch.manual_seed` also leaves a note, with a formatted traceback, for each kind of accelerator that is not
    there yet: 1 to 3 ms and some memory a call, which is most of a small training's time.
    """
    if device == "cpu":
        torch.default_generator.manual_seed(seed)
    else:
        torch.manual_seed(seed)
