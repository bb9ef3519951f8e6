"""The reference engine: one model at a time, in a plain PyTorch loop. What every other engine must agree with."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor, nn

from assay.core import Contender, Curves, Member, Numerics, Run, Task, steps_per_epoch
from assay.errors import UsageError
from assay.training.data import epoch as epoch_of
from assay.training.data import load
from assay.training.step import make_model, own_randomness, scored, set_mode, set_up, tensor_cores


def train(
    task: Task,
    contender: Contender,
    members: Sequence[Member],
    numerics: Numerics,
    enough: Callable[[np.ndarray], bool] | None = None,
    forward_of: Callable[[nn.Module], Callable[[Tensor], Tensor]] | None = None,
) -> Curves:
    """Train the members, one after the other, and return what each left over the epochs. UsageError if there is none.

    `enough`: is given (5, epochs so far) after each epoch: validation, test, loss, gradient norm, update norm; a training of
    which it says so ends there, what it would have left is NaN. `forward_of`: makes what a step calls instead of the model.
    """
    if not members:
        raise UsageError("there are no members to train")
    return Curves.concatenate([_train_one(task, contender, member, numerics, enough, forward_of) for member in members])


def _train_one(
    task: Task,
    contender: Contender,
    member: Member,
    numerics: Numerics,
    enough: Callable[[np.ndarray], bool] | None,
    forward_of: Callable[[nn.Module], Callable[[Tensor], Tensor]] | None,
) -> Curves:
    started = time.perf_counter()
    data = load(task, member.split, numerics.dtype, numerics.device)
    steps = steps_per_epoch(len(data.train[0]), task.batch_size)
    run = Run(task.epochs * steps, task.epochs, steps, fused=True)

    with own_randomness(), tensor_cores(numerics):
        step = set_up(task, contender, member, numerics, run)
        model, optimizer = step.model, step.optimizer
        if forward_of:
            step.forward = forward_of(model)
        order = torch.Generator().manual_seed(member.batches)
        traces = np.full((5, task.epochs), np.nan)  # validation, test, loss, gradient norm, update norm
        diverged = 0
        lengths = np.full((1, run.total_steps), np.nan, dtype=np.float32)
        for epoch in range(task.epochs):
            set_mode(model, optimizer, training=True)
            for x, y in epoch_of(data, task.batch_size, order, numerics.dtype):
                step(x, y)
            lengths[0, epoch * steps : (epoch + 1) * steps] = step.update_lengths()
            means = step.epoch_means()
            set_mode(model, optimizer, training=False)
            if not np.isfinite(means).all() or not all(torch.isfinite(p).all() for p in model.parameters()):
                diverged = epoch + 1
                break
            traces[2:, epoch] = means
            traces[0, epoch] = score(task, model, *data.validation, numerics.micro_batch or None)
            if member.phase == "final":
                traces[1, epoch] = score(task, model, *data.test, numerics.micro_batch or None)
            if enough is not None and enough(traces[:, : epoch + 1]):
                break

    return Curves(
        validation=traces[None, 0],
        test=traces[None, 1] if member.phase == "final" else None,
        train_loss=traces[None, 2],
        grad_norm=traces[None, 3],
        update_norm=traces[None, 4],
        diverged=np.array([diverged]),
        gradient_evaluations=np.array([step.evaluations]),
        seconds=np.array([time.perf_counter() - started]),
        data=(data.facts,),
        weights=flat_weights(model)[None] if member.phase == "tune" and data.tests_later else None,
        step_norms=lengths if member.phase == "final" else None,
    )


@torch.no_grad()
def score(task: Task, model: nn.Module, inputs: Tensor, targets: Tensor, at_once: int | None = None) -> float:
    """The metric of a model in evaluation mode on a whole split, of which `at_once` samples go through it together."""
    return float(scored(task, model, inputs, targets, at_once))


def flat_weights(model: nn.Module) -> np.ndarray:
    """All parameters and buffers as one vector (P,), in the order of `state_dict`."""
    return torch.cat([t.detach().double().flatten().cpu() for t in model.state_dict().values()]).float().numpy()


def score_weights(task: Task, members: Sequence[Member], weights: np.ndarray, numerics: Numerics) -> np.ndarray:
    """Test scores (n,) of members that have been trained, from their final weights (n, P); NaN where not finite."""
    scores = np.full(len(members), np.nan)
    with own_randomness():
        model = make_model(task, numerics).eval()
        state = model.state_dict()
        for i, member in enumerate(members):
            if np.isfinite(weights[i]).all():
                parts = torch.from_numpy(weights[i]).split([t.numel() for t in state.values()])
                model.load_state_dict({n: p.view_as(t) for (n, t), p in zip(state.items(), parts, strict=True)})
                test = load(task, member.split, numerics.dtype, numerics.device).test
                scores[i] = score(task, model, *test, numerics.micro_batch or None)
    return scores
