"""From the options to the protocol of a plan: defaults filled in, numbers out of range refused."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import metadata
from itertools import pairwise
from typing import Literal

import msgspec

from assay.core import MOST_PLANNED, Contender, Protocol, ProtocolOptions, Stages
from assay.core.plan import SAMPLER_OPTIONS
from assay.errors import UsageError
from assay.judge import pilot
from assay.space import Float

from .study import SAMPLER

USUAL = {
    "honest": {"replicates": 14, "trials": 10, "trials_for_two": 20, "final_seeds": 12},
    "honest-1": {"replicates": 12, "trials": 20, "trials_for_two": 30, "final_seeds": 8},
    "published": {"replicates": 1, "trials": 30, "trials_for_two": 30, "final_seeds": 1},
}
STAGES = Stages(first=12, most=48)  # of --replicates auto
MOST_LOOKS = 20
FIRST_LOOK = 6  # 5.4 % of equals are called different at looks of 2 to 20 (tests/judge/test_looks.py)
EDGES: Literal["hold back"] | msgspec.UnsetType = "hold back"  # `judge.edges`


def protocol_of(asked: ProtocolOptions, contenders: Sequence[Contender]) -> Protocol:
    """The protocol that is asked for, with its defaults.

    Raises:
        UsageError: a number out of its range, or one that the protocol fixes; looks or controls that it can't have.
    """
    if asked.protocol not in USUAL:
        raise UsageError(f"no protocol is called {asked.protocol!r}; known: {', '.join(USUAL)}")
    replicates, stages = _replicates(asked.replicates)
    if stages and asked.protocol == "published":
        raise UsageError("--replicates auto: the published protocol has 1; use --protocol honest for more")
    numbers = {"--trials": asked.trials, "--replicates": replicates, "--final-seeds": asked.final_seeds}
    for option, value in numbers.items():
        if value is not None and value < 1:
            raise UsageError(f"{option} {value}: it must be 1 at least")
        if value not in (None, 1) and asked.protocol == "published" and option != "--trials":
            raise UsageError(f"{option} {value}: the published protocol has 1; use --protocol honest for more")
    if max(replicates or 0, stages.most if stages else 0) > MOST_PLANNED:
        shown = f"auto:{stages.most}" if stages else replicates
        raise UsageError(f"--replicates {shown}: {MOST_PLANNED:,} are the most that can be planned")
    usual, name = USUAL[asked.protocol], "published" if asked.protocol == "published" else "honest"
    _see_that_its_scales_are_known(asked.protocol, contenders)
    sought = [c.space for c in contenders if c.pilot]
    two, second = any(len(c.space) >= 2 for c in contenders), asked.protocol == "honest"
    protocol = Protocol(
        name=name,
        replicates=replicates or usual["replicates"],
        trials=asked.trials or usual["trials_for_two" if two else "trials"],
        final_seeds=asked.final_seeds or usual["final_seeds"],
        sampler=SAMPLER if second else sampler(),
        sampler_options={} if second else SAMPLER_OPTIONS,
        edition=2 if second else msgspec.UNSET,
        pilot=pilot.trials(max(map(len, sought))) if second and sought else msgspec.UNSET,
        stages=stages or msgspec.UNSET,
        edges=EDGES if name == "honest" else msgspec.UNSET,  # the published one decides nothing
    )
    protocol = _with_looks(protocol, asked)
    if asked.controls:
        _check_beside(protocol, "--controls")
    if asked.speedup:
        _check_beside(protocol, "--speedup")
    if asked.controls and isinstance(protocol.looks, tuple):
        raise UsageError("--controls and --looks: controls have no looks; take one of the two")
    return protocol


def _see_that_its_scales_are_known(protocol: str, contenders: Sequence[Contender]) -> None:
    """UsageError for a scale that the first edition's sampler doesn't have."""
    for contender in contenders:
        for name, range_ in contender.space.items():
            if isinstance(range_, Float) and range_.near_one and protocol != "honest":
                raise UsageError(
                    f"--space {contender.name}.{name}={range_}: the {protocol} protocol's sampler has no such scale; use "
                    "--protocol honest"
                )


def sampler() -> str:
    """What asks for the first edition's trials here; another version of it may ask for other ones."""
    return f"optuna {metadata.version('optuna')} TPE"


def _replicates(given: int | str | None) -> tuple[int | None, Stages | None]:
    """A number of replicates, or two stages with the number of the first: 12, `12`, `auto`, `auto:MOST`."""
    if given is None or isinstance(given, int):
        return given, None
    word, colon, most = given.partition(":")
    try:
        if word != "auto":
            return int(given), None
        stages = msgspec.structs.replace(STAGES, most=int(most)) if colon else STAGES
    except ValueError:
        raise UsageError(f"--replicates {given}: write a number, auto, or auto:MOST as in auto:{STAGES.most}") from None
    if stages.most < stages.first:
        raise UsageError(f"--replicates {given}: the first of the two stages alone has {stages.first}")
    return stages.first, stages


def _with_looks(protocol: Protocol, asked: ProtocolOptions) -> Protocol:
    """The protocol with the looks that are asked for: growing numbers of replicates, `12,24` or a list."""
    looks, replicates = asked.looks, asked.replicates
    if looks is None:
        return protocol
    try:
        found = tuple(int(k) for k in (looks.split(",") if isinstance(looks, str) else looks))
    except (TypeError, ValueError):
        raise UsageError(f"--looks {looks}: write numbers of replicates, as in 12,24") from None
    if not 2 <= len(found) <= MOST_LOOKS or found[0] < 2 or any(b <= a for a, b in pairwise(found)):
        raise UsageError(f"--looks {looks}: two to {MOST_LOOKS} growing numbers of replicates, from 2 up, as in 12,24")
    if protocol.second and found[0] < FIRST_LOOK:
        raise UsageError(
            f"--looks {looks}: the first needs {FIRST_LOOK} replicates, or more errors are made than allowed"
        )
    if found[-1] > MOST_PLANNED:
        raise UsageError(f"--looks {looks}: {MOST_PLANNED:,} replicates are the most that can be planned")
    if protocol.name == "published":
        raise UsageError("--looks: the published protocol has one replicate; use --protocol honest")
    if replicates is not None and str(replicates) != str(found[-1]):
        raise UsageError(f"--replicates {replicates}: --looks {looks} says how many there are; leave it out")
    return msgspec.structs.replace(protocol, replicates=found[0], looks=found)


def _check_beside(protocol: Protocol, option: str) -> None:
    """UsageError for a protocol that gives what is asked for beside the question no interval."""
    if protocol.name == "published":
        raise UsageError(
            f"{option}: the published protocol has one seed, which gives no interval; use --protocol honest"
        )
    if protocol.replicates < 2:
        raise UsageError(f"{option}: --replicates {protocol.replicates} gives no interval; take 2 at least")


def most_replicates(protocol: Protocol) -> int:
    """As many replicates as there can be."""
    if isinstance(protocol.looks, tuple):
        return protocol.looks[-1]
    return protocol.stages.most if isinstance(protocol.stages, Stages) else protocol.replicates
