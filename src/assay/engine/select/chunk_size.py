"""How many members share a chunk: as many as stay in a core's cache, or fit a GPU's memory."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from assay.core import Contender, Member, Numerics, Task
from assay.engine.eager.batches import Batches
from assay.engine.eager.evaluation import scores
from assay.engine.eager.object_graph import leaves_of
from assay.engine.select.stopwatch import begun
from assay.training.member_setup import set_up

CHUNK_BYTES = 5_000_000  # a chunk's weights, state and activations that a core still gets through quickly (Zen 3)
DATA_BYTES = 256_000_000  # of members' training data in their own orders, in each process
WIDEST = 16
SPLIT_ABOVE = 1_000  # members that fill a GPU well enough for another process to have a chunk of its own
MEMORY_SHARE = 0.7  # of a GPU's free memory: the rest is lost between blocks, or taken by what isn't measured
CONTEXT_BYTES = 600_000_000  # what a process takes of a GPU's memory before it computes anything


def evenly(width: int, together: int) -> int:
    """The smallest width that shares out `together` members in as few chunks as `width` does."""
    return -(-together // -(-together // max(1, width)))


def width_on_gpu(together: int, widest: int, processes: int) -> int:
    """Members in a chunk: few chunks, for a step takes nearly the same time until they are thousands; but where each
    process can have thousands, every process has as many chunks as another."""
    chunks = max(-(-together // max(1, widest)), min(processes, together // SPLIT_ABOVE), 1)
    if chunks > 1:
        chunks = -(-chunks // processes) * processes
    return -(-together // chunks)


def width_on_cpu(task: Task, contender: Contender, member: Member, numerics: Numerics) -> int:
    """Members whose weights, state and activations together stay in a core's share of the cache: 1 to 16."""
    batches = Batches(task, [member], numerics)
    batches.shuffle()
    with torch.random.fork_rng(devices=[]):
        one = set_up(task, contender, member, numerics, batches.run)
        x, y = batches.at(0)
        size = 0

        def count(_: nn.Module, __: object, output: object) -> None:
            nonlocal size
            if isinstance(output, Tensor):
                size += 2 * output.numel() * output.element_size()  # it and its gradient

        hooks = [m.register_forward_hook(count) for m in one.model.modules() if not list(m.children())]
        one.step(x[0], y[0])
        for hook in hooks:
            hook.remove()
    weights = sum(p.numel() * p.element_size() for p in one.model.parameters())
    state = sum(
        leaf.value.numel() * leaf.value.element_size() for leaf in leaves_of(one).values() if leaf.kind == "tensor"
    )
    fits = int(min(CHUNK_BYTES / (size + 2 * weights + state), DATA_BYTES / max(1, x.nbytes * batches.steps)))
    return max(1, min(WIDEST, 1 << max(0, fits.bit_length() - 1)))


def widest_on_gpu(
    task: Task, contender: Contender, chunk: Sequence[Member], numerics: Numerics, processes: int = 1
) -> int:
    """Members whose training fits a process's share of the GPU's free memory: measured on a few, not met in the middle.

    Building, training and scoring are measured, at two sizes: what a further member needs is the difference. The data set
    that they share is loaded before.
    """
    device = torch.device(numerics.device)
    Batches(task, chunk[:1], numerics)
    sizes = (2, 8)
    small, large = (_peak(task, contender, [chunk[i % len(chunk)] for i in range(n)], numerics) for n in sizes)
    each = max(1, (large - small) // (sizes[1] - sizes[0]))
    torch.cuda.empty_cache()
    free, _ = torch.cuda.mem_get_info(device)
    return fitting(free, each, processes)


def fitting(free: int, each: int, processes: int) -> int:
    """Members of `each` bytes in a process's share of `free` bytes; 2 at least."""
    return max(2, int((MEMORY_SHARE * free / processes - CONTEXT_BYTES) / each))


def _peak(task: Task, contender: Contender, members: Sequence[Member], numerics: Numerics) -> int:
    """Bytes that these members need at the most, beyond what was taken before."""
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats(numerics.device)
    before = torch.cuda.memory_allocated(numerics.device)
    batches = Batches(task, members, numerics)
    batches.shuffle()
    with torch.random.fork_rng(devices=[]):
        population = begun(task, contender, members, numerics, batches)
        everyone = np.ones(len(members), dtype=bool)
        scores(task, population, [data.validation for data in batches.data], everyone)
    return torch.cuda.max_memory_allocated(numerics.device) - before
