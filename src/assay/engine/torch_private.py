"""Every private name of torch that the engine uses. Tried with torch 2.13.0 and 2.15.0.

(`torch._foreach_add_` and its kin are documented functions of torch, in spite of their names.)

One level of `torch.func.vmap`, entered and left by hand, so that an optimizer can keep batched tensors between steps: the
public vmap wraps a function, and an `optimizer.step()` is no function of its tensors. A *batched* tensor looks like one
member's tensor and is all members': dimension 0 of the *physical* tensor behind it counts the members. It remembers only
its level's number, so it lives on when the level is left and entered again.
"""

from __future__ import annotations

import contextlib
import functools
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import torch
import torch._dynamo  # torch does so with the first optimizer that is made: here once for all processes forked from one
from torch import Tensor
from torch._C import _functorch  # type: ignore[attr-defined]  # the primitives that torch.func.vmap itself is made of
from torch._guards import TracingContext, tracing
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.fx import GraphModule
from torch.fx.experimental.proxy_tensor import make_fx

torch_functions_off = torch._C.DisableTorchFunction  # a context in which no TorchFunctionMode is asked

UNSAFE_VIEW = torch.ops.aten._unsafe_view.default  # as view, of a tensor that nothing else refers to
TO_COPY = torch.ops.aten._to_copy.default  # `Tensor.to`, once it is traced


@contextlib.contextmanager
def vmap_level(members: int) -> Iterator[int]:
    """Members 0..members−1 are mapped over inside. An operation without a batching rule is an error, not a slow loop."""
    _load_decompositions()
    fallback = _functorch._is_vmap_fallback_enabled()
    _functorch._set_vmap_fallback_enabled(False)
    level = _functorch._vmap_increment_nesting(members, "error")
    try:
        yield level
    finally:
        _functorch._vmap_decrement_nesting()
        _functorch._set_vmap_fallback_enabled(fallback)


@contextlib.contextmanager
def left(members: int) -> Iterator[None]:
    """The level that is entered isn't, inside."""
    _functorch._vmap_decrement_nesting()
    try:
        yield
    finally:
        _functorch._vmap_increment_nesting(members, "error")


@functools.cache
def _load_decompositions() -> None:
    """Let torch register the batching rules that it writes in Python: its own vmap does so when first called."""
    torch.func.vmap(torch.neg)(torch.zeros(1))


def batched(physical: Tensor, level: int) -> Tensor:
    """(members, …) → one member's (…), inside a level."""
    return _functorch._add_batch_dim(physical, 0, level)


def graph_of(function: Callable[..., Sequence[Tensor]], *inputs: Tensor) -> GraphModule:
    """What the function computes of the inputs, as a graph: `make_fx`, which would make a mode of its own for each value."""
    with tracing(TracingContext(FakeTensorMode(allow_fallback_kernels=True))):
        return make_fx(function)(*inputs)


def is_batched(tensor: Tensor) -> bool:
    """Whether each member has a value of its own."""
    return _functorch.is_batchedtensor(tensor)


def physical(tensor: Tensor) -> Tensor:
    """The tensor behind, members first where it is batched; it shares memory, so what is written shows."""
    if not is_batched(tensor):
        return tensor
    behind, dimension = _functorch.get_unwrapped(tensor), _functorch.maybe_get_bdim(tensor)
    return behind if dimension == 0 else behind.movedim(dimension, 0)


def expanded(tensor: Tensor, members: int) -> Tensor:
    """As `physical`, and (members, …) for what all members share too."""
    behind = physical(tensor)
    return behind if is_batched(tensor) else behind.expand(members, *behind.shape)


def cpp_compiler() -> str | None:
    """Where the C++ compiler is that torch would use; None where there is none."""
    from torch._inductor.cpp_builder import get_cpp_compiler
    from torch._inductor.exc import InvalidCxxCompiler

    try:
        return shutil.which(get_cpp_compiler())
    except InvalidCxxCompiler:
        return None


loads_graphs = hasattr(torch._C, "_aoti")  # whether this torch has the runtime for graphs compiled ahead of time


def compile_graph(graph: GraphModule, inputs: Sequence[Tensor], path: Path) -> None:
    """Compile a graph ahead of time, for inputs like these, to a shared library: whatever torch raises where it can't.

    What the library calls by torch's dispatcher (a QR decomposition) is listed in a .json beside it, which torch looks for.
    """
    import torch._inductor

    with tempfile.TemporaryDirectory() as scratch:
        made = torch._inductor.aot_compile(
            graph,
            tuple(inputs),
            options={
                "aot_inductor.output_path": str(Path(scratch) / "main.so"),
                "emulate_precision_casts": True,  # half precision is rounded where the optimizer rounds it
            },
        )
        for called in Path(scratch).glob("*.wrapper.json"):
            shutil.move(called, path.with_suffix(".json"))
        shutil.move(str(made), path)


def compiler_settings() -> str:
    """What a graph is compiled by, beside itself: as torch's own cache of graphs takes it, with all that is no path.

    Nor what torch notes there when it compiles its first graph, by which the second would have another name.
    """
    from torch._functorch import config as of_functions
    from torch._inductor import config as of_inductor

    settings = [config.save_config_portable() for config in (of_functions, of_inductor)]
    return repr([sorted((k, v) for k, v in found.items() if k != "aot_inductor.metadata") for found in settings])


def load_graph(path: Path) -> Callable[[list[Tensor]], list[Tensor]]:
    """A compiled graph, to be called with its inputs. RuntimeError where it can't be loaded."""
    return torch._C._aoti.AOTIModelContainerRunnerCpu(str(path), 1).run  # type: ignore[attr-defined]


def values_of(tensor: Tensor) -> list[bool | int | float]:
    """The values of the tensor behind, also while its operations are being traced."""
    if torch._C._get_dispatch_mode(torch._C._TorchDispatchModeKey.PROXY) is None:
        return physical(tensor).reshape(-1).tolist()
    from torch.fx.experimental.proxy_tensor import disable_proxy_modes_tracing

    with disable_proxy_modes_tracing():
        return physical(tensor).detach().clone().reshape(-1).tolist()
