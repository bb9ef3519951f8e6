"""What is done in a worker. What goes in and comes out is data (bytes and plain structures), so that a worker may be anywhere.

torch is imported in the functions: the driver, which only names them, does without it.
"""

from __future__ import annotations

import contextlib
import io
import linecache
import multiprocessing
import os
import pickle
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any, ClassVar

import cloudpickle
import msgspec
import numpy as np

from assay.contenders import guard
from assay.contenders.packages import users_modules
from assay.core import Contender, Curves, EngineOptions, Member, Numerics, Task
from assay.errors import AssayError, Interrupted, UsageError, own_frames, said
from assay.training.numerics import Chosen, Demand
from assay.workers import now

if TYPE_CHECKING:
    from assay.training.timing import Timed

NO_MEMORY = ("OutOfMemoryError", "can't allocate memory")


def pack(thing: Task | Contender) -> bytes:
    """A task or a contender as bytes that a worker can open; code from a user's file travels with it.

    So does the text of a notebook's cells, which no file holds, so that an error can show the line that raised it.

    Raises:
        UsageError: it holds what can't travel, a lock or an open file.
    """
    try:
        packed = _as_it_is_here(thing)
    except Exception as error:
        raise UsageError(
            f"{thing.name} can't be sent to a worker process: {said(error)}; make what it names inside the function that uses it"
        ) from None
    cells = {name: entry for name, entry in linecache.cache.items() if len(entry) > 1 and name.encode() in packed}
    return pickle.dumps(
        (packed, thing.name, {name: entry for name, entry in cells.items() if not os.path.exists(name)})
    )


def _as_it_is_here(thing: Task | Contender) -> bytes:
    """A user's modules as they are in this process, which is what the plan tells of, and not as their files are by now.

    By reference, as far as they can't be taken apart.
    """
    registered = [m for m in users_modules() if m.__name__ not in cloudpickle.list_registry_pickle_by_value()]
    for module in registered:
        cloudpickle.register_pickle_by_value(module)
    try:
        return _dumped(thing)
    except Exception:
        if not registered:
            raise
    finally:
        for module in registered:
            cloudpickle.unregister_pickle_by_value(module)
    return _dumped(thing)


def _dumped(thing: Any) -> bytes:
    with io.BytesIO() as written:
        _Pickler(written).dump(thing)
        return written.getvalue()


def _cached_again(function: Any, maxsize: int | None, typed: bool) -> Any:
    return lru_cache(maxsize, typed)(function)


def _reduced(cached: Any) -> Any:
    """What `functools.cache` makes of a user's function goes by value, as the function would; else by its name."""
    if cached.__module__ != "__main__" and not any(m.__name__ == cached.__module__ for m in users_modules()):
        return cached.__reduce__()
    return _cached_again, (cached.__wrapped__, *cached.cache_parameters().values())


class _Pickler(cloudpickle.Pickler):
    dispatch_table: ClassVar[Any] = {**cloudpickle.Pickler.dispatch_table, type(lru_cache(len)): _reduced}


@lru_cache(maxsize=64)
def _open(packed: bytes) -> Any:
    thing, name, cells = pickle.loads(packed)
    with _blaming(f"the code of {name} was loaded", f"the code of {name} can't be loaded in a worker"):
        linecache.cache.update(cells)
        return cloudpickle.loads(thing)


@contextlib.contextmanager
def _no_trace() -> Iterator[list[str]]:
    """What the code of others changes in this process is put back, and the process is not used again.

    Yields a list that the changes are named in, afterwards.
    """
    with guard.kept() as changed:
        yield changed
    if changed:
        now.spend()


@contextlib.contextmanager
def _blaming(doing: str, fault: str) -> Iterator[None]:
    """Whatever the user's code raises in here is a UsageError, trimmed to their frames; Interrupted where memory ran out.

    Nothing that it raises is taken for an end of this process, or of the command: only a Ctrl-C in the driver itself is.
    """
    now.doing(doing)
    try:
        yield
    except AssayError:
        raise
    except BaseException as error:
        if isinstance(error, KeyboardInterrupt) and multiprocessing.parent_process() is None:
            raise
        if isinstance(error, MemoryError) or any(
            words in f"{type(error).__name__} {said(error)}" for words in NO_MEMORY
        ):
            raise Interrupted(
                f"out of memory while {doing}; take fewer --workers and run the same command again, it goes on"
            ) from None
        raise UsageError(f"{fault}: {own_frames(error)}") from None


def train_chunk(
    packed_task: bytes,
    packed_contender: bytes,
    members: Sequence[Member],
    numerics: Numerics,
    audited: Sequence[int] = (),
) -> Curves:
    """Train a chunk of members with the plan's engine.

    Members that the engine refuses on the way (they disagree in a branch, say) train in the loop, and their curves say so.
    So they do where their training changed what it should not.

    Args:
        audited: places of members that are trained by the loop, too, where an engine trained them.
    Raises:
        UsageError: the contender's or the task's own code raises; the traceback is trimmed to their frames. Or an audited
            member's curves are not the loop's.
        Interrupted: memory or disk ran out.
    """
    from assay.training.data import load, see_unchanged

    with _no_trace() as changed:
        task, contender = _open(packed_task), _open(packed_contender)
        with _blaming(f"{contender.name} trained{_which(members)}", f"{contender.name} fails while it trains"):
            for m in members[:1]:
                load(task, m.split, numerics.dtype, numerics.device)  # before its state is looked at
            with _own_state(task, contender):
                curves = _trained(task, contender, members, numerics)
            see_unchanged(task)
            if numerics.engine == "vectorized" and not any(curves.fallback):
                from assay.engine.select.audit import see_that_it_is_the_loops

                for place in audited:
                    see_that_it_is_the_loops(task, contender, members[place], numerics, curves, place)
    return replace(curves, changed=(guard.listed(changed),) * len(members)) if changed else curves


@contextlib.contextmanager
def _own_state(task: Task, *contenders: Contender) -> Iterator[None]:
    """Where globals, classes, closures or objects of the code's own change, the process is not used again.

    So that no training begins with what another left there, and none depends on which shared a process.
    """
    from assay.engine.eager.surroundings import surroundings
    from assay.training.data import loaders

    made = [part for c in contenders for part in (c.make, c.schedule, *c.fixed.values())]
    shared = (*made, task.metric.score, task.metric.constant, task.data)

    def state() -> dict[str, Any]:
        return surroundings(task.model, task.loss, kept=(*shared, *loaders()))

    before = state()
    yield
    if state() != before:
        now.spend()


def _trained(task: Task, contender: Contender, members: Sequence[Member], numerics: Numerics) -> Curves:
    from assay.training import loop

    reason = ""
    if numerics.engine == "vectorized":
        from assay.engine import train as vectorized
        from assay.engine.refusal import Hindered, NotVectorizable

        try:
            return vectorized.train(task, contender, members, numerics)
        except Hindered as error:
            raise Interrupted(f"{contender.name}: {error}; run the same command again, it goes on") from error
        except NotVectorizable as error:  # the same members always are, wherever they train
            reason = str(error)
    forward_of = None
    if numerics.engine == "loop" and numerics.compiled:
        from assay.engine.compiled.forward import forward_of
    found = loop.train(task, contender, members, numerics, forward_of=forward_of)
    return replace(found, fallback=(reason,) * len(members))


def _which(members: Sequence[Member]) -> str:
    """A chunk's first member, in words."""
    return f" ({members[0].words})" if members else ""


def audit_member(packed_task: bytes, packed_contender: bytes, member: Member, numerics: Numerics) -> str | None:
    """`engine.select.audit.audit`."""
    from assay.engine.select.audit import audit

    contender = _open(packed_contender)
    with _blaming(f"{contender.name} was audited", f"{contender.name} fails while it trains"):
        return audit(_open(packed_task), contender, member, numerics)


def score_chunk(packed_task: bytes, members: Sequence[Member], weights: np.ndarray, numerics: Numerics) -> np.ndarray:
    """Test scores (n,) of trained members."""
    from assay.training.data import load, see_unchanged
    from assay.training.loop import score_weights

    with _no_trace():
        task = _open(packed_task)
        with _blaming("trials were scored", f"task {task.name} fails while trials are scored"):
            load(task, members[0].split, numerics.dtype, numerics.device)
            with _own_state(task):
                scores = score_weights(task, members, weights, numerics)
            see_unchanged(task)
    return scores


def choose_engine(packed_task: bytes, packed_contender: bytes, wanted: EngineOptions, demand: Demand) -> Chosen:
    """`engine.select.choose.choose_engine`, for a contender that makes an optimizer, and the same one each time.

    Raises:
        UsageError: it doesn't.
    """
    from assay.engine.select import choose
    from assay.training.made import validate_contender

    with _no_trace():
        task, contender = _open(packed_task), _open(packed_contender)
        with _own_state(task, contender):
            with _blaming(f"{contender.name} was made", f"{contender.name} fails when it is made"):
                left_out = validate_contender(task, contender, wanted.device, demand.split)
            with _blaming(f"the engine for {contender.name} was chosen", f"{contender.name} fails"):
                chosen = choose.choose_engine(task, contender, wanted, demand)
            return msgspec.structs.replace(chosen, left_out=left_out)


def make_data(packed_task: bytes, seed: int) -> str:
    """See that a data set is made and kept, and fit to be trained on; its digest."""
    from assay.training.validate import validate_task

    with _no_trace():
        task = _open(packed_task)
        with _blaming(f"the data of task {task.name} was made", f"the data of task {task.name} can't be made"):
            splits = task.draw(seed)
            digest = splits.digest
        with _own_state(task), _blaming(f"task {task.name} was tried", f"task {task.name} fails"):
            validate_task(task, splits)
        return digest


def time_step(packed_task: bytes, packed_contender: bytes, member: Member, numerics: Numerics) -> Timed:
    """`timing.step_seconds`."""
    from assay.training.timing import step_seconds

    with _no_trace():
        task, contender = _open(packed_task), _open(packed_contender)
        with (
            _own_state(task, contender),
            _blaming(f"a step of {contender.name} was timed", f"{contender.name} fails while it trains"),
        ):
            return step_seconds(task, contender, member, numerics)


def time_optimizers(
    packed_task: bytes, packed_contenders: Sequence[bytes], members: Sequence[Member], numerics: Numerics
) -> np.ndarray:
    """`timing.optimizer_seconds`."""
    from assay.training.timing import optimizer_seconds

    with _no_trace(), _blaming("steps were timed", "a contender's step can't be timed alone"):
        return optimizer_seconds(_open(packed_task), [_open(c) for c in packed_contenders], members, numerics)
