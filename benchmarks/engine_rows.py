"""What `engine.py` measures: each row builds the means to take steps of some members, in a process of its own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import floors
import torch
from torch import nn

from assay.contenders import contenders
from assay.core import Contender, Member, Numerics, Run, Task
from assay.engine.compiled.population import Compiled
from assay.engine.eager.batches import Batches
from assay.engine.eager.population import Population
from assay.engine.select.measure import evenly, largest_on_cpu
from assay.tasks import find
from assay.tasks.mnist1d import mnist1d_mlp
from assay.training.step import Step

Steps = Callable[[int], None]  # take so many steps of every member


@dataclass(frozen=True)
class Setting:
    """One process's share: `members` of a population, in chunks of `width`; `cores` that a row may share out work to."""

    task: str
    contender: str
    members: int
    width: int
    cores: int = 1


@dataclass(frozen=True)
class Built:
    """`steps` of `members` members; `least`: steps that a call must take for its own costs not to count."""

    steps: Steps
    members: int
    least: int = 1


# ------------------------------------------------------------------------------------------------- the problem


def problem(name: str, contender: str) -> tuple[Task, Contender]:
    other = "adam" if contender != "adam" else "sgd"
    return find(name), contenders([contender, other])[0]


def members(n: int) -> list[Member]:
    return [Member(0, "tune", 0, i, {"lr": 1e-3 * (1 + i % 8)}, 1, 10 + i, 20 + i, 30 + i) for i in range(n)]


def numerics(compiled: bool, width: int) -> Numerics:
    return Numerics("vectorized", compiled, width, "float32", "cpu", 1, torch.__version__, "")


def own_width(name: str, contender: str, together: int) -> int:
    """The chunk width that the engine itself would take."""
    task, arm = problem(name, contender)
    return evenly(largest_on_cpu(task, arm, members(1)[0], numerics(True, 1)), together)


# ---------------------------------------------------------------------------------------------------- the rows


def floor(setting: Setting) -> Built:
    """The contractions of a step alone, for a chunk; see `floors`."""
    task, _ = problem(setting.task, setting.contender)
    once = floors.floor(task, members(1)[0], numerics(False, 1), setting.width)

    def run(steps: int) -> None:
        for _ in range(steps):
            once()

    return Built(run, setting.width)


def plain_script(setting: Setting) -> Built:
    """An ordinary data-loader loop over one model."""
    task, arm = problem(setting.task, setting.contender)
    data = Batches(task, members(1), numerics(False, 1)).data[0]
    loader = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(*data.train), task.batch_size, shuffle=True)
    model = task.model()
    optimizer = arm.make(model, Run(945, 15, 63), lr=1e-3)

    def run(steps: int) -> None:
        taken = 0
        while taken < steps:
            for x, y in loader:
                optimizer.zero_grad()
                loss = task.loss(model(x), y)
                loss.backward()
                optimizer.step()
                loss.item()
                taken += 1
                if taken == steps:
                    break

    return Built(run, 1)


def tuned_loop(setting: Setting) -> Built:
    """The reference engine's step: fused kernels, batches as slices, diagnostics kept; one thread."""
    return Built(_tuned(setting), 1)


def compiled_loop(setting: Setting) -> Built:
    """The same with the model under `torch.compile`."""
    return Built(_tuned(setting, torch.compile), 1)


def _tuned(setting: Setting, made: Callable[[nn.Module], Any] = lambda model: model) -> Steps:
    task, arm = problem(setting.task, setting.contender)
    batches = Batches(task, members(1), numerics(False, 1))
    model = made(task.model())
    run_facts = Run(batches.run.total_steps, task.epochs, batches.steps, fused=True)
    step = Step(task, arm, model, arm.make(model, run_facts, lr=1e-3), run_facts)

    def run(steps: int) -> None:
        for i in range(steps):
            step(*batches.of_member(0, i % (batches.steps - 1)))
        step.epoch_means()

    return run


def joblib_loop(setting: Setting) -> Built:
    """joblib shares the members out over the cores; a task is one member's model, made and trained by the tuned loop."""
    import joblib

    parallel = joblib.Parallel(n_jobs=setting.cores)
    parallel.__enter__()  # its processes stay, as in one long search

    def run(steps: int) -> None:
        parallel(joblib.delayed(_one_training)(setting, steps) for _ in range(setting.members))

    return Built(run, setting.members, least=400)


def _one_training(setting: Setting, steps: int) -> None:
    torch.set_num_threads(1)
    _tuned(setting)(steps)


def _chunks(kind: type[Population], setting: Setting, width: int) -> Built:
    """A population in chunks of `width`, one chunk after the other."""
    task, arm = problem(setting.task, setting.contender)
    compiled = kind is Compiled
    chunk = members(width)
    batches = Batches(task, chunk, numerics(compiled, width))
    with torch.random.fork_rng(devices=[]):
        chunks = [
            kind(task, arm, chunk, numerics(compiled, width), batches) for _ in range(max(1, setting.members // width))
        ]

    def run(steps: int) -> None:
        for population in chunks:
            for i in range(steps):
                population.step(*batches.at(i % (batches.steps - 1)))

    return Built(run, len(chunks) * width, least=8 if len(chunks) > 1 else 1)


def eager(setting: Setting) -> Built:
    """The engine's eager form, all members in one chunk."""
    return _chunks(Population, setting, setting.members)


def compiled(setting: Setting) -> Built:
    """The engine's compiled form, in chunks."""
    return _chunks(Compiled, setting, setting.width)


def jax_population(setting: Setting) -> Built:
    """The same network and Adam in JAX with optax: vmap over members, scan over steps. ImportError where it's missing."""
    import jax  # type: ignore[import-not-found]
    import jax.numpy as jnp  # type: ignore[import-not-found]
    import optax  # type: ignore[import-not-found]

    n, batch = setting.members, mnist1d_mlp().batch_size
    keys = jax.random.split(jax.random.PRNGKey(0), 4)
    weights = {
        "w1": jax.random.normal(keys[0], (n, 40, 256)) * 0.1,
        "b1": jnp.zeros((n, 256)),
        "w2": jax.random.normal(keys[1], (n, 256, 10)) * 0.1,
        "b2": jnp.zeros((n, 10)),
    }

    def one(weights: Any, rate: Any, xs: Any, ys: Any) -> Any:
        adam = optax.adam(rate)

        def loss(w: Any, x: Any, y: Any) -> Any:
            outputs = jax.nn.relu(x @ w["w1"] + w["b1"]) @ w["w2"] + w["b2"]
            return optax.softmax_cross_entropy_with_integer_labels(outputs, y).mean()

        def step(carry: Any, batch: Any) -> Any:
            w, state = carry
            value, gradient = jax.value_and_grad(loss)(w, *batch)
            updates, state = adam.update(gradient, state, w)
            norms = optax.global_norm(gradient), optax.global_norm(updates)
            return (optax.apply_updates(w, updates), state), (value, *norms)

        return jax.lax.scan(step, (weights, adam.init(weights)), (xs, ys))

    train = jax.jit(jax.vmap(one))
    rates = jnp.linspace(1e-3, 8e-3, n)
    drawn: dict[int, Any] = {}

    def run(steps: int) -> None:
        if steps not in drawn:
            xs = jax.random.normal(keys[2], (n, steps, batch, 40))
            drawn[steps] = xs, jax.random.randint(keys[3], (n, steps, batch), 0, 10)
        jax.block_until_ready(train(weights, rates, *drawn[steps]))

    return Built(run, n, least=8)


ROWS: dict[str, Callable[[Setting], Built]] = {
    "floor": floor,
    "plain script": plain_script,
    "tuned loop": tuned_loop,
    "tuned loop, torch.compile": compiled_loop,
    "joblib, tuned loop": joblib_loop,
    "JAX + optax": jax_population,
    "JAX, own threads": jax_population,
    "engine, eager": eager,
    "engine, compiled": compiled,
}
