"""Resuming where it is harder: groups with settings of their own, another order, bfloat16, weights to be judged by."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor

from assay.conformance.checks.checkpoint import apart_after, resumed, skip_if_not_resumed, went
from assay.conformance.checks.groups import grouped
from assay.conformance.lab import LONG_ENOUGH, Lab, Training, difference, gradients, groups_of, same, start_values
from assay.conformance.report import Failed, Passed, Skip, fail_if, skip_if

_SOON = 7
_SHAPES = ((4, 3), (4, 3))  # alike, so that what is mistaken for the other one fits


def check_resume_groups(lab: Lab) -> Passed:
    """Two groups with rates of their own resume into groups of other rates; and, their entries in the order of the new
    object, into groups given the other way round."""
    skip_if_not_resumed(lab)
    rate: Any = (groups_of(lab.training().optimizer) or [{}])[0].get("lr")
    skip_if(not isinstance(rate, float), "its groups have no lr")
    rows = gradients(_SHAPES, LONG_ENOUGH, lab.exact)
    own = ({"lr": rate}, {"lr": rate / 4})
    start = start_values(_SHAPES, lab.exact)
    training = grouped(lab, own, start).feed_all(rows[:_SOON])
    training.skip_if_random()
    saved = copy.deepcopy(training.optimizer.state_dict())
    begun = training.values()
    training.feed_all(rows[_SOON:])

    _shows(lab, rate, "[{'params': [q]}, {'params': [s]}]", "saved")
    again = Training(lab, begun, own=({}, {}))
    again.optimizer.load_state_dict(copy.deepcopy(saved))
    again.feed_all(rows[_SOON:])
    apart = difference(training.values(), again.values())
    fail_if(apart > lab.tolerance, f"two groups with rates of their own resume to other steps (by {apart:.2g})")

    turned = _turned(saved)
    if turned is None:
        return Passed("two groups resume, each at its own rate (in what it saves, the order can't be told)")
    other = grouped(lab, own[::-1], start[::-1]).feed_all([row[::-1] for row in rows])
    if difference(training.values(), other.values()[::-1]) > lab.tolerance:
        return Passed(
            "two groups resume, each at its own rate (the order of groups changes its steps, also without resuming)"
        )
    _shows(lab, rate, "[{'params': [s]}, {'params': [q]}]", "turned(saved)")
    again = Training(lab, begun[::-1], own=own[::-1])
    again.optimizer.load_state_dict(turned)
    again.feed_all([row[::-1] for row in rows[_SOON:]])
    apart = difference(training.values(), again.values()[::-1])
    fault = "groups in another order, with the saved entries in that order, resume to other steps"
    fail_if(apart > 10 * lab.tolerance, f"{fault} (by {apart:.2g})")
    return Passed("two groups resume, each at its own rate, also in another order")


def _turned(saved: Any) -> dict[str, Any] | None:
    """What a state_dict of two groups of one parameter would be, had they come the other way round; None where it holds
    more than torch's entries, or numbers parameters otherwise."""
    if not isinstance(saved, dict) or saved.keys() != {"state", "param_groups"} or saved["state"].keys() != {0, 1}:
        return None
    groups = [{**g, "params": [i]} for i, g in enumerate(reversed(copy.deepcopy(saved["param_groups"])))]
    state = copy.deepcopy(saved["state"])
    return {"state": {0: state[1], 1: state[0]}, "param_groups": groups}


def _shows(lab: Lab, rate: float, groups: str, state: str) -> None:
    lab.shows(
        f"""
import copy
def turned(saved):
    first, second = saved["param_groups"]
    state = {{0: saved["state"][1], 1: saved["state"][0]}}
    return {{"state": state, "param_groups": [{{**second, "params": [0]}}, {{**first, "params": [1]}}]}}
def feed(opt, p, r, t):
    p.grad, r.grad = torch.sin(torch.arange(12.0) + t).view(4, 3), torch.cos(torch.arange(12.0) - t).view(4, 3)
    opt.step()
p, r = (torch.nn.Parameter(torch.ones(4, 3)) for _ in range(2))
opt := [{{"params": [p], "lr": {rate:.6g}}}, {{"params": [r], "lr": {rate / 4:.6g}}}]
for t in range({_SOON}):
    feed(opt, p, r, t)
saved = copy.deepcopy(opt.state_dict())
q, s = (torch.nn.Parameter(x.detach().clone()) for x in (p, r))
again := {groups}
again.load_state_dict({state})
for t in range({_SOON}, {LONG_ENOUGH}):
    feed(opt, p, r, t)
    feed(again, q, s, t)
assert torch.allclose(p, q, rtol=1e-5) and torch.allclose(r, s, rtol=1e-5), "resumed steps differ"
"""
    )


def check_resume_bf16(lab: Lab) -> Passed:
    """bfloat16 parameters go on with the very bits, and the state keeps its types: torch's load_state_dict casts it."""
    skip_if_not_resumed(lab)
    try:
        training = went(lab, torch.bfloat16)
    except Exception as error:
        raise Skip(f"it doesn't take bfloat16 ({type(error).__name__})") from None
    skip_if(any(p.dtype != torch.bfloat16 for p in training.params), "its parameters don't stay bfloat16")
    lab.shows(
        """
import copy
def feed(opt, p, t):
    p.grad = torch.sin(torch.arange(12.0) + t).view(4, 3).bfloat16()
    opt.step()
p = torch.nn.Parameter(torch.ones(4, 3, dtype=torch.bfloat16))
opt := [p]
for t in range(27):
    feed(opt, p, t)
q = torch.nn.Parameter(p.detach().clone())
again := [q]
again.load_state_dict(copy.deepcopy(opt.state_dict()))
kinds = [{k: v.dtype for k, v in one.state[x].items() if torch.is_tensor(v)} for one, x in ((opt, p), (again, q))]
assert kinds[0] == kinds[1], f"the state was {kinds[0]}, and is {kinds[1]} once it is loaded"
for t in range(27, 54):
    feed(opt, p, t)
    feed(again, q, t)
assert torch.equal(p, q), "resumed steps differ"
"""
    )
    again = resumed(lab, training)
    cast = _cast(training, again)
    apart = apart_after(lab, training, again)
    hint = f": load_state_dict makes {cast}" if cast else ""
    fail_if(apart, f"bfloat16 parameters resume to other steps (they differ by {apart:.2g}){hint}")
    fail_if(cast, f"load_state_dict casts the state of bfloat16 parameters: it makes {cast}")
    return Passed("bfloat16 parameters go on with the same bits, and the state keeps its types")


def _cast(before: Training, after: Training) -> str:
    """A state tensor whose type is another one in the new object."""
    old, new = (getattr(t.optimizer, "state", {}) for t in (before, after))
    for p, q in zip(before.params, after.params, strict=True):
        ours, theirs = (state.get(x) if hasattr(state, "get") else None for state, x in ((old, p), (new, q)))
        for name, value in (ours or {}).items():
            other = (theirs or {}).get(name)
            if isinstance(value, Tensor) and isinstance(other, Tensor) and value.dtype != other.dtype:
                was, is_now = (str(t.dtype).removeprefix("torch.") for t in (value, other))
                return f"{is_now} of what was {was} in the state ({name})"
    return ""


def check_switching(lab: Lab) -> Passed:
    """Where it has train() and eval(): either twice is as once, there and back changes nothing, nor does a checkpoint made
    of the weights to be judged by."""
    probe = lab.training(lab.exact)
    both = [callable(getattr(probe.optimizer, name, None)) for name in ("train", "eval")]
    skip_if(not all(both), "it has no train() and eval()")
    rows = lab.rows(2 * _SOON, lab.exact)

    def stops(at_rest: Callable[[Training], Training]) -> list[Tensor]:
        training = at_rest(Training(lab, lab.start(lab.exact)).feed_all(rows[:_SOON]))
        return training.feed_all(rows[_SOON:]).moved()

    def switches(*modes: Any) -> Callable[[Training], Training]:
        def switched(training: Training) -> Training:
            for mode in modes:
                training.switch(mode)
            return training

        return switched

    def saved(training: Training) -> Training:
        training.switch("eval")
        again = resumed(lab, training)
        again.switch("train")
        return again

    plain = stops(switches())
    cases: Iterable[tuple[str, str, Callable[[Training], Training]]] = (
        ("opt.eval(); opt.train()", "eval() and train() in the middle change its steps", switches("eval", "train")),
        ("opt.eval(); opt.eval(); opt.train()", "eval() twice is not as once", switches("eval", "eval", "train")),
        ("opt.train()", "train() twice is not as once", switches("train", "train")),
        (_THROUGH_EVAL, "saved after eval(), as checkpoints are, it resumes to other steps", saved),
    )
    for done, fault, at_rest in cases:
        lab.shows(_SWITCHED.format(done=done, dtype=lab.exact, tolerance=1e3 * lab.tolerance))
        apart = difference(plain, stops(at_rest))
        fail_if(apart > 100 * lab.tolerance, f"{fault} (by {apart:.2g})")
    judged = Training(lab, lab.start(lab.exact)).feed_all(rows)
    judged.switch("eval")
    once = judged.values()
    judged.switch("eval")
    if not same(once, judged.values()):
        raise Failed("eval() twice moves the weights twice")
    return Passed("train() and eval() can be called at any time, and checkpoints made in either")


_THROUGH_EVAL = """import copy
opt.eval()
p = torch.nn.Parameter(p.detach().clone())
saved = copy.deepcopy(opt.state_dict())
opt := [p]
opt.load_state_dict(saved)
opt.train()"""
_SWITCHED = """
p, q = (torch.nn.Parameter(torch.ones(4, 3, dtype={dtype})) for _ in range(2))
opt := [p]
other := [q]
def feed(opt, p, t):
    p.grad = torch.sin(torch.arange(12, dtype={dtype}) + t).view(4, 3)
    opt.step()
for t in range(7):
    feed(opt, p, t)
    feed(other, q, t)
{done}
for t in range(7, 14):
    feed(opt, p, t)
    feed(other, q, t)
assert torch.allclose(p - 1, q - 1, rtol={tolerance:g}, atol=0), "the switching changes its steps"
"""
