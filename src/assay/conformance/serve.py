"""The process that checks: it loads the contender once, then answers one check after the other, each in a fork.

A check that hangs, exits or crashes takes only its own fork with it.
"""

from __future__ import annotations

import contextlib
import gc
import inspect
import multiprocessing
import multiprocessing.connection
import os
import signal
import sys
import threading
import time
import traceback
import warnings
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import cloudpickle

from assay.conformance import matrix
from assay.conformance.catalogue import BY_NAME, Spec
from assay.conformance.job import Job, opened
from assay.conformance.report import Failed, Finding, Skip
from assay.core import Contender
from assay.errors import UsageError, own_frames
from assay.workers.serve import end_with_driver

_FORKING = threading.Lock()  # no fork may hold the open end of another one's pipe


@dataclass(frozen=True)
class Refused:
    """Sent in the place of an answer: why there is none."""

    reason: str


def alone() -> None:
    """Make this a process that prints nothing, computes on one thread, and ends with the one that started it."""
    end_with_driver()
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in (1, 2):
        os.dup2(nowhere, stream)
    sys.stdout, sys.stderr = (os.fdopen(s, "w", buffering=1, closefd=False, encoding="utf-8") for s in (1, 2))
    warnings.simplefilter("ignore")
    import torch

    torch.set_num_threads(1)


def serve(
    connection: Any, job: Job, specs: Sequence[Spec], limit: float, engine_of: bytes, budget: float | None
) -> None:
    """Send where the contender is written, or `Refused`; then the findings, in the order of `specs`, and each setting's,
    as far as `budget` seconds reach (None: no setting is asked).
    """
    alone()
    from assay.conformance.lab import Lab
    from assay.conformance.script import Script

    try:
        contender, target = opened(job)
    except UsageError as error:
        return connection.send(Refused(str(error)))
    except BaseException as error:  # a module may raise anything, SystemExit included
        return connection.send(Refused(f"{job.name} fails to load: {own_frames(error)}"))
    connection.send(_where(target))
    gc.freeze()  # what is frozen stays shared with the forks

    def asked(contender: Contender, specs: Sequence[Spec], setting: matrix.Setting = {}) -> dict[str, Finding]:  # noqa: B006
        script = Script(contender, target).under(setting)
        facts = {"engine_of": cloudpickle.loads(engine_of), "importable": bool(job.reference)}

        def ask(spec: Spec) -> Finding:
            return _in_a_fork(spec, Lab(contender, script, facts), max(limit, spec.limit))

        def work(some: Sequence[Spec], at_once: int) -> dict[str, Finding]:
            with ThreadPoolExecutor(at_once) as pool:
                found = {finding.name: finding for finding in pool.map(ask, some)}
            for finding in found.values():
                facts.update(finding.facts)
            return found

        return _in_turn(specs, work)

    found, under = asked(contender, specs), list[tuple[matrix.Setting, matrix.Findings]]()
    if budget is not None and found["steps"].status == "pass":
        singles, end = matrix.settings_of(target), time.monotonic() + budget

        def asked_under(setting: matrix.Setting, some: Sequence[Spec]) -> dict[str, Finding]:
            return asked(matrix.under(contender, setting), some, setting)

        under = [*matrix.smallest(found, singles, specs, asked_under, lambda: time.monotonic() > end)]
        under, found = [({}, found), *under], matrix.merged(found, under)
    rows = [(matrix.label(setting), tuple(its.values())) for setting, its in under]
    connection.send((tuple(found[spec.name] for spec in specs), tuple(rows)))
    connection.poll(None)  # until it is ended, with all that the contender started


def _where(target: Any) -> str:
    """The file and line that a class or function is written in; "" where that isn't told."""
    try:
        return f"{inspect.getsourcefile(target)}:{inspect.getsourcelines(target)[1]}"
    except (OSError, TypeError):
        return ""


def _in_turn(specs: Sequence[Spec], work: Callable[[Sequence[Spec], int], dict[str, Finding]]) -> dict[str, Finding]:
    """Have all checks worked on: first what others hang on, then two at once, the longest first; timings alone."""
    found: dict[str, Finding] = {}
    for spec in (*(s for s in specs if s.gate), BY_NAME["deterministic"]):  # also where nobody asked for it
        found |= work([spec], 1)
        if found[spec.name].status == "pass":
            continue
        reason = f"{'not asked' if spec.gate else 'no two trainings can be compared'}, for {spec.name} fails"
        for other in specs:
            if other.name not in found and (spec.gate or other.compares):
                found[other.name] = other.finding("not applicable", reason)
        if spec.gate:
            break
    rest = [s for s in specs if s.name not in found]
    found |= work(sorted((s for s in rest if not s.alone), key=lambda s: -s.weight), 2)
    return found | work([s for s in rest if s.alone], 1)


def _in_a_fork(spec: Spec, lab: Any, limit: float) -> Finding:
    """The finding of one check. A fork that takes longer than `limit` seconds is killed, and the check fails."""
    if not hasattr(os, "fork"):
        return answer(spec, lab)
    with _FORKING:
        reader, writer = multiprocessing.Pipe(duplex=False)
        pid = os.fork()
        if pid == 0:
            with contextlib.suppress(BaseException):
                lab.tell = writer.send
                writer.send(answer(spec, lab))
                os._exit(0)
            os._exit(1)
        writer.close()
    heard: list[Any] = [None]  # examples, and the finding at last
    hangs, deadline = False, time.monotonic() + limit
    with reader, contextlib.suppress(EOFError):
        while not (hangs := not reader.poll(max(deadline - time.monotonic(), 0))):
            heard.append(reader.recv())
    os.kill(pid, signal.SIGKILL)
    _, status = os.waitpid(pid, 0)
    if isinstance(heard[-1], Finding):
        return heard[-1]
    how = f"it hangs (over {limit:g} s)" if hangs else f"the process {ended(os.waitstatus_to_exitcode(status))}"
    return spec.finding("fail", f"{how} where {spec.where}", heard[-1])


def ended(code: int | None) -> str:
    """How a process with this exit code ended."""
    return f"crashes with {signal.Signals(-code).name}" if code and code < 0 else f"ends with exit code {code}"


def answer(spec: Spec, lab: Any) -> Finding:
    """Run one check, here and now."""
    from assay.conformance.checks import CHECKS

    try:
        passed = CHECKS[spec.name](lab)
    except Skip as skip:
        return spec.finding("not applicable", str(skip))
    except Failed as failed:
        return spec.finding("fail", str(failed), lab.example)
    except BaseException as error:
        raised = _told(error)
        told = f"calls sys.exit({error.code!r})" if isinstance(error, SystemExit) else f"raises {raised}"
        return spec.finding("fail", f"it {told} where {spec.where}", lab.example, facts={"raised": raised})
    return spec.finding("pass", passed.sentence, value=dict(passed.value), facts=dict(passed.facts))


def _told(error: BaseException) -> str:
    """The error on one line, and where in the contender's own code it came from."""
    text = " ".join(str(error).split())
    text = f"{type(error).__name__}: {text[:200]}" if text else type(error).__name__
    others = ("/assay/conformance/", "/assay/contenders/", "importlib", "/torch/")
    frames = traceback.extract_tb(error.__traceback__)
    own = [f for f in frames if not any(part in f.filename for part in others)]
    return f"{text} ({os.path.basename(own[-1].filename)}, line {own[-1].lineno})" if own else text
