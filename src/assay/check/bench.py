"""The processes that check, as who asks sees them: hung and crashed ones are replaced. Torch is never imported."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import tempfile
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import cloudpickle

from assay.check.catalogue import Spec
from assay.check.job import Job
from assay.check.report import Finding
from assay.core import Contender
from assay.errors import UsageError

STARTING = 60.0  # seconds for a process to load torch and the contender's module, on top of a check's own
BENCHES = 2
EngineOf = Callable[[Contender], tuple[str, str]]


class Benches:
    """Two processes that share the checks of one contender."""

    def __init__(self, job: Job, limit: float, engine_of: EngineOf | None) -> None:
        self.limit = limit
        kind = "forkserver" if "forkserver" in multiprocessing.get_all_start_methods() else "spawn"
        context = multiprocessing.get_context(kind)
        context.set_forkserver_preload(["assay.check.preload"])
        arguments = (job, cloudpickle.dumps(engine_of))
        self.folder = tempfile.TemporaryDirectory(prefix="assay-check-")
        self.benches = [Bench(context, arguments, Path(self.folder.name) / str(i)) for i in range(BENCHES)]

    def __enter__(self) -> Benches:
        return self

    def __exit__(self, *_: object) -> None:
        for bench in self.benches:
            bench.end()
        self.folder.cleanup()

    def work(self, specs: Sequence[Spec], found: dict[str, Finding], at_once: int = BENCHES) -> None:
        """Have the checks answered, in order as benches come free, `at_once` beside each other; findings go to `found`."""
        facts = {k: v for finding in found.values() for k, v in finding.facts.items()}
        waiting, lock, errors = list(specs), threading.Lock(), []

        def answer(bench: Bench) -> None:
            while not errors:
                with lock:
                    if not waiting:
                        return
                    spec = waiting.pop(0)
                try:
                    found[spec.name] = bench.ask(spec, facts, max(self.limit, spec.limit))
                except BaseException as error:
                    errors.append(error)

        threads = [threading.Thread(target=answer, args=(b,), daemon=True) for b in self.benches[:at_once]]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if errors:
            raise errors[0]


class Bench:
    """One process that checks; started again when it is lost."""

    def __init__(self, context: Any, arguments: tuple[Any, ...], note: Path) -> None:
        self.context, self.arguments = context, arguments
        self.note = note  # where a check writes down its example, should it be lost
        self.process: Any = None
        self.connection: Any = None

    def ask(self, spec: Spec, facts: dict[str, Any], limit: float) -> Finding:
        """The finding of one check. A bench that is silent for `limit` seconds is killed, and the check fails."""
        if self.process is None:
            self._start()
        try:
            self.note.write_text("")
            self.connection.send((spec.name, {**facts, "note": str(self.note)}))
            if self.connection.poll(limit):
                return self.connection.recv()
        except (EOFError, OSError):
            return self._lost(spec, f"the process ends with exit code {self._ended()}")
        self.end()
        return self._lost(spec, f"it hangs (over {limit:g} s)")

    def _lost(self, spec: Spec, how: str) -> Finding:
        return spec.finding("fail", f"{how} where {spec.where}", self.note.read_text() or None)

    def _start(self) -> None:
        from assay.check.serve import serve

        self.connection, theirs = self.context.Pipe()
        process = self.context.Process(target=serve, args=(theirs, *self.arguments), daemon=True)
        process.start()
        self.process = process
        theirs.close()
        try:
            state, text = self.connection.recv() if self.connection.poll(STARTING) else ("hung", None)
        except (EOFError, OSError):
            code = self._ended()
            how = f"crashes with {signal.Signals(-code).name}" if code and code < 0 else f"ends with exit code {code}"
            raise UsageError(f"{self.arguments[0].name}: importing it {how}") from None
        if state == "ready":
            return
        self.end()
        raise UsageError(text or f"{self.arguments[0].name}: importing it hangs (over {STARTING:g} s)")

    def _ended(self) -> int | None:
        """The exit code of the process, which has gone."""
        self.process.join(5)
        code = self.process.exitcode
        self.end()
        return code

    def end(self) -> None:
        """End the process and all that it started."""
        if self.process is None:
            return
        process, self.process = self.process, None
        if process.pid:
            with contextlib.suppress(OSError, AttributeError):
                if os.getpgid(process.pid) == process.pid:
                    os.killpg(process.pid, signal.SIGKILL)
        process.kill()
        process.join()
        self.connection.close()
