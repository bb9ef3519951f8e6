"""Workers on a Ray cluster: a task a call, one CPU and one thread each.

Ray is imported when a cluster is asked for, and not before. A lost node costs the calls that were on it, which run again
elsewhere. What is called is what local workers call, in a process of the node's that serves one contender only, so the
results are the same to the bit on the same CPU model.
"""

from __future__ import annotations

import contextlib
import pickle
import threading
import time
import weakref
from collections.abc import Callable
from concurrent.futures import BrokenExecutor, Future, InvalidStateError, ThreadPoolExecutor
from typing import Any

from assay import events
from assay.core import environment
from assay.errors import UsageError
from assay.workers import cluster, remote
from assay.workers.interface import OnPrinted, Result, Watchdog, not_kept

DESERTED = 60.0  # seconds without a single node that could do the work, before it is given up
LARGE = 64 * 1024  # bytes that are sent once a node, not once a call


class RayWorkers:
    """`Workers` that are Ray tasks: on the cluster at `address` (or $RAY_ADDRESS), else on one embedded here, of all its cores.

    Raises:
        UsageError: Ray isn't installed; no cluster answers; a node lacks assay, or has another version of it or of torch.
    """

    def __init__(
        self,
        address: str = "",
        device: str = "cpu",
        time_limit: float | None = None,
        on_event: events.OnEvent = events.ignore,
        on_printed: OnPrinted = not_kept,
    ) -> None:
        if device not in ("cpu", "cuda"):
            raise UsageError(f"--device {device}: with --workers ray it is cpu or cuda; Ray gives each task its GPU")
        self.watchdog = Watchdog(time_limit)
        self._ray = ray = cluster.import_ray()
        self._own = cluster.join(ray, address or environment.RAY_ADDRESS.value)
        self._calls: weakref.WeakSet[Future[Any]] = weakref.WeakSet()
        self._on_printed = on_printed
        self._sent: dict[bytes, Any] = {}
        self._here = ThreadPoolExecutor(1)
        self._over = threading.Event()
        self._resource = "CPU" if device == "cpu" else "GPU"
        try:
            self.size = int(ray.cluster_resources().get(self._resource, 0))
            if not self.size:
                raise UsageError(
                    f"the Ray cluster has no {self._resource}; add a node that has, or choose another --device"
                )
            self._identity = remote.identity()
            models = cluster.check_nodes(ray, self._resource, self._identity)
        except BaseException:
            self.end(at_once=True)
            raise
        if len(models) > 1:
            on_event(
                events.Warned(
                    f"the cluster has different CPUs ({', '.join(sorted(models))}): members trained on one of them won't match "
                    "another's to the bit"
                )
            )
        needs = {"num_cpus": 1, **({} if device == "cpu" else {"num_gpus": 1})}
        self._run = ray.remote(**needs, max_retries=cluster.RETRIES)(remote.travelling(remote.run))
        threading.Thread(target=self._watch, daemon=True).start()

    def submit(self, fn: Callable[..., Result], /, *args: Any) -> Future[Result]:
        """See `Workers`."""
        future: Future[Any] = Future()
        self._calls.add(future)
        kinds = "".join("b" if isinstance(a, bytes) else "p" for a in args)
        values = [self._share(a) if isinstance(a, bytes) else pickle.dumps(a) for a in args]
        ref = self._run.remote(self._identity, (fn.__module__, fn.__qualname__), kinds, *values)
        ref.future().add_done_callback(lambda done: _hand_over(done, future, ref, self._on_printed))
        return future

    def submit_here(self, fn: Callable[..., Result], /, *args: Any) -> Future[Result]:
        """See `Workers`: a thread of this process."""
        return self._here.submit(fn, *args)

    def end(self, at_once: bool = False) -> None:
        """See `Workers`; a cluster that this didn't start goes on."""
        self._here.shutdown(not at_once, cancel_futures=at_once)
        self._over.set()
        self._sent.clear()
        if self._own:
            self._ray.shutdown()

    def _share(self, data: bytes) -> Any:
        """The bytes, or where they are: large ones are kept once a node."""
        if len(data) < LARGE:
            return data
        if data not in self._sent:
            self._sent[data] = self._ray.put(data)
        return self._sent[data]

    def _watch(self) -> None:
        """Give the calls up where no node is left that could take them; Ray would wait for one for ever."""
        last = time.monotonic()
        while not self._over.wait(5):
            with contextlib.suppress(Exception):  # whatever Ray raises where its head doesn't answer: no node, then
                if self._ray.cluster_resources().get(self._resource, 0):
                    last = time.monotonic()
            if time.monotonic() - last > DESERTED:
                for future in list(self._calls):
                    with contextlib.suppress(InvalidStateError):  # done meanwhile
                        future.set_exception(BrokenExecutor(f"no node with a {self._resource} is left in the cluster"))


def _hand_over(done: Future[Any], future: Future[Any], ref: Any, on_printed: OnPrinted) -> None:
    """What a task came to, as a call's future has it. (`ref` keeps the result alive until it is here.)"""
    with contextlib.suppress(InvalidStateError):  # it was given up before
        try:
            fine, value, printed = pickle.loads(done.result())
        except Exception as error:  # whatever Ray raises for what it lost, or a result that is torn
            future.set_exception(BrokenExecutor(cluster.lines_of(error)[0]))
            return
        for during, text in printed:
            on_printed(during, text)
        future.set_result(value) if fine else future.set_exception(value)
