"""The checks by name, in the order they are shown. Torch is never imported."""

from __future__ import annotations

from dataclasses import dataclass

from assay.check.report import Kind


@dataclass(frozen=True)
class Spec:
    """One check: its name (also its function's), what it asks, the module it is in, and when it applies.

    `where` ends the sentence "it raises … where …". `gate`: nothing else is asked where it fails. `alone`: a timing,
    so nothing may run beside it. `compares`: it compares two trainings, so it needs a deterministic optimizer.
    `weight` orders the work, longest first. `limit`: at least so many seconds.
    """

    name: str
    title: str
    module: str
    where: str
    kind: Kind = "check"
    gate: bool = False
    alone: bool = False
    compares: bool = False
    weight: float = 1.0
    limit: float = 0.0


CATALOGUE = (
    Spec("made", "it can be made", "basic", "it is made", gate=True),
    Spec("steps", "its steps change the parameters", "basic", "it takes its first steps", gate=True),
    Spec("deterministic", "the same seed gives the same steps", "basic", "it runs a second time"),
    Spec("descends", "the loss falls on a convex problem", "basic", "it minimises a convex quadratic", weight=3),
    Spec("quiet", "it prints nothing", "basic", "it steps"),
    Spec("closure", "the closure is called, its loss returned", "closure", "step is given a closure", weight=2),
    Spec("none_grad", "parameters without a gradient are left alone", "gradients", "a gradient is None"),
    Spec("zero_grad", "zero gradients", "gradients", "gradients are zero"),
    Spec("nan_grad", "NaN gradients", "gradients", "a gradient is NaN"),
    Spec("huge_grad", "huge gradients", "gradients", "gradients are 1e10"),
    Spec("grads_intact", "gradients are left as they were", "gradients", "it steps"),
    Spec("groups", "each group has its own learning rate", "groups", "there are two groups", compares=True),
    Spec("grouping", "groups of equal settings are as one", "groups", "there are two groups", compares=True),
    Spec("add_group", "parameters can be added", "groups", "add_param_group is used"),
    Spec(
        "schedulers", "schedulers are obeyed", "groups", "a scheduler sets the learning rate", weight=2, compares=True
    ),
    Spec(
        "resume", "state_dict resumes into a rebuilt object, bit for bit", "checkpoint", "it is resumed", compares=True
    ),
    Spec(
        "torch_save", "so it does through torch.save", "checkpoint", "its state goes through torch.save", compares=True
    ),
    Spec("deepcopy", "a deep copy goes on alike, on its own", "checkpoint", "it is deep-copied", compares=True),
    Spec("pickle", "a pickled copy goes on alike", "checkpoint", "it is pickled", compares=True),
    Spec("hooks", "step hooks are called", "checkpoint", "step hooks are registered"),
    Spec("float64", "float64 stays float64", "tensors", "parameters are float64"),
    Spec("bf16", "bfloat16 works", "tensors", "parameters are bfloat16"),
    Spec("noncontiguous", "non-contiguous tensors", "tensors", "a tensor is not contiguous", compares=True),
    Spec("zero_dim", "zero-dimensional parameters", "tensors", "a parameter is zero-dimensional"),
    Spec(
        "order",
        "the order of the parameters changes nothing",
        "invariance",
        "parameters come in another order",
        compares=True,
    ),
    Spec("leak", "no leak over 1,000 steps", "cost", "it takes 1,000 steps", weight=8),
    Spec(
        "identity",
        "it is no known optimizer at another setting",
        "identity",
        "it is compared",
        weight=9,
        limit=60,
        compares=True,
    ),
    Spec(
        "gradient_scale",
        "what scaling the gradient does",
        "invariance",
        "gradients are scaled",
        "measure",
        compares=True,
    ),
    Spec("loss_scale", "what scaling the loss does", "invariance", "the loss is scaled", "measure", compares=True),
    Spec(
        "splitting", "what splitting a tensor in two does", "invariance", "a tensor is split", "measure", compares=True
    ),
    Spec("host_reads", "values read back from tensors in a step", "cost", "it steps", "measure"),
    Spec("state_bytes", "state, bytes a parameter", "cost", "its state is measured", "measure"),
    Spec("engine", "which engine trains it", "cost", "an engine is chosen", "measure"),
    Spec("speed_1m", "a step on 1 million parameters", "cost", "it is timed", "measure", alone=True, limit=30),
    Spec("speed_10m", "a step on 10 million parameters", "cost", "it is timed", "measure", alone=True, limit=30),
)
BY_NAME = {spec.name: spec for spec in CATALOGUE}
