"""Broken command lines, spaces, plans and records: each ends in a clear error, none in a traceback or a wrong answer.

A few examples here; ASSAY_FUZZ=2500 gives each of the four tests that many (`benchmarks/README.md` has what they found).
"""

from __future__ import annotations

import contextlib
import io
import json
import math
import os
import shutil
import tempfile
from pathlib import Path

import hypothesis
import msgspec
import pytest
from hypothesis import strategies as st

from assay import cli
from assay.contenders.resolve import parse_space
from assay.core import Plan, canonical
from assay.driver import study
from assay.errors import AssayError, UsageError
from assay.record import RunFolder, manifest
from assay.space import Choice, Float, Int

from . import asked, tiny

EXAMPLES = int(os.environ.get("ASSAY_FUZZ", "0"))
ROOT = Path(__file__).parents[1]


def fuzz(usual: int):
    return hypothesis.settings(
        max_examples=EXAMPLES or usual,
        deadline=None,
        database=None,
        derandomize=not EXAMPLES,
        suppress_health_check=list(hypothesis.HealthCheck),
        phases=[hypothesis.Phase.generate, hypothesis.Phase.shrink],
    )


def call(arguments: list[str]) -> tuple[int, str, str]:
    """Exit code, standard output and standard error of a command; an exception that comes through is a failure."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = cli.call(arguments)
    return code, out.getvalue(), err.getvalue()


def is_clear(code: int, errors: str) -> None:
    assert code in (0, 1, 2, 3, 4)
    assert "Traceback" not in errors
    if code in (2, 3, 4):
        assert errors.startswith("assay: ")
        assert len(errors.strip()) > len("assay: ") + 5


# ------------------------------------------------------------------------------------------------- command lines

NUMBERS = st.one_of(
    st.integers(-5, 50).map(str),
    st.floats().map(str),
    st.sampled_from(["", "1e400", "-0", "0x10", "1_000", "٣", "12,24", "auto", "auto:", "auto:-3", "auto:x", "9" * 40]),
)
NAMES = st.one_of(
    st.sampled_from(["adam", "sgd", "gns-adam", "adam+cosine", "x=adam", "=adam", "a=b=adam", "tests/tiny.py:task"]),
    st.sampled_from(
        ["nowhere.py:X", "os:system", "json:loads", ":", "a:", ":b", "tests/tiny.py", "../x.py:Y", "\0.py:a"]
    ),
    st.text(st.characters(exclude_categories=()), max_size=12),  # surrogates too: bytes that are no UTF-8
    st.sampled_from(["n" * 300, "n" * 5000, "n" * 300 + ".py:X"]),
)
WITH_NUMBERS = ["--trials", "--replicates", "--looks", "--final-seeds", "--epochs", "--margin", "--seed", "--workers"]
WITH_NUMBERS += ["--train-samples", "--time-limit"]
WITH_NAMES = [
    "--task",
    "--protocol",
    "--engine",
    "--compile",
    "--device",
    "--ray-address",
    "--space",
    "--workers",
    "--out",
]
ALONE = ["--controls", "--plan-only", "--json", "--quiet", "--help-me", "-x", "--", "--no-quiet", "--out"]
OPTION = st.one_of(
    st.tuples(
        st.sampled_from(WITH_NUMBERS),
        NUMBERS,
    ),
    st.tuples(
        st.sampled_from(WITH_NAMES),
        st.one_of(NAMES, st.sampled_from(["honest", "published", "loop", "auto", "off", "cuda", "cuda:99", "ray"])),
    ),
    st.tuples(st.sampled_from(ALONE)),
)
COMMAND_LINES = st.tuples(
    st.sampled_from(["run"] * 6 + ["check", "status", "verify", "report", "export", "list", "", "rnu"]),
    st.lists(NAMES, max_size=4),
    st.lists(OPTION, max_size=6),
).map(lambda t: [t[0], *t[1], *(word for option in t[2] for word in option)])


class Accepted(AssayError):
    exit_code = 0


@pytest.fixture
def _nothing_is_trained(monkeypatch):
    import assay.conformance
    import assay.driver.planned
    import assay.driver.run

    def accept(job, *_):
        p = job.science.protocol
        assert min(p.replicates, p.trials, p.final_seeds, job.science.task.epochs) >= 1
        assert math.isfinite(job.science.task.margin)
        assert job.science.task.margin > 0
        assert len({c.name for c in job.science.contenders}) == len(job.contenders) >= 2
        plan = msgspec.json.decode(canonical(job.science), type=type(job.science))
        assert plan.plan_hash == job.science.plan_hash
        raise Accepted("accepted")

    def checked(*_, **__):
        raise Accepted("accepted")

    monkeypatch.setattr(assay.driver.run, "run", lambda comparison, *_, **__: [accept(job) for job in comparison.jobs])
    monkeypatch.setattr(assay.driver.planned, "estimated", accept)
    monkeypatch.setattr(assay.conformance, "check", checked)
    monkeypatch.chdir(ROOT)


@pytest.mark.usefixtures("_nothing_is_trained")
@fuzz(60)
@hypothesis.given(COMMAND_LINES)
def test_command_lines(arguments):
    code, _, errors = call(arguments)
    is_clear(code, errors)


# -------------------------------------------------------------------------------------------------------- spaces


@fuzz(200)
@hypothesis.given(
    st.one_of(
        st.text(max_size=30),
        st.tuples(
            NAMES,
            st.sampled_from(["lr", "a b", "", "é"]),
            NUMBERS,
            st.sampled_from(["..", "|", ":", "...", ""]),
            NUMBERS,
            st.sampled_from(["", ":log", ":lin", "|x", "|", "..3"]),
        ).map(lambda t: f"{t[0]}.{t[1]}={t[2]}{t[3]}{t[4]}{t[5]}"),
    )
)
def test_spaces(text):
    try:
        _, _, dimension = parse_space(text)
    except UsageError as error:
        if not str(error).startswith("--space "):
            raise
        return
    if isinstance(dimension, Choice):
        assert len(set(dimension.options)) >= 2
        assert all(not isinstance(option, str) or option in text for option in dimension.options)
    else:
        assert isinstance(dimension, (Float, Int))
        assert -math.inf < dimension.low < dimension.high < math.inf
        assert not dimension.log or dimension.low > 0
        low, high = (float(part) for part in text.rsplit("=", 1)[1].partition(":")[0].split("..", 1))
        assert (dimension.low, dimension.high) == (low, high)
    again = msgspec.json.decode(canonical(dimension), type=type(dimension))
    assert again == dimension
    distribution = study.distribution(dimension)
    assert distribution is not None


# ------------------------------------------------------------------------------------------------ plans and records


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> Path:
    options = {"trials": 2, "replicates": 2, "final_seeds": 1, "engine": "loop", "epochs": 1}
    out = tmp_path_factory.mktemp("fuzz") / "run"
    return asked.run(asked.plan("adam", "sgd", task=tiny.task(), out=out, **options), 1).folder


JSON = st.recursive(
    st.one_of(
        st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=8), st.sampled_from([2**70, -1, 0])
    ),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=5), inner, max_size=3)),
    max_leaves=5,
)


def places(value, at=()):
    """Every place in a JSON value."""
    yield at
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        yield from places(item, (*at, key))


def altered(data, content):
    """A JSON value with one to three of its parts replaced, taken away or doubled."""
    content = json.loads(json.dumps(content))
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.sampled_from(list(places(content))[1:] or [()]))
        if not at:
            return data.draw(JSON)
        holder = content
        for key in at[:-1]:
            holder = holder[key]
        how = data.draw(st.sampled_from(["replace", "remove", "like"]))
        if how == "remove":
            del holder[at[-1]]
        elif how == "like" and isinstance(holder[at[-1]], (int, float)) and not isinstance(holder[at[-1]], bool):
            holder[at[-1]] = data.draw(st.one_of(st.integers(-3, 30), st.floats(allow_nan=False, allow_infinity=False)))
        else:
            holder[at[-1]] = data.draw(JSON)
    return content


def torn(data, content: bytes) -> bytes:
    """Bytes cut short, with one flipped, or with others put in."""
    at = data.draw(st.integers(0, max(0, len(content) - 1)))
    how = data.draw(st.sampled_from(["cut", "flip", "insert"]))
    if how == "cut":
        return content[: min(at, len(content.rstrip()) - 1)]  # without its last newline, JSON is the same
    if how == "flip":
        return content[:at] + bytes([content[at] ^ data.draw(st.integers(1, 255))]) + content[at + 1 :]
    return content[:at] + data.draw(st.binary(min_size=1, max_size=6)) + content[at:]


@contextlib.contextmanager
def copied(finished: Path):
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "run"
        shutil.copytree(finished, copy)
        yield copy


def is_not_called_sound(folder: Path, code: int, out: str) -> None:
    assert code in (1, 2, 4), out
    assert "follow from the members" not in out


@fuzz(25)
@hypothesis.given(st.data())
def test_plans(finished, data):
    """A plan that was altered is refused or found out, also under a fresh manifest."""
    before = (finished / "plan.json").read_bytes()
    structured = data.draw(st.booleans())
    content = json.dumps(altered(data, json.loads(before))).encode() if structured else torn(data, before)
    with copied(finished) as folder:
        (folder / "plan.json").write_bytes(content)
        try:
            plan = RunFolder.open(folder).plan
        except AssayError:
            plan = None
        if data.draw(st.booleans()):
            manifest.seal(folder)
        unchanged = plan is not None and same_science(plan, msgspec.json.decode(before, type=Plan))
        for command in ("status", "verify", "report"):
            code, out, errors = call([command, str(folder)])
            is_clear(code, errors)
            if command == "verify" and not unchanged:
                is_not_called_sound(folder, code, out)


def same_science(a: Plan, b: Plan) -> bool:
    """Equal but for what changes no number: why an engine was chosen."""

    def bare(plan: Plan) -> bytes:
        numerics = tuple(msgspec.structs.replace(n, reason="") for n in plan.numerics)
        return canonical(msgspec.structs.replace(plan, numerics=numerics))

    return bare(a) == bare(b)


@fuzz(25)
@hypothesis.given(st.data())
def test_records(finished, data):
    """Any file of a record with other bytes: nothing crashes, and verify names it."""
    files = sorted(p.relative_to(finished) for p in finished.rglob("*") if p.is_file() and p.name != "plan.json")
    name = data.draw(st.sampled_from(files))
    before = (finished / name).read_bytes()
    structured = name.suffix == ".json" and data.draw(st.booleans())
    content = json.dumps(altered(data, json.loads(before))).encode() if structured else torn(data, before)
    hypothesis.assume(content != before)
    with copied(finished) as folder:
        (folder / name).write_bytes(content)
        for command in ("verify", "report", "status"):
            code, out, errors = call([command, str(folder)])
            is_clear(code, errors)
            if command == "verify" and not (structured and json.loads(content) == json.loads(before)):
                is_not_called_sound(folder, code, out)
                assert str(name) in out + errors or name.name == manifest.NAME
