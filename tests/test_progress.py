"""What is seen while it works, where there is no terminal: plain lines in a log, one place below a notebook's cell."""

from __future__ import annotations

import io
import sys
import time
from types import SimpleNamespace

import pytest

import assay
from assay import events
from assay.events import lines
from assay.events.state import Rate
from assay.events.view import view

from . import tiny

STAGES = [
    events.Started(240, "assay-runs/x"),
    events.Stage("tune", 120),
    events.Trained("adam", "tune", 12, False),
    events.TrialDone("adam", 0, 3, 0.81, 0.83),
    events.Warned("adam trains in\x1b[31m the loop"),
    events.Stage("final", 24),
]


def test_a_line_at_each_stage_and_for_each_warning(monkeypatch):
    stream = io.StringIO()
    monkeypatch.setattr(sys, "stderr", stream)
    with view(quiet=False) as listener:
        for event in STAGES:
            listener(event)
    assert stream.getvalue().splitlines() == [
        "assay: 240 trainings, in assay-runs/x",
        "assay: tuning, 0 of 120, at 0:00",
        "assay: adam trains in [31m the loop",
        "assay: final runs, 0 of 24, at 0:00",
        "assay: done, at 0:00",
    ]


def test_a_stage_says_how_much_goes_through_a_second(monkeypatch):
    now = iter(range(1000))
    monkeypatch.setattr("assay.events.state.time.monotonic", lambda: float(next(now)))
    found = Rate()
    for event in (events.Estimated(("240 trainings",), "tokens", 64_000), events.Stage("tune", 120)):
        found.hear(event)
    assert str(found) == ""  # nothing was trained
    found.hear(events.Trained("adam", "tune", 5, True))
    assert str(found) == ""  # nor now: it was on record
    found.hear(events.Trained("adam", "tune", 6, False))
    assert str(found) == "128,000 tokens/s"  # at 0 it began, and this is the third look at the clock
    found.hear(events.Stage("ladder", 10))
    found.hear(events.Trained("adam", "tune", 6, False))
    assert str(found) == ""  # of other lengths


def test_a_line_every_half_minute_though_nothing_happens(monkeypatch):
    assert lines.EVERY == 30
    monkeypatch.setattr(lines, "EVERY", 0.02)
    stream = io.StringIO()
    with lines.Lines(stream) as listener:
        for event in STAGES[:4]:
            listener(event)
        deadline = time.monotonic() + 20
        while stream.getvalue().count("\n") < 5 and time.monotonic() < deadline:
            time.sleep(0.01)
    assert "assay: tuning, 12 of 120, at 0:00; last best scores: adam 0.83\n" in stream.getvalue()


def test_quiet_is_warnings_alone(monkeypatch):
    stream = io.StringIO()
    monkeypatch.setattr(sys, "stderr", stream)
    with view(quiet=True) as listener:
        for event in STAGES[:4]:
            listener(event)
        listener(events.Warned("look out"))
    assert stream.getvalue() == "assay: look out\n"


class Full(io.StringIO):
    def write(self, text: str) -> int:
        raise OSError(28, "No space left on device")


@pytest.mark.parametrize("stream", [Full(), io.TextIOWrapper(io.BytesIO(), encoding="ascii")], ids=["full", "ascii"])
def test_lines_that_cannot_be_written_stop_nothing(stream):
    with lines.Lines(stream) as listener:
        listener(events.Started(1, "läuft→"))
    if isinstance(stream, io.TextIOWrapper):
        stream.seek(0)
        assert stream.read().startswith("assay: 1 trainings, in l?uft?\n")


class Kernel:
    """As much of a notebook's kernel as is asked: what was displayed, and how it was written anew."""

    def __init__(self) -> None:
        self.seen: list[object] = []

    def display(self, shown: object, display_id: bool) -> SimpleNamespace:
        assert display_id
        self.seen.append(shown)
        return SimpleNamespace(update=self.seen.append)


def test_in_a_notebook_one_place_is_written_anew(monkeypatch):
    kernel = Kernel()
    shell = SimpleNamespace(kernel=kernel)
    stand_in = SimpleNamespace(get_ipython=lambda: shell, display=SimpleNamespace(display=kernel.display))
    monkeypatch.setitem(sys.modules, "IPython", stand_in)  # type: ignore[arg-type]
    monkeypatch.setitem(sys.modules, "IPython.display", stand_in.display)
    with view(quiet=False) as listener:
        for event in STAGES:
            listener(event)
    shown = [repr(view) for view in kernel.seen]
    assert any(text.endswith("tuning, 0 of 120, at 0:00") for text in shown)
    assert shown[-1].endswith("done, at 0:00")

    assert "<progress" in kernel.seen[-2]._repr_html_()  # type: ignore[attr-defined]


def test_compare_tells_how_far_it_is_unless_quiet(tmp_path, capsys):
    options = {"task": tiny.task(), "trials": 2, "replicates": 2, "final_seeds": 1, "engine": "loop", "workers": 1}
    assay.compare("adam", "sgd", out=tmp_path / "run", **options)
    said = capsys.readouterr()
    assert said.out == ""
    for stage in ("drawing data", "tuning, 0 of 8", "final runs, 0 of 4", "drawing the report", "done"):
        assert f"assay: {stage}" in said.err
    assay.compare("adam", "sgd", out=tmp_path / "run", quiet=True, **options)
    assert capsys.readouterr().err == ""
