"""The settings that faults hide in: which of them an optimizer takes, and what the checks find under each.

Each is tried alone; then all together that go together. Where those fail what each alone passes, pairs are tried until one
shows it, so that a failure names the smallest setting. Torch is never imported.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import combinations
from typing import Any

from assay.conformance.catalogue import Spec
from assay.conformance.report import Finding
from assay.core import Contender


class AsTensor:
    """In the place of a rate: its own rate, as a tensor of one number, in float64 so that it is the same number."""

    def __repr__(self) -> str:
        return "torch.tensor(lr)"


Setting = Mapping[str, Any]
Findings = Mapping[str, Finding]  # by check
SETTINGS: tuple[Setting, ...] = (
    {"weight_decay": 0.1},
    {"maximize": True},
    {"nesterov": True},
    {"amsgrad": True},
    {"momentum": 0.9},
    {"momentum": 0.0},
    {"betas": (0.0, 0.99)},
    {"foreach": True},
    {"foreach": False},
    {"fused": True},
    {"capturable": True},
    {"lr": AsTensor()},
)
"""Tried where the name is declared and its default is another."""
WANTS = {"nesterov": {"momentum": 0.9}}  # what goes with it, where it is declared
APART = ("foreach", "fused", "capturable", "lr")  # of which there is one at a time
LEFT_OUT = frozenset(
    ("deterministic", "quiet", "deepcopy", "pickle", "leak", "identity", "effects", "clears_grads", "global_rng")
)
"""Checks that tell nothing new of another setting, or take long."""
BY_AUTOGRAD = frozenset(("differentiable",))  # nor, of another implementation, what only the plain one can
UPHILL = frozenset(("descends",))  # nor do these of one that maximizes


def label(setting: Setting) -> str:
    """As it is written in a call: weight_decay=0.1, foreach=True; of none, as it is."""
    return ", ".join(f"{name}={value}" for name, value in setting.items()) or "as it is"


def settings_of(target: Any) -> list[Setting]:
    """Those that a class or factory declares, each alone."""
    try:
        declared = inspect.signature(target).parameters
    except (TypeError, ValueError):
        return []
    found: list[Setting] = []
    for setting in SETTINGS:
        ((name, value),) = setting.items()
        if name in declared and declared[name].default != value and (name != "lr" or _a_rate(declared["lr"].default)):
            found.append({**setting, **{k: v for k, v in WANTS.get(name, {}).items() if k in declared}})
    return found


def _a_rate(default: Any) -> bool:
    return isinstance(default, float) and default > 0


def refusal(setting: Setting, under: Findings) -> str:
    """Why an optimizer doesn't take a setting: its error when it is made, or at its first steps, that names it; else ""."""
    for name in ("made", "steps"):
        raised = under[name].facts.get("raised", "") if name in under else ""
        if any(word in raised.lower() for word in (*setting, *(["learning rate"] if "lr" in setting else []))):
            return f"it doesn't take {label(setting)}: {raised[:120]}"
    return ""


def specs_of(setting: Setting, specs: Sequence[Spec]) -> list[Spec]:
    """The checks that are asked under a setting."""
    out = LEFT_OUT | (UPHILL if setting.get("maximize") else frozenset())
    out |= BY_AUTOGRAD if setting.keys() & set(APART) else frozenset()
    return [s for s in specs if s.kind == "check" and s.name not in out]


def together(singles: Sequence[Setting]) -> list[Setting]:
    """All that go together, one for each of those that don't."""
    found: list[Setting] = []
    apart = [s for s in singles if s.keys() & set(APART)]
    for one in apart or [{}]:
        whole: dict[str, Any] = dict(one)
        for other in singles:
            if not other.keys() & set(APART) and not _clash(whole, other):
                whole |= other
        if len(whole) > 1 and whole not in found and whole not in singles:
            found.append(whole)
    return found


def smallest(
    found: Findings,
    singles: Sequence[Setting],
    specs: Sequence[Spec],
    asked: Callable[[Setting, Sequence[Spec]], Findings],
    spent: Callable[[], bool] = lambda: False,
) -> Iterator[tuple[Setting, Findings]]:
    """What is found under each setting, the smallest first; `found`: under none. `asked` asks a setting some checks.

    A setting that it doesn't take, and what is left when the time is `spent`, is not asked, with the reason.
    """

    def ask(setting: Setting) -> tuple[Findings, str]:
        wanted = specs_of(setting, specs)
        under = {} if spent() else asked(setting, wanted)
        why = refusal(setting, under) if under else "not asked: the time for settings is over"
        return ({s.name: s.finding("not applicable", why) for s in wanted} if why else under), why

    failing = {name for name, finding in found.items() if finding.status == "fail"}
    failing_alone: dict[str, set[str]] = {}
    taken = []
    for setting in singles:
        under, why = ask(setting)
        taken += [] if why else [setting]
        failing_alone[label(setting)] = {n for n, f in under.items() if f.status == "fail"}
        yield setting, under
    singles = taken
    for whole in together(singles):
        under, _ = ask(whole)
        parts = [s for s in singles if s.items() <= whole.items()]
        alone = failing.union(*(failing_alone[label(s)] for s in parts))
        fresh = {n for n, f in under.items() if f.status == "fail"} - alone
        for one, other in sorted(combinations(parts, 2), key=lambda pair: len({**pair[0], **pair[1]})) if fresh else ():
            if _clash(one, other) or not fresh or spent():
                continue
            pair = {**one, **other}
            of_pair = asked(pair, [s for s in specs if s.gate or s.name in fresh])
            fresh -= {n for n, f in of_pair.items() if f.status == "fail"}
            yield pair, of_pair
        yield whole, under


def merged(found: Findings, matrix: Sequence[tuple[Setting, Findings]]) -> dict[str, Finding]:
    """One finding a check: under no setting, or that of the first setting that fails it, which is named."""
    result = dict(found)
    for setting, under in matrix:
        for name, finding in under.items():
            if name in result and finding.status == "fail" and result[name].status != "fail":
                result[name] = replace(finding, sentence=f"{finding.sentence} (with {label(setting)})")
    return result


def under(contender: Contender, setting: Setting) -> Contender:
    """The contender with that setting fixed; a rate that is to be a tensor stays in its space."""
    plain = {k: v for k, v in setting.items() if not isinstance(v, AsTensor)}
    space = {name: dimension for name, dimension in contender.space.items() if name not in plain}
    make = contender.make if len(plain) == len(setting) else _with_a_tensor(contender.make)
    return replace(contender, make=make, fixed={**contender.fixed, **plain}, space=space)


def _with_a_tensor(make: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(make)
    def made(model: Any, run: Any, **given: Any) -> Any:
        import torch

        return make(
            model, run, **{k: torch.tensor(v, dtype=torch.float64) if k == "lr" else v for k, v in given.items()}
        )

    return made


def _clash(one: Setting, other: Setting) -> bool:
    return any(name in one and one[name] != value for name, value in other.items())
