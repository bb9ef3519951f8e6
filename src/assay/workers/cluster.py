"""Joining a Ray cluster, or starting one here, and seeing that its nodes can do the work as this machine would."""

from __future__ import annotations

import logging
import os
import socket
import subprocess
import sys
from typing import Any

from assay.errors import UsageError
from assay.workers import remote
from assay.workers.local import cores, one_thread

RETRIES = 5  # of a call whose worker or node was lost
ANSWER = 60.0  # seconds for a cluster to answer


def import_ray() -> Any:
    """The module. UsageError where it isn't installed."""
    try:
        import ray  # pyright: ignore[reportMissingImports]
    except ImportError as error:
        raise UsageError(f"--workers ray needs Ray ({error}): pip install 'assay[ray]'") from None
    return ray


def join(ray: Any, address: str) -> bool:
    """Join the cluster at an address, or start one here where it is ""; False where the user's program has joined one already."""
    if ray.is_initialized():
        return False
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nothing is sent anywhere
    os.environ.setdefault("RAY_task_oom_retries", str(RETRIES))  # its own default is to try for ever
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")  # leave CUDA_VISIBLE_DEVICES alone without GPUs
    if address:
        see_that_it_answers(address)
    own = {} if address else {"num_cpus": cores(), "include_dashboard": False}
    try:
        with one_thread():
            ray.init(address or "local", log_to_driver=False, logging_level=logging.ERROR, **own)
    except (Exception, SystemExit) as error:  # Ray has no exception of its own for this, and may end the process
        raise UsageError(f"Ray can't {'join ' + address if address else 'start here'}: {lines_of(error)[0]}") from None
    return True


def see_that_it_answers(address: str) -> None:
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


def check_nodes(ray: Any, resource: str, here: dict[str, str]) -> set[str]:
    """The CPU models of the nodes that have this resource ("CPU" or "GPU").

    Raises:
        UsageError: a node can't do the work as this machine would; it is named, with what it has.
    """
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy  # pyright: ignore[reportMissingImports]

    able = [n for n in ray.nodes() if n["Alive"] and n["Resources"].get(resource)]
    look = ray.remote(num_cpus=0, max_retries=1)(remote.travelling(remote.look))
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
            raise UsageError(f"node {where} of the cluster fails ({lines_of(error)[-1]}); restart it") from None
        if reason := remote.refusal(where, found, here):
            raise UsageError(reason)
        models.add(found["cpu"])
    return models


def lines_of(error: BaseException) -> list[str]:
    """The lines of what an error says, or its name."""
    return [line.strip() for line in str(error).splitlines() if line.strip()] or [type(error).__name__]
