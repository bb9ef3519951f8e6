"""What stands below the figures: plan, budget, versions, machine, hashes and times, as names and values."""

from __future__ import annotations

from typing import Any, NamedTuple

from assay.core import Numerics, Plan, Stages
from assay.judge.sentence import amount
from assay.report.reading import Reading
from assay.report.units import duration, number


class Facts(NamedTuple):
    """A titled list of names and values; `mono` where the values are hashes."""

    title: str
    rows: list[tuple[str, str]]
    mono: bool = False


def facts(reading: Reading) -> list[Facts]:
    """All the lists, in order."""
    content = reading.content
    hashes = [("plan", content["plan_hash"]), ("task", reading.plan.science.task.source)]
    hashes += [(c.name, c.source) for c in reading.plan.science.contenders]
    hashes += [
        ("data" if len(content["data"]) == 1 else f"data of replicate {replicate}", value)
        for replicate, value in sorted(content["data"].items(), key=lambda item: int(item[0]))
    ]
    times = [(name, value) for name, value in reading.timings.items() if not isinstance(value, dict)]
    return [
        Facts("Plan", _plan(reading.plan)),
        Facts("Machine and numbers", _machine(reading)),
        Facts("Versions", [(name, str(version)) for name, version in content["versions"].items()]),
        Facts("Time", [(name.replace("_", " "), _time(name, value)) for name, value in times]),
        Facts("Hashes", hashes, mono=True),
    ]


def _plan(plan: Plan) -> list[tuple[str, str]]:
    science, task, protocol = plan.science, plan.science.task, plan.science.protocol
    rows = [
        ("task", task.name),
        *((name.replace("_", " "), number(value)) for name, value in task.options.items()),
        *([("its data", task.note)] if task.note else []),
        ("protocol", protocol.name),
        ("replicates", f"{protocol.replicates}{_stages(protocol.stages)}"),
        ("trials for each contender", str(protocol.trials)),
        ("final runs for each contender", str(protocol.final_seeds)),
        ("epochs of a training", str(task.epochs)),
        ("batch size", str(task.batch_size)),
        (
            "smallest difference that matters",
            f"{amount(f'{task.scale * task.margin:.6g}', task.unit)} ({task.margin_reason})",
        ),
        *([] if protocol.name == "published" else [("level", f"{100 * (1 - protocol.alpha):g} %")]),
        ("sampler", f"{protocol.sampler} {_options(protocol.sampler_options)}".strip()),
        ("seed", str(science.seed)),
    ]
    for contender in science.contenders:
        space = ", ".join(f"{name} {dimension}" for name, dimension in contender.space.items())
        fixed = "".join(f", {name} = {value}" for name, value in contender.fixed.items())
        extra = [f"schedule {contender.schedule}"] if contender.schedule else []
        extra += [f"closure: {contender.closure}"] if contender.closure != "no" else []
        rows.append((f"{contender.name} tunes", "; ".join([space + fixed, *extra])))
    return rows


def _stages(stages: Any) -> str:
    if not isinstance(stages, Stages):
        return ""
    return f" (as many as the spread of the first {stages.first} asks for, {stages.most} at most)"


def _machine(reading: Reading) -> list[tuple[str, str]]:
    n = reading.plan.numerics[0]
    engines = []
    for arm, own in zip(reading.arms, reading.plan.numerics, strict=True):
        engines.append((f"{arm.name} trains by", f"{_engine(own)}{f' ({own.reason})' if own.reason else ''}"))
        for reason, members in arm.came.get("fallbacks", {}).items():
            engines.append((f"{arm.name}, {number(members)} members", f"by the loop ({reason})"))
    return [
        ("processor", n.cpu),
        ("device", n.device),
        *engines,
        ("number type", n.dtype),
        ("threads a worker", str(n.threads)),
        ("torch", n.torch),
    ]


def _engine(n: Numerics) -> str:
    if n.engine == "loop":
        return "the loop"
    return f"the vectorized engine, {'compiled' if n.compiled else 'eager'}, {n.width} at once"


def _options(options: dict[str, Any]) -> str:
    return f"({', '.join(f'{k} {str(v).lower()}' for k, v in options.items())})" if options else ""


def _time(name: str, value: Any) -> str:
    return duration(value) if name.endswith("seconds") and isinstance(value, int | float) else number(value)
