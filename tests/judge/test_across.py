"""Statistics across tasks against scipy, and against the formulas of Agarwal et al. (2021) written out by hand."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import special, stats
from statsmodels.stats.multitest import multipletests

from assay.judge import across, speed
from assay.judge.across_sentence import AcrossFacts, TaskOutcome, sentence
from assay.judge.coverage import covered_level
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
    return sentence(
        AcrossFacts("new", "adam", decided, interval, 3, tasks, 0.9875, "tuned with 10 trials", list(flips))
    )


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
        0.9875, "tuned with 10 trials", [], 2,
    )  # fmt: skip
    said = sentence(facts)
    assert said.startswith("Across 4 settings of 2 tasks on 2 data sources, ")
    assert "Of 4 settings, " in said


def part(values, least=0.0, first=None) -> across.Part:
    return across.Part(np.array(values, dtype=float), least, first)


def test_on_these_tasks_two_sources_are_welchs_test():
    one, two = rng.normal(0.4, 1.0, 6), rng.normal(0.1, 3.0, 9)
    found = across.these([part(one), part(two)], ["a", "b"], 0.05, 2)
    wanted = stats.ttest_ind(one, -two, equal_var=False)  # of the sum of their means
    ends = wanted.confidence_interval(1 - 0.05 / 2)
    assert (2 * found.low, 2 * found.high, found.p_value) == pytest.approx(
        (ends.low, ends.high, wanted.pvalue), **EXACT
    )
    assert found.level == 0.975


def test_on_one_task_it_is_that_tasks_interval():
    values = rng.normal(0.4, 1.0, 7)
    found, wanted = across.these([part(values)], ["a"], 0.05), stats.ttest_1samp(values, 0)
    ends = wanted.confidence_interval(0.95)
    assert (found.mean, found.low, found.high, found.p_value) == pytest.approx(
        (values.mean(), ends.low, ends.high, wanted.pvalue), **EXACT
    )


def test_tasks_on_the_same_data_are_averaged_within_the_replicate_first():
    shared, own = rng.normal(0, 3, 8), [rng.normal(0, 0.1, 8), rng.normal(0, 0.1, 10)]
    found = across.these([part(shared + own[0]), part(np.append(-shared, [5.0, 5.0]) + own[1])], ["a", "a"], 0.05)
    wanted = stats.ttest_1samp((own[0] + own[1][:8]) / 2, 0).confidence_interval(0.95)
    assert (found.low, found.high) == pytest.approx((wanted.low, wanted.high), abs=1e-9)


def test_equal_differences_are_no_certainty_where_scores_are_rounded():
    sure = across.these([part([0.1, 0.1, 0.1])], ["a"], 0.05)
    assert (sure.low, sure.high, sure.p_value) == (sure.mean, sure.mean, 0.0)
    rounded = across.these([part([0.1, 0.1, 0.1], least=0.5)], ["a"], 0.05)
    assert rounded.low < 0 < rounded.high
    assert not across.these([part([0.1])], ["a"], 0.05).exists


def test_of_two_stages_the_first_gives_the_spread():
    values = rng.normal(0, 1, 20)
    found = across.these([part(values, first=6)], ["a"], 0.05)
    half = stats.t.ppf(0.975, 5) * values[:6].std(ddof=1) / math.sqrt(20)
    assert (found.low, found.high) == pytest.approx((values.mean() - half, values.mean() + half), **EXACT)


def test_on_these_tasks_the_interval_covers_their_mean_and_errs_as_allowed():
    generator, held, wrong = np.random.default_rng(8), [], []
    truths = np.array([2.0, -1.0, 0.5, 0.5])  # far apart, as tasks are
    for _ in range(2000):
        parts = [part(generator.normal(t, s, 8)) for t, s in zip(truths, (0.3, 3.0, 1.0, 1.0), strict=True)]
        found = across.these(parts, ["a", "b", "c", "c"], 0.05)
        held.append(found.low <= (2.0 - 1.0 + 0.5) / 3 <= found.high)
        null = across.these(
            [part(p.differences - t) for p, t in zip(parts, truths, strict=True)], ["a", "b", "c", "c"], 0.05
        )
        wrong.append(null.p_value < 0.05)
    assert np.mean(held) == pytest.approx(0.95, abs=0.018)
    assert np.mean(wrong) == pytest.approx(0.05, abs=0.018)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=30), st.sampled_from([0.05, 0.2]))
def test_cells_are_picked_as_benjamini_and_hochberg_pick_them(p_values, rate):
    level = covered_level([(lambda alpha, p=p: p <= alpha) for p in p_values], rate)
    rejected = int(multipletests(p_values, rate, "fdr_bh")[0].sum())
    assert level == pytest.approx(1 - max(1, rejected) * rate / len(p_values))


def test_picked_cells_are_wrong_no_oftener_than_allowed():
    generator, shares = np.random.default_rng(9), []
    truths = np.repeat([0.0, 1.0, 3.0], [20, 6, 4])
    z = lambda alpha: -special.ndtri(alpha / 2)  # noqa: E731
    for _ in range(1000):
        seen = truths + generator.normal(size=30)
        level = covered_level([(lambda alpha, x=x: abs(x) > z(alpha)) for x in seen], 0.05)
        picked = np.abs(seen) > z(1 - level)
        shares.append((np.abs(seen - truths) > z(1 - level))[picked].mean() if picked.any() else 0.0)
    assert np.mean(shares) <= 0.05


def test_no_cells_have_no_level():
    with pytest.raises(ValueError, match="no cells"):
        covered_level([], 0.05)


def test_from_the_second_edition_on_it_is_said_of_these_tasks_then_of_tasks_like_these():
    interval, wide = Interval(0.8, 0.2, 1.4, 0.01, 1.0, 0.3, 0.95), Interval(0.8, -0.5, 2.1, 0.2, 1.0, 0.6, 0.95)
    tasks = [TaskOutcome("a", "better"), TaskOutcome("b", "inconclusive")]

    def said(sources: int, alike: Interval) -> str:
        facts = AcrossFacts("new", "adam", "better", interval, sources, tasks, 0.95, "tuned with 10 trials")
        return sentence(replace(facts, coverage=0.05, alike=(alike, "inconclusive")))

    assert said(2, wide) == (
        "Across 2 tasks on 2 data sources, new tuned with 10 trials lies on average 0.8 margins above adam on these tasks "
        "(95 % interval 0.2 to 1.4; a margin is the smallest difference that matters on a task): better. On tasks like "
        "these: inconclusive (95 % interval −0.5 to 2.1 over the data sources). Of 2 tasks, at a false coverage rate of "
        "5 %, the finding holds on 1 (a); it is inconclusive on b."
    )
    alone = Interval(0.8, math.nan, math.nan, math.nan, math.nan, math.nan, 0.95)
    assert "One data source says nothing of others." in said(1, alone)


def test_a_mean_of_intervals_is_that_of_zou_and_donner() -> None:
    own = (0.2, 0.1, 0.5)
    assert across.mean_of_intervals([own], ["a"]) == pytest.approx(own)  # of one task its own
    two = across.mean_of_intervals([own, (0.0, -0.3, 0.1)], ["a", "b"])
    assert two == pytest.approx((0.1, 0.1 - np.hypot(0.1, 0.3) / 2, 0.1 + np.hypot(0.3, 0.1) / 2))
    shared = across.mean_of_intervals([own, (0.0, -0.3, 0.1)], ["a", "a"])  # one source: errors that are the same
    assert shared == pytest.approx((0.1, -0.1, 0.3))


def test_it_holds_the_true_mean_as_often_as_its_parts_say() -> None:
    rng, n = np.random.default_rng(2), 2000
    draws = rng.normal(0, [1.0, 0.3, 0.6], (n, 3))
    halves = 1.96 * np.array([1.0, 0.3, 0.6])
    ends = [
        across.mean_of_intervals([(x, x - h, x + h) for x, h in zip(d, halves, strict=True)], list("abc"))
        for d in draws
    ]
    held = sum(low <= 0 <= high for _, low, high in ends)
    assert stats.binomtest(held, n, 0.95).pvalue > 0.001
