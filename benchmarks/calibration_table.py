"""The calibration's tables, from its raw figures: counts, exact binomial intervals, and what was to be expected."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import scipy.stats

SURE = 0.99  # of the range that a count is expected in
CLAIMS = ("better", "worse", "negligible")


class Line(NamedTuple):
    """`hits` of `count` comparisons, where a share of `expected` was to be expected: from `least` to `most` hits.

    `errors`: fewer of them than expected are on the safe side.
    """

    what: str
    replicates: int
    count: int  # pyright: ignore[reportIncompatibleMethodOverride]
    hits: int
    expected: float
    least: int
    most: int
    note: str = ""
    errors: bool = False

    @property
    def holds(self) -> str:
        """ "yes", "fewer" (on the safe side) or "no"."""
        if self.least <= self.hits <= self.most:
            return "yes"
        return "fewer" if self.errors and self.hits < self.least else "no"

    def cells(self) -> tuple[Any, ...]:
        found = _share(self.hits, self.count, *exact(self.hits, self.count))
        expected = _range(self.expected, self.least, self.most, self.count)
        return self.what, self.replicates, self.count, found, expected, self.holds, self.note


def exact(hits: int, count: int, level: float = 0.95) -> tuple[float, float]:
    """The exact binomial interval of a share (Clopper & Pearson 1934)."""
    found = scipy.stats.binomtest(hits, count).proportion_ci(level, "exact")
    return float(found.low), float(found.high)


def power(difference: float, sd: float, replicates: int, alpha: float) -> float:
    """Of the two-sided t test of a mean of 0, by the noncentral t distribution."""
    freedom, noncentrality = replicates - 1, abs(difference) / sd * replicates**0.5
    t = scipy.stats.t.ppf(1 - alpha / 2, freedom)
    beyond = scipy.stats.nct.sf(t, freedom, noncentrality)
    other_side = scipy.stats.nct.cdf(-t, freedom, noncentrality)
    return float(beyond + np.nan_to_num(other_side))


def expected_range(count: int, shares: Sequence[float]) -> tuple[int, int]:
    """Between which counts the hits of `count` lie with 99 %, where the share is one of `shares`, equally likely."""
    tail, counts = (1 - SURE) / 2, np.arange(count + 1)
    below = scipy.stats.binom.cdf(counts[:, None], count, np.array(shares)).mean(axis=1)
    return int(np.searchsorted(below, tail)), int(np.searchsorted(below, 1 - tail))


def by_shape(differences: np.ndarray, replicates: int, alpha: float, passes: int = 100) -> float:
    """How often the t interval leaves 0 out for groups of these differences, drawn anew, each with a sign of its own.

    So drawn they are independent and symmetric around 0: what differs from `alpha` is due to their shape alone.
    """
    rng, found = np.random.default_rng(0), []
    floor = np.diff(np.unique(np.abs(differences))).min() / 12**0.5  # as the judge has it: `paired_interval`
    t = scipy.stats.t.ppf(1 - alpha / 2, replicates - 1)
    whole = len(differences) // replicates * replicates
    for _ in range(passes):
        drawn = rng.permutation(differences)[:whole] * rng.choice([-1, 1], whole)
        groups = drawn.reshape(-1, replicates)
        sd = np.maximum(groups.std(axis=1, ddof=1), floor)
        found.append(np.mean(np.abs(groups.mean(axis=1)) > t * sd / replicates**0.5))
    return float(np.mean(found))


# ------------------------------------------------------------------------------------------------------------ the lines


def lines(raw: dict[str, Any]) -> list[Line]:
    """Every line of the first table."""
    alpha = raw["alpha"]
    found = [_errors(f"Adam and itself, seeds {row['name']}", [row], alpha) for row in _of(raw, "aa")]
    for k in sorted({row["replicates"] for row in _of(raw, "aa")}):
        found.append(_errors("Adam and itself, all", [r for r in _of(raw, "aa") if r["replicates"] == k], alpha))
    found += [_detected(row, alpha) for row in _of(raw, "planted")]
    found += [_called_small(row, alpha) for row in _of(raw, "margin")]
    found += [_covered(row, alpha) for row in (*_of(raw, "pair"), *_of(raw, "planted"))]
    return found


def _errors(who: str, rows: list[dict[str, Any]], alpha: float) -> Line:
    outcomes = [o for row in rows for o in row["outcome"]]
    each = {name: outcomes.count(name) for name in CLAIMS}
    least, most = expected_range(len(outcomes), [alpha])
    note = ", ".join(f"{count} {name}" for name, count in each.items())
    what = f"{who}: a difference is claimed"
    return Line(what, rows[0]["replicates"], len(outcomes), sum(each.values()), alpha, least, most, note, errors=True)


def _detected(row: dict[str, Any], alpha: float) -> Line:
    truth, k = row["truth"], row["replicates"]
    low, high = _ends(row)
    steps = scipy.stats.norm.ppf((np.arange(25) + 0.5) / 25)  # the truth is known to its standard error only
    shares = [power(truth["difference"] + z * truth["se"], truth["sd"], k, alpha) for z in steps]
    least, most = expected_range(len(low), shares)
    note = f"{int((low > 0).sum())} in the wrong direction"
    hits, share = int(((low > 0) | (high < 0)).sum()), power(truth["difference"], truth["sd"], k, alpha)
    return Line(f"{_name(row)}: detected", k, len(low), hits, share, least, most, note)


def _called_small(row: dict[str, Any], alpha: float) -> Line:
    count, share = len(row["outcome"]), alpha / 2
    hits = sum(o in ("equivalent", "negligible") for o in row["outcome"])
    most = int(scipy.stats.binom.ppf(SURE, count, share))
    what = f"{_name(row)}, just as large as the margin: called smaller"
    return Line(what, row["replicates"], count, hits, share, 0, most, "at most", errors=True)


def _covered(row: dict[str, Any], alpha: float) -> Line:
    low, high = _ends(row)
    true = row["truth"]["difference"]
    least, most = expected_range(len(low), [1 - alpha])
    note = f"{int((high < true).sum())} below, {int((low > true).sum())} above"
    hits = int(((low <= true) & (true <= high)).sum())
    what = f"{_name(row)}: the {100 * (1 - alpha):g} % interval covers the truth"
    return Line(what, row["replicates"], len(low), hits, 1 - alpha, least, most, note)


# ------------------------------------------------------------------------------------------------------------- the text


def text(raw: dict[str, Any]) -> str:
    """The report, as Markdown."""
    scale, unit, made, s = raw["scale"], raw["unit"], raw["made"], raw["settings"]
    table = lines(raw)
    held = [line.holds for line in table]
    true = [r for r in (*_of(raw, "planted"), *_of(raw, "pair")) if r["replicates"] == s["replicates"]]
    parts = [
        f"{made['trainings']:,} trainings, {made['recorded']:,} of them already on record, in {made['seconds']} s on "
        f"{made['cores']} cores of {made['cpu']}; Python {made['python']}, torch {made['torch']}, optuna {made['optuna']}, "
        f"{made['date']}.",
        f"Protocol {s.get('protocol', 'honest')}, task {s['task']}, {s['trials']} trials, {s['final_seeds']} final seeds, seed "
        f"{s['seed']}; the truth from {s['truth']:,} replicates of their own. "
        f"A seed standard deviation is {scale * raw['seed_sd']:.2f} {unit}.",
        "",
        *_markdown(
            ["", "K", "comparisons", "found, % (95 % exact interval)", "expected, % (99 % range)", "holds", ""],
            [line.cells() for line in table],
        ),
        "",
        f"{held.count('yes')} of {len(table)} lines hold, {held.count('fewer')} have fewer errors than promised, "
        f"{held.count('no')} miss; {(1 - SURE) * len(table):.1f} would leave their range by chance.",
        "",
        "Adam and itself: do the claims come from the shape of the differences alone? Beside what was found, the same "
        "differences with signs and groups drawn anew; and the p values against the uniform distribution (Kolmogorov-Smirnov).",
        "",
        *_markdown(
            ["seeds", "K", "a difference is claimed, %", "drawn anew, % (99 % range)", "agrees", "D, p"],
            [_shape(row, raw) for row in _of(raw, "aa")],
        ),
        "",
        "What is true, candidate − Adam, of a replicate (the handicaps are called what was aimed at):",
        "",
        *_markdown(
            ["", f"mean ± standard error, {unit}", "in seed sd", "sd", "skewness", "excess kurtosis"],
            [*(_spread(name, np.array(d), raw) for name, d in raw["aa"].items()), *(_truth(r, raw) for r in true)],
        ),
    ]
    return "\n".join(parts)


def _shape(row: dict[str, Any], raw: dict[str, Any]) -> tuple[Any, ...]:
    count, k = len(row["outcome"]), row["replicates"]
    hits = sum(o in CLAIMS for o in row["outcome"])
    share = by_shape(np.array(raw["aa"][row["name"]]), k, raw["alpha"])
    least, most = expected_range(count, [share])
    uniform = scipy.stats.kstest(row["p_value"], "uniform")
    agrees = "yes" if least <= hits <= most else "no"
    fit = f"{uniform.statistic:.3f}, {uniform.pvalue:.2g}"
    return row["name"], k, f"{100 * hits / count:.1f}", _range(share, least, most, count), agrees, fit


def _spread(name: str, differences: np.ndarray, raw: dict[str, Any]) -> tuple[Any, ...]:
    """A row of A/A: what was measured, though 0 is known to be true of its mean and its skewness."""
    sd = differences.std(ddof=1)
    measured = {
        "difference": differences.mean(),
        "se": sd / len(differences) ** 0.5,
        "sd": sd,
        "skewness": scipy.stats.skew(differences),
        "kurtosis": scipy.stats.kurtosis(differences),
    }
    return _measured(f"Adam, seeds {name}", measured, raw)


def _truth(row: dict[str, Any], raw: dict[str, Any]) -> tuple[Any, ...]:
    return _measured(_name(row), row["truth"], raw)


def _measured(what: str, t: Mapping[str, float], raw: dict[str, Any]) -> tuple[Any, ...]:
    scale = raw["scale"]
    mean = f"{scale * t['difference']:.3f} ± {scale * t['se']:.3f}"
    relative, sd = f"{t['difference'] / raw['seed_sd']:.2f}", f"{scale * t['sd']:.2f}"
    return what, mean, relative, sd, f"{t['skewness']:.1f}", f"{t['kurtosis']:.1f}"


def _name(row: dict[str, Any]) -> str:
    return "SGD" if row["kind"] == "pair" else f"handicap of {row['effect']:g} seed sd"


def _share(hits: int, count: int, low: float, high: float) -> str:
    return f"{100 * hits / count:.1f} ({100 * low:.1f} to {100 * high:.1f})"


def _range(share: float, least: int, most: int, count: int) -> str:
    return f"{100 * share:.1f} ({100 * least / count:.1f} to {100 * most / count:.1f})"


def _ends(row: dict[str, Any]) -> tuple[np.ndarray, np.ndarray]:
    return np.array(row["ci_low"]), np.array(row["ci_high"])


def _of(raw: dict[str, Any], kind: str) -> list[dict[str, Any]]:
    return [line for line in raw["lines"] if line["kind"] == kind]


def _markdown(head: Sequence[str], rows: Sequence[Sequence[Any]]) -> list[str]:
    return ["| " + " | ".join(map(str, row)) + " |" for row in (head, ["---"] * len(head), *rows)]
