"""The checks by name, in the order they are shown. Torch is never imported."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from assay.conformance.report import Finding, Kind, Status


@dataclass(frozen=True)
class Spec:
    """One check: its name (its function is `check_…`), what it asks, and when it applies.

    `where` ends the sentence "it raises … where …". `gate`: nothing else is asked where it fails. `alone`: a timing,
    so nothing may run beside it. `compares`: it compares two trainings, so it needs a deterministic optimizer.
    `weight` orders the work, longest first. `limit`: at least so many seconds. `wide`: asked of libraries, with settings
    and by name: most rules that somebody writes for himself fail it, to nobody's harm.
    """

    name: str
    title: str
    where: str
    kind: Kind = "check"
    gate: bool = False
    alone: bool = False
    compares: bool = False
    weight: float = 1.0
    limit: float = 0.0
    wide: bool = False

    def finding(self, status: Status, sentence: str, example: str | None = None, **more: Any) -> Finding:
        """This check's answer. `more`: its `value` and `facts`."""
        return Finding(self.name, self.title, self.kind, status, sentence, example, **more)


CATALOGUE = (
    Spec("made", "it can be made", "it is made", gate=True),
    Spec("steps", "its steps change the parameters", "it takes its first steps", gate=True),
    Spec("deterministic", "the same seed gives the same steps", "it runs a second time"),
    Spec("descends", "the loss falls on a convex problem", "it minimises a convex quadratic", weight=3),
    Spec("global_rng", "global random numbers are left alone", "it steps"),
    Spec("quiet", "it prints nothing", "it steps"),
    Spec("closure", "the closure is called, its loss returned", "step is given a closure", weight=2),
    Spec("none_grad", "parameters without a gradient are left alone", "a gradient is None"),
    Spec("zero_grad", "zero gradients", "gradients are zero"),
    Spec("nan_grad", "NaN gradients", "a gradient is NaN"),
    Spec("huge_grad", "huge gradients", "gradients are 1e10"),
    Spec("grads_intact", "gradients are left as they were", "it steps"),
    Spec("clears_grads", "zero_grad clears them, to None or to zeros", "zero_grad is called"),
    Spec("effects", "each setting that it declares has an effect", "a setting is another", weight=2, compares=True),
    Spec("group_settings", "each group has its own settings", "groups differ in a setting", weight=2, compares=True),
    Spec("groups", "each group has its own learning rate", "there are two groups", compares=True),
    Spec("grouping", "groups of equal settings are as one", "there are two groups", compares=True),
    Spec("add_group", "parameters can be added", "add_param_group is used"),
    Spec("schedulers", "schedulers are obeyed", "a scheduler sets the learning rate", weight=2, compares=True),
    Spec("resume", "state_dict resumes into a rebuilt object, bit for bit", "it is resumed", compares=True),
    Spec("resume_groups", "groups resume, also in another order", "groups are resumed", compares=True),
    Spec("resume_bf16", "bfloat16 resumes, its state as it was", "bfloat16 parameters are resumed", compares=True),
    Spec("torch_save", "so it does through torch.save", "its state goes through torch.save", compares=True),
    Spec("deepcopy", "a deep copy goes on alike, on its own", "it is deep-copied", compares=True),
    Spec("pickle", "a pickled copy goes on alike", "it is pickled", compares=True),
    Spec("switching", "train() and eval() can be called at any time", "train() and eval() are called", compares=True),
    Spec("hooks", "step hooks are called", "step hooks are registered"),
    Spec("float64", "float64 stays float64", "parameters are float64"),
    Spec("bf16", "bfloat16 works", "parameters are bfloat16"),
    Spec("complex", "complex parameters, or a refusal", "parameters are complex", compares=True, wide=True),
    Spec("views", "parameters that are views are written in place", "parameters are views", compares=True),
    Spec("noncontiguous", "non-contiguous tensors", "a tensor is not contiguous", compares=True),
    Spec("zero_dim", "zero-dimensional parameters", "a parameter is zero-dimensional"),
    Spec("implementations", "foreach and fused take the same steps", "it is made with foreach or fused", compares=True),
    Spec("differentiable", "its step can be differentiated where it says so", "it is differentiable"),
    Spec("order", "the order of the parameters changes nothing", "parameters come in another order", compares=True),
    Spec("leak", "no leak over 1,000 steps", "it takes 1,000 steps", weight=8),
    Spec(
        "identity", "it is no known optimizer at another setting", "it is compared", weight=9, limit=60, compares=True
    ),
    Spec("gradient_scale", "what scaling the gradient does", "gradients are scaled", "measure", compares=True),
    Spec("loss_scale", "what scaling the loss does", "the loss is scaled", "measure", compares=True),
    Spec("splitting", "what splitting a tensor in two does", "a tensor is split", "measure", compares=True),
    Spec("host_reads", "values read back from tensors in a step", "it steps", "measure"),
    Spec("state_bytes", "state, bytes a parameter", "its state is measured", "measure"),
    Spec("engine", "which engine trains it", "an engine is chosen", "measure"),
    Spec("speed_1m", "a step on 1 million parameters", "it is timed", "measure", alone=True, limit=30),
    Spec("speed_10m", "a step on 10 million parameters", "it is timed", "measure", alone=True, limit=30),
)
CHECKS = tuple(spec.name for spec in CATALOGUE if spec.kind == "check")  # all that can fail
BY_NAME = {spec.name: spec for spec in CATALOGUE}
