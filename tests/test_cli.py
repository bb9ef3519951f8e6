"""The command line as a user meets it: exit codes, one clear line for a fault, no torch where none is needed."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from assay.cli import call

from .test_fuzz import call as in_this_process

ROOT = Path(__file__).parents[1]
TINY = ["--task", "tests/tiny.py:task", "--workers", "1"]
PAIR = ["adam", "sgd", *TINY, "--space", "adam.lr=1e-4..1e-1:log", "--space", "sgd.lr=1e-3..1:log"]  # no pilots


def apart(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """A command in a process of its own, as users start it."""
    command = [sys.executable, "-m", "assay", *arguments]
    return subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, env={**os.environ, **environment}, check=False
    )


def assay(*arguments: str) -> subprocess.CompletedProcess[str]:
    """The same in this process, where torch is loaded."""
    with contextlib.chdir(ROOT):
        return subprocess.CompletedProcess(arguments, *in_this_process([*arguments]))


@pytest.fixture(scope="module")
def honest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished honest run of the smallest task."""
    folder = tmp_path_factory.mktemp("cli") / "run"
    options = ["--protocol", "honest", "--trials", "3", "--replicates", "3", "--final-seeds", "2", "--json"]
    done = apart("run", *PAIR, *options, "--out", str(folder))
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == json.loads((folder / "result.json").read_text())
    return folder


def test_the_run_folder_is_what_the_contract_says(honest):
    for name in ("plan.json", "result.json", "timings.json", "report.html", "comparison_plot.png", "studies.db"):
        assert (honest / name).stat().st_size > 0
    assert len(list((honest / "members").glob("*.parquet"))) == 2 * 3 * (3 + 2)
    content = json.loads((honest / "result.json").read_text())
    (verdict,) = content["verdicts"]
    for key in [
        "task",
        "candidate",
        "baseline",
        "outcome",
        "sentence",
        "difference",
        "ci_low",
        "ci_high",
        "p_value",
        "p_superior",
        "margin",
        "replicates",
        "unit",
    ]:
        assert key in verdict
    assert set(content["contenders"]) == {"adam", "sgd"}
    assert content["ledger"]["adam"]["tune"] == {"trainings": 9, "allotted_steps": 72, "gradient_evaluations": 72}
    assert content["plan_hash"]
    assert "seconds" not in (honest / "result.json").read_text()


def test_studies_open_in_optuna(honest):
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    storage = optuna.storages.RDBStorage(f"sqlite:///{honest / 'studies.db'}")
    try:
        names = optuna.get_all_study_names(storage)
        assert len(names) == 6
        assert len(optuna.load_study(study_name="sgd, replicate 2", storage=storage).trials) == 3
    finally:
        storage.engine.dispose()


def test_verify_finds_nothing_wrong_with_a_sound_record(honest):
    done = assay("verify", str(honest), "--retrain", "2", "--workers", "1")
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("the same to the bit") == 2


FILES = """plan.json result.json timings.json report.html *.png members/*.parquet scores/*.parquet studies.db manifest.json"""


@pytest.mark.parametrize("pattern", FILES.split())
def test_verify_names_the_file_with_a_changed_byte(honest, tmp_path, pattern):
    copy = tmp_path / "copy"
    shutil.copytree(honest, copy)
    file = sorted(copy.glob(pattern))[0]
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)
    done = assay("verify", str(copy))
    assert done.returncode in (1, 2)  # a damaged plan can't even be read: bad input
    assert file.name in done.stdout + done.stderr
    assert "Traceback" not in done.stderr


def test_verify_sees_through_a_forged_result_with_a_fresh_manifest(honest, tmp_path):
    from assay.record import manifest

    copy = tmp_path / "copy"
    shutil.copytree(honest, copy)
    text = (copy / "result.json").read_text()
    content = json.loads(text)
    content["verdicts"][0]["outcome"] = "better"
    content["verdicts"][0]["difference"] = 0.3
    (copy / "result.json").write_text(json.dumps(content))
    manifest.seal(copy)
    done = assay("verify", str(copy))
    assert done.returncode == 1
    assert "verdicts is not what the members give" in done.stdout


def test_report_draws_again_and_stays_verifiable(honest):
    (honest / "report.html").unlink()
    assert assay("verify", str(honest)).returncode == 1
    done = assay("report", str(honest))
    assert done.returncode == 0
    assert (honest / "report.html").exists()
    assert assay("verify", str(honest)).returncode == 0


def test_a_folder_that_was_emptied_is_told_in_a_short_line(honest, tmp_path, capsys):
    copy = tmp_path / "copy"
    shutil.copytree(honest, copy)
    gone = sorted(p.relative_to(copy).as_posix() for p in (copy / "scores").iterdir())
    assert len(gone) > 3
    shutil.rmtree(copy / "scores")
    assert call(["report", str(copy)]) == 1
    said = f"{', '.join(gone[:3])} and {len(gone) - 3} more are missing"
    assert said in capsys.readouterr().err
    assert call(["verify", str(copy)]) == 1
    shown = capsys.readouterr().out
    assert f"mismatch: {said}\n" in shown
    assert gone[3] not in shown


def test_status_says_how_far_a_run_is(honest):
    done = assay("status", str(honest))
    assert done.returncode == 0
    assert "adam: 9 of 9 trials, 6 of 6 final runs" in done.stdout
    assert "finished" in done.stdout


def test_plan_only_trains_nothing_and_says_what_it_would_cost(tmp_path):
    done = assay("run", *PAIR, "--plan-only", "--json", "--protocol", "honest", "--out", str(tmp_path / "x"))
    assert done.returncode == 0, done.stderr
    content = json.loads(done.stdout)
    assert content["estimate"]["trainings"] == 2 * 14 * 22
    assert content["estimate"]["steps"] == 2 * 14 * 22 * 8
    assert content["estimate"]["seconds"] > 0
    assert not (tmp_path / "x").exists()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["rnu"], 'Did you mean "run"'),
        (["run", "adam"], "at least one candidate"),
        (["run", "adam", "sgd", "--trails", "3"], "--trials"),
        (["run", "adam", "sgd", "--trials", "0"], "--trials 0"),
        (["run", "adam", "sgd", "--replicates", "auto:1000000"], "10,000 are the most"),
        (["run", "adam", "sgd", "--trials", "many"], "--trials"),
        (["run", "adam", "sgd", "--trials", "2.5"], "--trials must be a whole number, not 2.5"),
        (["run", "adam", "sgd", "--epochs", "2", "--epochs", "2.5"], "--epochs must be a whole number, not 2.5"),
        (["run", "adam", "sgd", "--replicates", "12.5"], "--replicates must be a whole number, not 12.5"),
        (["board", "--seed", "0.5"], "--seed must be a whole number, not 0.5"),
        (["run", "adam", "sgd", "--workers", "0"], "--workers 0"),
        (["run", "adam", "sgg"], "did you mean sgd"),
        (["run", "adam", "sgd", "--task", "mnist1d"], "did you mean mnist1d-mlp"),
        (["run", "adam", "sgd", "--task", "nowhere.py:task"], "no file nowhere.py"),
        (["run", "adam", "sgd", "--task", "tests/tiny.py:network"], "it must be an assay.Task"),
        (["run", "adam", "adam"], "two contenders are called adam"),
        (["run", "adam", "sgd", "--space", "sgd.lr=1..0.1"], "below"),
        (["run", "adam", "sgd", "--train-samples", "7"], "multiple of 40"),
        (["run", "adam", "sgd", "--margin", "-1"], "margin"),
        (["verify", "/nowhere"], "no run folder"),
        (["report", "/nowhere"], "no run folder"),
    ],
)
def test_a_users_fault_is_one_clear_line_and_exit_code_2(arguments, words, capsys, monkeypatch):
    monkeypatch.chdir(ROOT)
    assert call(arguments) == 2
    shown = capsys.readouterr()
    assert words in shown.err
    assert shown.out == ""
    assert len(shown.err.strip().splitlines()) == 1
    assert shown.err.startswith("assay: ")


def test_another_plan_in_the_folder_is_refused(honest):
    done = assay("run", *PAIR, "--protocol", "honest", "--seed", "3", "--out", str(honest))
    assert done.returncode == 2
    assert "seed 0 → 3" in done.stderr


def test_a_users_file_edited_since_is_named(tmp_path):
    mine = tmp_path / "mine.py"
    mine.write_text("import torch\n\nclass Mine(torch.optim.SGD):\n    pass\n")
    command = [
        "run",
        "adam",
        f"{mine}:Mine",
        *TINY,
        "--protocol",
        "published",
        "--trials",
        "2",
        "--out",
        str(tmp_path / "r"),
    ]
    assert apart(*command).returncode == 0
    mine.write_text(mine.read_text() + "\n# edited\n")
    done = apart(*command)
    assert done.returncode == 2
    assert "the source of Mine was edited since the record was made" in done.stderr


def test_a_cache_that_cant_be_written_costs_a_warning(tmp_path):
    blocked = tmp_path / "file"
    blocked.write_text("")
    options = ["--protocol", "published", "--trials", "2", "--quiet", "--out", str(tmp_path / "r")]
    done = apart("run", "adam", "sgd", *TINY, *options, ASSAY_CACHE=str(blocked / "below"))
    assert done.returncode == 0
    assert "ASSAY_CACHE" in done.stderr


def test_ctrl_c_keeps_what_is_finished_and_exits_3(tmp_path):
    folder = tmp_path / "run"
    command = [
        sys.executable,
        "-m",
        "assay",
        "run",
        "adam",
        "sgd",
        *TINY,
        "--epochs",
        "40",
        "--trials",
        "200",
        "--protocol",
        "published",
    ]
    started = subprocess.Popen(
        [*command, "--out", str(folder)], cwd=ROOT, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    deadline = time.monotonic() + 120
    while len(list(folder.glob("members/*.parquet"))) < 3 and started.poll() is None and time.monotonic() < deadline:
        time.sleep(0.02)
    started.send_signal(signal.SIGINT)
    _, errors = started.communicate(timeout=60)
    assert started.returncode == 3
    assert "run the same command again" in errors
    assert "Traceback" not in errors
    assert len(list(folder.glob("members/*.parquet"))) >= 3
    assert not list(folder.glob("members/.tmp*"))


def test_help_list_report_and_verify_import_no_torch(honest):
    for arguments in (["--help"], ["list"], ["report", str(honest)], ["verify", str(honest)], ["status", str(honest)]):
        code = (
            f"import sys; from assay.cli import call; code = call({arguments!r}); "
            "assert 'torch' not in sys.modules; sys.exit(code)"
        )
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        assert done.stdout


def copied(honest: Path, tmp_path: Path) -> Path:
    copy = tmp_path / "copy"
    shutil.copytree(honest, copy)
    return copy


def rerun(folder: Path) -> subprocess.CompletedProcess[str]:
    options = ["--protocol", "honest", "--trials", "3", "--replicates", "3", "--final-seeds", "2", "--quiet"]
    return assay("run", *PAIR, *options, "--out", str(folder))


def test_what_a_kill_leaves_half_written_is_swept_away(honest, tmp_path):
    copy = copied(honest, tmp_path)
    (copy / "members" / ".tmp-half.tmp").write_bytes(b"PAR1")
    (copy / ".tmp-half.tmp-journal").write_bytes(b"SQLite")
    done = rerun(copy)
    assert done.returncode == 0, done.stderr
    assert not list(copy.rglob(".tmp-*"))
    assert (copy / "result.json").read_bytes() == (honest / "result.json").read_bytes()


def test_lost_scores_and_changed_members_are_made_again(honest, tmp_path):
    """A file that was changed since the record was sealed is never judged, nor sealed again as if it were sound."""
    copy = copied(honest, tmp_path)
    lost, changed = sorted((copy / "scores").glob("*"))[0], sorted((copy / "members").glob("*"))[0]
    lost.unlink()
    content = bytearray(changed.read_bytes())
    content[len(content) // 3] ^= 1
    changed.write_bytes(content)
    assert assay("report", str(copy)).returncode == 1
    assert f"members/{changed.name} was changed" in assay("verify", str(copy)).stdout
    done = rerun(copy)
    assert done.returncode == 0, done.stderr
    assert "set aside, and trained again" in done.stderr
    assert (copy / "result.json").read_bytes() == (honest / "result.json").read_bytes()
    assert assay("verify", str(copy)).returncode == 0


def test_a_users_file_may_import_what_lies_beside_it(tmp_path):
    (tmp_path / "a_helper_of_mine.py").write_text("SCALE = 0.5\n")
    (tmp_path / "mine.py").write_text(
        "import torch\nfrom a_helper_of_mine import SCALE\n\n"
        "class Mine(torch.optim.SGD):\n"
        "    def __init__(self, params, lr=0.1):\n        super().__init__(params, lr=lr * SCALE)\n"
    )
    command = ["run", "adam", f"{tmp_path / 'mine.py'}:Mine", *TINY, "--protocol", "published", "--trials", "2"]
    done = apart(*command, "--quiet", "--out", str(tmp_path / "r"))
    assert done.returncode == 0, done.stderr
    (tmp_path / "a_helper_of_mine.py").write_text("SCALE = 0.25\n")
    assert "the source of Mine was edited" in apart(*command, "--out", str(tmp_path / "r")).stderr


def test_a_table_from_the_record_has_the_order_that_was_asked_for(tmp_path, capsys):
    few = ["--trials", "1", "--replicates", "2", "--final-seeds", "1", "--out", str(tmp_path / "run")]
    tables: list[str] = []
    for _ in range(2):
        assert call(["run", "sgd", "adam", *TINY, *few]) == 0
        tables.append(capsys.readouterr().out.partition("\n\n")[0])
    assert tables[0] == tables[1]
    assert [row.split()[0] for row in tables[1].splitlines()] == ["contender", "sgd", "adam"]


def test_a_signal_before_anything_began_is_one_line_and_exit_code_3(monkeypatch, capsys):
    def asked_to_end() -> None:
        raise KeyboardInterrupt("by SIGTERM")

    monkeypatch.setattr("assay.cli.printed.listing", asked_to_end)
    assert call(["list"]) == 3
    assert capsys.readouterr().err == "assay: interrupted by SIGTERM, before any training began\n"


def test_what_an_error_of_a_users_says_is_cut_short(tmp_path, capsys):
    (tmp_path / "mine.py").write_text("def make(model, lr):\n    raise RuntimeError('x' * 10_000_000)\n")
    assert call(["run", "adam", f"{tmp_path / 'mine.py'}:make", *TINY, "--out", str(tmp_path / "run")]) == 2
    told = capsys.readouterr().err
    assert "xxx... (10,000,014 characters)" in told
    assert len(told) < 6_000


@pytest.mark.skipif(shutil.which("bash") is None, reason="there is no bash on this machine")
def test_bash_completes_what_it_is_told_to(tmp_path):
    done = apart("--install-completion", "--shell", "bash", HOME=str(tmp_path), XDG_DATA_HOME="")
    assert done.returncode == 0, done.stderr
    script = Path(done.stdout.partition(":")[0])
    assert script.is_relative_to(tmp_path)
    function = "$(complete -p assay | sed 's/.*-F \\([^ ]*\\).*/\\1/')"
    ask = f"source {script}; COMP_WORDS=(assay run --repl); COMP_CWORD=2; {function} assay"
    shown = subprocess.run(["bash", "-c", f'{ask}; echo "${{COMPREPLY[@]}}"'], capture_output=True, text=True)
    assert shown.stdout.split() == ["--replicates"], shown.stderr


def test_a_shell_that_is_not_known_is_asked_for(monkeypatch):
    from cyclopts.completion import detect

    def none():
        raise detect.ShellDetectionError

    monkeypatch.setattr(detect, "detect_shell", none)
    done = assay("--install-completion")
    assert done.returncode == 2
    assert "--shell bash" in done.stderr
    assert len(done.stderr.splitlines()) == 1
