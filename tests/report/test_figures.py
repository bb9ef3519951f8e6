import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from assay.judge.sentence import listed
from assay.report.figures import Series
from assay.report.figures.lines import band, learning, reach
from assay.report.figures.rows import spread_out, strips
from assay.report.figures.scores import Panel, Trials, scores
from assay.report.style import drawing, log_scale, look, plain
from assay.report.tuning import union
from assay.report.units import Units, duration, number, settings
from assay.space import Choice, Float


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
