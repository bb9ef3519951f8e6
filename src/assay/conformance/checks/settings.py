"""Do the settings that it declares do something, and does each group have its own?"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from torch import Tensor

from assay.conformance.checks.groups import grouped
from assay.conformance.lab import LONG_ENOUGH, Lab, Training, difference, finite, groups_of, same
from assay.conformance.matrix import label
from assay.conformance.report import Failed, Passed, Skip, fail_if, skip_if

_WARM = 1100  # steps after which warm-ups have ended; the longest period in use is 1,000
_BETAS = (0.5, 0.95, 1 - 1e-9)  # the last shows also where an average is tiny beside what is added to it
_OTHERS: Mapping[str, tuple[Any, ...]] = {
    "weight_decay": (0.1, 0.01),
    "momentum": (0.9, 0.5),
    "dampening": (0.5,),
    "nesterov": (True, False),
    "maximize": (True, False),
    "amsgrad": (True, False),
    "eps": (1e-1, 1.0, 1e3),
    **{name: (0.5, 0.95) for name in ("beta", "beta1", "beta2", "beta3")},
}
"""Settings that mean the same wherever they are declared, and values to try. Of others no one can tell when they count."""
_NEEDS: Mapping[str, Mapping[str, Any]] = {name: {"momentum": 0.9} for name in ("nesterov", "dampening")}


def _others(lab: Lab) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """Of each setting that is declared, by name (`betas[1]` of a tuple's second): other settings than the default."""
    for name, default in lab.declared.items():
        if name == "lr" and lab.lr:
            yield name, [{"lr": 0.5 * lab.lr}]
        elif name == "betas" and isinstance(default, tuple | list):
            for place in range(len(default)):
                yield f"betas[{place}]", [{"betas": _with(default, place, value)} for value in _BETAS]
        elif isinstance(default, bool | int | float):
            wants = {k: v for k, v in _NEEDS.get(name, {}).items() if k in lab.declared}
            others = [{**wants, name: value} for value in _OTHERS.get(name, ()) if value != default]
            if others and (wants or name not in _NEEDS):
                yield name, others


def _with(values: Any, place: int, value: float) -> Any:
    """The values, that at one place another."""
    return type(values)(value if i == place else v for i, v in enumerate(values))


def check_effects(lab: Lab) -> Passed:
    """The learning rate, betas, eps, weight decay and the like: another value takes other steps."""
    skip_if(lab.mode == "graph", "it differentiates the gradient, so the gradient alone doesn't tell")
    idle, tried = [], []
    for name, others in _others(lab):
        if name == "amsgrad" and lab.facts.get("single"):
            continue
        changes = _changes(lab, name, others, LONG_ENOUGH)
        if changes is None:
            continue
        tried.append(name)
        if not changes and not _changes_elsewhere(lab, name, others):
            idle.append((name, others[0]))
    if idle:
        _example(lab, idle[0][1], {k: v for k, v in idle[0][1].items() if k in _NEEDS.get(idle[0][0], {})})
        names = ", ".join(name for name, _ in idle)
        raise Failed(f"{names}: declared, and no value that was tried changes a step ({label(idle[0][1])} for one)")
    skip_if(not tried, "it declares no setting whose effect is known beforehand")
    return Passed(f"another value of {', '.join(tried)} takes other steps", {"tried": tried})


def _changes(lab: Lab, name: str, others: Sequence[Mapping[str, Any]], steps: int) -> bool | None:
    """Does one of the other values change a step? None where it refuses them, which other checks ask about."""
    rows = lab.rows(steps, lab.exact)
    rows = [[g * (30.0 if t < 6 else 1e-2) for g in row] for t, row in enumerate(rows)]  # a largest moment counts later

    def end(setting: Mapping[str, Any]) -> Training | None:
        try:
            return Training(lab.under(**setting), lab.start(lab.exact)).feed_all(rows)
        except Exception:
            return None

    plain = end({k: v for k, v in others[0].items() if k in _NEEDS.get(name, {})})
    ends = [training for other in others if (training := end(other))]
    if plain is None or not finite(plain.values()) or not ends:
        return None
    return not all(same(_left(plain), _left(other)) for other in ends)


def _left(training: Training) -> list[Tensor]:
    """Parameters and gradients, in which some keep what others keep in a state."""
    return training.values() + [p.grad for p in training.params if p.grad is not None]


def _changes_elsewhere(lab: Lab, name: str, others: Sequence[Mapping[str, Any]]) -> bool:
    """Does it after a warm-up, or where a switch that it declares is the other way round?"""
    switches = [{k: not v} for k, v in lab.declared.items() if isinstance(v, bool) and k not in others[0]]
    return bool(_changes(lab, name, others, _WARM)) or any(
        _changes(lab.under(**switch), name, others, LONG_ENOUGH) for switch in switches
    )


def _example(lab: Lab, other: Mapping[str, Any], wants: Mapping[str, Any]) -> None:
    def given(setting: Mapping[str, Any]) -> str:
        return f" with {'; '.join(f'{k}={v!r}' for k, v in setting.items())}" if setting else ""

    lab.shows(
        f"""
p, q = torch.nn.Parameter(torch.ones(4, 3)), torch.nn.Parameter(torch.ones(4, 3))
opt := [p]{given(wants)}
other := [q]{given(other)}
for t in range({LONG_ENOUGH}):
    p.grad = torch.sin(torch.arange(12.0) + t).view(4, 3) * (30 if t < 6 else 0.01)
    q.grad = p.grad.clone()
    opt.step()
    other.step()
assert not torch.equal(p, q), "{label(other)} changes nothing"
"""
    )


def check_group_settings(lab: Lab) -> Passed:
    """What a group is given (weight decay, betas, momentum, eps, maximize) holds for that group, and for no other."""
    held = (groups_of(lab.training(lab.exact).optimizer) or [{}])[0]
    rows = lab.rows(LONG_ENOUGH, lab.exact)
    own = []
    for name, others in _others(lab):
        other = {k: v for k, v in others[0].items() if k != "lr"}
        if not other or not other.keys() <= held.keys() or name == "amsgrad":
            continue
        plain = {k: held[k] for k in other}
        given = ((plain, other), (plain, plain), (other, other))
        trainings = [grouped(lab, pair) for pair in given]
        if any(trainings[2].groups[i].get(k) != v for k, v in other.items() for i in (0, 1)):
            raise Skip("what makes it doesn't hand on the settings of groups")
        mixed, defaults, changed = (training.feed_all(rows).moved() for training in trainings)
        apart = [difference([a], [b]) for a, b in zip(defaults, changed, strict=True)]
        if min(apart) < 100 * lab.tolerance:
            whole = Training(lab.under(**other), lab.start(lab.exact)).feed_all(rows).moved()
            idle = difference(defaults, changed) < lab.tolerance and difference(defaults, whole) > 100 * lab.tolerance
            _shows_groups(lab, other)
            fail_if(idle, f"{label(other)} given to groups changes nothing, though given to all it does")
            continue
        _shows_groups(lab, other)
        near = difference(mixed[1:], defaults[1:]) < 1e-2 * apart[1]
        fail_if(near, f"the second group moves at the first group's {name}")
        near = difference(mixed[:1], changed[:1]) < 1e-2 * apart[0]
        fail_if(near, f"the first group moves at the last group's {name}")
        own.append(name)
    skip_if(not own, "its groups hold no setting beside the learning rate whose effect is known beforehand")
    return Passed(f"each group has its own {', '.join(own)}", {"own": own})


def _shows_groups(lab: Lab, other: Mapping[str, Any]) -> None:
    lab.shows(
        f"""
p, q, r = (torch.nn.Parameter(torch.ones(4, 3)) for _ in range(3))
opt := [{{"params": [p]}}, {{"params": [q], **{dict(other)!r}}}]
other := [{{"params": [r]}}] with {"; ".join(f"{k}={v!r}" for k, v in other.items())}
for t in range({LONG_ENOUGH}):
    p.grad = torch.sin(torch.arange(12.0) + t).view(4, 3)
    q.grad, r.grad = p.grad.clone(), p.grad.clone()
    opt.step()
    other.step()
assert not torch.equal(p, q), "{label(other)} in a group changes nothing, or holds for all groups"
"""
    )
