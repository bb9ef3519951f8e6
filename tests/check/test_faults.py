"""Every planted fault is named by the checks that should name it, and by no other; its example shows it."""

from __future__ import annotations

import warnings
from functools import cache

import pytest

from assay.conformance import Report, check
from assay.conformance.catalogue import CATALOGUE

from . import faulty, faulty_settings, faulty_state, faulty_tensors  # noqa: F401  # each registers its own
from .planted import FAULTS

UNSAFE = {"Crashes", "Hangs"}


@cache
def report_of(name: str) -> Report:
    """The checks that must name it, and those that are always asked."""
    thing, expected = FAULTS[name]
    return check(thing, speed=False, limit=3 if name == "Hangs" else 120, only=sorted(expected))


def whole_report_of(name: str) -> Report:
    """All checks; the three that take longest only where they are expected to fail (sound ones pass them elsewhere)."""
    thing, expected = FAULTS[name]
    only = [s.name for s in CATALOGUE if s.name not in {"identity", "leak", "engine"} - expected]
    return check(thing, speed=False, limit=3 if name == "Hangs" else 120, only=only)


@pytest.mark.whole
@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_is_named_by_no_other_check(name):
    failed = {f.name: f.sentence for f in whole_report_of(name).failed}
    assert failed.keys() == FAULTS[name][1], failed


def _some() -> set[str]:
    """Two faults of each check, where there are as many."""
    some: set[str] = set()
    for spec in CATALOGUE:
        named = [name for name, (_, expected) in FAULTS.items() if spec.name in expected]
        some.update(sorted(named, key=lambda name: name not in some)[:2])
    return some


SOME = _some()


@pytest.mark.parametrize("name", [pytest.param(n, marks=[pytest.mark.whole] * (n not in SOME)) for n in FAULTS])
def test_a_fault_is_named_by_its_checks(name):
    report = report_of(name)
    assert {f.name for f in report.failed} == FAULTS[name][1], [f"{f.name}: {f.sentence}" for f in report.failed]
    assert report.exit_code == 1
    if name not in UNSAFE:
        for finding in report.failed:
            assert_shown(finding.example)


def assert_shown(example: str | None) -> None:
    """The example runs on its own, and ends in an error that shows the fault."""
    assert example
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with pytest.raises(BaseException) as caught:
            exec(compile(example, "example", "exec"), {"__name__": "example"})
    assert not isinstance(caught.value, SyntaxError | NameError | ImportError), example


@pytest.mark.parametrize(
    ("name", "check", "words"),
    [
        ("DisguisedAdam", "identity", "this is adam with lr × 0.86"),
        ("DisguisedFastAdam", "identity", "this is adam with lr × 3, beta1 0.8, beta2 0.95, eps 1e-06"),
        ("DisguisedSGD", "identity", "this is sgd with lr × 0.01"),
        ("DisguisedMomentum", "identity", "this is sgd-momentum with lr × 0.3, momentum 0.85"),
        ("DisguisedAverage", "identity", "this is sgd-momentum with lr × 2, momentum 0.95, dampening 0.95"),
        ("DisguisedRMSprop", "identity", "this is rmsprop with lr × 17"),
        ("DisguisedSign", "identity", "this is sign-sgd with lr × 0.1"),
        ("DisguisedAdagrad", "identity", "this is adagrad with lr × 0.5"),
        ("DisguisedTiny", "identity", "this is adam with lr × 1e-07"),
        ("DisguisedAdamW", "identity", "this is adamw with lr × 1, beta2 0.98, weight_decay 0.03"),
        ("DisguisedLion", "identity", "this is lion with lr × 0.3"),
        ("DisguisedAccumulator", "identity", "this is adagrad with lr × 0.5, initial_accumulator_value 0.2"),
        (
            "DisguisedAdamWOfOtherBetas",
            "identity",
            "this is adamw with lr × 1, beta1 0.95, beta2 0.98, weight_decay 0.05",
        ),
        ("DisguisedWithoutCorrection", "identity", "this is adam with bias correction left out with lr × 2"),
        ("DisguisedWithHalfACorrection", "identity", "this is adam with the first moment's bias correction left out"),
        ("DisguisedEpsInside", "identity", "this is adam with eps inside the root with lr × 1, eps 1e-06"),
        ("MomentumThatGrows", "identity", "sgd-momentum with a schedule inside momentum"),
        ("DisguisedAdam", "identity", "over 1,000 steps in float64 at most"),
        ("DyadicSign", "identity", "this is sign-sgd with lr × 7.81"),
        ("RateReachesDecayOnly", "schedulers", "not scaled by the learning rate"),
        ("MovesOnWithoutGradient", "none_grad", "after its gradient has become None"),
        ("AdamOffByOne", "identity", "this is adam with a schedule built in: lr × 0.744 at the first step"),
        ("StepNotSaved", "resume", "self.t is not in the state_dict"),
        ("OverwritesRate", "schedulers", "overwrites group['lr']"),
        ("RateReadOnce", "schedulers", "changes nothing"),
        ("FirstGroupsRate", "groups", "the second group moves at the first group's learning rate"),
        ("LastGroupsRate", "groups", "the first group moves at the last group's learning rate"),
        ("DecayIntoGradient", "grads_intact", "with weight_decay"),
        ("ClosureWithoutGradients", "closure", "gradients switched off"),
        ("Exits", "steps", "sys.exit(3)"),
        ("Crashes", "steps", "SIGABRT"),
        ("Hangs", "steps", "hangs"),
        ("ExitsWhenMade", "made", "sys.exit('no')"),
        ("returns_nothing", "made", "returns None"),
        ("OwnRandomness", "deterministic", "torch.manual_seed"),
        ("DecayForgotten", "effects", "weight_decay: declared, and no value"),
        ("SecondBetaForgotten", "effects", "betas[1]: declared"),
        ("DecayOfTheFirstGroup", "group_settings", "the second group moves at the first group's weight_decay"),
        ("DecayOfTheLastGroup", "group_settings", "the first group moves at the last group's weight_decay"),
        ("ForeachWithoutDecay", "implementations", "foreach=True, weight_decay=0.1, maximize=True takes other steps"),
        ("DecaysWithoutGradient", "none_grad", "weight decay moves a parameter whose gradient is None"),
        ("AlwaysNone", "clears_grads", "zero_grad(set_to_none=False) leaves None"),
        ("WideStateCast", "resume_bf16", "makes bfloat16 of what was float32 in the state"),
        ("SwapsOnLoading", "resume_groups", "resume to other steps"),
        ("CountOfTheFirstGroup", "resume_groups", "groups"),
        ("ModeNotSaved", "switching", "saved after eval()"),
        ("SwapsEachTime", "switching", "eval() twice"),
        ("SeedsForAll", "global_rng", "its steps seed torch's global generator"),
        ("DrawsNoise", "global_rng", "its steps draw from torch's global generator"),
        ("DrawsFromNumpy", "global_rng", "numpy"),
        ("NewTensorEachStep", "views", "not written in place"),
        ("WholeStorage", "views", "beside a parameter in memory"),
        ("SquaresWithoutConjugate", "complex", "takes no conjugate"),
        ("UnderNoGrad", "differentiable", "no gradient comes through"),
        ("GrowsATensor", "leak", "its tensors grow by 4 bytes with every step"),
        ("KeepsOneIn20", "leak", "a tensor more every 20 steps"),
        ("HookTooEarly", "hooks", "before the step has moved all parameters"),
        ("KeepsGradients", "leak", "3.0 more tensors with every step"),
    ],
)
def test_the_sentence_names_the_cause(name, check, words):
    assert words in report_of(name)[check].sentence


def test_nothing_else_is_asked_where_steps_fail():
    report = whole_report_of("Exits")
    assert report["resume"].status == "not applicable"
    assert report["resume"].sentence == "not asked, for steps fails"
