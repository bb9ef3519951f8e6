from __future__ import annotations

import errno
import os

import numpy as np
import polars as pl
import pytest

from assay import seeds
from assay.contenders import contenders
from assay.core import Curves, DataFacts, Member, Plan, ProtocolOptions, plan_of
from assay.driver.job import science_of
from assay.driver.protocol import protocol_of
from assay.errors import Interrupted, UsageError
from assay.record import RunFolder, locked, manifest
from assay.record.extend import resume
from assay.record.files import write_atomically, write_bytes
from assay.record.lock import is_busy
from assay.training.numerics import loop_here


@pytest.fixture
def plan(task) -> Plan:
    found = contenders(["adam", "sgd"])
    protocol = protocol_of(ProtocolOptions(trials=2, replicates=2, final_seeds=1), found)
    return plan_of(science_of(task, found, protocol, 0), (loop_here(), loop_here()))


def some(phase="tune", n=2, slot=0) -> list[Member]:
    return [
        Member(slot, phase, 0, i, {"lr": 0.1 + i, "on": True}, **seeds.of_member(0, "honest", 0, phase, i))
        for i in range(n)
    ]


def left(n=2, phase="tune") -> Curves:
    rng = np.random.default_rng(0)
    curve = rng.random((n, 3))
    curve[0, 2] = np.nan
    return Curves(
        validation=curve,
        test=None if phase == "tune" else curve + 1,
        train_loss=curve + 2,
        grad_norm=curve + 3,
        update_norm=curve + 4,
        diverged=np.array([3] + [0] * (n - 1)),
        gradient_evaluations=np.arange(n),
        seconds=np.ones(n),
        data=(DataFacts("abc", 100, 60, 0.5, 0.4),) * n,
        weights=rng.random((n, 5)).astype(np.float32) if phase == "tune" else None,
    )


@pytest.mark.parametrize("phase", ["tune", "final"])
def test_what_is_kept_is_found_to_the_bit(tmp_path, plan, phase):
    folder = RunFolder.create(tmp_path / "run", plan)
    assert folder.find(some(phase)) is None
    folder.keep(some(phase), left(phase=phase))
    found = RunFolder.open(tmp_path / "run").find(some(phase))
    assert found is not None
    for name in ("validation", "train_loss", "grad_norm", "update_norm", "diverged", "gradient_evaluations"):
        np.testing.assert_array_equal(getattr(found, name), getattr(left(phase=phase), name))
    assert (found.test is None) == (phase == "tune")
    assert found.data == left().data
    assert folder.find(some(phase, slot=1)) is None
    assert folder.find(some(phase, n=1)) is None


def test_scores_follow_the_weights(tmp_path, plan):
    folder = RunFolder.create(tmp_path / "run", plan)
    folder.keep(some(), left())
    (key,) = folder.unscored()
    members, weights = folder.weights_of(key)
    assert members == some()
    kept = left().weights
    assert kept is not None
    assert np.isnan(weights[0]).all()  # it diverged: there is nothing to score
    np.testing.assert_array_equal(weights[1], kept[1])
    folder.keep_scores(key, members, np.array([np.nan, 0.25]))
    assert folder.unscored() == []
    assert not folder.weights.exists()
    frame = folder.frame()
    assert frame["contender"].to_list() == ["adam", "adam"]
    assert frame["test_score"][1] == 0.25


def test_a_torn_file_is_set_aside_and_asked_for_again(tmp_path, plan):
    folder = RunFolder.create(tmp_path / "run", plan)
    folder.keep(some(), left())
    (file,) = folder.members.glob("*.parquet")
    file.write_bytes(file.read_bytes()[:100])
    assert folder.find(some()) is None
    assert [p.suffix for p in folder.members.iterdir()] == [".damaged"]


@pytest.mark.parametrize("name", ["members", "weights"])
def test_every_changed_byte_is_found_before_anything_reads_the_file(tmp_path, plan, name):
    from assay.record import checksum

    folder = RunFolder.create(tmp_path / "run", plan)
    folder.keep(some(), left())
    (file,) = (folder.path / name).iterdir()
    content = file.read_bytes()
    assert checksum.whole(content)
    for i in range(len(content)):
        assert not checksum.whole(content[:i] + bytes([content[i] ^ 1]) + content[i + 1 :])
        assert not checksum.whole(content[:i])
    assert not checksum.whole(content + b"x")
    if name == "members":  # and it is a Parquet file to everybody
        assert pl.read_parquet(file).height == 2


def test_another_plan_is_refused_and_the_difference_named(tmp_path, plan, task):
    import msgspec

    RunFolder.create(tmp_path / "run", plan)
    science = plan.science
    edited = msgspec.structs.replace(science.contenders[1], source="sha256:other")
    other = msgspec.structs.replace(science, contenders=(science.contenders[0], edited), seed=7)
    with pytest.raises(UsageError) as caught:
        resume(tmp_path / "run", other, plan.numerics[0].torch)
    assert "seed 0 → 7" in str(caught.value)
    assert "the source of sgd was edited since the record was made" in str(caught.value)


def test_the_numerics_on_record_win(tmp_path, plan):
    RunFolder.create(tmp_path / "run", plan)
    resumed = resume(tmp_path / "run", plan.science, plan.numerics[0].torch)
    assert resumed is not None
    assert resumed.plan.numerics == plan.numerics
    with pytest.raises(UsageError, match="was made with torch"):
        resume(tmp_path / "run", plan.science, "99.0")
    assert resume(tmp_path / "none", plan.science, "99.0") is None


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"{", "damaged"),
        (b'{"version": 99}', "version 99"),
        (b"[]", "damaged"),
        (b'{"version": 2}', "damaged"),
        (b"\xff", "damaged"),
    ],
)
def test_a_plan_that_is_none_is_refused(tmp_path, content, words):
    (tmp_path / "plan.json").write_bytes(content)
    with pytest.raises(UsageError, match=words):
        RunFolder.open(tmp_path)


def test_folders_that_are_something_else_are_refused(tmp_path, plan):
    (tmp_path / "mine.txt").write_text("precious")
    with pytest.raises(UsageError, match="no run folder"):
        resume(tmp_path, plan.science, plan.numerics[0].torch)
    with pytest.raises(UsageError, match="can't be a folder: there is a file in its place"):
        RunFolder.create(tmp_path / "mine.txt" / "below", plan)
    assert (tmp_path / "mine.txt").read_text() == "precious"


def test_two_commands_in_one_folder_are_refused(tmp_path, plan):
    folder = RunFolder.create(tmp_path / "run", plan)
    with locked(folder.path):
        assert is_busy(folder.path)
        with pytest.raises(UsageError, match="another command"), locked(folder.path):
            pass
    assert not is_busy(folder.path)


def test_a_full_disk_is_resumable_and_leaves_nothing_half_written(tmp_path):
    def full(path):
        path.write_bytes(b"half")
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with pytest.raises(Interrupted, match="disk is full"):
        write_atomically(tmp_path / "file", full)
    assert list(tmp_path.iterdir()) == []


def test_the_manifest_names_what_changed(tmp_path):
    (tmp_path / "members").mkdir()
    write_bytes(tmp_path / "a", b"one")
    write_bytes(tmp_path / "members" / "b", b"two")
    manifest.seal(tmp_path)
    assert manifest.changes(tmp_path) == []
    (tmp_path / "members" / "b").write_bytes(b"twO")
    (tmp_path / "c").write_bytes(b"new")
    (tmp_path / "a").unlink()
    found = manifest.changes(tmp_path)
    assert [str(c) for c in found] == ["a is missing", "members/b was changed", "c is not in manifest.json"]
    assert [(c.path, c.kind) for c in found] == [("a", "missing"), ("members/b", "changed"), ("c", "added")]
    text = (tmp_path / manifest.NAME).read_text()
    (tmp_path / manifest.NAME).write_text(text.replace('"a"', '"d"'))
    assert [str(c) for c in manifest.changes(tmp_path)] == ["manifest.json was changed"]


def test_many_missing_files_are_counted_after_the_first_three(tmp_path):
    for name in "abcde":
        write_bytes(tmp_path / name, b"one")
    manifest.seal(tmp_path)
    (tmp_path / "e").write_bytes(b"two")
    for name in "abc":
        (tmp_path / name).unlink()
    assert manifest.brief(manifest.changes(tmp_path)) == [str(c) for c in manifest.changes(tmp_path)]
    (tmp_path / "d").unlink()
    assert manifest.brief(manifest.changes(tmp_path)) == ["a, b, c and 1 more are missing", "e was changed"]


def test_what_a_file_is_called_says_nothing_of_what_became_of_it(tmp_path):
    (tmp_path / "members").mkdir()
    for name in ("page.html", "members/kept", "members/lost is missing"):
        write_bytes(tmp_path / name, b"one")
    manifest.seal(tmp_path)
    for name in ("figure.png", "my figure.png", "members/b was changed"):
        (tmp_path / name).write_bytes(b"new")
    (tmp_path / "members" / "kept").write_bytes(b"two")
    (tmp_path / "members" / "lost is missing").write_bytes(b"two")
    found = manifest.doubtful(tmp_path)
    assert [str(c) for c in found] == [
        "members/kept was changed",
        "members/lost is missing was changed",
        "members/b was changed is not in manifest.json",
    ]
    assert manifest.brief(found, named=0) == [str(c) for c in found]
    assert manifest.set_changed_aside(tmp_path, found) == ["members/kept", "members/lost is missing"]
    assert (tmp_path / "members" / "b was changed").exists()
