"""What `benchmarks/answer.py` prints of a verdict."""

from __future__ import annotations

import importlib.util
from pathlib import Path

SCRIPT = Path(__file__).parents[1] / "benchmarks" / "answer.py"


def test_the_spread_is_not_taken_for_the_ratio_of_the_row():
    """The spreads are pooled, the ratio is a mean over replicates: 0.99/1.07 is not 0.89, and the row says why."""
    spec = importlib.util.spec_from_file_location("answer", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    answer = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(answer)
    verdict = {
        "candidate": "new", "baseline": "adam", "outcome": "equivalent", "unit": "points",
        "difference": 0.0, "ci_low": -0.001, "ci_high": 0.001,
        "details": {
            "stability": {
                "candidate_pooled": 0.0099, "baseline_pooled": 0.0107, "ratio": 0.89, "low": 0.69, "high": 1.15
            },
            "speed": {
                "candidate_median": 12, "baseline_median": 12, "target": 0.697,
                "faster": {"mean": 0.45, "low": 0.35, "high": 0.55},
            },
        },
    }  # fmt: skip
    rows = answer.claims(verdict, 100, {"optimizer_step_seconds": {"new": 2e-6, "adam": 1e-6}})
    (row,) = [r for r in rows if "more stable" in r]
    assert "spread, pooled over replicates, 0.99 against 1.07 points" in row
    assert "geometric mean of the replicates' ratios 0.89 | 0.69 to 1.15" in row
