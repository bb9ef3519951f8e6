"""The plan: contenders × task × protocol as data, frozen before anything is trained."""

from __future__ import annotations

from typing import Any, Literal, cast

import msgspec

from assay.space import Dimension

from .canonical import digest
from .training import Hyperparameters

PLAN_VERSION = 3
EARLIER_VERSION = 2  # of plans of what it could hold: all but the second edition of the honest protocol
MOST_PLANNED = 10_000  # replicates: with many more, two of them may well draw their data from one 32-bit seed


GOES_ON = 2  # times that a pilot does, at most


SAMPLER_OPTIONS: dict[str, int | bool] = {
    "n_startup_trials": 10,
    "n_ei_candidates": 24,
    "multivariate": True,
    "constant_liar": False,
}
"""Of the sampler that the first edition of the honest protocol, and the published one, tune with: `optuna`'s TPE."""


class ContenderInfo(msgspec.Struct, frozen=True):
    """A contender as the plan knows it: data only.

    `pilot`: nobody gave a range of `lr`: that in `space` is where a pilot begins to look for it, or, in a plan that its record
    has come to, the one that it found (`answer.reached`).
    `reach`: a digest of all that its code reaches; none for what is no more than an installed package, and in records of an
    earlier layout. `beyond`: what no digest holds.
    """

    name: str
    reference: str
    source: str
    space: dict[str, Dimension]
    fixed: dict[str, str]
    schedule: str | None
    closure: str
    note: str = ""
    pilot: bool | msgspec.UnsetType = msgspec.UNSET
    skipped: str | msgspec.UnsetType = msgspec.UNSET  # why a control is not trained; else left out of file and hash
    reach: str | msgspec.UnsetType = msgspec.UNSET
    beyond: tuple[str, ...] | msgspec.UnsetType = msgspec.UNSET
    schedule_takes: tuple[str, ...] | msgspec.UnsetType = (
        msgspec.UNSET
    )  # of space and fixed, what isn't the optimizer's


class TaskInfo(msgspec.Struct, frozen=True, omit_defaults=True):
    """A task as the plan knows it: data only. `margin` and scores are in the metric's file units."""

    name: str
    reference: str
    source: str
    options: dict[str, float | int | str | bool]
    metric: str
    direction: Literal["max", "min"]
    unit: str
    scale: float
    epochs: int
    batch_size: int
    margin: float
    margin_reason: str
    generated: bool
    family: str = ""
    note: str = ""
    reach: str = ""  # as a contender's
    beyond: tuple[str, ...] = ()

    @property
    def sign(self) -> int:
        """+1 where larger scores are better, −1 where smaller are."""
        return 1 if self.direction == "max" else -1


class Stages(msgspec.Struct, frozen=True):
    """Two stages of replicates (Stein 1945): the spread of the `first` decides how many there are, `most` at most."""

    first: int
    most: int


Precision = Literal["tf32", "bf16"]
Rule = Literal["none", "1/width", "sqrt"]


class Carried(msgspec.Struct, frozen=True):
    """Hyperparameters that were tuned at another size of the task and are taken over, instead of tuning.

    `of`: the hash of the plan that they were tuned by, at the size `at` ("width 32"); learning rates are multiplied by `factor`,
    by the `rule`. `chosen`: the outcome, for each contender and replicate.
    """

    of: str
    at: str
    rule: Rule
    factor: float
    chosen: tuple[tuple[Hyperparameters, ...], ...]


class Protocol(msgspec.Struct, frozen=True):
    """How the comparison is made: K replicates of n trials, then r final seeds each, judged at level α.

    `edition`: of the honest protocol; plans of the first edition lack it, and so have the same hash as ever. From the second
    on trials are spread and then refined (`judge.design`), what is chosen is the maximum of a process (`judge.process`), and
    `pilot` trials of each contender find the range that nobody gave.

    With `carried` there is one trial, of what was chosen at another size.

    With `stages`, the plan's K is that of the first stage, with `looks` that of the first look; how many there are in the
    end, the record says (`answer.reached`).
    """

    name: Literal["honest", "published"]
    replicates: int
    trials: int
    final_seeds: int
    alpha: float = 0.05
    sampler: str = "optuna TPE"
    edition: Literal[2] | msgspec.UnsetType = msgspec.UNSET
    pilot: int | msgspec.UnsetType = msgspec.UNSET
    sampler_options: dict[str, int | bool] = {}
    stages: Stages | msgspec.UnsetType = msgspec.UNSET  # left out of the file, and of the hash, where there are none
    carried: Carried | msgspec.UnsetType = msgspec.UNSET
    precision: Precision | msgspec.UnsetType = msgspec.UNSET  # of products, where it isn't float32
    looks: tuple[int, ...] | msgspec.UnsetType = msgspec.UNSET  # replicates at which the answer may end it
    edges: Literal["hold back"] | msgspec.UnsetType = (
        msgspec.UNSET
    )  # of ranges: see `judge.edges`; earlier plans lack it

    @property
    def word(self) -> str:
        """What --protocol calls it."""
        return "honest-1" if self.name == "honest" and not self.second else self.name

    @property
    def second(self) -> bool:
        """Whether it is judged by the second edition's rules."""
        return self.edition is not msgspec.UNSET

    def overlap(self, test_fraction: float | None) -> float | None:
        """What the error of partitions of one data set has besides s/√K: n_test/n_train, and from the second edition on nothing.

        There the verdict is one on this data set, given which partitions are independent.
        """
        return None if self.second else test_fraction

    @property
    def pilot_goes_on(self) -> int:
        """Trials that a pilot has each time it goes on, two decades beyond an end: as many a decade as in its first six."""
        return max(1, (self.pilot or 0) // 3)

    @property
    def pilot_most(self) -> int:
        """As many trials as a pilot can come to."""
        return (self.pilot or 0) + GOES_ON * self.pilot_goes_on


class Science(msgspec.Struct, frozen=True):
    """Everything that decides what is asked. Its hash names the record. The first contender is the baseline."""

    task: TaskInfo
    contenders: tuple[ContenderInfo, ...]
    protocol: Protocol
    seed: int

    @property
    def plan_hash(self) -> str:
        """SHA-256 of the canonical JSON of the science."""
        return digest(self)

    @property
    def beyond(self) -> list[str]:
        """What the plan can't hold of the code that it speaks of, a line for the task and each contender that has some."""
        named = [(f"task {self.task.name}", self.task.beyond), *((c.name, c.beyond or ()) for c in self.contenders)]
        return [f"{name}: {', '.join(found)}" for name, found in named if found]

    def training_hash(self, slot: int) -> str:
        """SHA-256 of what can change a training of contender `slot`.

        The margin, α, and the numbers of replicates, trials and final seeds are left out: they ask another question of
        the same trainings, which are then the same files.
        """
        task = msgspec.structs.replace(self.task, margin=0.0, margin_reason="")
        contender = msgspec.structs.replace(self.contenders[slot], name="", note="")
        precision = (self.protocol.precision,) if self.protocol.precision else ()
        return digest((task, contender, self.protocol.name, self.seed, *precision))

    def differences(self, other: Science) -> list[str]:
        """What differs in another science, a phrase each."""
        before, after = (_flatten(msgspec.to_builtins(science)) for science in (self, other))
        found: dict[str, None] = {}
        for key in sorted(before.keys() | after.keys(), key=_said_first):
            a, b = before.get(key, "none"), after.get(key, "none")
            if a != b:
                owner, _, field = key.rpartition(".")
                same = before.get(f"{owner}.reference") == after.get(f"{owner}.reference")
                name = f"task {self.task.name}" if owner == "task" else str(before.get(f"{owner}.name"))
                if field == "source" and same:
                    found[f"the source of {name} was edited since the record was made"] = None
                elif field == "reach" and same:
                    edited = f"the source of {name} was edited since the record was made"
                    found |= {} if edited in found else {other_reach(name, str(a), str(b)): None}
                elif not (owner.endswith(".beyond") and same):  # which says what the reach says
                    found[f"{key} {a} → {b}"] = None
        return list(found)


def other_reach(name: str, before: str, after: str) -> str:
    """How what something reaches differs from what a record says of it, in words."""
    if before in ("", "none"):
        return f"the record doesn't say what {name} reaches, for an earlier assay made it"
    python, now = (text.partition(" sha256:")[0] for text in (before, after))
    if python != now and after not in ("", "none"):
        return f"what {name} reaches was read by {python}, and this is {now}"
    return f"what {name} reaches (globals, closures, helpers, data) was changed since the record was made"


def _said_first(key: str) -> tuple[str, bool, str]:
    """By owner, a source before all else of it."""
    owner, _, field = key.rpartition(".")
    return owner, field != "source", field


def _flatten(value: Any, prefix: str = "") -> dict[str, Any]:
    if isinstance(value, dict):
        items = cast("dict[Any, Any]", value).items()
    elif isinstance(value, list | tuple):
        items = enumerate(cast("list[Any]", value))
    else:
        return {prefix: value}
    return {
        k: v for name, item in items for k, v in _flatten(item, f"{prefix}.{name}" if prefix else str(name)).items()
    }


class Numerics(msgspec.Struct, frozen=True):
    """How a contender's numbers are computed; settled before the first training.

    Same science and numerics → the same bits. `reason` says why this engine; it changes no number.
    """

    engine: Literal["loop", "vectorized"]
    compiled: bool
    chunk_size: int = msgspec.field(name="width")  # members in a chunk
    dtype: str
    device: str
    threads: int
    torch: str
    cpu: str
    reason: str = ""
    precision: Precision | msgspec.UnsetType = msgspec.UNSET  # of products, where it isn't that of `dtype`
    micro_batch: int | msgspec.UnsetType = msgspec.UNSET  # samples that go through the model at once, where not all do


def plan_of(science: Science, numerics: tuple[Numerics, ...]) -> Plan:
    """The plan, of the earliest version that can hold it, so that an earlier assay reads what it can."""
    second = science.protocol.second
    return Plan(science, numerics, PLAN_VERSION if second else EARLIER_VERSION)


class Plan(msgspec.Struct, frozen=True):
    """Contenders × task × protocol, and the numerics of each contender.

    `earlier`: the numbers of replicates that were planned, finished and judged before more were asked for.
    """

    science: Science
    numerics: tuple[Numerics, ...]
    version: int = EARLIER_VERSION
    earlier: tuple[int, ...] | msgspec.UnsetType = msgspec.UNSET
