"""The contenders known by name. A line each; nothing here imports torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from assay.space import Choice, Dimension, Float, Space

LEARNING_RATE = Float(1e-5, 1e-1, log=True)


@dataclass(frozen=True)
class Entry:
    """Where a registered optimizer is found, what it is, and what of it is tuned and fixed."""

    reference: str
    summary: str
    fixed: Mapping[str, Any] = field(default_factory=dict)
    space: Space = field(default_factory=lambda: {"lr": LEARNING_RATE})


@dataclass(frozen=True)
class Packaged:
    """Where a known optimizer is found that isn't adapted by hand, and what of it is fixed; it tunes what its class takes.

    `ranges`: in the place of those in `RANGES`.
    """

    reference: str
    fixed: Mapping[str, Any] = field(default_factory=dict)
    ranges: Space = field(default_factory=dict)


RANGES: Mapping[str, Dimension] = {
    "weight_decay": Float(1e-5, 1.0, log=True),
    "momentum": Float(0.5, 0.999, scale="1-log"),
    "beta1": Float(0.5, 0.99, scale="1-log"),
    "beta2": Float(0.9, 0.9999, scale="1-log"),
    "eps": Float(1e-10, 1e-4, log=True),
    "amsgrad": Choice((False, True)),
    "warmup": Float(0.0, 0.2),
}
"""What `--tune` tunes besides the learning rate where nobody gives a range: decades around what is in use for each.

A warm-up is a share of training, and the schedule's; a class that names one in its signature is given it instead."""

_SMALL_RATE: Space = {"weight_decay": Float(1e-5, 10.0, log=True)}
"""Decay is multiplied by the rate: one ten times smaller wants ten times the decay (Chen et al. 2023, arXiv:2302.06675)."""

PACKAGED = {
    "muon": Packaged("assay.contenders.muon:muon"),
    "lion": Packaged("lion_pytorch:Lion", ranges=_SMALL_RATE),
    "schedule-free-adamw": Packaged("schedulefree:AdamWScheduleFree"),
    # A vocabulary's side has no factor, as its authors have it, whose vocabularies are longer than 10,000 (arXiv:2409.11321).
    "soap": Packaged("pytorch_optimizer:SOAP", {"max_precondition_dim": 1024}),
    "prodigy": Packaged("pytorch_optimizer:Prodigy"),
    "ademamix": Packaged("pytorch_optimizer:AdEMAMix"),
    "adan": Packaged("pytorch_optimizer:Adan"),
    "came": Packaged("pytorch_optimizer:CAME", ranges=_SMALL_RATE),
}
"""Known by name, too: some come in packages that `pip install 'assay[board]'` brings."""

CONTENDERS: dict[str, Entry] = {
    "adadelta": Entry("torch.optim:Adadelta", "Zeiler 2012", space={"lr": Float(1e-3, 1e1, log=True)}),
    "adafactor": Entry("torch.optim:Adafactor", "Shazeer & Stern 2018"),
    "adagrad": Entry("torch.optim:Adagrad", "Duchi et al. 2011", space={"lr": Float(1e-4, 1e0, log=True)}),
    "adam": Entry("torch.optim:Adam", "Kingma & Ba 2015"),
    "adamax": Entry("torch.optim:Adamax", "Kingma & Ba 2015, infinity norm"),
    "adamw": Entry("torch.optim:AdamW", "Loshchilov & Hutter 2019"),
    "asgd": Entry("torch.optim:ASGD", "Polyak & Juditsky 1992", space={"lr": Float(1e-3, 1e1, log=True)}),
    "gns-adam": Entry("assay.optim:GNSAdam", "Adam with lr / ‖g‖₂"),
    "nadam": Entry("torch.optim:NAdam", "Dozat 2016"),
    "radam": Entry("torch.optim:RAdam", "Liu et al. 2020"),
    "rmsprop": Entry("torch.optim:RMSprop", "Hinton 2012"),
    "rprop": Entry("torch.optim:Rprop", "Riedmiller & Braun 1993"),
    "sgd": Entry("torch.optim:SGD", "plain stochastic gradient descent", space={"lr": Float(1e-3, 1e1, log=True)}),
    "sgd-momentum": Entry(
        "torch.optim:SGD",
        "heavy ball, momentum 0.9 (Polyak 1964)",
        fixed={"momentum": 0.9},
        space={"lr": Float(1e-4, 1e0, log=True)},
    ),
}
