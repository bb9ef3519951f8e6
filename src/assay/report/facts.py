"""Names and values below the figures: the verdict in numbers, plan, versions, machine, hashes and times."""

from __future__ import annotations

from typing import Any, NamedTuple

from assay.core import PILOT, Plan, Stages
from assay.judge.digits import ceiling, minus, percent, printed, times
from assay.judge.sentence import amount
from assay.report.reading import Reading
from assay.report.units import MISSING, duration, number, p_text, per_cent


class Facts(NamedTuple):
    """A titled list of names and values; `mono` where the values are hashes."""

    title: str
    rows: list[tuple[str, str]]
    mono: bool = False


def numbers(reading: Reading) -> list[Facts]:
    """What the judge found, beyond the sentence. Nothing under the published protocol, which finds nothing."""
    if reading.plan.science.protocol.name == "published":
        return []
    return [Facts(f"{v['candidate']} against {v['baseline']}", _judged(reading, v)) for _, v in reading.pairs]


def _judged(reading: Reading, verdict: dict[str, Any]) -> list[tuple[str, str]]:
    task, d = reading.plan.science.task, verdict["details"]
    level = per_cent(d["level"])

    def span(mean: float | None, low: float | None, high: float | None) -> str:
        if mean is None:
            return MISSING
        if low is None or high is None:
            return f"{amount(minus(f'{task.scale * mean:.4g}'), task.unit)}, without an interval"
        text = printed(mean, low, high, task.margin, task.scale)
        return f"{amount(text.mean, task.unit)} ({text.low} to {text.high})"

    def share(mean: float | None, low: float | None, high: float | None) -> str:
        if mean is None:
            return MISSING
        return percent(mean) if low is None or high is None else f"{percent(mean)} ({percent(low)} to {percent(high)})"

    stable, fast, left = d["stability"], d.get("speed"), d["survivors"]
    whole = d.get("without_collapses")
    rows = [
        ("outcome", verdict["outcome"] + (", by at least the margin" if d["by_the_margin"] else "")),
        (f"difference, {level} interval", span(*_interval(verdict))),
        ("p value of no difference", p_text(verdict["p_value"])),
        ("beats its twin, a single run", share(verdict["p_superior"], d["p_superior_low"], d["p_superior_high"])),
        ("smallest margin that settles it", _settles(verdict, task)),
        ("replicates that settle it, 80 % assurance", number(d["settling_replicates"])),
        ("second opinion: sign-flip p value", p_text(d["sign_flip_p"])),
        *((name, span(verdict["difference"], d[low], d[high])) for name, low, high in _OPINIONS if low in d),
        ("second opinion: Holm p value", p_text(d["holm_p"])),
        ("survivors only", f"{left['outcome']}, {span(*_interval(left))}" if left else MISSING),
        ("replicates with a final run that collapsed", _collapses(verdict)),
        ("without those runs", f"{whole['outcome']}, {span(*_interval(whole))}" if whole else MISSING),
        ("gradients for each step, relative", MISSING if d["gradient_ratio"] is None else times(d["gradient_ratio"])),
        ("spread between seeds, relative", _ratio(stable)),
        (
            "gets to the target faster",
            share(*(fast["faster"][k] for k in ("mean", "low", "high")))
            if fast and "speedup" not in verdict
            else MISSING,
        ),
    ]
    return [(name, value) for name, value in rows if value != MISSING]


_OPINIONS = (
    ("second opinion: BCa bootstrap interval", "bca_low", "bca_high"),
    ("second opinion: interval corrected for skewness (Hall)", "hall_low", "hall_high"),
    ("second opinion: beyond this data set (Nadeau and Bengio)", "overlapping_low", "overlapping_high"),
)


def _collapses(verdict: dict[str, Any]) -> str:
    """Replicates in which a final run of the candidate or of the baseline collapsed."""
    found = [verdict["details"][who].get("collapsed") for who in ("candidate", "baseline")]
    if None in found or not any(one["replicates"] for one in found):
        return MISSING
    return ", ".join(
        f"{verdict[who]} in {one['replicates']} of {one['of']} ({percent(one['low'])} to {percent(one['high'])})"
        for who, one in zip(("candidate", "baseline"), found, strict=True)
    )


def _settles(verdict: dict[str, Any], task: Any) -> str:
    """The settling margin, to as many digits as the sentence gives it."""
    margin = verdict["details"]["settling_margin"]
    if margin is None:
        return MISSING
    digits = printed(*_interval(verdict), task.margin, task.scale).digits
    return amount(ceiling(margin, digits, task.scale), task.unit)


def _ratio(stable: dict[str, Any]) -> str:
    if stable["ratio"] is None:
        return stable["reason"] or MISSING
    text = times(stable["ratio"])
    return text if stable["low"] is None else f"{text} ({stable['low']:.2f} to {stable['high']:.2f})"


def _interval(found: dict[str, Any]) -> tuple[Any, Any, Any]:
    return found["difference"], found["ci_low"], found["ci_high"]


def facts(reading: Reading) -> list[Facts]:
    """All the lists, in order."""
    content = reading.content
    hashes = [
        ("root of the record", reading.root),
        ("plan", content["plan_hash"]),
        ("task", reading.plan.science.task.source),
    ]
    hashes += [(c.name, c.source) for c in reading.plan.science.contenders]
    reaching = (reading.plan.science.task, *reading.plan.science.contenders)
    hashes += [(f"what {one.name} reaches", one.reach) for one in reaching if one.reach]
    for replicate, value in sorted(content["data"].items(), key=lambda item: int(item[0])):
        whose = "of the pilots" if int(replicate) == PILOT else f"of replicate {replicate}"
        hashes.append(("data" if len(content["data"]) == 1 else f"data {whose}", value))
    spent = [
        (
            name.replace("_", " "),
            value if isinstance(value, str) else duration(value) if name.endswith("seconds") else number(value),
        )
        for name, value in reading.timings.items()
        if not isinstance(value, dict)
    ]
    return [
        Facts("Plan", _plan(reading.plan)),
        Facts("Machine and numbers", _machine(reading)),
        Facts("Versions", [(name, str(version)) for name, version in content["versions"].items()]),
        Facts("Time", spent),
        Facts("Hashes", hashes, mono=True),
    ]


def _plan(plan: Plan) -> list[tuple[str, str]]:
    science, task, protocol = plan.science, plan.science.task, plan.science.protocol
    sampling = ", ".join(f"{name} {str(value).lower()}" for name, value in protocol.sampler_options.items())
    stages = ""
    if isinstance(found := protocol.stages, Stages):
        stages = f" (as many as the spread of the first {found.first} asks for, {found.most} at most)"
    margin = amount(f"{task.scale * task.margin:.6g}", task.unit)
    rows = [
        ("task", task.name),
        *((name.replace("_", " "), number(value)) for name, value in task.options.items()),
        *([("its data", task.note)] if task.note else []),
        ("protocol", protocol.word),
        ("replicates", f"{protocol.replicates}{stages}"),
        ("trials for each contender", str(protocol.trials)),
        ("final runs for each contender", str(protocol.final_seeds)),
        ("epochs of a training", str(task.epochs)),
        ("batch size", str(task.batch_size)),
        ("smallest difference that matters", f"{margin} ({task.margin_reason})"),
        *([] if protocol.name == "published" else [("level", f"{100 * (1 - protocol.alpha):g} %")]),
        ("sampler", f"{protocol.sampler} {f'({sampling})' if sampling else ''}".strip()),
        ("seed", str(science.seed)),
    ]
    for one in (task, *science.contenders):
        if one.beyond:
            rows.append((f"{one.name}: beyond the plan", ", ".join(one.beyond)))
    for contender in science.contenders:
        space = ", ".join(f"{name} {dimension}" for name, dimension in contender.space.items())
        fixed = "".join(f", {name} = {value}" for name, value in contender.fixed.items())
        extra = [f"schedule {contender.schedule}"] if contender.schedule else []
        extra += [f"lr as its pilot found it ({protocol.pilot} trials at first)"] if contender.pilot else []
        extra += [f"closure: {contender.closure}"] if contender.closure != "no" else []
        rows.append((f"{contender.name} tunes", "; ".join([space + fixed, *extra])))
    return rows


def _machine(reading: Reading) -> list[tuple[str, str]]:
    n = reading.plan.numerics[0]
    engines = []
    for arm, own in zip(reading.arms, reading.plan.numerics, strict=True):
        how = f"the vectorized engine, {'compiled' if own.compiled else 'eager'}, {own.chunk_size} at once"
        looped = "the loop, its model compiled" if own.compiled else "the loop"
        engine = looped if own.engine == "loop" else how
        engines.append((f"{arm.name} trains by", f"{engine}{f' ({own.reason})' if own.reason else ''}"))
        for reason, members in arm.came.get("fallbacks", {}).items():
            engines.append((f"{arm.name}, {number(members)} members", f"by the loop ({reason})"))
        for changes, members in arm.came.get("changed", {}).items():
            engines.append(
                (f"{arm.name}, {number(members)} members", f"changed, while they trained, {changes} (put back)")
            )
    used = [
        ("number type", f"{n.dtype}, products in {n.precision}" if n.precision else n.dtype),
        *([("samples that go through at once", str(n.micro_batch))] if n.micro_batch else []),
        ("threads a worker", str(n.threads)),
        ("torch", n.torch),
    ]
    return [("processor", n.cpu), ("device", n.device), *engines, *used]
