"""Which engine trains each contender, what a plan will cost here, and what it can see: settled before the work begins."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from assay import events, seeds
from assay.core import Numerics, Science, Stages, Task, WorkerOptions, steps_per_epoch
from assay.driver.job import Job, first_lengths, ladder_steps, trainings
from assay.driver.protocol import most_replicates
from assay.driver.scheduler import gather, result_of
from assay.driver.study import member
from assay.judge.design import first_round
from assay.judge.pilot import SHARED
from assay.judge.power import detectable_difference, expected_half_width, spread_range
from assay.judge.sentence import amount, counted, listed
from assay.judge.speedup import FURTHEST
from assay.ladder.plan import furthest
from assay.record.extend import resume
from assay.report.units import duration
from assay.tasks import Spread, spread_of
from assay.training.numerics import Demand, torch_build
from assay.workers import jobs
from assay.workers.choose import open_workers
from assay.workers.interface import Workers


def settle(workers: Workers, job: Job, on_event: events.OnEvent) -> tuple[tuple[Numerics, ...], float | None]:
    """The numerics of each contender: chosen once, before the first training, and stored in the plan.

    Also the seconds of a member's step, where all were measured (their mean). Takes a data set that has been made. A
    contender that was to be vectorized and can't be is warned of.
    """
    on_event(events.Stage("settle", len(job.contenders)))
    packed, demand = jobs.pack(job.task), demand_of(job.science, workers.size)
    calls = [(jobs.choose_engine, (packed, jobs.pack(c), job.engine, demand)) for c in job.contenders]
    chosen = gather(workers, calls, lambda: on_event(events.Advanced()))
    for contender, its in zip(job.contenders, chosen, strict=True):
        if job.engine.engine == "vectorized" and its.numerics.engine == "loop":
            on_event(events.Warned(f"{contender.name} trains in the loop: {its.numerics.reason}"))
        if its.left_out:
            on_event(events.Warned(f"{contender.name}: {its.left_out}"))
    seconds = [c.step_seconds for c in chosen if c.step_seconds is not None]
    mean = sum(seconds) / len(seconds) if len(seconds) == len(chosen) else None
    return tuple(c.numerics for c in chosen), mean


def demand_of(science: Science, processes: int) -> Demand:
    """What each contender's trainings ask of its engine.

    A lone study's trials come one by one, but for the sampler's random start-up trials, which don't depend on each other.
    """
    p, count = science.protocol, len(science.contenders)
    at_once, one_by_one = p.replicates, 0
    if p.second:
        at_once = p.replicates * first_round(p.trials)
    elif p.replicates == 1:
        at_once = min(p.trials, int(p.sampler_options["n_startup_trials"]))
        one_by_one = p.trials - at_once + (p.final_seeds == 1)
    trainings = p.replicates * (p.trials + p.final_seeds) + (p.pilot or 0)
    return Demand(trainings, at_once, one_by_one, processes, seeds.split(science.seed, 0), count)


AUDIT = 0.06  # of an engine's time: one member in each hundred, by a loop about four times dearer, some in float64 too


@dataclass(frozen=True)
class Estimate:
    """Cost and power of a plan. Differences in the metric's file units; None where the task has no recorded spread.

    `detectable`, with 80 % probability, and `half_width`, the deciding interval's, are by the recorded spread; in their ranges
    they are by the ends of its own 95 % interval, where it is known how many replicates it was measured on.
    """

    trainings: int
    steps: int
    seconds: float | None
    detectable: float | None
    detectable_range: tuple[float, float] | None
    half_width: float | None
    half_width_range: tuple[float, float] | None
    margin: float
    controls: int = 0  # of the trainings
    ladder: int = 0  # as well, at other lengths
    by_first: bool = True  # edition, if any, that the recorded spread was measured by
    most: int | None = None  # trainings, where there may be more replicates than at first

    @property
    def widest(self) -> float | None:
        """The half width of the interval, at the upper end of its range where it has one."""
        return max(self.half_width_range) if self.half_width_range else self.half_width

    @property
    def too_wide(self) -> bool:
        """The expected interval is wider than the margin: the answer may well be inconclusive."""
        return self.half_width is not None and 2 * self.half_width > self.margin


def estimate(
    science: Science,
    task: Task,
    train_samples: int,
    step_seconds: float | None,
    workers: int,
    controls: bool = False,
    audit: float = 0.0,
    lengths: Sequence[int] = (),
) -> Estimate:
    """The cost and power of a plan.

    Args:
        train_samples: of one data set.
        step_seconds: one training step of one member on one worker, evaluation included; None if not measured.
        workers: processes that share the work.
        controls: whether they are trained, too.
        audit: the time that audits add, as a share.
        lengths: in epochs, at which the baseline is trained, too.
    """
    p, candidates = science.protocol, len(science.contenders) - 1
    asked, replicates = trainings(science, controls), most_replicates(p)
    each = trainings(science, lengths=[0]) - trainings(science)
    count = asked + each * len(lengths)
    most = count * replicates // p.replicates if replicates > p.replicates else None
    epochs = asked * science.task.epochs + each * sum(lengths)
    steps = epochs * steps_per_epoch(train_samples, science.task.batch_size)
    detectable = half_width = detectable_range = half_width_range = None
    # the first edition's interval on fixed data is wider than the spread alone tells
    spread = spread_of(task, p.second)
    if spread and p.name == "honest" and p.replicates > 1 and (p.second or task.generated):
        sd = carried(spread, task.seed_sd or 0.0, p.final_seeds)
        detectable = detectable_difference(sd, p.replicates, p.alpha, candidates)
        half_width = expected_half_width(sd, p.replicates, p.alpha, candidates)
        if spread.replicates:  # both grow with the spread as it does
            low, high = spread_range(1.0, spread.replicates)
            detectable_range = low * detectable, high * detectable
            half_width_range = low * half_width, high * half_width
    seconds = None if step_seconds is None else steps * step_seconds * (1 + audit) / workers
    return Estimate(
        trainings=count,
        steps=steps,
        seconds=seconds,
        detectable=detectable,
        detectable_range=detectable_range,
        half_width=half_width,
        half_width_range=half_width_range,
        margin=science.task.margin,
        controls=asked - trainings(science),
        ladder=count - asked,
        most=most,
        by_first=spread is not None and not spread.second,
    )


def estimated(job: Job, work: WorkerOptions, on_event: events.OnEvent = events.ignore) -> Estimate:
    """The cost and power of a plan on the workers asked for; trains nothing of it (two epochs are timed, and forgotten).

    Raises:
        UsageError: its folder holds something else.
    """
    resume(job.folder, job.science, torch_build())
    with open_workers(work, job.engine.device, on_event) as workers:
        first = (jobs.pack(job.task), seeds.split(job.science.seed, 0))
        result_of(workers.submit(jobs.make_data, *first))
        return estimate_on(workers, job, *settle(workers, job, on_event), on_event)


def estimate_on(
    workers: Workers, job: Job, numerics: Sequence[Numerics], step_seconds: float | None, on_event: events.OnEvent
) -> Estimate:
    """The same, on workers that are there and with engines that are chosen. Without `step_seconds`, the loop is timed."""
    on_event(events.Stage("estimate"))
    science, baseline = job.science, job.contenders[0]
    probe = member(science, 0, "tune", 0, 0, baseline.middle)
    arguments = (jobs.pack(job.task), jobs.pack(baseline), probe, numerics[0])
    timed = result_of(workers.submit(jobs.time_step, *arguments))
    audit = AUDIT * sum(n.engine != "loop" for n in numerics) / len(numerics)
    found = estimate(
        science,
        job.task,
        timed.samples,
        step_seconds or timed.seconds,
        workers.size,
        job.controls,
        audit,
        first_lengths(job),
    )
    kind, each = ("tokens", timed.tokens) if timed.tokens else ("samples", 1)
    on_event(events.Estimated(tuple(sentence(found, science)), kind, timed.samples * job.task.epochs * each))
    return found


def carried(spread: Spread, seed_sd: float, final_seeds: int) -> float:
    """The recorded spread of a replicate's paired difference, carried to another number of final seeds.

    Its variance has a part between replicates, which stays, and a part of the final seeds, 2·seed_sd²/r at most, which
    shrinks with their number r.
    """
    recorded, seed_variance = spread.sd**2, 2 * seed_sd**2
    between = max(0.0, recorded - seed_variance / spread.final_seeds)
    ratio = (between + seed_variance / final_seeds) / (between + seed_variance / spread.final_seeds)
    return (recorded * ratio) ** 0.5


GAIN = 2.0  # margins that twice the steps gain, where it is said how far a speed-up's interval may reach


def sentence(e: Estimate, science: Science) -> list[str]:
    """What is said at the start: a line for the cost, one for the power, one for a warning."""
    t, p = science.task, science.protocol
    cost = f"{e.trainings} trainings, {e.steps:,} steps"
    lines = [cost + (f", about {duration(e.seconds)} here" if e.seconds is not None else "")]
    lines += [_budget(science), *_unlike_ranges(science), *_shared_pilots(science)] if p.name == "honest" else []
    if e.controls:
        lines.append(f"{e.controls} of these trainings are the controls', which narrow no interval")
    if e.ladder:
        limits = "four times the length and a quarter" if furthest(science) == FURTHEST else "twice the length and half"
        lines.append(
            f"{e.ladder} of these trainings are the baseline's at other lengths, for the speed-up; the ladder grows where the "
            f"answer touches its end, as long as longer training still helps, up to {limits}: then it takes "
            f"{ladder_steps(science):.2g} times the question's own steps"
        )
    if isinstance(p.looks, tuple):
        lines.append(
            f"that is for the first look, at {p.looks[0]} replicates; {e.most} trainings if it goes to the last, at {p.looks[-1]}"
        )
    if isinstance(p.stages, Stages):
        lines.append(
            f"that is for {p.stages.first} replicates, which are the maximum, too: their spread asks for no more"
            if e.most is None
            else f"that is for {p.stages.first} replicates; their spread decides how many there will be, {p.stages.most} at most "
            f"({e.most} trainings)"
        )
    if e.detectable is not None and e.half_width is not None:
        seen, wide = (
            _shown(x, t.scale) for x in (e.detectable_range or (e.detectable,), e.half_width_range or (e.half_width,))
        )
        margin = amount(f"{t.scale * e.margin:.3g}", t.unit)
        of = ", of a pair of optimizers tuned by the first edition" if e.detectable_range and e.by_first else ""
        lines.append(
            f"{p.replicates} replicates find a difference of {amount(' to '.join(seen), t.unit)} with 80 % probability; the "
            f"interval will be about ±{amount(' to ±'.join(wide), t.unit)}, the margin is {margin} "
            f"(by the spread on record for this task{of})"
        )
        if e.ladder:
            gain = GAIN * e.margin
            most = (e.widest or 0) / gain
            lines.append(
                f"if twice the steps gain the baseline {amount(f'{t.scale * gain:.3g}', t.unit)}, the speed-up's interval will "
                f"reach from about {2**-most:.2g} to {2**most:.2g} times what is found; if they gain less, "
                "further"
            )
    if e.too_wide and not isinstance(p.stages, Stages):
        width = amount(f"{2 * t.scale * (e.half_width or 0):.2g}", t.unit)
        lines.append(
            f"warning: by that spread the interval is {width} from end to end, more than the margin, so that the answer may well "
            "be inconclusive; more --replicates would narrow it"
        )
    return lines


def _budget(science: Science) -> str:
    """Of each contender, and why so many."""
    p = science.protocol
    most = max(len(c.space) for c in science.contenders)
    why = f", for up to {most} hyperparameters are tuned" if most > 1 else ""
    pilots = sum(bool(c.pilot) for c in science.contenders)
    sought = f"; {counted(pilots, 'pilot')} of {p.pilot} trials or more to find ranges" if pilots else ""
    return (
        f"each contender, in each of {counted(p.replicates, 'replicate')}: {counted(p.trials, 'trial')}{why}, and "
        f"{counted(p.final_seeds, 'final run')}{sought}"
    )


def _unlike_ranges(science: Science) -> list[str]:
    """Who has a range that was given, where others' are found: these are 1.5 decades wide."""
    given = [c.name for c in science.contenders if not c.pilot and "lr" in c.space]
    if len(given) in (0, len(science.contenders)) or not any(c.pilot for c in science.contenders):
        return []
    return [
        f"the range of {listed(given)} was given, that of the others is found by a pilot, 1.5 decades wide: whose is wider is "
        "searched less closely, so give all of them one, or none"
    ]


def _shared_pilots(science: Science) -> list[str]:
    """That so many replicates don't make up for the luck of one pilot."""
    count, found = most_replicates(science.protocol), [c.name for c in science.contenders if c.pilot]
    if count <= SHARED or not found:
        return []
    up_to = "up to " if isinstance(science.protocol.stages, Stages) or isinstance(science.protocol.looks, tuple) else ""
    return [
        f"warning: {up_to}{count} replicates share the range that a pilot finds, and its luck, which more than {SHARED} don't "
        f"make up for (beside a cliff two equal contenders may be called different): give {listed(found)} a range, as "
        f"in --space {found[0]}.lr=LOW..HIGH:log"
    ]


def _shown(values: Sequence[float], scale: float) -> list[str]:
    return [f"{value:.2g}" if abs(value) < 100 else f"{value:.0f}" for value in (scale * v for v in values)]


def as_data(e: Estimate) -> dict[str, Any]:
    """The estimate for `--json --plan-only`."""
    return {**vars(e), "too_wide": e.too_wide}
