"""benchmarks/calibration.py: a small one for real, held against scipy on its records; and the table's logic."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import polars as pl
import pytest
import scipy.stats
from statsmodels.stats.power import TTestPower
from statsmodels.stats.proportion import proportion_confint

from assay.record import RunFolder

from . import tiny

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"


@pytest.fixture(scope="module")
def calibration():
    sys.path.insert(0, str(BENCHMARKS))
    import calibration  # type: ignore[import-not-found]

    yield calibration
    sys.path.remove(str(BENCHMARKS))


@pytest.fixture(scope="module")
def table(calibration: ModuleType) -> ModuleType:
    return calibration.calibration_table


@pytest.fixture(scope="module")
def run(calibration: ModuleType, tmp_path_factory: pytest.TempPathFactory):
    """Everything it does, on two clouds of points: (raw figures, file, folder of records, what it printed)."""
    folder = tmp_path_factory.mktemp("calibration")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(calibration, "STRENGTHS", (0.3, 0.6))
        sizes = "--comparisons 6 --planted 3 --truth 6 --search 8 --replicates 2 --also 6 --trials 3 --workers 1 --engine loop"
        file, records = folder / "raw.json", folder / "records"
        task = f"{Path(__file__).parent / 'tiny.py'}:task"
        calibration.main([*sizes.split(), "--task", task, "--to", str(file), "--records", str(records)])
    return json.loads(file.read_text()), file, records


def members(records: Path, name: str, slot: int, phase: str = "final") -> pl.DataFrame:
    frame = RunFolder.open(records / f"{name}-0").frame()
    return frame.filter((pl.col("slot") == slot) & (pl.col("phase") == phase))


def scores(records: Path, name: str, slot: int) -> np.ndarray:
    """(replicates,) mean test scores of the final runs, from the members alone."""
    return (
        members(records, name, slot)
        .group_by("replicate", maintain_order=True)
        .agg(pl.col("test_score").mean())["test_score"]
        .to_numpy()
    )


def test_the_record_gives_the_same_verdicts_by_scipy(run):
    raw, _, records = run
    for name, folder in (("shared", "aa"), ("apart", "aa-apart")):
        ours, theirs = scores(records, folder, 1), scores(records, folder, 0)
        (row,) = [r for r in raw["lines"] if r["kind"] == "aa" and r["name"] == name and r["replicates"] == 6]
        expected = scipy.stats.ttest_rel(ours, theirs)
        assert row["p_value"] == pytest.approx([expected.pvalue], rel=1e-4)
        assert row["difference"] == pytest.approx([(ours - theirs).mean()], rel=1e-4)
        assert (row["ci_low"][0], row["ci_high"][0]) == pytest.approx(expected.confidence_interval(0.95), rel=1e-4)
        three = [r for r in raw["lines"] if r["kind"] == "aa" and r["name"] == name and r["replicates"] == 2]
        assert [len(r["outcome"]) for r in three] == [3]


def test_seeds_are_shared_or_apart_and_data_always_shared(run):
    _, _, records = run
    for folder, shared in (("aa", True), ("aa-apart", False)):
        for phase in ("tune", "final"):
            base, twin = (members(records, folder, slot, phase) for slot in (0, 1))
            assert base["split"].to_list() == twin["split"].to_list()
            for seed in ("init", "batches"):
                assert (base[seed] == twin[seed]).all() == shared
                assert shared or not (base[seed] == twin[seed]).any()


def test_truth_comes_from_replicates_of_its_own(run):
    raw, _, records = run
    differences = scores(records, "truth", 1) - scores(records, "truth", 0)
    planted = next(r for r in raw["lines"] if r["kind"] == "planted")
    assert planted["truth"]["difference"] == pytest.approx(differences.mean(), rel=1e-9)
    assert planted["truth"]["se"] == pytest.approx(scipy.stats.sem(differences), rel=1e-9)
    splits = [set(members(records, name, 0)["split"]) for name in ("search", "truth", "planted", "aa", "aa-apart")]
    assert sum(map(len, splits)) == len(set.union(*splits))


def test_the_table_is_printed_again_from_the_figures(run, calibration, capsys):
    raw, file, _ = run
    calibration.main(["--from", str(file)])
    printed = capsys.readouterr().out
    assert printed.strip() == calibration.calibration_table.text(raw)
    assert "Adam and itself, all: a difference is claimed | 6 | 2 |" in printed
    p = calibration.arguments([])
    trained = 2 * 6 * 2 + 3 * 8 + 5 * (6 + 6)  # contenders × replicates of A/A, search, truth and planted
    assert f"{5 * trained} trainings, 0 of them already on record" in printed
    assert p.comparisons >= 1000  # what the full size promises
    assert p.truth >= 500


def raw_figures(p_values: list[float], lows: list[float], outcome: str) -> dict:
    """Made up: A/A with these p values, and a handicap of 1 with intervals of width 2 from these low ends."""
    halves = (("shared", p_values[::2]), ("apart", p_values[1::2]))
    aa = [
        {
            "kind": "aa",
            "name": name,
            "replicates": 4,
            "p_value": half,
            "difference": [0.0] * len(half),
            "outcome": ["worse" if p < 0.05 else "equivalent" for p in half],
        }
        for name, half in halves
    ]
    truth = {"difference": -1.0, "se": 0.0, "sd": 1.0}
    rows = {"ci_low": lows, "ci_high": [x + 2 for x in lows], "difference": [x + 1 for x in lows]}
    common = {"replicates": 4, "truth": truth, "effect": 1.0, "outcome": [outcome] * len(lows)}
    lines = [*aa, *({"kind": kind, **common, **rows} for kind in ("planted", "margin", "pair"))]
    return {"alpha": 0.05, "lines": lines}  # all that the lines need


def held(table: ModuleType, raw: dict) -> dict[str, str]:
    return {line.what: line.holds for line in table.lines(raw)}


def test_a_true_instrument_holds_and_a_false_one_is_caught(table):
    rng = np.random.default_rng(5)
    uniform = rng.uniform(size=1000).tolist()
    power = TTestPower().power(1.0, 4, 0.05)
    # intervals from −2.5 to −0.5 leave 0 out and hold −1; from −1.5 to 0.5 they hold both
    lows = np.where(rng.uniform(size=400) < power, -2.5, -1.5).tolist()
    right = held(table, raw_figures(uniform, [*lows, *[0.5] * 8, *[-5.5] * 9], "worse"))
    assert set(right.values()) == {"yes"}
    wrong = held(table, raw_figures((np.array(uniform) ** 2).tolist(), [-0.5] * 400, "equivalent"))
    assert set(wrong.values()) == {"no"}
    safe = held(table, raw_figures((np.array(uniform) ** 0.2).tolist(), lows, "worse"))
    assert {what: holds for what, holds in safe.items() if "claimed" in what} == {
        what: "fewer" for what in safe if "claimed" in what
    }


@pytest.mark.parametrize("replicates", [2, 4, 12])
def test_normal_differences_give_alpha_and_long_tailed_ones_less(table, replicates):
    """Long tails around one centre make the t interval cautious (Benjamini 1983)."""
    rng = np.random.default_rng(6)
    normal = table.by_shape(rng.normal(size=4000), replicates, 0.05)
    assert normal == pytest.approx(0.05, abs=0.003)
    tailed = rng.normal(size=4000) * np.where(rng.uniform(size=4000) < 0.1, 5, 1)
    assert table.by_shape(tailed, replicates, 0.05) < 0.95 * normal


def test_intervals_and_power_are_those_of_statsmodels(table):
    for hits, count in ((0, 20), (3, 50), (50, 50), (51, 1000)):
        assert table.exact(hits, count) == pytest.approx(proportion_confint(hits, count, 0.05, "beta"), abs=1e-12)
    for effect in (0.2, 1.0, 2.5):
        assert table.power(effect, 1.0, 6, 0.05) == pytest.approx(TTestPower().power(effect, 6, 0.05), abs=1e-9)
    assert table.expected_range(300, [0.3]) == scipy.stats.binom.interval(0.99, 300, 0.3)
    narrow, wide = (table.expected_range(300, shares) for shares in ([0.3], [0.25, 0.35]))
    assert wide[0] < narrow[0]
    assert wide[1] > narrow[1]


def test_a_strength_is_found_between_those_tried(calibration, capsys):
    tried = calibration.STRENGTHS
    losses = [-0.01 * i for i in range(1, len(tried) + 1)]
    assert calibration.strength_for(0.015, losses) == pytest.approx((tried[0] + tried[1]) / 2)
    assert calibration.strength_for(0.005, losses) == pytest.approx(tried[0] / 2)
    assert calibration.strength_for(0.02, [0.01] * len(tried)) == tried[-1]
    assert "--search" in capsys.readouterr().err


def test_the_row_of_a_a_is_what_was_measured(table):
    """By hand: 1, 2 and 6 points have the mean 3, the sd √7, and 3 is 1.5 seed sd of 2."""
    found = table._spread("apart", np.array([0.01, 0.02, 0.06]), {"scale": 100.0, "seed_sd": 0.02})
    assert found[:4] == ("Adam, seeds apart", f"3.000 ± {(7 / 3) ** 0.5:.3f}", "1.50", f"{7**0.5:.2f}")
    assert found[4] == f"{scipy.stats.skew([1, 2, 6]):.1f}" == "0.6"


def test_the_page_shows_the_tables_of_the_figures_on_file(calibration, table):
    page = (BENCHMARKS.parent / "docs" / "trust.md").read_text(encoding="utf-8")
    printed = table.text(json.loads((BENCHMARKS / "calibration.json").read_text())).splitlines()
    rows = [line for line in printed if line.startswith("|")]
    assert len(rows) > 40
    assert [row for row in rows if row not in page] == []
    assert printed[0] in page


def test_a_suites_headline_is_welchs_of_the_members(calibration: ModuleType, monkeypatch, tmp_path, capsys):
    """suite_calibration.py, a small one for real: two tasks of their own, three suites of two replicates."""
    import suite_calibration as suites  # type: ignore[import-not-found]

    monkeypatch.setattr(suites, "tasks", lambda: [tiny.task(name="one"), tiny.task(name="two", batch_size=50)])
    monkeypatch.setattr(suites, "KS", (2, 3))
    file = tmp_path / "raw.json"
    small = "--suites 3 --truth 2 --trials 3 --final-seeds 1 --workers 1 --engine loop"
    suites.main([*small.split(), "--to", str(file), "--records", str(tmp_path / "records")])
    printed = capsys.readouterr().out
    raw = json.loads(file.read_text())
    frame = RunFolder.open(tmp_path / "records" / "one" / "suites-one-0").frame()
    final = frame.filter(pl.col("phase") == "final").sort("slot", "replicate")["test_score"].to_numpy().reshape(3, 6)
    np.testing.assert_allclose(raw["tasks"][0]["differences"], (final[1:] - final[0]) / tiny.task().margin, atol=1e-5)
    one, two = (np.array(t["differences"][1]) for t in raw["tasks"])
    for place, ends in enumerate(suites.headlines(raw, 2, 3)):
        a, b = one[3 * place :][:3], two[3 * place :][:3]
        if min(a.std(ddof=1), b.std(ddof=1)) > raw["tasks"][0]["least_sd"]:
            wanted = scipy.stats.ttest_ind(a, -b, equal_var=False).confidence_interval(0.95)
            assert tuple(2 * ends) == pytest.approx((wanted.low, wanted.high))
    assert "| Adam and itself: a difference is claimed | 2 | 3 |" in printed
    assert "| handicap: the 95 % interval covers the truth | 3 | 2 |" in printed
