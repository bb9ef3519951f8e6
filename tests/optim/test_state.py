"""Saving, resuming and copying."""

import copy
import io
import pickle
from typing import Any

import pytest
import torch

from assay.optim import GNSAdam, GradNormScaled

MAKERS = {
    "GNSAdam": lambda p: GNSAdam(p, lr=0.1),
    "GNSAdam, one tensor at a time": lambda p: GNSAdam(p, lr=0.1, foreach=False, amsgrad=True),
    "GNSAdam, foreach": lambda p: GNSAdam(p, lr=0.1, foreach=True),
    "SGD": lambda p: GradNormScaled(p, torch.optim.SGD, 0.5, lr=0.1, momentum=0.9),
    "Adagrad": lambda p: GradNormScaled(p, torch.optim.Adagrad, lr=0.1),
}


def through_a_file(state):
    file = io.BytesIO()
    torch.save(state, file)
    file.seek(0)
    return torch.load(file, weights_only=True)


def same(a, b):
    return all(torch.equal(x, y) for x, y in zip(a, b, strict=True))


@pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS)
def test_state_dict_resumes_bit_for_bit(make, new_parameters, new_gradients, run):
    gradients = new_gradients(10)
    straight = run(make(new_parameters()), gradients)

    first = make(new_parameters())
    halfway = run(first, gradients[:5])
    second = make([p.requires_grad_() for p in halfway])
    second.load_state_dict(through_a_file(first.state_dict()))
    assert same(run(second, gradients[5:]), straight)


def test_state_dict_restores_power_and_rates(new_parameters):
    saved = GNSAdam(new_parameters(), lr=0.1, power=0.5).state_dict()
    other = GNSAdam(new_parameters(), lr=0.7)
    other.load_state_dict(saved)
    assert other.power == 0.5
    assert other.param_groups[0]["lr"] == 0.1


@pytest.mark.parametrize("flags", [{}, {"foreach": False}, {"fused": True}], ids=str)
def test_checkpoints_pass_between_it_and_its_base(flags: Any, new_parameters, new_gradients, run):
    gradients = new_gradients(8)
    adam = torch.optim.Adam(new_parameters(), lr=0.1, **flags)
    halfway = run(adam, gradients[:4])
    ours = GNSAdam([p.clone().requires_grad_() for p in halfway], lr=0.9, power=0)
    ours.load_state_dict(through_a_file(adam.state_dict()))
    assert ours.power == 0
    back = torch.optim.Adam([p.clone().requires_grad_() for p in halfway], lr=0.9)
    back.load_state_dict(through_a_file(ours.state_dict()))
    straight = run(adam, gradients[4:])
    assert same(run(ours, gradients[4:]), straight)
    assert same(run(back, gradients[4:]), straight)


def test_a_state_loaded_from_plain_adam_goes_on_with_the_norm(new_parameters, new_gradients, run):
    gradients = new_gradients(8, torch.float64)
    paths = []
    choices: list[dict[str, Any]] = [{}, {"foreach": False}]
    for flags in choices:
        adam = torch.optim.Adam(new_parameters(torch.float64), lr=0.1)
        halfway = run(adam, gradients[:4])
        ours = GNSAdam([p.requires_grad_() for p in halfway], lr=0.9, **flags)
        ours.load_state_dict(through_a_file(adam.state_dict()))
        paths.append(run(ours, gradients[4:]))
    for a, b in zip(*paths, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-12, atol=1e-12)


def test_a_state_that_does_not_fit_is_refused(new_parameters):
    saved = GNSAdam(new_parameters()[:2]).state_dict()
    with pytest.raises(ValueError, match="doesn't match the size"):
        GNSAdam(new_parameters()).load_state_dict(saved)


@pytest.mark.parametrize(
    "duplicate", [copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x))], ids=["deepcopy", "pickle"]
)
@pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS)
def test_a_copy_goes_on_by_itself(make, duplicate, new_parameters, new_gradients, run):
    gradients = new_gradients(10)
    parameters = new_parameters()
    original = make(parameters)
    halfway = run(original, gradients[:5])
    twin_parameters, twin = duplicate((parameters, original))
    assert type(twin) is type(original)
    assert twin.power == original.power
    assert all(a is b for a, b in zip(twin.param_groups[0]["params"], twin_parameters, strict=True))
    went_on = run(twin, gradients[5:])
    assert same(parameters, halfway)  # the original was not touched
    assert same(run(original, gradients[5:]), went_on)
    twin.param_groups[0]["lr"] = 0.0  # the copy's groups and its base's are the same ones
    assert same(run(twin, gradients[5:]), went_on)


def test_groups_state_and_defaults_are_the_bases_whoever_replaces_them(new_parameters, new_gradients, run):
    optimizer = GNSAdam(new_parameters(), lr=0.1)
    run(optimizer, new_gradients(2))
    optimizer.load_state_dict(optimizer.state_dict())
    optimizer.base.load_state_dict(optimizer.state_dict())
    for name in ("param_groups", "state", "defaults"):
        assert getattr(optimizer, name) is getattr(optimizer.base, name)
        replacement = copy.copy(getattr(optimizer, name))
        setattr(optimizer, name, replacement)
        assert getattr(optimizer.base, name) is replacement
    groups = copy.copy(optimizer.param_groups)
    optimizer.__setstate__(
        {"state": optimizer.state, "param_groups": groups}
    )  # as older code than load_state_dict does
    assert optimizer.param_groups is optimizer.base.param_groups is groups
    run(optimizer, new_gradients(1))


def test_state_made_by_the_base_at_construction_is_kept(new_parameters):
    optimizer = GradNormScaled(new_parameters(), torch.optim.Adagrad, lr=0.1, initial_accumulator_value=2.0)
    assert [float(state["sum"].min()) for state in optimizer.state.values()] == [2.0, 2.0, 2.0]


def test_state_dict_hooks_run_with_the_wrapper(new_parameters, new_gradients, run):
    optimizer = GNSAdam(new_parameters(), lr=0.1)
    run(optimizer, new_gradients(1))
    seen = []
    optimizer.register_state_dict_pre_hook(lambda o: seen.append(("before saving", o)))
    optimizer.register_state_dict_post_hook(lambda o, s: {**s, "note": 1})
    saved = optimizer.state_dict()
    assert saved["note"] == 1
    optimizer.register_load_state_dict_pre_hook(lambda o, s: {k: v for k, v in s.items() if k != "note"} | {"power": 3})
    optimizer.register_load_state_dict_post_hook(lambda o: seen.append(("after loading", optimizer.power)))
    optimizer.load_state_dict(saved)
    assert seen == [("before saving", optimizer), ("after loading", 3)]
    assert saved["note"] == 1  # a pre-hook works on a copy
