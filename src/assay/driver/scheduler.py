"""The scheduler: chunks of members that are on record are read, the others trained by the workers and kept.

What asks for chunks is a stream, a generator that yields some, is sent their curves, and may yield again: an Optuna study
asks for a trial when it knows the one before it. Streams don't wait for each other, so workers are never idle while there
is work; and which members share a chunk is the stream's choice alone, never the workers'.
"""

from __future__ import annotations

import collections
import queue
from collections.abc import Callable, Generator, Iterable, Sequence
from concurrent.futures import BrokenExecutor, Future
from dataclasses import dataclass, field, replace
from typing import Any

from assay import events
from assay.core import Contender, Curves, Member, Task
from assay.errors import Interrupted
from assay.record import RunFolder
from assay.workers import jobs
from assay.workers.interface import Workers

STREAMS = 64  # that are at work at once, at least
Chunk = list[Member]  # of one contender
ChunkStream = Generator[list[Chunk], Curves, None]  # yields chunks, is sent the curves of all their members, in order


@dataclass(eq=False)
class _Active:
    """A stream at work: the chunks that it asked for last, and the curves of those that are there, by place."""

    stream: ChunkStream
    chunks: list[Chunk] = field(default_factory=list)
    curves: dict[int, Curves] = field(default_factory=dict)

    @property
    def lacks(self) -> list[int]:
        """Places of the chunks whose curves it waits for."""
        return [place for place in range(len(self.chunks)) if place not in self.curves]

    def ask(self) -> None:
        """Send the stream what it waited for; its next chunks. StopIteration at its end."""
        if self.chunks:
            joined = Curves.concatenate([self.curves[place] for place in range(len(self.chunks))])
            self.chunks = self.stream.send(joined)
        else:
            self.chunks = next(self.stream)
        self.curves = {}


class Scheduler:
    """Trains chunks of members: from the record where they are there, by the workers where not."""

    def __init__(
        self,
        folder: RunFolder,
        task: Task,
        contenders: Sequence[Contender],
        workers: Workers,
        on_event: events.OnEvent,
        *,
        behind: RunFolder | None = None,
        step_norms: bool = False,
    ) -> None:
        """`behind`: another record to look into for what isn't here. `step_norms`: candidates' final runs need theirs."""
        self.behind, self.step_norms = behind, step_norms
        self.folder, self.workers, self.on_event = folder, workers, on_event
        self.names = [c.name for c in contenders]
        self.science, self.numerics = folder.plan.science, folder.plan.numerics  # of each contender
        self.warned: set[int] = set()  # contenders of whose fallback was told
        self.packed_task = jobs.pack(task)
        self.packed_contenders = [jobs.pack(c) for c in contenders]
        self._outstanding: dict[Future[Curves], tuple[_Active, int]] = {}  # who asked, and the place; the oldest first
        self._trained: queue.SimpleQueue[Future[Curves]] = queue.SimpleQueue()

    def train(self, streams: Iterable[ChunkStream]) -> None:
        """Give all streams the curves that they ask for, until they end.

        Raises:
            Interrupted: workers were lost. UsageError: the user's code failed while training. What was finished stays.
        """
        waiting, active = collections.deque(streams), 0
        most = max(STREAMS, 4 * self.workers.size)  # a study in memory takes more than one on disk
        while waiting or active:
            if waiting and active < most:
                asker = _Active(waiting.popleft())
                active += 1
            else:
                asker = self._keep_next()
            if not asker.lacks and not self._advance(asker):
                active -= 1

    def _advance(self, asker: _Active) -> bool:
        """Send a stream what it waited for, as long as its next chunks are on record; submit the others. False at its end."""
        while not asker.lacks:
            try:
                asker.ask()
            except StopIteration:
                return False
            for place, chunk in enumerate(asker.chunks):
                if (curves := self._recorded(chunk)) is not None:
                    asker.curves[place] = curves
        for place in asker.lacks:
            chunk = asker.chunks[place]
            slot = chunk[0].slot
            arguments = (self.packed_task, self.packed_contenders[slot], chunk, self.numerics[slot])
            future = self.workers.submit(jobs.train_chunk, *arguments)
            self._outstanding[future] = asker, place
            future.add_done_callback(self._trained.put)
        return True

    def _keep_next(self) -> _Active:
        """Wait for a chunk and keep its curves; the stream that asked for it."""
        asker, place = next(iter(self._outstanding.values()))
        oldest = asker.chunks[place][0]
        awaited = f"{self.names[oldest.slot]}, {oldest.phase} {oldest.index} of replicate {oldest.replicate}"
        future = self.workers.watchdog.next_of(self._trained, awaited)
        curves, (asker, place) = result_of(future), self._outstanding.pop(future)
        chunk = asker.chunks[place]
        self.workers.watchdog.saw(float(curves.seconds.sum()))
        self.folder.keep(chunk, curves)
        slot = chunk[0].slot
        if any(curves.fallback) and slot not in self.warned:
            self.warned.add(slot)
            reason = next(filter(None, curves.fallback))
            self.on_event(events.Warned(f"{self.names[slot]}: some members train in the loop: {reason}"))
        self.on_event(events.Trained(self.names[slot], chunk[0].phase, len(chunk), recorded=False))
        asker.curves[place] = replace(curves, weights=None, step_norms=None)  # which are on disk, and not needed here
        return asker

    def _recorded(self, chunk: Chunk) -> Curves | None:
        found = self.folder.find(chunk, self.step_norms)
        if found is None and self.behind is not None and chunk[0].slot < len(self.behind.plan.numerics):
            found = self.behind.find(chunk)
        if found is not None:
            self.on_event(events.Trained(self.names[chunk[0].slot], chunk[0].phase, len(chunk), recorded=True))
        return found

    def score(self) -> None:
        """Test scores of the trials, from the weights they ended with. To be called when all selection is over."""
        keys = self.folder.unscored()
        self.on_event(events.Stage("score", len(keys)))
        for some in (keys[i : i + 64] for i in range(0, len(keys), 64)):
            chunks = [self.folder.weights_of(key) for key in some]
            calls = [
                (jobs.score_chunk, (self.packed_task, members, weights, self.numerics[members[0].slot]))
                for members, weights in chunks
            ]
            scores = gather(self.workers, calls, lambda i: self.on_event(events.Scored()))
            for key, (members, _), found in zip(some, chunks, scores, strict=True):
                self.folder.keep_scores(key, members, found)


def gather(
    workers: Workers, calls: Sequence[tuple[Callable[..., Any], tuple[Any, ...]]], done: Callable[[int], Any]
) -> list[Any]:
    """What each `function(*arguments)` returns, in order; `done(i)` as each ends. Interrupted if workers are lost."""
    results: list[Any] = [None] * len(calls)
    finished: queue.SimpleQueue[Future[Any]] = queue.SimpleQueue()
    places = {workers.submit(function, *arguments): i for i, (function, arguments) in enumerate(calls)}
    for future in places:
        future.add_done_callback(finished.put)
    for _ in calls:
        future = workers.watchdog.next_of(finished, calls[0][0].__name__.replace("_", " "))
        i = places[future]
        results[i] = result_of(future)
        done(i)
    return results


def result_of(future: Future[Any]) -> Any:
    """The future's result. Interrupted if the worker was lost."""
    try:
        return future.result()
    except BrokenExecutor as error:
        raise Interrupted(
            "a worker process was lost (killed, or out of memory); run the same command again, it goes on"
        ) from error


def chunked(members: Sequence[Member], size: int) -> list[Chunk]:
    """Members in chunks of at most `size`, in order; each chunk of one contender."""
    chunks: list[Chunk] = []
    for member in members:
        if not chunks or len(chunks[-1]) == size or chunks[-1][0].slot != member.slot:
            chunks.append([])
        chunks[-1].append(member)
    return chunks
