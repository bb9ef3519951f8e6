"""Statistics across tasks against scipy, and against the formulas of Agarwal et al. (2021) written out by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from assay.judge import across, speed
from assay.judge.across_sentence import AcrossFacts, TaskOutcome, sentence
from assay.judge.decide import Interval, outcome

EXACT = {"rel": 1e-9, "abs": 1e-9}
rng = np.random.default_rng(3)


def scores(tasks: int = 5, replicates: int = 6, runs: int = 4) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Scores (K, r) of two contenders, with ties."""
    sides = rng.normal(size=(2, tasks, replicates, runs)).round(1)
    return list(sides[0]), list(sides[1])


@pytest.mark.parametrize("alpha", [0.05, 0.01])
@pytest.mark.parametrize("candidates", [1, 3])
def test_the_headline_is_a_t_interval_over_sources_not_over_tasks(alpha, candidates):
    values, sources = [0.5, 1.5, -1.0, 2.0, 0.3, 0.9], ["a", "a", "a", "b", "c", "d"]
    found = across.headline(values, sources, alpha, candidates)
    means = [np.mean([0.5, 1.5, -1.0]), 2.0, 0.3, 0.9]
    low, high = stats.t.interval(1 - alpha / candidates, 3, loc=np.mean(means), scale=stats.sem(means))
    assert (found.mean, found.low, found.high) == pytest.approx((np.mean(means), low, high), **EXACT)
    assert found.p_value == pytest.approx(stats.ttest_1samp(means, 0).pvalue, **EXACT)


def test_one_source_gives_no_interval_however_many_tasks_there_are():
    found = across.headline([0.5, 1.5, 1.0], ["a", "a", "a"], 0.05)
    assert found.mean == pytest.approx(1.0)
    assert not found.exists
    assert outcome(found.low, found.high, 1.0) == "inconclusive"


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=60))
def test_the_interquartile_mean_is_scipys_trimmed_mean(values):
    assert across.interquartile_mean(np.array(values)) == pytest.approx(
        stats.trim_mean(values, 0.25), rel=1e-9, abs=1e-6
    )


def test_the_probability_of_improvement_is_mann_whitneys_u():
    ours, theirs = scores()
    expected = np.mean(
        [
            stats.mannwhitneyu(a.ravel(), b.ravel()).statistic / a.size / b.size
            for a, b in zip(ours, theirs, strict=True)
        ]
    )
    assert across.improvement(ours, theirs) == pytest.approx(expected, **EXACT)
    assert across.improvement(ours, theirs) + across.improvement(theirs, ours) == pytest.approx(1.0, **EXACT)


def test_profiles_are_shares_above_thresholds():
    ours, _ = scores()
    thresholds = np.array([-1.0, 0.0, 0.35, 2.0])
    matrix = np.array([s.ravel() for s in ours])  # tasks × runs
    expected = [np.mean([[x > t for x in task] for task in matrix]) for t in thresholds]
    assert across.profile(ours, thresholds) == pytest.approx(expected, **EXACT)


def test_the_bootstrap_draws_replicates_within_a_task_and_repeats_exactly():
    ours, _ = scores()
    found = across.stratified(lambda drawn: float(np.mean(drawn)), ours, seed=11)
    assert found == across.stratified(lambda drawn: float(np.mean(drawn)), ours, seed=11)
    assert found != across.stratified(lambda drawn: float(np.mean(drawn)), ours, seed=12)
    generator, means = np.random.default_rng(11), []
    for _ in range(across.DRAWS):
        rows = [task[generator.integers(0, 6, 6)] for task in ours]
        means.append(sum(r.sum() for r in rows) / sum(r.size for r in rows))
    assert found == pytest.approx(tuple(np.percentile(means, (2.5, 97.5))), **EXACT)


def test_the_bootstrap_interval_covers_what_the_normal_law_says():
    values = [rng.normal(size=(40, 1)) for _ in range(4)]
    low, high = across.stratified(lambda drawn: float(np.mean(drawn)), values, seed=1)
    se = math.sqrt(sum(v.var(ddof=1) / 40 for v in values)) / 4
    assert (high - low) / (2 * 1.96 * se) == pytest.approx(1.0, abs=0.1)


def test_the_target_counts_divergence_as_worst():
    assert speed.target_of(np.array([0.1, 0.5, np.nan])) == 0.1
    assert speed.target_of(np.array([0.5, np.nan, np.nan])) is None


def test_a_flip_needs_two_intervals_that_leave_out_zero_on_opposite_sides():
    cells = [("a", "width 8", 0.1, 0.5), ("a", "width 32", -0.2, 0.1), ("a", "width 128", -0.9, -0.3)]
    assert across.flips(cells) == [across.Flip("a", "width 8", "width 128")]
    assert across.flips(cells[:2]) == []  # a mean below 0 is no flip while its interval holds 0
    assert across.flips([("a", "x", 0.1, 0.2), ("b", "x", -0.2, -0.1)]) == []  # another task is no other setting
    assert across.flips([("a", "x", 0.0, 0.2), ("a", "y", -0.2, -0.1)]) == []


def said(decided, tasks, low=0.2, high=1.4, flips=()):
    interval = Interval((low + high) / 2, low, high, 0.01, 1.0, 0.3, 0.95)
    tasks = [TaskOutcome(*t) for t in tasks]
    return sentence(AcrossFacts("new", "adam", decided, interval, 3, tasks, 0.9875, 10, list(flips)))


def test_the_sentence_says_on_how_many_tasks_it_holds_and_on_which_it_does_not():
    text = said("better", [("a", "better"), ("b", "worse"), ("c", "better"), ("d", "inconclusive")])
    assert text == (
        "Across 4 tasks on 3 data sources, new tuned with 10 trials lies on average 0.8 margins above adam (95 % interval "
        "0.2 to 1.4 over the data sources; a margin is the smallest difference that matters on a task): better. Of 4 tasks, "
        "each alone at the 98.75 % level, the finding holds on 2 (a and c); it is worse on b; inconclusive on d."
    )


def test_equivalent_and_negligible_tasks_agree_and_an_inconclusive_finding_holds_nowhere():
    text = said("equivalent", [("a", "negligible"), ("b", "equivalent")], low=-0.3, high=0.4)
    assert "the finding holds on 2 (a and b)." in text
    text = said("inconclusive", [("a", "better"), ("b", "inconclusive"), ("c", None)], low=-0.3, high=2.0)
    assert "it is better on 1 (a); inconclusive on 1 (b)." in text
    assert "No verdict can be given on c." in text
    text = said("better", [("a", "better"), ("b", None, False)])
    assert text.startswith("Across 1 task on")
    assert text.endswith("the finding holds on 1 (a). It doesn't apply to b.")
    text = said("worse", [("a", "better")], low=-2.0, high=-1.1, flips=[across.Flip("a", "width 8", "width 64")])
    assert "the finding holds on 0; it is better on a." in text
    assert "On a the order turns round: better at width 8, worse at width 64." in text


def test_a_printed_interval_never_contradicts_its_outcome():
    text = said("better", [("a", "better")], low=0.0004, high=1.4)
    assert "0.0004 to" in text


def test_settings_are_not_counted_as_tasks():
    facts = AcrossFacts(
        "new", "adam", "inconclusive", across.headline([0.1, 0.2], ["a", "b"], 0.05), 2,
        [TaskOutcome(name, "inconclusive") for name in ("a (width 1)", "a (width 2)", "b (width 1)", "b (width 2)")],
        0.9875, 10, [], 2,
    )  # fmt: skip
    said = sentence(facts)
    assert said.startswith("Across 4 settings of 2 tasks on 2 data sources, ")
    assert "Of 4 settings, " in said
