"""The process that checks: it loads the contender once, then answers one check after the other, each in a fork.

A check that hangs, exits or crashes takes only its own fork with it; what it printed is kept and named.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import multiprocessing.connection
import os
import pickle
import signal
import sys
import threading
import traceback
import warnings
from importlib import import_module
from pathlib import Path
from typing import Any

import cloudpickle

from assay.check.catalogue import BY_NAME, Spec
from assay.check.job import Job, opened
from assay.check.outcome import Failed, Passed, Skip
from assay.check.output import Output
from assay.check.report import Finding
from assay.errors import UsageError, own_frames


def serve(connection: Any, job: Job, engine_of: bytes) -> None:
    """Answer `(name, facts)` with a finding until None comes. The first message says whether the contender loads."""
    with contextlib.suppress(OSError, AttributeError):
        os.setsid()  # so that all this process starts can be ended with it
    _end_with_driver()
    output = Output()
    warnings.simplefilter("ignore")
    import torch

    torch.set_num_threads(1)
    from assay.check.lab import Lab
    from assay.check.script import Script

    try:
        contender, target = opened(job)
    except UsageError as error:
        connection.send(("refused", str(error)))
        return
    except BaseException as error:  # a module may raise anything, SystemExit included
        connection.send(("refused", f"{job.name} fails to load: {own_frames(error)}"))
        return
    script = Script(contender, target)
    connection.send(("ready", None))
    while (asked := connection.recv()) is not None:
        name, facts = asked
        lab = Lab(
            contender,
            script,
            {**facts, "engine_of": cloudpickle.loads(engine_of), "importable": bool(job.reference), "output": output},
        )
        connection.send(_in_a_fork(BY_NAME[name], lab))


def _in_a_fork(spec: Spec, lab: Any) -> Finding:
    if not hasattr(os, "fork"):
        return answer(spec, lab)
    sys.stdout.flush()
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(reader)
        with contextlib.suppress(BaseException):
            found = pickle.dumps(answer(spec, lab))
            with os.fdopen(writer, "wb") as pipe:
                pipe.write(found)
            os._exit(0)
        os._exit(1)
    os.close(writer)
    with os.fdopen(reader, "rb") as pipe:
        found = pipe.read()
    _, status = os.waitpid(pid, 0)
    if found:
        return pickle.loads(found)
    return died(spec, os.waitstatus_to_exitcode(status), Path(lab.facts["note"]).read_text(encoding="utf-8") or None)


def _end_with_driver() -> None:
    """A killed command leaves none of its benches behind, nor their forks: wait for its end, and end the session."""
    driver = multiprocessing.parent_process()
    if driver is None or not hasattr(os, "getpgid") or os.getpgid(0) != os.getpid():
        return

    def wait() -> None:
        multiprocessing.connection.wait([driver.sentinel])
        os.killpg(os.getpid(), signal.SIGKILL)

    threading.Thread(target=wait, daemon=True).start()


def died(spec: Spec, code: int | None, example: str | None = None) -> Finding:
    """The finding on a check whose process ended without an answer."""
    if code is not None and code < 0:
        how = f"the interpreter crashes with {signal.Signals(-code).name}"
    else:
        how = f"the process ends with exit code {code}"
    return Finding(spec.name, spec.title, "fail", f"{how} where {spec.where}", example, spec.kind)


def answer(spec: Spec, lab: Any) -> Finding:
    """Run one check, here and now."""
    check = getattr(import_module(f"assay.check.checks.{spec.module}"), f"check_{spec.name}")
    try:
        passed: Passed = check(lab)
    except Skip as skip:
        return Finding(spec.name, spec.title, "not applicable", str(skip), None, spec.kind)
    except Failed as failed:
        return Finding(spec.name, spec.title, "fail", str(failed), failed.example or lab.example, spec.kind)
    except SystemExit as exit_:
        return Finding(
            spec.name,
            spec.title,
            "fail",
            f"it calls sys.exit({exit_.code!r}) where {spec.where}",
            lab.example,
            spec.kind,
        )
    except BaseException as error:
        return Finding(
            spec.name, spec.title, "fail", f"it raises {_told(error)} where {spec.where}", lab.example, spec.kind
        )
    return Finding(
        spec.name, spec.title, "pass", passed.sentence, None, spec.kind, dict(passed.value), dict(passed.facts)
    )


def _told(error: BaseException) -> str:
    """The error on one line, and where in the contender's own code it came from."""
    text = " ".join(str(error).split())
    text = f"{type(error).__name__}: {text[:200]}" if text else type(error).__name__
    own = [
        f
        for f in traceback.extract_tb(error.__traceback__)
        if not any(part in f.filename for part in ("/assay/check/", "/assay/contenders/", "importlib", "/torch/"))
    ]
    return f"{text} ({os.path.basename(own[-1].filename)}, line {own[-1].lineno})" if own else text
