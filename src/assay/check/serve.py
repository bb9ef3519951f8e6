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
import tempfile
import threading
import traceback
import warnings
from pathlib import Path
from typing import Any

import cloudpickle

from assay.check.catalogue import BY_NAME, Spec
from assay.check.job import Job, opened
from assay.check.report import Failed, Finding, Skip
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
    fixed = {"engine_of": cloudpickle.loads(engine_of), "importable": bool(job.reference), "output": output}
    connection.send(("ready", None))
    while (asked := connection.recv()) is not None:
        name, facts = asked
        connection.send(_in_a_fork(BY_NAME[name], Lab(contender, script, {**facts, **fixed})))


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
    code = os.waitstatus_to_exitcode(status)
    crash = f"the interpreter crashes with {signal.Signals(-code).name}" if code < 0 else ""
    how = crash or f"the process ends with exit code {code}"
    example = Path(lab.facts["note"]).read_text(encoding="utf-8") or None
    return spec.finding("fail", f"{how} where {spec.where}", example)


def _end_with_driver() -> None:
    """A killed command leaves none of its benches behind, nor their forks: wait for its end, and end the session."""
    driver = multiprocessing.parent_process()
    if driver is None or not hasattr(os, "getpgid") or os.getpgid(0) != os.getpid():
        return

    def wait() -> None:
        multiprocessing.connection.wait([driver.sentinel])
        os.killpg(os.getpid(), signal.SIGKILL)

    threading.Thread(target=wait, daemon=True).start()


def answer(spec: Spec, lab: Any) -> Finding:
    """Run one check, here and now."""
    from assay.check.checks import CHECKS

    try:
        passed = CHECKS[spec.name](lab)
    except Skip as skip:
        return spec.finding("not applicable", str(skip))
    except Failed as failed:
        return spec.finding("fail", str(failed), lab.example)
    except SystemExit as exit_:
        return spec.finding("fail", f"it calls sys.exit({exit_.code!r}) where {spec.where}", lab.example)
    except BaseException as error:
        return spec.finding("fail", f"it raises {_told(error)} where {spec.where}", lab.example)
    return spec.finding("pass", passed.sentence, value=dict(passed.value), facts=dict(passed.facts))


def _told(error: BaseException) -> str:
    """The error on one line, and where in the contender's own code it came from."""
    text = " ".join(str(error).split())
    text = f"{type(error).__name__}: {text[:200]}" if text else type(error).__name__
    others = ("/assay/check/", "/assay/contenders/", "importlib", "/torch/")
    frames = traceback.extract_tb(error.__traceback__)
    own = [f for f in frames if not any(part in f.filename for part in others)]
    return f"{text} ({os.path.basename(own[-1].filename)}, line {own[-1].lineno})" if own else text


class Output:
    """What this process and its forks print, kept in a file instead of shown: their descriptors are taken over."""

    def __init__(self) -> None:
        self.descriptor, path = tempfile.mkstemp(prefix="assay-output-")
        other = os.open(path, os.O_WRONLY | os.O_APPEND)
        os.unlink(path)
        for stream in (1, 2):
            os.dup2(other, stream)
        os.close(other)
        sys.stdout, sys.stderr = (os.fdopen(s, "w", buffering=1, closefd=False, encoding="utf-8") for s in (1, 2))

    def mark(self) -> int:
        """How many bytes there are by now."""
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(Exception):
                stream.flush()
        return os.fstat(self.descriptor).st_size

    def since(self, mark: int) -> str:
        """What was printed since."""
        return os.pread(self.descriptor, max(self.mark() - mark, 0), mark).decode(errors="replace")
