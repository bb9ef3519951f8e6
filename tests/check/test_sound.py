"""Sound optimizers pass clean, and what is measured of them is right."""

from __future__ import annotations

import pytest
import torch

from assay.conformance import Report, check, check_optimizer
from assay.conformance.catalogue import CATALOGUE
from assay.contenders import CONTENDERS

from . import sound

REGISTERED = [name for name in CONTENDERS if name != "rprop"]
OWN = [
    sound.Sound,
    sound.NormScaled,
    sound.Gathers,
    sound.DecaysApart,
    sound.SoftLion,
    sound.AdaBelief,
    sound.AdamOfAverage,
    sound.SoundWrapper,
    sound.SAM,
    sound.Duck,
    sound.nesterov,
    sound.amsgrad,
    sound.centered,
    sound.Averaged,
    sound.WideState,
    sound.OwnStream,
    sound.RealOnly,
    sound.ByParts,
    sound.Foreach,
    sound.Switching,
    sound.Periodic,
    sound.Limited,
    sound.ThroughData,
    sound.WarmsUp,
    sound.Differentiable,
]
EXTENT = {
    "adam": 0.0,
    "sgd": 1.0,
    "rmsprop": 0.0,
    "gns-adam": -1.0,
}  # the power of a factor on the gradient, by formula
LIMITS = {"asgd": {"resume_bf16"}, "nadam": {"resume_bf16"}}
"""Of torch's own: numbers of the state (eta, mu_product) are float32 tensors, which load_state_dict makes bfloat16."""
BYTES = {"adam": 8, "sgd": 0, "sgd-momentum": 4, "rmsprop": 4, "adamw": 8}  # float32 state tensors by formula


@pytest.fixture(scope="module")
def reports() -> dict[str, Report]:
    return {}


@pytest.mark.parametrize("name", REGISTERED)
def test_registered_ones_pass_and_are_themselves(name, reports):
    report = reports[name] = check(name, speed=False, limit=120, wide=True)
    assert {f.name for f in report.failed} == LIMITS.get(name, set()), [f.sentence for f in report.failed]
    assert report["identity"].value["is"] == name
    if name in EXTENT:
        assert report["gradient_scale"].value["power"] == pytest.approx(EXTENT[name], abs=1e-3)
        assert report["loss_scale"].value["power"] == pytest.approx(EXTENT[name], abs=1e-3)
    if name in BYTES:
        assert report["state_bytes"].value["bytes"] == pytest.approx(BYTES[name], abs=0.01)
    assert report["splitting"].value["invariant"] == (name != "adafactor")


@pytest.mark.parametrize("target", OWN, ids=lambda t: t.__name__)
def test_sound_ones_pass(target):
    quick = [s.name for s in CATALOGUE if s.kind == "check" and s.name not in ("identity", "leak")]
    report = check(target, speed=False, limit=120, only=quick)
    assert report.ok, {f.name: f.sentence for f in report.failed}


@pytest.mark.parametrize(
    "target",
    [*OWN[:6], *(pytest.param(t, marks=pytest.mark.whole) for t in OWN[6:])],
    ids=lambda t: t.__name__,
)
def test_sound_ones_pass_and_are_new(target):
    report = check_optimizer(target, limit=120)
    identity = report["identity"]
    assert identity.value["is"] is None or identity.value["itself"], identity.sentence


FUSED = {"noncontiguous": "fused=True"}  # a transposed gradient of a plain parameter is read as it lies in memory
UNDER = {
    "Adam": FUSED,
    "AdamW": FUSED,
    "Adagrad": FUSED,
    "SGD": {**FUSED, "none_grad": "momentum=0.9, fused=True"},  # a first gradient that comes late has no buffer there
    "ASGD": {"resume_bf16": ""},
    "NAdam": {"resume_bf16": ""},
    "Rprop": {"schedulers": ""},
    "LBFGS": {"deepcopy": "", "pickle": "", "noncontiguous": ""},
}
"""What is known of torch's own, and the setting that it needs."""
OF_TORCH = ["Adadelta", "Adafactor", "Adamax", "RAdam", "RMSprop", *UNDER]


@pytest.mark.parametrize("name", ["SGD", *(pytest.param(n, marks=pytest.mark.whole) for n in OF_TORCH if n != "SGD")])
def test_torchs_own_pass_in_every_setting_that_they_take(name):
    only = [s.name for s in CATALOGUE if s.kind == "check" and s.name not in ("identity", "leak")]
    report = check(f"torch.optim:{name}", speed=False, limit=120, only=only, matrix=True, budget=3600)
    found = {f.name: f.sentence for f in report.failed}
    assert found.keys() == UNDER.get(name, {}).keys(), found
    for failing, setting in UNDER.get(name, {}).items():
        assert found[failing].endswith(f"(with {setting})" if setting else ""), found[failing]
    asked = [label for label, findings in report.matrix if any(f.status == "pass" for f in findings)]
    assert len(asked) >= (1 if name == "LBFGS" else 5)


def test_torchs_own_limits_are_what_is_named():
    report = check("rprop", speed=False)
    assert {f.name for f in report.failed} == {"schedulers"}  # its lr is the first step's size only
    assert report["identity"].sentence == "it is rprop itself"


def test_muon_is_checked_on_matrices():
    if not hasattr(torch.optim, "Muon"):
        pytest.skip("this torch has no Muon")
    report = check("torch.optim:Muon", speed=False, only=["resume", "zero_dim", "splitting"])
    assert report.ok
    assert report["zero_dim"].status == "not applicable"
    assert not report["splitting"].value["invariant"]


def test_closures_are_found_to_be_needed():
    report = check(sound.SAM, speed=False, only=["closure"])
    assert "needs a closure" in report["steps"].sentence
    assert report["closure"].value["calls"] == [2, 2, 2, 2]


def test_host_reads_are_counted():
    assert check("adam", speed=False, only=["host_reads"])["host_reads"].value["reads_of_10_parameters"] == 0
    reads = check("adafactor", speed=False, only=["host_reads"])["host_reads"]
    assert reads.value["for_each_parameter"]
    assert "adafactor" in reads.sentence


class Tiny(torch.optim.Optimizer):
    """Gradient descent in steps of about 1e-11: shorter than what torch's cosine takes for nothing."""

    def __init__(self, params, lr=1e-3):
        super().__init__(params, {"lr": lr})

    @torch.no_grad()
    def step(self, closure=None):
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is not None:
                    p.sub_(p.grad * (1e-8 * group["lr"]))


class Gathering(torch.optim.SGD):
    """Moves every sixteenth step, by the mean of the gradients in between."""

    def __init__(self, params, lr=1e-3):
        super().__init__(params, lr=lr)

    @torch.no_grad()
    def step(self, closure=None):
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is None:
                    continue
                state = self.state[p]
                state.setdefault("sum", torch.zeros_like(p)).add_(p.grad)
                state["count"] = state.get("count", 0) + 1
                if state["count"] % 16 == 0:
                    p.sub_(state["sum"] * (group["lr"] / 16))
                    state["sum"].zero_()


def test_short_steps_and_rare_ones_are_no_faults():
    short = check(Tiny, speed=False, only=["bf16", "gradient_scale"])
    assert short["bf16"].status == "pass", short["bf16"].sentence
    assert "+1.00 power" in short["gradient_scale"].sentence
    rare = check(Gathering, speed=False, only=["steps", "bf16"])
    assert rare["steps"].status == "pass", rare["steps"].sentence
