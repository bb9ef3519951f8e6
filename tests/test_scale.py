"""Does an advantage last as models grow? The slope's coverage in numbers, and --scale as users ask for it."""

from __future__ import annotations

import json

import numpy as np
import pytest
import scipy.stats

import assay
from assay.cli import call
from assay.judge.scale import sentence, slope

SIZES = (32, 64, 128, 256)


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
    small = [
        "--trials",
        "2",
        "--replicates",
        "3",
        "--final-seeds",
        "1",
        "--engine",
        "loop",
        "--workers",
        "1",
        "--quiet",
    ]
    spaces = ["--space", "adam.lr=1e-3..0.1:log", "--space", "slow.lr=1e-4..1e-2:log"]
    asked = ["run", "adam", "slow=adam", "--task", "logistic", "--epochs", "2", *small, *spaces]
    out = tmp_path / "run"
    assert call([*asked, "--scale", "batch-size=8,16,32", "--speedup", "--out", str(out)]) == 0
    said = capsys.readouterr().out
    (verdict,) = json.loads((out / "result.json").read_text())["verdicts"]
    assert verdict["sentence"] in said
    assert "batch size" in verdict["sentence"]
    assert verdict["scale"]["sizes"] == [8, 16, 32]
    assert verdict["scale"]["of"] in ("speedup", "difference")
    assert (out / {"speedup": "scale.png", "difference": "scale_margins.png"}[verdict["scale"]["of"]]).exists()
    assert call(["verify", str(out)]) == 0
    page = (out / "report.html").read_text().replace("</span> <span>", " ")
    assert "--batch-size 8 --batch-size 16 --batch-size 32" in page
    for wrong, why in (
        ("width", "write a size and its values"),
        ("depth=1,2,3", "sizes are width, batch-size, train-samples, epochs"),
        ("epochs=1,2,3", "give the values in one of the two"),
        ("batch-size=8,16", "a slope needs 3 different sizes at least"),
        ("batch-size=a,b,c", "isn't whole numbers"),
        ("width=8,16,32", "task logistic takes no --width"),
    ):
        assert call([*asked, "--scale", wrong, "--out", str(tmp_path / "no")]) == 2
        assert why in " ".join(capsys.readouterr().err.split())


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
