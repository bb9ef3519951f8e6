"""A record is data: looking at it runs nothing, shows nothing as markup, and touches nothing outside its folder."""

from __future__ import annotations

import json
import pickle
import shutil
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import msgspec
import numpy as np
import pytest

from assay.cli import call
from assay.contenders import contenders
from assay.core import Plan, ProtocolOptions, canonical, plan_of
from assay.driver.job import default_folder, science_of
from assay.driver.protocol import protocol_of
from assay.record import RunFolder, manifest
from assay.report import draw

from . import asked, tiny

SMALL = {"trials": 2, "replicates": 2, "final_seeds": 1, "epochs": 1, "engine": "loop"}
MARKUP = "<script>alert(1)</script><img src=x onerror=alert(2)>"


class Tags(HTMLParser):
    """The tags of a page with their attributes."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))


@pytest.fixture(scope="module")
def hostile(tmp_path_factory):
    """A run whose names, notes and paths are all markup."""
    _, sgd = contenders(["adam", "sgd"])
    sgd = replace(sgd, name=f"$x_{{$ {MARKUP}", note=f"its docstring: {MARKUP}", reference=f"{MARKUP}.py:X")
    task = tiny.task(name=f"t{MARKUP}", margin_reason=MARKUP, reference=f"{MARKUP}.py:task")
    out = tmp_path_factory.mktemp("hostile") / "run"
    return asked.run(asked.plan("adam", sgd, task=task, out=out, **SMALL), 1)


def test_what_a_report_shows_is_text(hostile):
    page = (hostile.folder / "report.html").read_text()
    assert "alert(1)" in page  # it is shown
    for html in (page, hostile._repr_html_()):
        tags = Tags(html).found
        assert not [t for t in tags if any(name.startswith("on") for name in t[1])]
        assert not [t for t in tags if t[0] == "img" and t[1].get("src") == "x"]
        assert "<script>alert" not in html
        assert "alert(1)" not in "".join(html.split("<script")[1:]).split("</script>")[0]


def test_markup_in_a_record_that_was_edited_is_text_too(hostile, tmp_path):
    copy = tmp_path / "run"
    shutil.copytree(hostile.folder, copy)
    content = json.loads((copy / "result.json").read_text())
    content["verdicts"][0]["sentence"] = MARKUP
    content["unit"] = MARKUP
    (copy / "result.json").write_text(json.dumps(content))
    manifest.seal(copy)
    before = (copy / "report.html").read_bytes()
    assert call(["report", str(copy)]) == 1  # it isn't what the members give
    assert (copy / "report.html").read_bytes() == before
    draw(copy)
    assert "<script>alert" not in (copy / "report.html").read_text()


def test_looking_at_a_record_imports_nothing_that_it_names(hostile, tmp_path, monkeypatch, capsys):
    evil = tmp_path / "evil.py"
    evil.write_text(f"open({str(tmp_path / 'ran')!r}, 'w').close()\nclass X: pass\ntask = X\n")
    copy = tmp_path / "run"
    shutil.copytree(hostile.folder, copy)
    plan = msgspec.json.decode((copy / "plan.json").read_bytes(), type=Plan)
    infos = tuple(msgspec.structs.replace(c, reference=f"{evil}:X") for c in plan.science.contenders)
    task = msgspec.structs.replace(plan.science.task, reference=f"{evil}:task")
    science = msgspec.structs.replace(plan.science, contenders=infos, task=task)
    (copy / "plan.json").write_bytes(canonical(msgspec.structs.replace(plan, science=science)))
    monkeypatch.chdir(tmp_path)
    for arguments in (["status"], ["verify"], ["report"], ["export", "--csv", str(tmp_path / "csv")]):
        call([arguments[0], str(copy), *arguments[1:]])
    manifest.seal(copy)
    call(["report", str(copy)])
    assert not (tmp_path / "ran").exists()


class Runs:
    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self):
        return (Path.touch, (self.marker,))


def test_a_pickle_among_the_weights_is_not_opened(tmp_path, task):
    from .record.test_record import left, some

    found = contenders(["adam", "sgd"])
    protocol = protocol_of(ProtocolOptions(trials=2, replicates=2, final_seeds=1), found)
    from assay.training.numerics import loop_here

    plan = plan_of(science_of(task, found, protocol, 0), (loop_here(), loop_here()))
    folder = RunFolder.create(tmp_path / "run", plan)
    folder.keep(some(), left())
    (file,) = folder.weights.iterdir()
    with file.open("wb") as to:
        np.lib.format.write_array(to, np.array([Runs(tmp_path / "ran")], dtype=object), allow_pickle=True)
    from assay.errors import Interrupted

    with pytest.raises(Interrupted, match="set aside"):
        folder.weights_of(file.stem)
    assert folder.find(some()) is None  # to be trained again
    file.write_bytes(pickle.dumps(Runs(tmp_path / "ran")))
    folder.keep(some(), left())
    file.write_bytes(b"torn")
    with pytest.raises(Interrupted, match="set aside"):
        folder.weights_of(file.stem)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("name", ["../../outside", "..", "/etc/x", "a/b", "\0", "", "x" * 300])
def test_a_name_is_no_path(task, name):
    adam, sgd = contenders(["adam", "sgd"])
    protocol = protocol_of(ProtocolOptions(), (adam, sgd))
    science = science_of(replace(task, name=name), (adam, replace(sgd, name=name)), protocol, 0)
    folder = default_folder(science)
    assert folder.parent == Path("assay-runs")
    assert folder.name not in ("", ".", "..")
    assert "\0" not in folder.name
    assert len(folder.name) < 255


def test_names_in_a_manifest_lead_nowhere_else(hostile, tmp_path):
    copy = tmp_path / "run"
    shutil.copytree(hostile.folder, copy)
    outside = tmp_path / "precious.parquet"
    outside.write_text("mine")
    sealed = msgspec.json.decode((copy / manifest.NAME).read_bytes(), type=manifest.Manifest)
    files = {**sealed.files, "members/../../precious.parquet": "0" * 64, str(outside): "0" * 64}
    from assay.core import digest

    (copy / manifest.NAME).write_bytes(canonical(manifest.Manifest(files, digest(files))))
    manifest.set_changed_aside(copy, manifest.doubtful(copy))
    assert outside.read_text() == "mine"
    assert call(["verify", str(copy)]) == 1
