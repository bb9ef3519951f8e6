"""Sentences worked by hand, and the law that no printed number contradicts the outcome."""

import math
import re
from decimal import Decimal

import numpy as np
import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from assay.core import Protocol, Stages, TaskInfo
from assay.judge.decide import Interval, by_the_margin, outcome
from assay.judge.digits import percent, printed, times
from assay.judge.edges import Edge
from assay.judge.sentence import VerdictFacts, sentence
from assay.space import Float

NAN = math.nan


def task(**changes) -> TaskInfo:
    fields = {
        "name": "mnist1d-mlp", "reference": "", "source": "", "options": {}, "metric": "accuracy", "direction": "max",
        "unit": "points", "scale": 100.0, "epochs": 15, "batch_size": 128, "margin": 0.01, "margin_reason": "",
        "generated": True,
    }  # fmt: skip
    return TaskInfo(**{**fields, **changes})


def facts(mean=-0.005, low=-0.009, high=-0.001, **changes) -> VerdictFacts:
    info = changes.pop("task", task())
    fields = {
        "task": info, "protocol": Protocol("honest", 12, 20, 8), "candidate": "gns-adam", "baseline": "adam",
        "outcome": outcome(low, high, info.margin), "interval": Interval(mean, low, high, 0.02, 0.006, 0.002, 0.95),
        "p_superior": 0.39,
    }  # fmt: skip
    return VerdictFacts(**{**fields, **changes})


TWIN = " A single run of it beats its adam twin 39 % of the time."


def test_the_sentence_that_was_promised():
    # with a margin that the interval reaches beyond, as there
    assert sentence(facts(task=task(margin=0.005))) == (
        "On mnist1d-mlp, gns-adam tuned with 20 trials scores 0.50 points below adam "
        "(95 % interval −0.90 to −0.10, 12 replicates): worse." + TWIN
    )
    assert sentence(facts(high=-0.0012, low=-0.0119)) == (
        "On mnist1d-mlp, gns-adam tuned with 20 trials scores 0.5 points below adam "
        "(95 % interval −1.2 to −0.1, 12 replicates): worse." + TWIN
    )


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({}, "(95 % interval −0.9 to −0.1, 12 replicates): negligible (real, but smaller than the margin of 1 point)."),
        ({"mean": 0.0, "low": -0.002, "high": 0.002}, "scores within 0.1 points of adam (95 % interval −0.2 to 0.2, 12 "
         "replicates): equivalent (any difference is smaller than the margin of 1 point)."),
        ({"mean": 0.02, "low": 0.01, "high": 0.03}, "2.0 points above adam (95 % interval 1.0 to 3.0, 12 replicates): "
         "better, by at least the margin of 1 point."),
        ({"mean": -0.02, "low": -0.03, "high": -0.0101}, "worse, by at least the margin of 1 point."),
        ({"mean": 0.02, "low": 0.00998, "high": 0.03}, "(95 % interval 0.998 to 3.000, 12 replicates): better."),
        ({"mean": 0.01, "low": 0.0002, "high": 0.02}, "1.00 points above adam (95 % interval 0.02 to 2.00, "),
        ({"mean": 0.001, "low": -0.012, "high": 0.014, "settling_margin": 0.014, "settling_replicates": 31},
         "inconclusive. A single run of it beats its adam twin 39 % of the time. Any margin above 1.4 points would "
         "have settled it; at 1 point, 31 replicates at most would settle it with 80 % assurance."),
        ({"mean": 0.001, "low": -0.012, "high": 0.014, "settling_margin": 0.01401},
         "Any margin above 1.5 points would have settled it; at 1 point, more than 1,000 replicates would be needed."),
        ({"mean": 0.001, "low": -0.012, "high": 0.014, "settling_margin": 0.014, "settling_replicates": 4321,
          "asked": 4321, "protocol": Protocol("honest", 12, 20, 8, stages=Stages(12, 12))},
         "at 1 point, --replicates auto:4321 would."),
        ({"mean": 0.001, "low": -0.012, "high": 0.014, "settling_margin": 0.014, "settling_replicates": 12345,
          "asked": 12345, "protocol": Protocol("honest", 12, 20, 8, stages=Stages(12, 12))},
         "at 1 point, 12,345 replicates would, and 10,000 are the most that can be planned."),
        ({"mean": -0.005, "low": NAN, "high": NAN, "protocol": Protocol("honest", 1, 1, 8)},
         "gns-adam tuned with 1 trial scores 0.5 points below adam (1 replicate, which gives no interval): "
         "inconclusive."),
        ({"mean": NAN, "low": NAN, "high": NAN},
         "has no finite difference from adam (no finite interval, 12 replicates): inconclusive."),
        ({"gradient_ratio": 2.0}, "tuned with 20 trials at 2.0× the gradients scores"),
        ({"task": task(generated=False)}, "0.5 points below adam on this data set (95 %"),
        ({"task": task(options={"train_samples": 10000})}, "On mnist1d-mlp (train_samples 10000), gns-adam"),
        ({"task": task(direction="min", unit="nats", scale=1.0, margin=0.002)},
         "scores 0.0050 nats behind adam (95 % interval −0.0090 to −0.0010, positive is better, 12 replicates): "
         "worse."),
        ({"task": task(unit="")}, "scores 0.5 below adam"),
        ({"tuned": (2, 1)}, "gns-adam tunes 2 hyperparameters, adam 1."),
        ({"tuned": (1, 0)}, "gns-adam tunes 1 hyperparameter, adam 0."),
        ({"seed": 7}, "This is the answer for seed 7, not the default 0."),
        ({"diverged": (3, 0)}, "Of 96 final runs each, 3 of gns-adam and none of adam diverged; a diverged run"),
        ({"outcome": "worse", "loser": "candidate", "diverged": (96, 0)},
         "worse, because every final run of gns-adam diverged."),
        ({"outcome": "better", "loser": "baseline", "diverged": (0, 96)},
         "better, because every final run of adam diverged."),
        ({"candidates": 3, "interval": Interval(-0.005, -0.009, -0.001, 0.1, 0.1, 0.1, 1 - 0.05 / 3)},
         "(98.33 % interval"),
        ({"candidates": 3}, "The level allows for 3 candidates."),
        ({"edges": (("adam", Edge("lr", "high", 5, 12), Float(1e-5, 0.1, log=True)),)},
         "The lr chosen for adam lies in the top tenth of its range (1e-05..0.1) in 5 of 12 replicates: a wider range"),
        ({"edges": (("adam", Edge("lr", "low", 1, 1), Float(0.5, 0.9)),)},
         "in the bottom tenth of its range (0.5..0.9) in 1 of 1 replicate: "),
        ({"diverged": (3, 0), "survivors": (Interval(0.02, 0.015, 0.025, 0.1, 0.1, 0.1, 0.95), "better")},
         "Runs that diverged decide this: among the pairs that survived, gns-adam scores 2.0 points above adam "
         "(95 % interval 1.5 to 2.5): better."),
        ({"diverged": (3, 0), "survivors": (Interval(0.02, NAN, NAN, NAN, NAN, NAN, 0.95), "inconclusive")},
         "among the pairs that survived it is inconclusive, without an interval."),
    ],
)  # fmt: skip
def test_what_a_reader_must_not_miss(changes, said):
    assert said in sentence(facts(**changes))


def test_nothing_is_said_that_need_not_be():
    same = facts(diverged=(0, 0), gradient_ratio=1.0, survivors=(facts().interval, "negligible"), seed=0)
    assert sentence(same) == sentence(facts())
    assert sentence(facts()).count(".") == len(re.findall(r"\d\.\d", sentence(facts()))) + 2


SMALL = st.floats(-0.2, 0.2) | st.floats(-1e-9, 1e-9) | st.sampled_from([0.0, 0.01, -0.01, 0.007, 0.1 + 0.2 - 0.3])
MARGINS = st.sampled_from([0.01, 0.005, 0.007, 0.0123456789, 1 / 3, 5.0]) | st.floats(1e-4, 1)


@given(st.lists(SMALL, min_size=3, max_size=3), MARGINS, st.sampled_from([("max", 100.0), ("min", 1.0), ("max", 0.1)]))
@example([0.0, 0.0, 0.0], 0.01, ("max", 100.0))
@example([np.nextafter(0.01, 1), 0.02, 0.03], 0.01, ("max", 100.0))
@example([np.nextafter(0.01, 0), 0.02, 0.03], 0.01, ("max", 100.0))
@example([-0.001, 0.0, np.nextafter(0.007, 0)], 0.007, ("max", 100.0))
@example([1e-9, 2e-9, 3e-9], 0.01, ("max", 100.0))
@example([5e-324, 5e-324, 0.125], 0.01, ("max", 0.1))
def test_printed_numbers_never_contradict_the_outcome(values, margin, kind):
    low, mean, high = sorted(values)
    info = task(margin=margin, direction=kind[0], scale=kind[1])
    settled = max(abs(low), abs(high))
    text = sentence(facts(mean, low, high, task=info, settling_margin=settled, settling_replicates=40))
    plain = text.replace("−", "-")

    ends = re.search(r"interval (-?[\d.e-]+) to (-?[\d.e-]+)[,)]", plain)
    assert ends is not None
    shown_low, shown_high = (Decimal(end) for end in ends.groups())
    shown_outcome = re.search(r"\): (\w+)", plain)
    assert shown_outcome is not None
    said = re.search(r"the margin of ([\d.]+)", plain)
    shown_margin = Decimal(said.group(1)) if said else Decimal(str(margin)) * Decimal(str(kind[1]))
    assert shown_low <= shown_high
    assert "-0.0 " not in plain
    assert len(text) < 500

    match shown_outcome.group(1):
        case "equivalent":
            assert -shown_margin < shown_low <= 0 <= shown_high < shown_margin
        case "negligible":
            assert -shown_margin < shown_low
            assert shown_high < shown_margin
            assert shown_low > 0 or shown_high < 0
        case "better":
            assert shown_low > 0
            assert said is None or shown_low >= shown_margin
        case "worse":
            assert shown_high < 0
            assert said is None or shown_high <= -shown_margin
        case "inconclusive":
            assert shown_low <= 0 <= shown_high
            smallest = re.search(r"margin above ([\d.]+)", plain)
            assert smallest is not None
            assert Decimal(smallest.group(1)) >= Decimal(settled) * Decimal(str(kind[1])) * (1 - Decimal("1e-11"))
    direction = re.search(r"scores (?:within|([\d.e-]+) .*?(above|below|ahead|behind))", plain)
    assert direction is not None
    if direction.group(1):
        shown_mean = Decimal(("" if direction.group(2) in ("above", "ahead") else "-") + direction.group(1))
        assert shown_low <= shown_mean <= shown_high
        assert shown_mean != 0
    else:
        assert shown_outcome.group(1) in ("equivalent", "inconclusive")


@given(SMALL, SMALL, MARGINS, st.sampled_from([1.0, 100.0, 0.3]))
def test_more_digits_are_printed_only_where_needed(one, other, margin, scale):
    low, high = min(one, other), max(one, other)
    found = printed((low + high) / 2, low, high, margin, scale)
    assume(found.digits > 1)
    few_low, few_high = (Decimal(f"{x * scale:.{found.digits - 1}f}") for x in (low, high))
    exact = outcome(low, high, margin), by_the_margin(low, high, margin)
    first = max(0, 1 - math.floor(math.log10(float(found.margin))))
    bar = Decimal(found.margin)
    said = outcome(few_low, few_high, bar), by_the_margin(few_low, few_high, bar)
    assert found.digits == first or exact != said or found.digits > 10


@pytest.mark.parametrize(
    ("share", "text"),
    [(0, "0 %"), (1, "100 %"), (0.39, "39 %"), (0.004, "less than 1 %"), (0.997, "more than 99 %"), (0.5, "50 %")],
)
def test_shares(share, text):
    assert percent(share) == text


@pytest.mark.parametrize(
    ("ratio", "text"), [(2.0, "2.0×"), (1.004, "1.004×"), (0.5, "0.5×"), (0.003, "0.003×"), (1.96, "2.0×")]
)
def test_ratios(ratio, text):
    assert times(ratio) == text


@pytest.mark.parametrize(("scale", "mean", "margin"), [(0.0, 0.0, 1.0), (1.0, NAN, 1.0), (1.0, 0.0, 0.0)])
def test_numbers_that_cannot_be_printed_are_refused(scale, mean, margin):
    with pytest.raises(ValueError, match="above 0"):
        printed(mean, -1.0, 1.0, margin, scale)
