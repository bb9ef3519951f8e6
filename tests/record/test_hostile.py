"""Records that no run made: each is refused by name, in one line, in little memory, by every command that reads one."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from assay.cli import call
from assay.record import checksum, chunks, manifest

from .. import asked, tiny
from .forge import column, document, file, forged, members, steps

OPTIONS = {"trials": 2, "replicates": 2, "final_seeds": 2, "engine": "loop", "epochs": 2, "protocol": "honest-1"}
MILLIONS = 2_000_000


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("whole") / "run"
    return asked.run(asked.plan("adam", "sgd", task=tiny.task(), out=out, **OPTIONS), 1).folder


def refused(folder: Path, words: str, capsys, tmp_path: Path, commands: str = "verify status report export") -> None:
    """By each of these commands, in a line with these words."""
    for command in commands.split():
        more = ["--csv", str(tmp_path / "csv")] if command == "export" else []
        capsys.readouterr()
        code = call([command, str(folder), *more])
        told = capsys.readouterr()
        assert code in (1, 2), command
        assert words in told.out + told.err, (command, told)
        assert len(told.err.strip().splitlines()) <= 1


def linked(folder: Path) -> None:
    path = sorted(folder.glob("members/*.parquet"))[0]
    path.rename(folder.parent / "elsewhere.parquet")
    path.symlink_to(folder.parent / "elsewhere.parquet")


def listening(folder: Path) -> None:
    with socket.socket(socket.AF_UNIX) as own:
        before = Path.cwd()
        os.chdir(folder)  # a socket's path is short
        own.bind("s")
        os.chdir(before)


def nested(folder: Path) -> None:
    (folder / "members" / "more").mkdir()
    (folder / "members" / "more" / "a.parquet").write_bytes(b"x")


PLACES = {
    "a link to a file": (linked, "is a link"),
    "a link to nothing": (lambda f: (f / "x.json").symlink_to("nowhere"), "x.json is a link"),
    "a link to a folder": (lambda f: (f / "weights").symlink_to("/"), "weights is a link"),
    "a link to itself": (lambda f: (f / "members" / "loop").symlink_to("."), "loop is a link"),
    "a pipe": (lambda f: os.mkfifo(f / "members" / "0.parquet"), "0.parquet is a pipe"),
    "a pipe for the plan": (lambda f: ((f / "plan.json").unlink(), os.mkfifo(f / "plan.json")), "plan.json is a pipe"),
    "a socket": (listening, "is a pipe, a socket or a device"),
    "a folder among the members": (nested, "more is a folder"),
    "a folder of its own": (lambda f: (f / "notes").mkdir(), "notes is a folder"),
    "a name with a bell": (lambda f: (f / "members" / "\a").write_bytes(b""), r"members/\x07"),
}


@pytest.mark.parametrize("what", PLACES)
def test_what_is_no_file_is_refused_by_name(whole, tmp_path, what, capsys):
    how, words = PLACES[what]
    copy = shutil.copytree(whole, tmp_path / "run")
    how(copy)
    refused(copy, words, capsys, tmp_path)


def text(name: str, before: str, after: str):
    return file(name, lambda b: b.replace(before.encode(), after.encode(), 1))


def planned(**changes):
    def change(content):
        for path, value in changes.items():
            *holders, last = path.split("__")
            place = content["science"]
            for name in holders:
                place = place[int(name) if name.isdigit() else name]
            place[last] = value

    return document("plan.json", change)


PLANS = {
    "a name twice": (text("plan.json", '"seed"', '"seed": 1, "seed"'), "says 'seed' twice"),
    "nested too deep": (file("plan.json", lambda _: b'{"version": 2, "x": ' + b"[" * 10**6), "nested too deep"),
    "larger than any": (file("plan.json", lambda _: b"[" + b"{}," * 2_000_000 + b"{}]"), "larger than any"),
    "not finite": (text("plan.json", '"scale": 100.0', '"scale": 1e999'), "damaged"),
    "no number": (text("plan.json", '"scale": 100.0', '"scale": NaN'), "damaged"),
    "a thousand million epochs": (planned(task__epochs=10**9), "one value an epoch"),
    "more epochs than there are numbers": (planned(task__epochs=10**30), "than there can be"),
    "a thousand million replicates": (planned(protocol__replicates=10**9), "more members than there can be"),
    "trials below 0": (planned(protocol__trials=-1), "below 1"),
    "text for a number": (planned(task__batch_size="32"), "damaged"),
    "nothing for a number": (planned(task__margin=None), "damaged"),
    "a range without end": (planned(contenders__0__space={"lr": {"kind": "float", "low": 0, "high": 1e999}}), "damaged"),
    "another range": (planned(contenders__0__space={"lr": {"kind": "float", "low": 2.0, "high": 3.0}}), "not from its ranges"),
    "another name": (planned(contenders__1__space={"x": {"kind": "float", "low": 0, "high": 1}}), "not from its ranges"),
    "a setting of no sampler": (text("plan.json", '"constant_liar"', '"bonstant_liar"'), "doesn't have"),
    "a sampler without settings": (planned(protocol__sampler_options={}), "doesn't have"),
    "a sampler of many candidates": (text("plan.json", '"n_ei_candidates": 24', '"n_ei_candidates": 24000000'), "doesn't have"),
    "UTF-16": (file("plan.json", lambda b: b.decode().encode("utf-16")), "damaged"),
    "half a character": (text("plan.json", '"name": "clouds"', '"name": "\\ud800"'), "damaged"),
}  # fmt: skip


@pytest.mark.parametrize("what", PLANS)
def test_a_plan_that_none_could_be_is_refused(whole, tmp_path, what, capsys):
    how, words = PLANS[what]
    try:
        copy = forged(whole, tmp_path / "run", how)
    except ValueError:  # what JSON can't say can't be written either
        pytest.skip("no such file can be written")
    refused(copy, words, capsys, tmp_path)


def rows(**changes):
    return members(lambda f: f.with_columns(**changes))


ROWS = {
    "ragged": (rows(train_loss=pl.Series([[0.5]])), "its train_loss is not one value an epoch"),
    "longer": (rows(test=pl.Series([[0.5] * 9])), "more than its plan asks for"),
    "without a value": (rows(grad_norm=pl.Series([[0.5, None]])), "a value of its grad_norm is missing"),
    "without a curve": (column("validation", None), "a value is missing"),
    "a slot that is none": (column("slot", 7), "no contender has its number"),
    "a negative replicate": (column("replicate", -1), "no replicate has its number"),
    "a replicate beyond": (column("replicate", 2), "no replicate has its number"),
    "an index beyond": (column("index", 2), "the plan has no such member"),
    "a phase of its own": (column("phase", "\x1b[2Jlast"), "it neither tunes nor is final"),
    "negative seconds": (column("seconds", -1.0), "its seconds are no time"),
    "seconds without end": (column("seconds", float("inf")), "its seconds are no time"),
    "gradients below none": (column("gradient_evaluations", -(2**63)), "its gradients can't be so many"),
    "an epoch beyond": (column("diverged", 3), "its divergence is in no epoch"),
    "no samples": (column("train_samples", 0), "its data can't have that size"),
    "a floor that is none": (column("test_floor", float("nan")), "what a constant prediction scores is no number"),
    "text for hyperparameters": (column("hyperparameters", "lr"), "its hyperparameters are not from its ranges"),
    "a list of hyperparameters": (column("hyperparameters", "[" * 1000), "its hyperparameters are not from its ranges"),
    "a rate twice": (column("hyperparameters", '{"lr":0.1,"lr":0.2}'), "its hyperparameters are not from its ranges"),
    "a rate in words": (column("hyperparameters", '{"lr":"0.1"}'), "its hyperparameters are not from its ranges"),
    "a rate out of its range": (
        column("hyperparameters", '{"lr":1e300}'),
        "its hyperparameters are not from its ranges",
    ),
    "long hyperparameters": (column("hyperparameters", "x" * MILLIONS), "more than its plan asks for"),
    "nothing": (members(lambda f: f.head(0)), "nothing is in it"),
    "other columns": (members(lambda f: f.drop("noise")), "other columns"),
    "other kinds of numbers": (members(lambda f: f.with_columns(slot=f["slot"].cast(pl.Int64))), "other columns"),
    "no Parquet": (file("members/*.parquet", lambda b: b[:-4] + b"PAR2"), "it is not what was written"),
}


@pytest.mark.parametrize("what", ROWS)
def test_rows_that_the_plan_could_not_have_left_are_refused(whole, tmp_path, what, capfd):
    how, words = ROWS[what]

    def loosely(folder: Path) -> None:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(chunks, "SCHEMA", chunks.SCHEMA)
            how(folder)

    copy = forged(whole, tmp_path / "run", loosely)
    refused(copy, words, capfd, tmp_path)


STEPS = {
    "too few": steps(lambda x: x[:, :-1]),
    "numbers that are none": steps(lambda x: np.zeros(x.shape, dtype=np.int32)),
}


@pytest.mark.parametrize("what", STEPS)
def test_steps_of_another_shape_are_refused(whole, tmp_path, what, capsys):
    refused(forged(whole, tmp_path / "run", STEPS[what]), "not the steps of its members", capsys, tmp_path, "verify")


def test_an_array_that_says_it_is_larger_than_its_file_makes_no_room_for_it(tmp_path):
    checksum.write_array(tmp_path / "a.npy", np.zeros((2, 4)))
    content = (tmp_path / "a.npy").read_bytes()[: -checksum.SIZE].replace(b"(2, 4)", b"(9**9,)"[:6])
    for shape in (b"(10**9", b"(2, 99"):
        checksum.write(tmp_path / "b.npy", content.replace(b"(9**9,", shape))
        with pytest.raises(ValueError):
            checksum.read_array(tmp_path / "b.npy")


def bomb(folder: Path) -> None:
    """A few kilobytes that would be a gigabyte: curves as long as millions of epochs, all of one value."""
    path = sorted(folder.glob("members/*.parquet"))[0]
    frame = chunks.read(path)
    curve = pl.Series([0.5]).new_from_index(0, MILLIONS).implode()
    chunks.write(path, frame.with_columns(curve.alias(name) for name in chunks.CURVES))


def bombs(folder: Path) -> None:
    """The same, and its plan says so."""
    bomb(folder)
    planned(task__epochs=MILLIONS)(folder)


def large_document(folder: Path) -> None:
    (folder / "result.json").write_bytes(b'{"verdicts": [' + b"[]," * 20_000_000 + b"[]]}")


BOMBS = {"curves": bomb, "curves and a plan for them": bombs, "a document": large_document}
MEASURE = """
import resource, sys
from assay.cli import call
import assay.driver.verify, assay.report, assay.export.tables, matplotlib.figure
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
folder, csv = sys.argv[1:]
codes = [call(words) for words in (["verify", folder], ["report", folder], ["status", folder], ["export", folder, "--csv", csv])]
print(*codes, (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)
"""


@pytest.mark.parametrize("what", BOMBS)
def test_what_would_make_gigabytes_is_refused_in_little_memory(whole, tmp_path, what):
    copy = forged(whole, tmp_path / "run", BOMBS[what])
    size = sum(p.stat().st_size for p in copy.rglob("*") if p.is_file()) // 2**20
    words = [sys.executable, "-c", MEASURE, str(copy), str(tmp_path / "csv")]
    done = subprocess.run(words, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stderr
    *codes, megabytes = done.stdout.split()[-5:]
    reads_no_result = ["0", "0"] if what == "a document" else ["1", "1"]  # as status and export do
    assert codes == ["1", "1", *reads_no_result], done.stdout + done.stderr
    assert int(megabytes) < 512 + size


HOLLOW = {
    "members beside the others": lambda folder: folder / "members" / "zzz.parquet",
    "members in the manifest": lambda folder: sorted(folder.glob("members/*.parquet"))[0],
    "steps": lambda folder: sorted(folder.glob("steps/*.npy"))[0],
}


@pytest.mark.parametrize("what", HOLLOW)
def test_a_file_that_is_too_large_is_neither_hashed_nor_read(whole, tmp_path, what, capsys):
    copy = shutil.copytree(whole, tmp_path / "run")
    path = HOLLOW[what](copy)
    path.touch()
    os.truncate(path, 60 * 2**30)  # takes no room on the disk
    commands = "verify report" if what == "steps" else "verify report status export"
    refused(copy, path.name, capsys, tmp_path, commands)
    (copy / manifest.NAME).unlink()
    refused(copy, path.name, capsys, tmp_path, commands)
    assert manifest.root(copy) != manifest.root(whole)


def test_a_deep_manifest_and_a_foreign_suite_are_refused(whole, tmp_path, capsys):
    copy = shutil.copytree(whole, tmp_path / "run")
    (copy / manifest.NAME).write_bytes(b'{"files": ' + b"[" * 10**6)
    assert call(["verify", str(copy)]) == 1
    assert "manifest.json is damaged" in capsys.readouterr().out
    (copy / manifest.NAME).unlink()
    (copy / "suite.json").write_text(json.dumps({"title": []}))
    refused(copy, "suite.json is damaged", capsys, tmp_path)
