"""A run is a fold over files: a chunk that is on record is read, another is trained and kept. Lanes drive the work.

A lane is a chain of trainings in which each link needs the one before it (an Optuna study, say): a generator that
yields members and is sent their curves. Lanes don't wait for each other, so workers are never idle while there is work;
and which members share a chunk is the lane's choice alone, never the workers'.
"""

from __future__ import annotations

import collections
import queue
from collections.abc import Callable, Generator, Iterable, Sequence
from concurrent.futures import BrokenExecutor, Executor, Future
from dataclasses import replace
from typing import Any, TypeVar

from assay import events
from assay.core import Contender, Curves, Member, Task
from assay.errors import Interrupted
from assay.record import RunFolder
from assay.workers import local as workers
from assay.workers import watchdog as patience

LANES = 64  # that are at work at once, at least
Result = TypeVar("Result")
Lane = Generator[list[list[Member]], Curves, Result]  # yields chunks, is sent their curves in one


class Fold:
    """Trains chunks of members: from the record where they are there, by the executor where not."""

    def __init__(
        self,
        folder: RunFolder,
        task: Task,
        contenders: Sequence[Contender],
        executor: Executor,
        on_event: events.OnEvent,
        *,
        behind: RunFolder | None = None,
        step_norms: bool = False,
    ) -> None:
        """`behind`: another record to look into for what isn't here. `step_norms`: candidates' final runs need theirs."""
        self.behind, self.step_norms = behind, step_norms
        self.folder, self.executor, self.on_event = folder, executor, on_event
        self.names = [c.name for c in contenders]
        self.science, self.numerics = folder.plan.science, folder.plan.numerics  # of each contender
        self.warned: set[int] = set()  # contenders of whose fallback was told
        self.recorded = len(list(folder.members.glob("*.parquet")))  # chunks that were there before this run
        self.packed_task = workers.pack(task)
        self.packed_contenders = [workers.pack(c) for c in contenders]

    def score(self) -> None:
        """Test scores of the trials, from the weights they ended with. To be called when all selection is over."""
        keys = self.folder.unscored()
        self.on_event(events.Stage("score", len(keys)))
        for some in (keys[i : i + 64] for i in range(0, len(keys), 64)):
            chunks = [self.folder.weights_of(key) for key in some]
            calls = [
                (workers.score_chunk, (self.packed_task, members, weights, self.numerics[members[0].slot]))
                for members, weights in chunks
            ]
            scores = gather(self.executor, calls, lambda i: self.on_event(events.Scored()))
            for key, (members, _), found in zip(some, chunks, scores, strict=True):
                self.folder.keep_scores(key, members, found)

    def drive(self, lanes: Iterable[Lane[Result]]) -> list[Result]:
        """Run all lanes to their ends; what each returned, in order.

        Raises:
            Interrupted: workers were lost. UsageError: the user's code failed while training. What was finished stays.
        """
        lanes = list(lanes)
        results: list[Any] = [None] * len(lanes)
        finished: queue.SimpleQueue[tuple[int, int, list[Member], Future[Curves]]] = queue.SimpleQueue()
        parts: list[dict[int, Curves]] = [{} for _ in lanes]
        awaited = [0] * len(lanes)
        alive, patient = 0, patience.of(self.executor)
        waiting = collections.deque(range(len(lanes)))
        most = max(LANES, 4 * getattr(self.executor, "size", 1))  # a study in memory takes more than one on disk
        outstanding: dict[tuple[int, int], list[Member]] = {}  # chunks that workers have, the longest there first

        def advance(lane: int, curves: Curves | None) -> bool:
            """Send a lane its curves and submit what it asks for next; False once it has ended."""
            try:
                while True:
                    wanted = lanes[lane].send(curves) if curves is not None else next(lanes[lane])
                    recorded = {
                        i: found for i, chunk in enumerate(wanted) if (found := self._recorded(chunk)) is not None
                    }
                    parts[lane], awaited[lane] = recorded, len(wanted)
                    if len(recorded) < len(wanted):
                        break
                    curves = _joined(recorded)
            except StopIteration as stop:
                results[lane], lanes[lane], parts[lane] = stop.value, _over(), {}
                return False
            for i, chunk in enumerate(wanted):
                if i not in recorded:
                    slot = chunk[0].slot
                    arguments = (self.packed_task, self.packed_contenders[slot], chunk, self.numerics[slot])
                    future = self.executor.submit(workers.train_chunk, *arguments)
                    outstanding[lane, i] = chunk
                    future.add_done_callback(lambda f, i=i, chunk=chunk: finished.put((lane, i, chunk, f)))
            return True

        while True:
            while waiting and alive < most:
                alive += advance(waiting.popleft(), None)
            if not alive:
                break
            lane, i, chunk, future = patience.next_of(finished, patient, self._named(outstanding))
            curves = result_of(future)
            del outstanding[lane, i]
            patient.saw(float(curves.seconds.sum()))
            self.folder.keep(chunk, curves)
            self._tell(chunk[0].slot, curves)
            curves = replace(curves, weights=None, step_norms=None)  # on disk; nothing later needs them in memory
            self.on_event(events.Trained(self.names[chunk[0].slot], chunk[0].phase, len(chunk), recorded=False))
            parts[lane][i] = curves
            if len(parts[lane]) == awaited[lane] and not advance(lane, _joined(parts[lane])):
                alive -= 1
        return results

    def _tell(self, slot: int, curves: Curves) -> None:
        if any(curves.fallback) and slot not in self.warned:
            self.warned.add(slot)
            reason = next(filter(None, curves.fallback))
            self.on_event(events.Warned(f"{self.names[slot]}: some members train in the loop: {reason}"))

    def _named(self, outstanding: dict[tuple[int, int], list[Member]]) -> str:
        first = next(iter(outstanding.values()))[0]
        return f"{self.names[first.slot]}, {first.phase} {first.index} of replicate {first.replicate}"

    def _recorded(self, chunk: list[Member]) -> Curves | None:
        found = self.folder.find(chunk, self.step_norms)
        if found is None and self.behind is not None and chunk[0].slot < len(self.behind.plan.numerics):
            found = self.behind.find(chunk)
        if found is not None:
            self.on_event(events.Trained(self.names[chunk[0].slot], chunk[0].phase, len(chunk), recorded=True))
        return found


def gather(
    executor: Executor, calls: Sequence[tuple[Callable[..., Any], tuple[Any, ...]]], done: Callable[[int], Any]
) -> list[Any]:
    """What each `function(*arguments)` returns, in order; `done(i)` as each ends. Interrupted if workers are lost."""
    results: list[Any] = [None] * len(calls)
    finished: queue.SimpleQueue[tuple[int, Future[Any]]] = queue.SimpleQueue()
    for i, (function, arguments) in enumerate(calls):
        executor.submit(function, *arguments).add_done_callback(lambda f, i=i: finished.put((i, f)))
    for _ in calls:
        i, future = patience.next_of(finished, patience.of(executor), calls[0][0].__name__.replace("_", " "))
        results[i] = result_of(future)
        done(i)
    return results


def chunked(members: Sequence[Member], width: int) -> list[list[Member]]:
    """Members in chunks of at most `width`, in order; each chunk of one contender."""
    chunks: list[list[Member]] = []
    for member in members:
        if not chunks or len(chunks[-1]) == width or chunks[-1][0].slot != member.slot:
            chunks.append([])
        chunks[-1].append(member)
    return chunks


def _over() -> Lane[Any]:
    """A lane at its end, in place of one that still holds its study."""
    yield from ()


def _joined(parts: dict[int, Curves]) -> Curves:
    return Curves.concatenate([parts[i] for i in sorted(parts)])


def result_of(future: Future[Any]) -> Any:
    """The future's result. Interrupted if the worker was lost."""
    try:
        return future.result()
    except BrokenExecutor as error:
        raise Interrupted(
            "a worker process was lost (killed, or out of memory); run the same command again, it goes on"
        ) from error
