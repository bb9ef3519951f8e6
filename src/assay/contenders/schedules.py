"""Schedules that are part of a contender: `adam+cosine`, `adam+warmup10+linear`; their warm-up may be tuned."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Container, Iterable
from dataclasses import dataclass, replace
from itertools import product
from typing import Any, Literal

import cloudpickle

from assay.core import Contender
from assay.errors import UsageError, described, nearest, own_frames
from assay.space import Choice, Dimension, midpoint

PROBED = 1000  # fractions of training
WARMUP = "warmup"  # the hyperparameter that is a schedule's, of whoever doesn't take one of that name
SHAPES = ("constant", "cosine", "linear", "wsd")
DECAYED = 0.2  # of training, at its end, that `wsd` takes to come down
_FIRST = 0.01  # of the rate, at the first step of a warm-up: a rate of 0 would waste it


@dataclass(frozen=True)
class Schedule:
    """A factor on the initial learning rate: up to 1 over the first `warmup` of training, then down to 0 (or level).

    cosine: ½ (1 + cos(π x)) (Loshchilov & Hutter 2017, arXiv:1608.03983); linear: 1 − x; x in [0, 1] after the warm-up.
    wsd, warm-up, stable, decay: level, and linearly down over the last fifth of training (Hu et al. 2024, arXiv:2404.06395;
    Hägele et al. 2024, arXiv:2405.18392).
    """

    shape: Literal["constant", "cosine", "linear", "wsd"] = "constant"
    warmup: float = 0.0

    def __call__(self, done: float, warmup: float | None = None) -> float:
        """The factor at a fraction of training in [0, 1]; `warmup`: in the place of its own."""
        warmup = self.warmup if warmup is None else warmup
        if done < warmup:
            return _FIRST + (1 - _FIRST) * done / warmup
        if self.shape == "wsd":
            return min(1.0, (1 - done) / DECAYED)
        x = (done - warmup) / (1 - warmup)
        if self.shape == "cosine":
            return 0.5 * (1 + math.cos(math.pi * x))
        return 1 - x if self.shape == "linear" else 1.0

    @property
    def __name__(self) -> str:
        warm = f"warmup{100 * self.warmup:g}" if self.warmup else ""
        return "+".join(part for part in (warm, self.shape) if part)


def factor_at(schedule: Callable[[float], float], done: float) -> float:
    """A schedule's factor at a fraction of training. UsageError where it is no finite number."""
    factor: Any = schedule(done)
    try:
        finite = type(factor) not in (bool, str) and math.isfinite(factor)
    except (TypeError, ValueError):
        finite = False
    if not finite:
        raise UsageError(
            f"its schedule gives {described(factor)} at {100 * done:.4g} % of training; a schedule gives a finite factor on the "
            "learning rate at each fraction from 0 to 1"
        )
    return factor


def taken_by_schedule(values: Iterable[str], taken: Container[str]) -> tuple[str, ...]:
    """What of these is given to a schedule, where the optimizer takes what is in `taken`."""
    return tuple(name for name in values if name == WARMUP and name not in taken)


def see_that_it_schedules(contender: Contender) -> None:
    """Ask a contender's schedule all over training before any begins, at the ends and in the middle of what is tuned of it.

    Raises:
        UsageError: it fails or gives no number; a warm-up is tuned that is no share of training, or of no schedule.
    """
    name, schedule = contender.name, contender.schedule
    known = {each: _some(dimension) for each, dimension in contender.space.items()}
    known |= {each: (value,) for each, value in contender.fixed.items()}
    taken = {each: known[each] for each in contender.schedule_takes if each in known}
    if schedule is None:
        if contender.schedule_takes:
            raise UsageError(
                f"{name} names no {', '.join(contender.schedule_takes)} among what it takes, and has no schedule that might take "
                f"it: give it one, as in {name}+cosine, or all of them, as in --schedule cosine"
            )
        return
    if unknown := [each for each in contender.schedule_takes if each not in taken]:
        raise UsageError(f"{name}: its schedule takes {', '.join(unknown)}, which is neither tuned nor fixed")
    if WARMUP in taken and isinstance(schedule, Schedule):
        _see_that_it_warms_up(name, schedule, taken[WARMUP])
    for values in product(*taken.values()):
        # one that counts its calls goes to the workers uncounted
        copied: Any = cloudpickle.loads(cloudpickle.dumps(contender.schedule_at(dict(zip(taken, values, strict=True)))))
        for step in range(PROBED):
            done = step / PROBED
            try:
                factor_at(copied, done)
            except UsageError as error:
                raise UsageError(f"{name}: {error}") from None
            except Exception as error:
                raise UsageError(
                    f"{name}: its schedule fails at {100 * done:.4g} % of training: {own_frames(error)}"
                ) from None


def _see_that_it_warms_up(name: str, schedule: Schedule, warmups: Iterable[Any]) -> None:
    if schedule.warmup:
        raise UsageError(
            f"{name}: its warm-up is tuned, so the schedule names none: {schedule.shape}, not {schedule.__name__}"
        )
    for each in warmups:
        if isinstance(each, bool) or not isinstance(each, int | float) or not 0 <= each < 1:
            raise UsageError(
                f"{name}: its warm-up is a share of training, from 0 to below 1, not {each!r}; 0.05 is 5 %"
            )


def _some(dimension: Dimension) -> tuple[Any, ...]:
    return dimension.options if isinstance(dimension, Choice) else (dimension.low, dimension.high, midpoint(dimension))


def with_schedule(contender: Contender, text: str) -> Contender:
    """The contender with the schedule of that name, as in `warmup5+cosine`, unless it has one of its own; `none` is none.

    Raises:
        UsageError: it isn't a schedule's name.
    """
    if text == "none" or contender.schedule is not None:
        return contender
    schedule = split_schedule(f"--schedule +{text}")[1]
    return replace(contender, schedule=schedule, reference=contender.reference and f"{contender.reference}+{text}")


def split_schedule(reference: str) -> tuple[str, Schedule | None]:
    """`reference+cosine` → (reference, schedule); no schedule → (reference, None).

    Raises:
        UsageError: a part that is no schedule, or a second one of a kind.
    """
    where, colon, name = reference.rpartition(":")
    name, *parts = name.split("+")
    if not parts:
        return reference, None
    shape, warmup = None, None
    for part in parts:
        warm = re.fullmatch(r"warmup(\d+(?:\.\d+)?)", part)
        if warm and warmup is None and shape is None and float(warm[1]) < 100:
            warmup = float(warm[1]) / 100
        elif part in SHAPES and shape is None:
            shape = part
        else:
            if warm and shape and warmup is None and float(warm[1]) < 100:
                raise UsageError(f"{reference}: a warm-up comes before the shape: write {name}+{part}+{shape}")
            known = [*SHAPES, "warmup10"]
            raise UsageError(
                f"{reference}: {part!r} is no schedule here; {nearest(part, known)} (warmup10: the first 10 % of training)"
            )
    return f"{where}{colon}{name}", Schedule(shape or "constant", warmup or 0.0)  # type: ignore[arg-type]
