"""Drives the benches: two processes share the checks, hung and crashed ones are replaced. Torch is never imported."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from assay.check.catalogue import BY_NAME, CATALOGUE, Spec
from assay.check.job import Job, job_of
from assay.check.report import Finding, Report
from assay.core import Contender
from assay.errors import UsageError

LIMIT = 15.0  # seconds for one check
STARTING = 60.0  # seconds for a process to load torch and the contender's module, on top
BENCHES = 2
EngineOf = Callable[[Contender], tuple[str, str]]


def check(
    contender: str | Contender | Callable[..., Any],
    *,
    speed: bool = True,
    limit: float = LIMIT,
    engine_of: EngineOf | None = None,
    only: Sequence[str] | None = None,
) -> Report:
    """Check whether an optimizer is well behaved, and whether it is new.

    Args:
        contender: a registered name, `pkg.mod:Name`, `path/file.py:Name`, a contender, an optimizer's class or a factory.
            A wrapper wraps `torch.optim.Adam`.
        speed: also time a step on 1 and 10 million parameters.
        limit: seconds for one check; what takes longer fails it.
        engine_of: says which engine trains a contender, and why: `(engine, reason)`. By default the parity probe.
        only: names of the checks wanted; `made` and `steps` are always asked.
    Raises:
        UsageError: the contender can't be loaded, or `only` names an unknown check.
        TypeError: `contender` is nothing that can be checked.
    """
    job = job_of(contender)
    specs = [s for s in CATALOGUE if (speed or not s.alone) and (only is None or s.gate or s.name in only)]
    unknown = set(only or ()) - {s.name for s in CATALOGUE}
    if unknown:
        raise UsageError(
            f"no check is called {', '.join(sorted(unknown))}; there are {', '.join(s.name for s in CATALOGUE)}"
        )
    with _without_main(), _Crew(job, limit, engine_of) as crew:
        found = _gates(crew, [s for s in specs if s.gate])
        stopped = next((f for f in found.values() if f.status != "pass"), None)
        if stopped is None:
            _determinism(crew, found)
            rest = [s for s in specs if not s.alone and s.name not in found]
            crew.work(sorted(rest, key=lambda s: -s.weight), found)
            crew.work([s for s in specs if s.alone], found, benches=1)
    reason = f"not asked, for {stopped.name} fails" if stopped else ""
    return Report(
        job.name,
        tuple(found.get(s.name) or Finding(s.name, s.title, "not applicable", reason, None, s.kind) for s in specs),
    )


def _gates(crew: _Crew, specs: Sequence[Spec]) -> dict[str, Finding]:
    found: dict[str, Finding] = {}
    for spec in specs:
        crew.work([spec], found, benches=1)
        if found[spec.name].status != "pass":
            break
    return found


def _determinism(crew: _Crew, found: dict[str, Finding]) -> None:
    """Whether two trainings can be compared at all; where not, the checks that do so are not asked."""
    crew.work([BY_NAME["deterministic"]], found, benches=1)
    if found["deterministic"].status == "pass":
        return
    for spec in CATALOGUE:
        if spec.compares:
            reason = "no two trainings can be compared, for deterministic fails"
            found[spec.name] = Finding(spec.name, spec.title, "not applicable", reason, None, spec.kind)


class _Crew:
    """The benches and what they need."""

    def __init__(self, job: Job, limit: float, engine_of: EngineOf | None) -> None:
        self.limit = limit
        kinds = multiprocessing.get_all_start_methods()
        kind = "forkserver" if "forkserver" in kinds else "spawn"
        context = multiprocessing.get_context(kind)
        if kind == "forkserver":
            context.set_forkserver_preload(["assay.check.preload"])
        import cloudpickle

        arguments = (job, cloudpickle.dumps(engine_of))
        self.folder = tempfile.TemporaryDirectory(prefix="assay-check-")
        self.benches = [_Bench(context, arguments, Path(self.folder.name) / str(i)) for i in range(BENCHES)]

    def __enter__(self) -> _Crew:
        return self

    def __exit__(self, *_: object) -> None:
        for bench in self.benches:
            bench.end()
        self.folder.cleanup()

    def work(self, specs: Sequence[Spec], found: dict[str, Finding], benches: int = BENCHES) -> None:
        """Answer the specs, in order as benches come free; the findings go to `found`."""
        facts = {k: v for finding in found.values() for k, v in finding.facts.items()}
        waiting, lock, errors = list(specs), threading.Lock(), []

        def lane(bench: _Bench) -> None:
            while not errors:
                with lock:
                    if not waiting:
                        return
                    spec = waiting.pop(0)
                try:
                    found[spec.name] = bench.ask(spec, facts, max(self.limit, spec.limit))
                except BaseException as error:
                    errors.append(error)

        threads = [
            threading.Thread(target=lane, args=(b,), daemon=True) for b in self.benches[: min(benches, len(specs))]
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if errors:
            raise errors[0]


class _Bench:
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
            code = self._code()
            self.end()
            return self._lost(spec, f"the process ends with exit code {code}")
        self.end()
        return self._lost(spec, f"it hangs (over {limit:g} s)")

    def _lost(self, spec: Spec, how: str) -> Finding:
        example = self.note.read_text() or None
        return Finding(spec.name, spec.title, "fail", f"{how} where {spec.where}", example, spec.kind)

    def _start(self) -> None:
        from assay.check.bench import serve

        self.connection, theirs = self.context.Pipe()
        process = self.context.Process(target=serve, args=(theirs, *self.arguments), daemon=True)
        process.start()
        self.process = process
        theirs.close()
        try:
            state, text = self.connection.recv() if self.connection.poll(STARTING) else ("hung", None)
        except (EOFError, OSError):
            code = self._code()
            self.end()
            how = f"crashes with {signal.Signals(-code).name}" if code and code < 0 else f"ends with exit code {code}"
            raise UsageError(f"{self.arguments[0].name}: importing it {how}") from None
        if state == "ready":
            return
        self.end()
        raise UsageError(text or f"{self.arguments[0].name}: importing it hangs (over {STARTING:g} s)")

    def _code(self) -> int | None:
        self.process.join(5)
        return self.process.exitcode

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


@contextlib.contextmanager
def _without_main() -> Iterator[None]:
    from assay.workers.local import _without_main as hidden

    with hidden():
        yield
