"""One thread a process, a data cache that is not the user's, and engines that don't hide their own faults."""

from __future__ import annotations

import importlib
import os
from pathlib import Path

os.environ["PYTHONPATH"] = str(Path(__file__).parents[1] / "src")  # workers run the code that is tested, from anywhere
for variable in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ[variable] = "1"
os.environ["ASSAY_STRICT"] = "1"  # a fault of an engine's own is an error, not a fallback

import cloudpickle
import hypothesis
import pytest
from markupsafe import Markup, escape

from assay.core import Task

from . import tiny

# No time limit for an example: how fast a shared machine is says nothing about a law.
hypothesis.settings.register_profile("unhurried", deadline=None)
hypothesis.settings.load_profile("unhurried")


@pytest.fixture(scope="session", autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory):
    base = (
        tmp_path_factory.getbasetemp()
    )  # one cache for all processes that run tests: what is compiled is compiled once
    os.environ["ASSAY_CACHE"] = str((base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "cache")
    cloudpickle.register_pickle_by_value(tiny)
    import torch

    torch.set_num_threads(1)


@pytest.fixture(scope="session", autouse=True)
def _short_pilots():
    """Where nobody gives a range, one is looked for: here with the fewest trials that find any."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("assay.judge.pilot.TRIALS", 3)
        yield


@pytest.fixture(scope="module", autouse=True)
def _placeholders(request: pytest.FixtureRequest):
    """Figures are drawn and not rendered, and Optuna given no studies: half of a small run; but in modules marked `rendered`."""
    with pytest.MonkeyPatch.context() as patched:
        if not request.node.get_closest_marker("rendered"):
            drawn, verified = map(importlib.import_module, ("assay.report.drawn", "assay.report.verified"))
            patched.setattr(
                drawn, "svg", lambda figure, name, said: Markup(f'<svg role="img" aria-label="{escape(said)}"/>')
            )
            patched.setattr(drawn, "png", lambda figure: b"\x89PNG of a test")
            patched.setattr("assay.export.optuna.studies", lambda path: None)
            for module in (drawn, verified):  # that other processes compare what is drawn, and this one with its own
                patched.setattr(module, "drawn_with", lambda: "placeholders")
        yield


@pytest.fixture
def task() -> Task:
    """Two clouds of points, a small network, two epochs: a comparison of it takes a second."""
    return tiny.task()
