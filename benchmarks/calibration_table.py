"""The calibration's table, from its raw figures: counts, exact binomial intervals, and what was to be expected."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import scipy.stats

SURE = 0.99  # of the range that a count is expected in
LETTERS = ("better", "worse", "negligible")


class Line(NamedTuple):
    """`hits` of `count` comparisons, where a share of `expected` was to be expected: from `least` to `most` hits."""

    what: str
    replicates: int
    count: int
    hits: int
    expected: float
    least: int
    most: int
    note: str = ""

    @property
    def holds(self) -> bool:
        return self.least <= self.hits <= self.most

    def text(self) -> str:
        low, high = exact(self.hits, self.count)
        expected = (
            f"{100 * self.expected:.1f} ({100 * self.least / self.count:.1f} to {100 * self.most / self.count:.1f})"
        )
        found = f"{100 * self.hits / self.count:.1f} ({100 * low:.1f} to {100 * high:.1f})"
        cells = (self.what, self.replicates, self.count, found, expected, "yes" if self.holds else "**no**", self.note)
        return "| " + " | ".join(map(str, cells)) + " |"


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


def expected_range(count: int, shares: np.ndarray) -> tuple[int, int]:
    """Between which counts the hits of `count` lie with 99 %, where the share is one of `shares`, equally likely."""
    tail, counts = (1 - SURE) / 2, np.arange(count + 1)
    below = scipy.stats.binom.cdf(counts[:, None], count, shares).mean(axis=1)
    return int(np.searchsorted(below, tail)), int(np.searchsorted(below, 1 - tail))


def lines(raw: dict[str, Any]) -> list[Line]:
    """Every line of the table."""
    alpha = raw["alpha"]
    found = [
        _errors(f"Adam and itself, seeds {r['name']}: a difference is claimed", [r], alpha) for r in _of(raw, "aa")
    ]
    for k in _sizes(raw):
        together = [r for r in _of(raw, "aa") if r["replicates"] == k]
        found.append(_errors("Adam and itself, all: a difference is claimed", together, alpha))
    found += [_detected(r, raw) for r in _of(raw, "planted")]
    found += [_called_small(r, raw) for r in _of(raw, "margin")]
    found += [_covered("Adam and SGD: the 95 % interval covers the truth", r, alpha) for r in _of(raw, "pair")]
    found += [
        _covered(f"handicap of {r['effect']:g} seed sd: the 95 % interval covers the truth", r, alpha)
        for r in _of(raw, "planted")
    ]
    return found


def uniformity(raw: dict[str, Any]) -> Iterator[tuple[int, int, float, float]]:
    """(K, comparisons, D, p) of the Kolmogorov-Smirnov test that the A/A p values are uniform."""
    for k in _sizes(raw):
        values = np.concatenate([r["p_value"] for r in _of(raw, "aa") if r["replicates"] == k])
        test = scipy.stats.kstest(values, "uniform")
        yield k, len(values), float(test.statistic), float(test.pvalue)


def text(raw: dict[str, Any]) -> str:
    """The report, as Markdown."""
    scale, unit, made, s = raw["scale"], raw["unit"], raw["made"], raw["settings"]
    table = lines(raw)
    missed = sum(not line.holds for line in table)
    parts = [
        f"{made['trainings']:,} trainings, {made['recorded']:,} of them already on record, in {made['seconds']} s on "
        f"{made['cores']} cores of {made['cpu']}; Python {made['python']}, torch {made['torch']}, optuna {made['optuna']}, "
        f"{made['date']}.",
        f"Task {s['task']}, {s['trials']} trials, {s['final_seeds']} final seeds, seed {s['seed']}; the truth from "
        f"{s['truth']:,} replicates of their own. A seed standard deviation is {scale * raw['seed_sd']:.2f} {unit}.",
        "",
        "| | K | comparisons | found, % (95 % exact interval) | expected, % (99 % range) | holds | |",
        "|---|---:|---:|---|---|---|---|",
        *(line.text() for line in table),
        "",
        *(
            f"The p values of {n} A/A comparisons (K = {k}) against the uniform distribution, Kolmogorov-Smirnov: "
            f"D = {d:.3f}, p = {p:.2f}."
            for k, n, d, p in uniformity(raw)
        ),
        "",
        f"| candidate − Adam | true difference, {unit} | sd of a replicate's difference | its skewness |",
        "|---|---|---|---|",
        *(_spread(r, scale) for r in _of(raw, "aa") if r["replicates"] == s["replicates"]),
        *(_truth(r, scale) for r in (*_of(raw, "planted"), *_of(raw, "pair")) if r["replicates"] == s["replicates"]),
        "",
        f"{len(table) - missed} of {len(table)} lines hold; of {len(table)}, {(1 - SURE) * len(table):.1f} would miss by chance.",
    ]
    return "\n".join(parts)


def _of(raw: dict[str, Any], kind: str) -> list[dict[str, Any]]:
    return [line for line in raw["lines"] if line["kind"] == kind]


def _sizes(raw: dict[str, Any]) -> list[int]:
    return sorted({r["replicates"] for r in _of(raw, "aa")})


def _errors(what: str, rows: list[dict[str, Any]], alpha: float) -> Line:
    outcomes = [o for r in rows for o in r["outcome"]]
    each = {name: outcomes.count(name) for name in LETTERS}
    least, most = expected_range(len(outcomes), np.array([alpha]))
    note = ", ".join(f"{count} {name}" for name, count in each.items())
    return Line(what, rows[0]["replicates"], len(outcomes), sum(each.values()), alpha, least, most, note)


def _detected(row: dict[str, Any], raw: dict[str, Any]) -> Line:
    truth, k = row["truth"], row["replicates"]
    low, high = (np.array(row[name]) for name in ("ci_low", "ci_high"))
    steps = scipy.stats.norm.ppf((np.arange(25) + 0.5) / 25)  # the truth is known to its standard error only
    shares = np.array([power(truth["difference"] + z * truth["se"], truth["sd"], k, raw["alpha"]) for z in steps])
    least, most = expected_range(len(low), shares)
    what = f"handicap of {row['effect']:g} seed sd: detected"
    note = f"{int((low > 0).sum())} in the wrong direction"
    hits = int(((low > 0) | (high < 0)).sum())
    return Line(what, k, len(low), hits, power(truth["difference"], truth["sd"], k, raw["alpha"]), least, most, note)


def _called_small(row: dict[str, Any], raw: dict[str, Any]) -> Line:
    count, share = len(row["outcome"]), raw["alpha"] / 2
    hits = sum(o in ("equivalent", "negligible") for o in row["outcome"])
    most = int(scipy.stats.binom.ppf(SURE, count, share))
    what = f"handicap of {row['effect']:g} seed sd, which is the margin: called smaller"
    return Line(what, row["replicates"], count, hits, share, 0, most)


def _covered(what: str, row: dict[str, Any], alpha: float) -> Line:
    low, high = (np.array(row[name]) for name in ("ci_low", "ci_high"))
    true = row["truth"]["difference"]
    least, most = expected_range(len(low), np.array([1 - alpha]))
    note = f"{int((high < true).sum())} below, {int((low > true).sum())} above"
    return Line(
        what, row["replicates"], len(low), int(((low <= true) & (true <= high)).sum()), 1 - alpha, least, most, note
    )


def _spread(row: dict[str, Any], scale: float) -> str:
    """Of A/A: the means of groups tell the spread of the replicates."""
    sd = np.std(row["difference"], ddof=1) * row["replicates"] ** 0.5 if len(row["difference"]) > 1 else np.nan
    return f"| Adam, seeds {row['name']} | 0 | {scale * sd:.2f} | 0 |"


def _truth(row: dict[str, Any], scale: float) -> str:
    t = row["truth"]
    name = "SGD" if row["kind"] == "pair" else f"handicap of {row['effect']:g} seed sd"
    return f"| {name} | {scale * t['difference']:.3f} ± {scale * t['se']:.3f} | {scale * t['sd']:.2f} | {t['skewness']:.2f} |"
