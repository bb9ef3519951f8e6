import re
from html import unescape
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from assay.judge.sentence import listed
from assay.report import suite
from assay.report.figures import Series
from assay.report.figures.lines import band, learning, profiles, reach
from assay.report.figures.rows import forest, spread_out, strips
from assay.report.figures.scores import Panel, Trials, scores, together
from assay.report.page import svg
from assay.report.style import drawing, log_scale, look, plain
from assay.report.tuning import union
from assay.report.units import Units, duration, number, settings
from assay.space import Choice, Float

pytestmark = pytest.mark.rendered


def lines(axes, colour):
    """The data of the lines of a colour."""
    return [np.column_stack(line.get_data()) for line in axes.lines if line.get_color() == colour]


def test_a_band_is_the_mean_and_the_percentiles_of_the_runs_alive():
    values = np.random.default_rng(0).lognormal(size=(40, 3))
    mean, low, high = band(values)
    np.testing.assert_allclose(mean, values.mean(axis=0))
    np.testing.assert_allclose(low, stats.scoreatpercentile(values, 10, axis=0))
    np.testing.assert_allclose(high, stats.scoreatpercentile(values, 90, axis=0))
    np.testing.assert_allclose(band(values, logarithmic=True)[0], stats.gmean(values))
    values[:, 1] = np.nan
    values[0, 0] = np.nan
    mean, low, high = band(values)
    assert np.isnan([mean[1], low[1], high[1]]).all()
    assert mean[0] == pytest.approx(values[1:, 0].mean())


def test_the_learning_curve_shows_the_numbers_it_was_given():
    values = np.array([[50.0, 60.0, 70.0]])
    with drawing():
        axes = learning([Series("adam", look(0), values)], "accuracy (%)").axes[0]
    np.testing.assert_array_equal(lines(axes, look(0).colour)[0], [[1, 50], [2, 60], [3, 70]])


def test_runs_that_miss_the_target_keep_the_curve_below_the_top():
    with drawing():
        axes = reach([Series("adam", look(0), np.array([1.0, 3.0, 3.0, np.inf]))], last=4).axes[0]
    np.testing.assert_array_equal(lines(axes, look(0).colour)[0], [[0, 0], [1, 25], [2, 25], [3, 75], [4, 75]])


def test_a_strip_has_a_dot_for_each_replicate_its_mean_and_its_interval():
    values = np.array([-0.4, 0.3, 0.1, np.nan])
    with drawing():
        axes = strips([Series("a − b", look(1), values, 0.05, (-0.2, 0.3))], "difference", zero=True, margin=1.0).axes[
            0
        ]
    dots, interval, *_, mean = lines(axes, look(1).colour)
    np.testing.assert_array_equal(dots[:, 0], values[:3])
    np.testing.assert_array_equal(interval[:, 0], [-0.2, 0.3])
    assert mean[0, 0] == 0.05


def test_every_trial_is_drawn_once_and_the_diverged_ones_at_the_foot():
    found = np.array([60.0, np.nan, 70.0])
    trials = Trials(0, "adam", look(0), [1e-3, 1e-1, 1e-2], found, chosen=[1e-2], chosen_scores=found[2:])
    with drawing():
        axes = scores([Panel("lr", Float(1e-5, 1e-1, log=True), [trials])], "accuracy (%)").axes[0]
    alive, dead = lines(axes, look(0).colour)[:2]
    np.testing.assert_array_equal(alive, [[1e-3, 60], [1e-2, 70]])
    assert dead[0, 0] == 1e-1
    assert axes.get_ylim()[0] < dead[0, 1] < 60
    assert axes.get_xscale() == "log"


def test_the_range_of_several_contenders_holds_them_all():
    assert union([Float(1e-5, 1e-2, log=True), Float(1e-3, 1.0)]) == Float(1e-5, 1.0, log=True)
    assert union([Float(0.0, 1.0), Float(0.5, 2.0)]) == Float(0.0, 2.0)
    assert union([Choice((1, 2)), Choice((2, 3))]) == Choice((1, 2, 3))


def test_a_loss_is_drawn_on_a_logarithmic_axis_by_its_geometric_mean():
    values = np.array([[8.0, 2.0], [2.0, 0.5]])
    with drawing():
        axes = learning([Series("adam", look(0), values)], "training loss", logarithmic=True).axes[0]
    assert axes.get_yscale() == "log"
    np.testing.assert_allclose(lines(axes, look(0).colour)[0], [[1, 4], [2, 1]])


@pytest.mark.parametrize(("far", "bent"), [(2.9, False), (20.0, True)])
def test_an_axis_that_is_bent_says_so(far, bent):
    with drawing():
        axes = forest([Series("a", look(1), np.array([0.5]), far, (0.1, far))], "difference in margins").axes[0]
        places = axes.transData.transform([[x, 0] for x in (0, 1, 2, 4)])[:, 0]
    even = np.allclose(places[3] - places[2], 2 * (places[1] - places[0]))
    assert even != bent
    assert ("logarithmic beyond ±2" in axes.get_xlabel()) == bent
    assert sum(line.get_linestyle() == ":" for line in axes.lines) == 2 * bent


def test_rings_that_would_lie_on_each_other_are_one_with_their_number():
    chosen = [1e-3, 1.01e-3, 1.02e-3, 1e-2, 1e-2]
    scores_ = np.array([60.0, 60.01, 60.0, 65.0, 70.0])
    trials = Trials(0, "adam", look(0), chosen, scores_, chosen, scores_)
    with drawing():
        axes = scores([Panel("lr", Float(1e-5, 1e-1, log=True), [trials])], "accuracy (%)").axes[0]
    rings = [np.array(line.get_data()).ravel() for line in axes.lines if line.get_markerfacecolor() == "none"]
    assert [round(y) for _, y in rings] == [60, 65, 70]
    assert [text.get_text() for text in axes.texts] == ["3"]
    assert all(
        line.get_markeredgecolor() == look(0).colour for line in axes.lines if line.get_markerfacecolor() == "none"
    )


def told(figure) -> list[str]:
    """What the page shows where a mouse rests."""
    with drawing():
        return [unescape(t) for t in re.findall(r"<use [^>]*><title>(.*?)</title></use>", svg(figure, "a", "it"))]


def test_each_marker_tells_what_it_is():
    values = np.array([1.5, np.nan, -0.25])
    with drawing():
        figure = strips([Series('<b> "it\'s"', look(1), values, 0.5, (-1.0, 2.0))], "points", zero=True)
    name = '<b> "it\'s"'
    assert told(figure) == [f"{name}, replicate 0: 1.5", f"{name}, replicate 2: −0.25", f"{name}: 0.5 (−1 to 2)"]
    with drawing():
        figure = forest([Series("a", look(1), np.array([0.5]), 1.0, (0.1, 2.0))], "difference in margins")
    assert told(figure) == ["a: 0.5 margins", "a: 1 margins (0.1 to 2)"]


@pytest.mark.parametrize("count", [3, 2000])
def test_trials_tell_what_they_are_unless_they_are_one_picture(count):
    tried = np.logspace(-4, -2, count).tolist()
    reached = np.where(np.arange(count) == 1, np.nan, 60.0)
    with drawing():
        figure = scores(
            [Panel("lr", Float(1e-5, 1e-1, log=True), [Trials(0, "adam", look(0), tried, reached, [], np.array([]))])],
            "%",
        )
    few = ["adam, lr 0.0001: 60", "adam, lr 0.01: 60", "adam, lr 0.001: diverged"]
    assert told(figure) == (few if count == 3 else [])


@given(st.lists(st.tuples(st.floats(0, 300), st.floats(0, 300)), min_size=1, max_size=14))
def test_groups_hold_every_point_once_and_lie_apart(points):
    places = np.array(points)
    groups = together(places, 7.5)
    assert sorted(i for g in groups for i in g) == list(range(len(places)))
    means = [places[g].mean(axis=0) for g in groups]
    assert all(np.linalg.norm(a - b) >= 7.5 for i, a in enumerate(means) for b in means[:i])


def test_more_candidates_than_colours_leave_no_two_of_a_colour():
    names = [f"c{i}" for i in range(9)]
    verdicts = [{"candidate": name, "difference": float(i)} for i, name in enumerate(names)]
    reading = suite.Reading(SimpleNamespace(candidates=names), {"verdicts": verdicts}, {}, [], "")
    assert reading.coloured == ["c8", "c7", "c6", "c5", "c4"]
    contenders = [SimpleNamespace(name=n, reference="mine.py:C0" if n == "c0" else n) for n in names]
    plans: list[Any] = [SimpleNamespace(science=SimpleNamespace(contenders=contenders))]
    own = suite.Reading(reading.suite, reading.content, {}, plans, "")
    assert own.coloured == ["c8", "c7", "c6", "c5", "c0"]  # for whose sake the page was made
    shares = [Series("base", look(0), np.array([1.0, 0.0]))]
    shares += [Series(name, reading.look(name), np.array([1.0, 0.0])) for name in names]
    with drawing():
        figure = profiles(shares, np.array([-1.0, 1.0]))
    drawn = [line.get_color() for line in figure.axes[0].lines if line.get_linewidth() > 1]
    assert len(drawn) == len(set(drawn)) == 6
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["base", *names[4:], "the others"]


@given(st.lists(st.floats(-1e6, 1e6), max_size=30))
def test_dots_keep_their_heights_within_a_row(values):
    heights = spread_out(np.array(values))
    assert heights.shape == (len(values),)
    assert ((heights >= 0) & (heights < 0.2)).all()


@given(st.text(max_size=80))
def test_a_label_is_one_short_line_that_matplotlib_shows(text):
    shown = plain(text)
    assert len(shown) <= 49
    assert "\n" not in shown
    assert not shown.startswith("_")


@given(st.floats(-8, 8), st.floats(0.05, 10))
def test_a_logarithmic_axis_has_ticks_that_differ(low, decades):
    from matplotlib.figure import Figure

    with drawing():
        axes = Figure().subplots()
        log_scale(axes, "y", 10**low, 10 ** (low + decades))
        inside = [t for t in axes.yaxis.get_majorticklocs() if 10**low <= t <= 10 ** (low + decades)]
        texts = axes.yaxis.get_major_formatter().format_ticks(inside)
    assert len(inside) >= 1
    assert len(set(texts)) == len(texts)


def test_looks_differ_for_more_contenders_than_colours():
    assert len({look(slot) for slot in range(12)}) == 12


def test_numbers_as_text():
    accuracy, loss = Units("accuracy", "points", 100.0), Units("loss", "nats", 1.0)
    assert accuracy.score(0.70712, 0.0103) == "70.71 ± 1.03 %"
    assert accuracy.difference(-0.0095) == "−0.95 points"
    assert accuracy.difference(0.01) == "1.00 points"
    assert loss.score(0.51234) == "0.5123 nats"
    assert accuracy.score(None) == accuracy.score(float("nan")) == "–"
    assert settings({"lr": 0.021587, "n": 12345, "name": "x", "flag": True}) == "lr 0.0216, n 12,345, name x, flag True"
    assert [number(x) for x in (None, float("nan"), -0.5, 29295.0)] == ["–", "–", "−0.5", "29,295"]
    durations = [duration(x) for x in (2.5e-5, 0.00157, 1.234, 48.4, 130, 8000)]
    assert durations == ["25 µs", "1.57 ms", "1.2 s", "48 s", "2.2 min", "2 h 13 min"]
    assert [listed(x) for x in ([], ["a"], ["a", "b"], ["a", "b", "c"])] == ["", "a", "a and b", "a, b and c"]
