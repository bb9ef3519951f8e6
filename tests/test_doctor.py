"""`assay doctor`: what is well, and each thing that isn't with its mend."""

import os
import platform
import sys
from importlib import metadata

from assay.cli import call
from assay.driver import doctor
from assay.engine import torch_private


def line_of(name, capsys):
    (found,) = [line for line in capsys.readouterr().out.splitlines() if line.startswith(f"{name}: ")]
    return found


def test_a_machine_on_which_all_is_well(capsys):
    assert call(["doctor"]) == 0
    out = capsys.readouterr().out
    assert platform.python_version() in out
    assert f"numpy {metadata.version('numpy')}" in out
    assert os.environ["ASSAY_CACHE"] in out
    assert "judged, drawn and verified" in out
    assert out.endswith("all is well\n")
    assert "WRONG" not in out


def test_a_cache_that_cannot_be_written(tmp_path, monkeypatch, capsys):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("ASSAY_CACHE", str(tmp_path / "file"))
    assert call(["doctor", "--no-self-test"]) == 1
    assert "set ASSAY_CACHE to a folder that can be written" in line_of("cache", capsys)


def test_how_large_the_cache_is(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("ASSAY_CACHE", str(tmp_path))
    (tmp_path / "compiled").mkdir()
    (tmp_path / "compiled" / "a").write_bytes(bytes(3 * 2**20))
    call(["doctor", "--no-self-test"])
    assert "3.0 MiB in 1 files" in line_of("cache", capsys)


def test_a_compiler_that_fails_is_wrong_and_none_is_a_note(tmp_path, monkeypatch, capsys):
    broken = tmp_path / "c++"
    broken.write_text("#!/bin/sh\necho fatal: no headers >&2\nexit 1\n")
    broken.chmod(0o755)
    monkeypatch.setattr(torch_private, "cpp_compiler", lambda: str(broken))
    assert call(["doctor", "--no-self-test"]) == 1
    assert "WRONG: " + f"{broken} can't compile (fatal: no headers). apt install" in line_of("compiler", capsys)
    monkeypatch.setattr(torch_private, "cpp_compiler", lambda: None)
    assert call(["doctor", "--no-self-test"]) == 0
    assert "note: there is no C++ compiler" in line_of("compiler", capsys)


def test_without_torch_each_line_is_still_there(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "torch", None)
    assert call(["doctor", "--no-self-test"]) == 1
    found = capsys.readouterr().out
    assert "torch: WRONG: ModuleNotFoundError" in found
    assert "download.pytorch.org/whl/cpu" in found
    assert "cache: " in found


def test_a_package_that_is_too_old_or_gone(monkeypatch):
    there = metadata.version

    def version(name):
        if name == "optuna":
            return "1.0"
        if name == "polars":
            raise metadata.PackageNotFoundError(name)
        return there(name)

    monkeypatch.setattr(metadata, "version", version)
    (found,) = [f for f in doctor.examine(self_test=False) if f.name == "packages"]
    assert found.grade == "wrong"
    assert set(found.found.split(", ")) == {"optuna 1.0", "polars is not installed"}


def test_a_self_test_whose_record_is_not_sound_is_wrong(monkeypatch):
    monkeypatch.setattr("assay.driver.verify.faults", lambda path: iter(["plan.json was changed"]))
    found = list(doctor.examine())[-1]
    assert (found.name, found.grade) == ("self-test", "wrong")
    assert "plan.json was changed" in found.found
    assert found.mend
