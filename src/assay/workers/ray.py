"""Workers on a Ray cluster, shaped like `concurrent.futures.Executor`: a task a call, one CPU and one thread each.

Ray is imported when a cluster is asked for, and not before. A lost node costs the calls that were on it, which run again
elsewhere. What is called is what local workers call, so the results are the same to the bit on the same CPU model.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import os
import pickle
import socket
import subprocess
import sys
import threading
import time
import weakref
from collections.abc import Callable
from concurrent.futures import BrokenExecutor, Executor, Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import assay
from assay.errors import UsageError
from assay.training.numerics import torch_build
from assay.workers.local import _one_thread, cores

RETRIES = 5  # of a call whose worker or node was lost
ANSWER = 60.0  # seconds for a cluster to answer
DESERTED = 60.0  # seconds without a single node that could do the work, before it is given up
LARGE = 64 * 1024  # bytes that are sent once a node, not once a call


class Lost(BrokenExecutor):
    """A call was lost with its worker or node, each time it was tried."""


class RayWorkers(Executor):
    """Calls as Ray tasks: on the cluster at `address` (or $RAY_ADDRESS), else on one embedded here, of all its cores.

    Attributes:
        size: how many calls run at once. warnings: what a user must know of the cluster, a line each.

    Raises:
        UsageError: Ray isn't installed; no cluster answers; a node lacks assay, or has another version of it or of torch.
    """

    def __init__(self, address: str | None = None, device: str = "cpu") -> None:
        if device not in ("cpu", "cuda"):
            raise UsageError(f"--device {device}: with --workers ray it is cpu or cuda; Ray gives each task its GPU")
        self._ray = ray = _import_ray()
        self._own = _connect(ray, address or os.environ.get("RAY_ADDRESS") or None)
        self.patience: Any = None
        self.warnings: list[str] = []
        self._calls: weakref.WeakSet[Future[Any]] = weakref.WeakSet()
        self._sent: dict[bytes, Any] = {}
        self._here = ThreadPoolExecutor(1)
        self._over = threading.Event()
        self._needs = {"num_cpus": 1, **({} if device == "cpu" else {"num_gpus": 1})}
        self._rare = "CPU" if device == "cpu" else "GPU"
        try:
            self.size = int(ray.cluster_resources().get(self._rare, 0))
            if not self.size:
                raise UsageError(
                    f"the Ray cluster has no {self._rare}; add a node that has, or choose another --device"
                )
            self._identity = _identity()
            self._check_nodes()
        except BaseException:
            self.kill()
            raise
        self._run = ray.remote(**self._needs, max_retries=RETRIES)(_travelling(_run))
        threading.Thread(target=self._watch, daemon=True).start()

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """As in Executor; `fn` must be importable on the workers, and take no keywords."""
        assert not kwargs
        future: Future[Any] = Future()
        self._calls.add(future)
        kinds = "".join("b" if isinstance(a, bytes) else "p" for a in args)
        values = [self._share(a) if isinstance(a, bytes) else pickle.dumps(a) for a in args]
        ref = self._run.remote(self._identity, (fn.__module__, fn.__qualname__), kinds, *values)
        ref.future().add_done_callback(lambda done: _hand_over(done, future, ref))
        return future

    def beside(self, fn: Callable[..., Any], /, *args: Any) -> Future[Any]:
        """Call what needs the run folder here, beside the work of the others."""
        return self._here.submit(fn, *args)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """As in Executor; a cluster that this didn't start goes on."""
        self._here.shutdown(wait, cancel_futures=cancel_futures)
        self._over.set()
        self._sent.clear()
        if self._own:
            self._ray.shutdown()

    def kill(self) -> None:
        """End all calls now."""
        self.shutdown(wait=False, cancel_futures=True)

    def _share(self, data: bytes) -> Any:
        """The bytes, or where they are: large ones are kept once a node."""
        if len(data) < LARGE:
            return data
        if data not in self._sent:
            self._sent[data] = self._ray.put(data)
        return self._sent[data]

    def _check_nodes(self) -> None:
        """Refuse nodes that can't do the work as this machine would; UsageError names the first and what it has."""
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy  # pyright: ignore[reportMissingImports]

        ray = self._ray
        able = [n for n in ray.nodes() if n["Alive"] and n["Resources"].get(self._rare)]
        look = ray.remote(num_cpus=0, max_retries=1)(_travelling(_look))
        asked = {
            look.options(scheduling_strategy=NodeAffinitySchedulingStrategy(n["NodeID"], soft=False)).remote(): n
            for n in able
        }
        ready, silent = ray.wait(list(asked), num_returns=len(asked), timeout=ANSWER)
        if silent:
            raise UsageError(f"node {asked[silent[0]]['NodeManagerAddress']} of the cluster doesn't answer; restart it")
        models = set()
        for ref in ready:
            where = asked[ref]["NodeManagerAddress"]
            try:
                found = ray.get(ref)
            except ray.exceptions.RayError as error:
                raise UsageError(f"node {where} of the cluster fails ({_last_line(error)}); restart it") from None
            if refusal := _refusal(where, found, self._identity):
                raise UsageError(refusal)
            models.add(found["cpu"])
        if len(models) > 1:
            self.warnings.append(
                f"the cluster has different CPUs ({', '.join(sorted(models))}): members trained on one of them won't match "
                "another's to the bit"
            )

    def _watch(self) -> None:
        """Give the calls up where no node is left that could take them; Ray would wait for one for ever."""
        last = time.monotonic()
        while not self._over.wait(5):
            with contextlib.suppress(Exception):
                if self._ray.cluster_resources().get(self._rare, 0):
                    last = time.monotonic()
            if time.monotonic() - last > DESERTED:
                for future in list(self._calls):
                    with contextlib.suppress(Exception):  # done meanwhile
                        future.set_exception(Lost(f"no node with a {self._rare} is left in the cluster"))


def _hand_over(done: Future[Any], future: Future[Any], ref: Any) -> None:
    """What a task came to, as a call's future has it. (`ref` keeps the result alive until it is here.)"""
    with contextlib.suppress(Exception):  # InvalidStateError: it was given up before
        try:
            fine, value = pickle.loads(done.result())
        except Exception as error:
            future.set_exception(Lost(_first_line(error)))
            return
        future.set_result(value) if fine else future.set_exception(value)


# --------------------------------------------------------------------------------------------------- the cluster


def _import_ray() -> Any:
    try:
        import ray  # pyright: ignore[reportMissingImports]
    except ImportError as error:
        raise UsageError(f"--workers ray needs Ray ({error}): pip install 'assay[ray]'") from None
    return ray


def _connect(ray: Any, address: str | None) -> bool:
    """Join the cluster at an address, or start one here; False where the user's program has joined one already."""
    if ray.is_initialized():
        return False
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nothing is sent anywhere
    os.environ.setdefault("RAY_task_oom_retries", str(RETRIES))  # its own default is to try for ever
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")  # leave CUDA_VISIBLE_DEVICES alone without GPUs
    quiet = {"log_to_driver": False, "logging_level": logging.ERROR}
    try:
        if address is None:
            with _one_thread():
                ray.init("local", num_cpus=cores(), include_dashboard=False, **quiet)
        else:
            _answers(address)
            ray.init(address, **quiet)
    except (Exception, SystemExit) as error:
        if isinstance(error, UsageError):
            raise
        raise UsageError(f"Ray can't {'join ' + address if address else 'start here'}: {_first_line(error)}") from None
    return True


def _answers(address: str) -> None:
    """UsageError unless a cluster is at this address, and this machine is part of it, within a minute.

    The attempt is made by a process of its own: Ray may take minutes over an address that is none, or end its process.
    """
    if "://" in address:
        raise UsageError(
            f"--ray-address {address}: Ray's client isn't supported; run assay on a machine of the cluster, with "
            "--ray-address HOST:PORT"
        )
    host, colon, port = address.rpartition(":")
    if colon:
        try:
            socket.create_connection((host, int(port)), timeout=10).close()
        except (OSError, ValueError, OverflowError) as error:
            raise UsageError(
                f"no Ray cluster answers at {address} ({error}); start one with: ray start --head"
            ) from None
    attempt = "import ray, sys; ray.init(sys.argv[1], log_to_driver=False, logging_level='ERROR')"
    try:
        done = subprocess.run(
            [sys.executable, "-c", attempt, address], capture_output=True, text=True, timeout=ANSWER, check=False
        )
    except subprocess.TimeoutExpired:
        raise UsageError(f"no Ray cluster answers at {address} within {ANSWER:.0f} s; is that its port?") from None
    if done.returncode:
        said = [line for line in done.stderr.splitlines() if line.strip()]
        raise UsageError(
            f"the Ray cluster at {address} can't be joined from here ({said[-1] if said else 'no reason'}); this machine must "
            "be part of it, and if it asks for a token, RAY_AUTH_MODE=token and the token must be set here too"
        )


def _refusal(where: str, found: dict[str, Any], here: dict[str, str]) -> str | None:
    """Why a node can't do the work; None if it can."""
    if found["assay"] is None:
        return f"node {where} of the cluster has no assay ({found['python']}); install it there, as it is here"
    for name, mend in (("torch", "install the same there"), ("assay", "install the same there")):
        if found[name] != here[name]:
            return f"node {where} of the cluster has {name} {found[name]}, this machine {here[name]}; {mend}"
    return None


def _identity() -> dict[str, str]:
    """What must be the same on every worker."""
    return {"assay": f"{assay.__version__} ({sources(Path(assay.__file__).parent)})", "torch": torch_build()}


def sources(package: Path) -> str:
    """The first digits of a hash of a package's Python files: two checkouts of one version may differ."""
    sha = hashlib.sha256()
    for path in sorted(package.rglob("*.py")):
        sha.update(path.relative_to(package).as_posix().encode() + path.read_bytes())
    return sha.hexdigest()[:8]


def _first_line(error: BaseException) -> str:
    return _lines(error)[0]


def _last_line(error: BaseException) -> str:
    return _lines(error)[-1]


def _lines(error: BaseException) -> list[str]:
    return [line.strip() for line in str(error).splitlines() if line.strip()] or [type(error).__name__]


# ------------------------------------------------------- what runs on the workers; it travels as code, not by name


def _travelling(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function, to be sent by value: a worker without assay can still run it, and say so."""
    function.__module__ = "__main__"
    return function


def _look() -> dict[str, Any]:
    """What a node has."""
    import sys

    found: dict[str, Any] = {"python": sys.executable, "assay": None, "torch": None, "cpu": None}
    try:
        from assay.training import numerics
        from assay.workers import ray as ray_workers
    except ImportError:
        return found
    found["cpu"] = numerics.cpu_model()
    try:
        return {**found, **ray_workers._identity()}
    except Exception as error:
        return {**found, "assay": "unknown", "torch": f"none ({error})"}


def _run(identity: dict[str, str], function: tuple[str, str], kinds: str, *values: bytes) -> bytes:
    """Call a function and bring back (True, what it returns) or (False, what it raises)."""
    import os
    import pickle

    os.environ.update(dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1"))
    from assay.workers.ray import call

    return pickle.dumps(call(identity, function, kinds, values))


_ready: dict[str, str] = {}


def call(
    identity: dict[str, str], function: tuple[str, str], kinds: str, values: tuple[bytes, ...]
) -> tuple[bool, Any]:
    """In a worker: as `_run`."""
    from importlib import import_module

    try:
        if not _ready:
            import torch

            torch.set_num_threads(1)
            _ready.update(_identity())
        if refusal := _refusal(socket.gethostname(), dict(_ready), identity):  # a node that joined later
            raise UsageError(refusal)
        arguments = [pickle.loads(v) if kind == "p" else v for kind, v in zip(kinds, values, strict=True)]
        return True, getattr(import_module(function[0]), function[1])(*arguments)
    except Exception as error:
        error.__traceback__ = None
        try:
            pickle.loads(pickle.dumps(error))
        except Exception:  # an exception class of the user's own may not travel
            return False, RuntimeError(f"{type(error).__name__}: {error}")
        return False, error
