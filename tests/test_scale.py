"""Does an advantage last as models grow? The slope's coverage in numbers, and --scale as users ask for it."""

from __future__ import annotations

import json
import re
import shutil

import numpy as np
import polars as pl
import pytest
import scipy.stats
import torch

import assay
from assay.answer.carried import factor
from assay.cli import call
from assay.judge import power
from assay.judge.scale import expected_half_width, sentence, slope
from assay.record import RunFolder, manifest

pytestmark = pytest.mark.rendered  # figures of sizes, suites and ladders, too

SIZES = (32, 64, 128, 256)
ASKED = (
    "adam slow=adam --task logistic --epochs 2 --trials 2 --replicates 3 --final-seeds 1 --engine loop --workers 1 --quiet "
    "--space adam.lr=1e-3..0.1:log --space slow.lr=1e-4..1e-2:log"
)


def test_the_slope_is_that_of_least_squares_by_scipy() -> None:
    rng = np.random.default_rng(0)
    values = [rng.standard_normal(6) for _ in SIZES]
    found = slope(SIZES, values, 0.05)
    own = [scipy.stats.linregress(np.log(SIZES), [v[k] for v in values]).slope for k in range(6)]
    assert found.mean == pytest.approx(np.mean(own))
    expected = scipy.stats.ttest_1samp(own, 0).confidence_interval(0.95)
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high))


@pytest.mark.parametrize("shared", [0.0, 1.0])
def test_slopes_are_covered_as_often_as_they_say(shared: float) -> None:
    """`shared`: the spread of what a replicate has in common at all sizes."""
    rng, true, n = np.random.default_rng(1), -0.12, 1500
    held = 0
    for _ in range(n):
        own = shared * rng.standard_normal(8)
        values = [0.4 + true * np.log(s / 32) + own + 0.15 * rng.standard_normal(8) for s in SIZES]
        found = slope(SIZES, values, 0.05)
        held += found.low <= true <= found.high
    assert scipy.stats.binomtest(held, n, 0.95).pvalue > 0.001


def test_the_half_width_that_a_plan_expects_is_what_samples_have() -> None:
    rng, replicates = np.random.default_rng(2), 10
    wide = [slope(SIZES, list(rng.standard_normal((4, replicates))), 0.05) for _ in range(2000)]
    expected = expected_half_width(SIZES, power.expected_half_width(1.0, replicates, 0.05))
    assert np.mean([one.high - one.low for one in wide]) / 2 == pytest.approx(expected, rel=0.02)


def test_a_plan_says_how_well_a_speed_up_and_a_slope_will_be_known() -> None:
    options = {"task": "mnist1d-mlp", "scale": "width=32,64,128", "engine": "loop", "quiet": True, "replicates": 14}
    said = str(assay.plan("adam", "nadam", speedup=True, **options)).splitlines()
    at = [line for line in said if "if twice the steps gain the baseline 2 points" in line]
    assert len(at) == 3
    ends = re.search(r"from about ([\d.]+) to ([\d.]+) times", at[0])
    interval = re.search(r"interval will be about ±[\d.]+ to ±([\d.]+) points", " ".join(said))
    assert ends
    assert interval
    assert float(ends[2]) == pytest.approx(2 ** (float(interval[1]) / 2), abs=0.06)
    about = re.search(r"over ln\(width\) will be known to about ±([\d.]+) margins", said[-2])
    assert about
    assert float(about[1]) == pytest.approx(float(interval[1]) / np.sqrt(2 * np.log(2) ** 2), abs=0.02)
    assert "speed-up" not in str(assay.plan("adam", "nadam", **options))


def test_what_is_said_of_a_slope() -> None:
    down = slope(SIZES, [np.array([0.4, 0.41]) - 0.1 * i for i in range(4)], 0.05)
    ends = [(32.0, "1.40×"), (256.0, "1.10×")]
    said = sentence("width", ends, down, "ln(speed-up)")
    assert said.startswith(
        "What it is worth beside the baseline falls with width: 1.40× at 32, 1.10× at 256, slope −0.14 (95 % interval −0.14 to "
    )
    unknown = slope(SIZES, [np.array([0.4, -0.4]) * (i - 1) for i in range(4)], 0.05)
    assert "rises or falls with width can't be told" in sentence("width", ends, unknown, "x")
    for sizes in ((32,), (32, 32), (0, 32)):
        with pytest.raises(ValueError, match="sizes must be"):
            slope(sizes, [np.zeros(3)] * len(sizes), 0.05)


def test_sizes_from_the_command_line(tmp_path, capsys) -> None:
    asked = ["run", *ASKED.split()]
    out = tmp_path / "run"
    assert call([*asked, "--scale", "batch-size=8,16,32", "--speedup", "--out", str(out)]) == 0
    said = capsys.readouterr().out
    (verdict,) = json.loads((out / "result.json").read_text())["verdicts"]
    assert verdict["sentence"] in said
    assert "batch size" in verdict["sentence"]
    assert verdict["scale"]["sizes"] == [8, 16, 32]
    assert verdict["scale"]["of"] in ("speedup", "difference")
    for cell, size in zip(verdict["tasks"], (8, 16, 32), strict=True):  # what it is worth at each, as there alone
        own = json.loads((out / f"logistic-batch-size-{size}" / "result.json").read_text())["verdicts"][0]
        fields = ("speedup", "speedup_low", "speedup_high")
        assert {name: cell[name] for name in fields} == {name: own[name] for name in fields}
    assert (out / {"speedup": "scale.png", "difference": "scale_margins.png"}[verdict["scale"]["of"]]).exists()
    assert call(["verify", str(out)]) == 0
    page = (out / "report.html").read_text().replace("</span> <span>", " ")
    assert "--batch-size 8 --batch-size 16 --batch-size 32" in page
    for wrong, why in (
        ("width", "write a size and its values"),
        ("heads=1,2,3", "sizes are width, depth, batch-size, train-samples, epochs"),
        ("epochs=1,2,3", "give the values in one of the two"),
        ("batch-size=8,16", "a slope needs 3 different sizes at least"),
        ("batch-size=a,b,c", "isn't whole numbers"),
        ("width=8,16,32", "task logistic takes no --width"),
    ):
        assert call([*asked, "--scale", wrong, "--out", str(tmp_path / "no")]) == 2
        assert why in " ".join(capsys.readouterr().err.split())


def test_a_size_that_cant_be_trained_is_told_before_anything_is(tmp_path, capsys) -> None:
    out = tmp_path / "run"
    assert call(["run", *ASKED.split(), "--scale", "batch-size=8,16,100000", "--out", str(out)]) == 2
    assert "fewer than a batch of 100000" in " ".join(capsys.readouterr().err.split())
    assert not list(out.glob("**/*.parquet"))


def test_sizes_from_python(tmp_path) -> None:
    few = {"trials": 2, "replicates": 2, "final_seeds": 1, "engine": "loop", "quiet": True, "workers": 1}
    ranges = ["adam.lr=1e-3..0.1:log", "sgd.lr=1e-3..1:log"]
    found = assay.compare(
        "adam",
        "sgd",
        task="logistic",
        epochs=1,
        scale="batch-size=8,16,32",
        space=ranges,
        out=tmp_path / "run",
        **few,
    )
    (verdict,) = found.verdicts
    assert verdict.scale.of == "difference"
    assert len(verdict.scale.values) == 3


def test_rules_by_which_rates_are_carried_over() -> None:
    assert [factor("1/width", "width", 256, 32), factor("sqrt", "width", 128, 32)] == [1 / 8, 1 / 2]
    assert [factor("sqrt", "batch_size", 128, 32), factor("none", "epochs", 90, 30)] == [2, 1]
    with pytest.raises(ValueError, match="the rule 1/width says nothing about batch size"):
        factor("1/width", "batch_size", 64, 32)


def _settings(folder, name: str = "slow") -> list[dict]:
    """What a contender's final runs had, by replicate."""
    frame = RunFolder.open(folder).frame().filter(pl.col("contender") == name, pl.col("phase") == "final")
    return [json.loads(text) for text in frame.sort("replicate")["hyperparameters"]]


@pytest.fixture(scope="module")
def carried(tmp_path_factory):
    out = tmp_path_factory.mktemp("carried") / "run"
    asked = ["run", *ASKED.split(), "--scale", "batch-size=32,8,16", "--transfer", "sqrt", "--out", str(out)]
    assert call(asked) == 0
    return out, asked


def test_settings_are_tuned_at_the_smallest_size_and_carried_over(carried, capsys) -> None:
    out, asked = carried
    small, middle, large = (_settings(out / f"logistic-batch-size-{size}") for size in (8, 16, 32))
    for first, second, third in zip(small, middle, large, strict=True):
        assert second["lr"] == pytest.approx(2**0.5 * first["lr"])
        assert third["lr"] == pytest.approx(2 * first["lr"])
    trials = RunFolder.open(out / "logistic-batch-size-32").frame().filter(pl.col("phase") == "tune")
    assert len(trials) == 2 * 3  # one for each contender and replicate
    (verdict,) = json.loads((out / "result.json").read_text())["verdicts"]
    assert verdict["scale"]["sizes"] == [8, 16, 32]
    assert "at batch size 8 (settings carried over from there, learning rates by the rule sqrt)" in verdict["sentence"]
    own = json.loads((out / "logistic-batch-size-32" / "result.json").read_text())["verdicts"][0]["sentence"]
    assert "slow as tuned at batch size 8 (lr × 2)" in own
    capsys.readouterr()
    assert call(["verify", str(out / "logistic-batch-size-32")]) == 0
    assert "its settings were carried over from batch size 8" in capsys.readouterr().out
    assert call(["verify", str(out)]) == 0
    before = (out / "result.json").read_bytes()
    capsys.readouterr()
    assert call([word for word in asked if word != "--quiet"]) == 0  # on record
    assert "from the record" in capsys.readouterr().out
    assert (out / "result.json").read_bytes() == before
    page = (out / "report.html").read_text().replace("</span> <span>", " ")
    assert "--transfer sqrt" in page
    assert "Settings were tuned at batch size 8 and carried over" in page


def test_a_size_that_is_the_tasks_own_default_is_a_size_like_others(tmp_path) -> None:
    few = {"trials": 2, "replicates": 2, "final_seeds": 1, "epochs": 1, "engine": "loop", "quiet": True, "workers": 1}
    asked = {"task": "mnist1d-mlp", "train_samples": 400, "space": ["adam.lr=1e-3..0.1:log", "slow.lr=1e-4..1e-2:log"]}
    out = tmp_path / "run"
    assay.compare("adam", "slow=adam", scale="width=128,256,512", transfer="1/width", out=out, **asked, **few)
    chosen = _settings(out / "mnist1d-mlp-width-128")
    for width in (256, 512):
        carried = [own["lr"] * 128 / width for own in chosen]
        assert [own["lr"] for own in _settings(out / f"mnist1d-mlp-width-{width}")] == pytest.approx(carried)
    assert call(["verify", str(out)]) == 0


@pytest.mark.parametrize("change", [{"transfer": "1/width"}, {"axes": {}}, {"axes": {"depth": [1, 2]}}])
def test_a_suite_that_says_what_no_command_takes_is_named(carried, tmp_path, capsys, change) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(carried[0], copy)
    suite = json.loads((copy / "suite.json").read_text()) | change
    (copy / "suite.json").write_text(json.dumps(suite))
    manifest.seal(copy)
    assert call(["verify", str(copy)]) == 1
    assert "its plan isn't the one that suite.json names" in capsys.readouterr().out


def test_settings_that_the_smallest_size_did_not_choose_are_named(carried, tmp_path, capsys) -> None:
    out, _ = carried
    copy = tmp_path / "copy"
    shutil.copytree(out, copy)
    plan = json.loads((copy / "logistic-batch-size-32" / "plan.json").read_text())
    chosen = plan["science"]["protocol"]["carried"]["chosen"][0]
    chosen[0], chosen[1] = chosen[1], chosen[0]
    (copy / "logistic-batch-size-32" / "plan.json").write_text(json.dumps(plan))
    assert call(["verify", str(copy)]) != 0
    assert "its plan isn't the one that suite.json names" in capsys.readouterr().out
    chosen[0]["lr"] = 1e9
    (copy / "logistic-batch-size-32" / "plan.json").write_text(json.dumps(plan))
    assert call(["verify", str(copy)]) != 0
    assert "settings carried over that don't fit" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ("", "say over which sizes"),
        ("--scale width=8,16,32 --transfer cubed", "Choose from: "),
        ("--scale batch-size=8,16,32 --transfer 1/width", "says nothing about batch size; use --transfer none"),
        ("--scale batch-size=8,16,32 --speedup", "leave out one of the two"),
        ("--scale batch-size=8,16,32 --controls", "leave out --controls"),
        ("--scale batch-size=8,16,32 --replicates=auto", "give a number"),
        ("--scale batch-size=8,16,32 --protocol honest-1", "use --protocol honest"),
        ("--scale batch-size=8,16,32 --schedule cosine --schedule none", "name one schedule"),
    ],
)
def test_what_can_not_be_carried_over_is_one_line(more: str, said: str, tmp_path, capsys) -> None:
    rule = [] if "--transfer" in more else ["--transfer", "sqrt"]
    asked = ASKED.replace("--replicates 3", "") if "--replicates" in more else ASKED
    assert call(["run", *asked.split(), *rule, *more.split(), "--out", str(tmp_path / "run")]) == 2
    assert said in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_a_rate_of_another_name_is_not_left_as_it_is_without_a_word(tmp_path) -> None:
    def renamed(model, run, rate):
        return torch.optim.SGD(model.parameters(), lr=rate)

    mine = assay.Contender("mine", renamed, {"rate": assay.Float(1e-3, 0.1, log=True)})
    asked = {"task": "logistic", "scale": "batch-size=8,16,32", "replicates": 2, "out": tmp_path / "run", "quiet": True}
    with pytest.raises(
        assay.errors.UsageError, match="mine tunes no learning rate called lr over a range; use --transfer none"
    ):
        assay.compare("adam", mine, transfer="sqrt", **asked)
