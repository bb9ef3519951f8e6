"""What a paper says of a comparison: sentences, a table, and how it was made, all of it from the record."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from assay.core import Plan, Stages
from assay.core.versions import installed
from assay.judge.digits import printed
from assay.judge.sentence import amount, counted, listed
from assay.report import suite
from assay.report.reading import Reading
from assay.report.units import MISSING, Units, number, per_cent, settings, signed, span

Said = dict[str, Any]


def of_run(reading: Reading) -> Said:
    """Of a single run: `sentences`, `head` and `rows` of a table, its `caption`, `methods`, `label` and versions."""
    science, verdicts = reading.plan.science, {v["candidate"]: v for v in reading.content["verdicts"]}
    decided = science.protocol.name != "published"
    head = ["optimizer", "tuned to", f"test {reading.units.axis}", *["difference", "outcome"] * decided]
    rows = []
    for arm in reading.arms:
        came, v = arm.came, verdicts.get(arm.name)
        judged = [_difference(v, science.task), v["outcome"]] if v else ["baseline", MISSING]
        score = reading.units.score(came["score_mean"], came["score_sd"])
        rows.append([arm.name, settings(came["hyperparameters"]), score, *judged * decided])
    level = per_cent(reading.content["verdicts"][0]["details"]["level"]) if decided else ""
    caption = f"{science.task.name}: mean test score and its standard deviation over all final runs" + (
        f"; difference from {reading.arms[0].name}, positive is better, with its {level} interval." if decided else "."
    )
    spent = [stage for stages in reading.content["ledger"].values() for stage in stages.values()]
    return {
        "sentences": [v["sentence"] for v in reading.content["verdicts"]],
        "head": head,
        "rows": rows,
        "caption": caption,
        "methods": [
            _question(
                [c.name for c in science.contenders],
                f"the task {science.task.name}",
                reading.plan,
                reading.content["versions"],
            ),
            *_tuning(reading.plan),
            *_ranges(reading.plan),
            *_judged(reading),
            *_ladder(reading),
            _spent(spent, reading.plan, reading.content["versions"], reading.root),
        ],
        "label": science.task.name,
        **_cited(reading.content["versions"]),
    }


def of_suite(reading: suite.Reading) -> Said:
    """Of a comparison across tasks: the same."""
    content, plan = reading.content, reading.plans[0]
    names, tasks = [reading.suite.baseline, *reading.suite.candidates], content["tasks"]
    rows = [
        [v["candidate"], f"{signed(v['difference'])} ({span(v)})", v["outcome"]]
        + [MISSING if c["outcome"] is None else f"{signed(c['difference'])} ({span(c)})" for c in v["tasks"]]
        for v in reading.verdicts
    ]
    margins = [f"{t['name']} ({_amount(t['margin'], t['scale'], t['unit'])})" for t in tasks]
    level, cells = per_cent(content["levels"]["headlines"]), per_cent(content["levels"]["tasks"])
    versions = {"assay": installed("assay"), "torch": plan.numerics[0].torch}
    return {
        "sentences": [v["sentence"] for v in reading.verdicts],
        "head": ["optimizer", "all tasks", "outcome", *(t["name"] for t in tasks)],
        "rows": rows,
        "caption": f"Difference from tuned {reading.suite.baseline} in margins, positive is better: over all tasks with a "
        f"{level} interval, on each with one at {cells}.",
        "methods": [
            _question(names, counted(len(tasks), "task"), plan, versions),
            f"One margin, the smallest difference that matters, is on {listed(margins)}.",
            *_tuning(plan),
            f"Differences are divided by their task's margin; the verdict over all tasks is at {level}, those on each at "
            f"{cells}.",
            _spent([], plan, versions, reading.root, reading.suite.seed),
        ],
        "label": "across",
        **_cited(versions),
    }


def _question(names: Sequence[str], where: str, plan: Plan, versions: dict[str, str]) -> str:
    by = f"the {plan.science.protocol.word} protocol of Assay {versions['assay']}"
    return f"We compared {listed(names[1:])} with {names[0]} on {where} by {by}"


def _tuning(plan: Plan) -> list[str]:
    """How contenders were tuned and trained again."""
    task, p = plan.science.task, plan.science.protocol
    length = f"{counted(task.epochs, 'epoch')} with batches of {task.batch_size}"
    trials = f"{counted(p.trials, 'trial')} (sampler: {p.sampler})"
    if p.name == "published":
        return [
            f"Each was tuned once with {trials}, scored on the test set, and trained once more with one seed for {length}. This "
            "repeats a study as it was published, and decides nothing."
        ]
    chosen = (
        "the maximum of a Gaussian process through the validation scores of its trials"
        if p.second
        else "the setting with the best smoothed validation score"
    )
    fresh = "fresh data" if task.generated else "a fresh partition of the data set"
    tuned = f"every contender was tuned anew with {trials}"
    if p.carried:
        tuned = f"hyperparameters were those tuned at {p.carried.at}, learning rates times {p.carried.factor:g}"
    count = f"In each of {counted(p.replicates, 'replicate')}"
    if isinstance(p.looks, tuple):
        count += f" (looks planned at {', '.join(map(str, p.looks))})"
    if isinstance(p.stages, Stages):
        most = f"{p.stages.most} at most; two stages, after Stein"
        count += f" (as many as the spread of the first {p.stages.first} asked for, {most})"
    return [
        f"{count}, with {fresh}, {tuned}; chosen was {chosen}, and trained with {counted(p.final_seeds, 'fresh seed')} for "
        f"{length}. Test scores were computed only when all choosing was over; within a replicate contenders share data, initial "
        "weights and the order of batches."
    ]


def _ranges(plan: Plan) -> list[str]:
    said = []
    for c in plan.science.contenders:
        space = listed([f"{name} in {dimension}" for name, dimension in c.space.items()])
        fixed = "".join(f", {name} = {value}" for name, value in c.fixed.items())
        schedule = f", schedule {c.schedule}" if c.schedule else ""
        pilot = " (from a pilot)" if c.pilot else ""
        said.append(f"{c.name} ({c.reference or 'code of our own'}): {space}{fixed}{schedule}{pilot}")
    pilots = (
        f" Ranges from a pilot were found by {plan.science.protocol.pilot} trials or more on data that no replicate uses."
        if any(c.pilot for c in plan.science.contenders)
        else ""
    )
    return [f"Ranges: {'; '.join(said)}.{pilots}"]


def _judged(reading: Reading) -> list[str]:
    """The test, its level and its margin."""
    task, p = reading.plan.science.task, reading.plan.science.protocol
    if p.name == "published":
        return []
    level = per_cent(reading.content["verdicts"][0]["details"]["level"])
    margin = _amount(task.margin, task.scale, task.unit)
    pairs = len(reading.pairs)
    several = f", so that all {pairs} hold together with {100 * (1 - p.alpha):g} %" if pairs > 1 else ""
    return [
        f"The verdict is read off the paired t interval over the {p.replicates} replicates' differences in mean test "
        f"{task.metric} at {level}{several}, against a margin of {margin} ({task.margin_reason}); a diverged run has the "
        "score of the best constant prediction."
    ]


def _ladder(reading: Reading) -> list[str]:
    """At which lengths the baseline was trained, too, for the speed-up."""
    if "ladder" not in reading.content:
        return []
    lengths = listed([f"{rung['factor']:g}" for rung in reading.content["ladder"]["rungs"] if rung["factor"] != 1])
    return [
        f"For the speed-up {reading.arms[0].name} was tuned and trained in the same way at {lengths} times its steps, and the "
        "same test inverted along the curve through its scores; these trainings come on top of those that follow."
    ]


def _spent(
    spent: Sequence[dict[str, Any]], plan: Plan, versions: dict[str, str], root: str, seed: int | None = None
) -> str:
    n, total = plan.numerics[0], ""
    if spent:
        trained, steps, gradients = (
            number(sum(stage[what] for stage in spent))
            for what in ("trainings", "allotted_steps", "gradient_evaluations")
        )
        total = f"That came to {trained} trainings, {steps} steps and {gradients} gradient evaluations. "
    others = listed([f"{name} {version}" for name, version in versions.items() if name != "assay"])
    device = n.cpu if n.device == "cpu" else n.device
    hashed = "\u200b".join(root[i : i + 8] for i in range(0, len(root), 8))  # may be broken between lines there
    return (
        f"{total}All seeds are hashes of named axes and of seed {plan.science.seed if seed is None else seed}. Trained in "
        f"{n.dtype} on {device} with {others}. The root of the record, one hash of all that the verdict follows from, is "
        f"{hashed}."
    )


def _amount(margin: float, scale: float, unit: str) -> str:
    return amount(f"{scale * margin:.6g}", unit)


def _difference(v: dict[str, Any], task: Any) -> str:
    if v["difference"] is None:
        return MISSING
    if v["ci_low"] is None or v["ci_high"] is None:
        return Units(task.metric, task.unit, task.scale).difference(v["difference"])
    text = printed(v["difference"], v["ci_low"], v["ci_high"], task.margin, task.scale)
    return f"{amount(text.mean, task.unit)} ({text.low} to {text.high})"


def _cited(versions: dict[str, str]) -> Said:
    return {"version": versions["assay"], "optuna": versions.get("optuna", "")}
