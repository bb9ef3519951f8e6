"""The scheduler: chunks of members that are on record are read, the others trained by the workers and kept.

What asks for chunks is a stream, a generator that yields some, is sent their curves, and may yield again: an Optuna study
asks for a trial when it knows the one before it. Streams don't wait for each other, so workers are never idle while there
is work; and which members share a chunk is the stream's choice alone, never the workers'.
"""

from __future__ import annotations

import collections
import queue
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from concurrent.futures import BrokenExecutor, Future
from dataclasses import dataclass, field, replace
from typing import Any

from assay import events, seeds
from assay.core import Contender, Curves, Member, Task
from assay.errors import Interrupted, UsageError
from assay.record import RunFolder
from assay.workers import jobs
from assay.workers.interface import Workers

STREAMS = 64  # that are at work at once, at least
Chunk = list[Member]  # of one contender
ChunkStream = Generator[list[Chunk], Curves, None]  # yields chunks, is sent the curves of all their members, in order


class Calls:
    """Calls of workers, each with what it is for; the results come as they are ready.

    `next` raises Interrupted if workers were lost, and what the function raised.
    """

    def __init__(self, workers: Workers) -> None:
        self.workers = workers
        self._purposes: dict[Future[Any], tuple[Any, str]] = {}  # the oldest first
        self._finished: queue.SimpleQueue[Future[Any]] = queue.SimpleQueue()

    def submit(self, purpose: Any, name: str, function: Callable[..., Any], *arguments: Any) -> None:
        """Call `function(*arguments)`; `name` is told where it hangs."""
        future = self.workers.submit(function, *arguments)
        self._purposes[future] = purpose, name
        future.add_done_callback(self._finished.put)

    def next(self) -> tuple[Any, Any]:
        """The purpose and the result of one that has ended."""
        _, awaited = next(iter(self._purposes.values()))
        future = self.workers.watchdog.next_of(self._finished, awaited)
        return self._purposes.pop(future)[0], result_of(future)


@dataclass(eq=False)
class _Asker:
    """A stream at work: the chunks that it asked for last, and their curves as far as they are there."""

    stream: ChunkStream
    chunks: list[Chunk] = field(default_factory=list)
    curves: list[Curves | None] = field(default_factory=list)

    def lacks(self) -> list[int]:
        """Places of the chunks whose curves it waits for."""
        return [place for place, curves in enumerate(self.curves) if curves is None]


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
        self.data: Mapping[int, str] = {}  # digests of the replicates' data sets, as far as they were made
        self.folder, self.workers, self.on_event = folder, workers, on_event
        self.names = [c.name for c in contenders]
        self.science, self.numerics = folder.plan.science, folder.plan.numerics  # of each contender
        self.warned: set[tuple[int, str]] = set()  # contenders, and what was told of them
        self.packed_task = jobs.pack(task)
        self.packed_contenders = [jobs.pack(c) for c in contenders]
        self._calls = Calls(workers)

    def train(self, streams: Iterable[ChunkStream]) -> None:
        """Give all streams the curves that they ask for, until they end.

        Raises:
            Interrupted: workers were lost. UsageError: the user's code failed while training, or trained on other data than
                its replicate's. What was finished stays.
        """
        waiting, active = collections.deque(streams), 0
        most = max(STREAMS, 4 * self.workers.size)  # a study in memory takes more than one on disk
        while waiting or active:
            if waiting and active < most:
                asker = _Asker(waiting.popleft())
                active += 1
            else:
                asker = self._keep_next()
            if not asker.lacks() and not self._advance(asker):
                active -= 1

    def _advance(self, asker: _Asker) -> bool:
        """Send a stream what it waited for, as long as its next chunks are on record; submit the others. False at its end."""
        while not asker.lacks():
            there = [curves for curves in asker.curves if curves is not None]
            try:
                asker.chunks = asker.stream.send(Curves.concatenate(there)) if there else next(asker.stream)
            except StopIteration:
                return False
            asker.curves = [self._recorded(chunk) for chunk in asker.chunks]
        for place in asker.lacks():
            chunk, first = asker.chunks[place], asker.chunks[place][0]
            name = f"{self.names[first.slot]}, {first.words}"
            packed = self.packed_task, self.packed_contenders[first.slot]
            audited = [place for place, member in enumerate(chunk) if self._audited(member)]
            arguments = (*packed, chunk, self.numerics[first.slot], audited)
            self._calls.submit((asker, place), name, jobs.train_chunk, *arguments)
        return True

    def _audited(self, member: Member) -> bool:
        """Whether the loop trains it, too, where an engine does."""
        if self.numerics[member.slot].engine == "loop":
            return False
        p = self.science.protocol
        each, pilot = p.trials + p.final_seeds, (p.pilot or 0) if self.science.contenders[member.slot].pilot else 0
        number = member.replicate * each + member.index + (p.trials if member.phase == "final" else 0)
        if member.phase == "pilot":  # after all others
            number = p.replicates * each + member.index
        return seeds.audited(self.science.seed, member.slot, number, p.replicates * each + pilot)

    def _keep_next(self) -> _Asker:
        """Wait for a chunk and keep its curves; the stream that asked for it."""
        (asker, place), curves = self._calls.next()
        chunk: Chunk = asker.chunks[place]
        slot = chunk[0].slot
        self.workers.watchdog.saw(float(curves.seconds.sum()))
        if any(
            self.data.get(m.replicate, seen.digest) != seen.digest for m, seen in zip(chunk, curves.data, strict=True)
        ):
            raise another_each_time(self.science.task.name)
        self.folder.keep(chunk, curves)
        self._warn_once(slot, "some members train in the loop", curves.fallback)
        self._warn_once(slot, "its training changes what all share, and is kept apart from the others", curves.changed)
        self.on_event(events.Trained(self.names[slot], chunk[0].phase, len(chunk), recorded=False))
        asker.curves[place] = replace(curves, weights=None, step_norms=None)  # which are on disk, and not needed here
        return asker

    def _warn_once(self, slot: int, what: str, reasons: Sequence[str]) -> None:
        reason = next(filter(None, reasons), None)
        if reason and (slot, what) not in self.warned:
            self.warned.add((slot, what))
            self.on_event(events.Warned(f"{self.names[slot]}: {what}: {reason}"))

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
            scores = gather(self.workers, calls, lambda: self.on_event(events.Advanced()))
            for key, (members, _), found in zip(some, chunks, scores, strict=True):
                self.folder.keep_scores(key, members, found)


def gather(
    workers: Workers,
    calls: Sequence[tuple[Callable[..., Any], tuple[Any, ...]]],
    done: Callable[[], Any] = lambda: None,
) -> list[Any]:
    """What each `function(*arguments)` returns, in order; `done()` as each ends. Interrupted if workers are lost."""
    under_way, results = Calls(workers), dict[int, Any]()
    for place, (function, arguments) in enumerate(calls):
        under_way.submit(place, function.__name__.replace("_", " "), function, *arguments)
    for _ in calls:
        place, results[place] = under_way.next()
        done()
    return [results[place] for place in range(len(calls))]


def result_of(future: Future[Any]) -> Any:
    """The future's result. Interrupted if the worker was lost."""
    try:
        return future.result()
    except BrokenExecutor as error:
        while_ = str(error).partition(" while ")[2]
        raise Interrupted(
            f"a worker process was lost{' while ' if while_ else ''}{while_} (killed, or out of memory); run the same command "
            "again, it goes on"
        ) from error


def another_each_time(task: str) -> UsageError:
    """Of a data function that isn't one of the seed."""
    return UsageError(
        f"the data function of task {task} gives another data set at each call of one seed: draw all of it from that seed, as "
        "in np.random.default_rng(seed)"
    )


def chunked(members: Sequence[Member], size: int) -> list[Chunk]:
    """A contender's members in chunks of at most `size`, in order."""
    return [list(members[first : first + size]) for first in range(0, len(members), size)]
