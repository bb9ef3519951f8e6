"""A task's floor: the contractions of one training step alone, for a whole chunk, each in the best form that is known.

The step of one member is taken under a recorder of what torch computes. Of that, matrix products and convolutions, forwards
and backwards, are made again for all members of a chunk: a product as one batched product or one after the other, a convolution
grouped over members, one member after the other, or as batched products of its patches, which are taken to be there; whichever is
fastest here. Attention counts with its products alone. Nothing else of a step is in it: no activation, norm, softmax, loss or
optimizer.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from assay.core import Member, Numerics, Task
from assay.engine.eager.batches import Batches

aten = torch.ops.aten
Work = Callable[[], Any]
Shape = tuple[int, ...]
Options = tuple[Shape, Shape, Shape]  # stride, padding, dilation
Matrix = tuple[Shape, bool]  # its shape, and whether it is stored transposed
# Products, and which of their arguments is the first matrix
PRODUCTS = {aten.mm.default: 0, aten.bmm.default: 0, aten.addmm.default: 1, aten.baddbmm.default: 1}
ATTENTION = (
    aten._scaled_dot_product_flash_attention_for_cpu.default,
    aten._scaled_dot_product_flash_attention_for_cpu_backward.default,
)


class Recorder(TorchDispatchMode):
    """The contractions of what is computed under it, each with how often: (kind, shapes and the like)."""

    def __init__(self) -> None:
        super().__init__()
        self.found: Counter[tuple[Any, ...]] = Counter()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func in PRODUCTS:
            first = PRODUCTS[func]
            self.found["product", matrix(args[first]), matrix(args[first + 1])] += 1
        elif func is aten.convolution.default:
            x, w, _, *rest = args
            self.found["forwards", tuple(x.shape), tuple(w.shape), _plain(rest[:3])] += 1
        elif func is aten.convolution_backward.default:
            _, x, w, _, *rest = args
            self.found["backwards", tuple(x.shape), tuple(w.shape), _plain(rest[:3]), tuple(rest[-1][:2])] += 1
        elif func in ATTENTION:
            q, k = args[:2] if func is ATTENTION[0] else args[1:3]
            ours, theirs, side = q.shape[-2], k.shape[-2], q.shape[-1]
            lead = q.shape[:-2].numel()
            plain, turned = ((lead, ours, side), False), ((lead, side, theirs), True)
            weights, values = ((lead, ours, theirs), False), ((lead, theirs, side), False)
            back = func is not ATTENTION[0]
            self.found["product", plain, turned] += 1  # scores, or what comes back to them
            self.found["product", weights, values] += 1  # values, or the queries' gradient
            if back:  # of the keys' and of the values' gradient
                self.found["product", ((lead, theirs, ours), True), plain] += 2
        return func(*args, **(kwargs or {}))


def matrix(t: Tensor) -> Matrix:
    """Its shape, and whether it is stored transposed."""
    return tuple(t.shape), t.stride(-2) < t.stride(-1)


def _plain(values: Any) -> tuple[Shape, ...]:
    return tuple(tuple(v) for v in values)


def contractions(task: Task, member: Member, numerics: Numerics) -> Counter[tuple[Any, ...]]:
    """Those of one step of one member."""
    batches = Batches(task, [member], numerics)
    model = task.model()
    with Recorder() as recorder:
        x, y = batches.of_member(0, 0)
        task.loss(model(x), y).backward()
    return recorder.found


def floor(task: Task, member: Member, numerics: Numerics, width: int) -> Work:
    """What does all of them for so many members, once."""
    works = [
        (best(FORMS[kind](width, *of)), times) for (kind, *of), times in contractions(task, member, numerics).items()
    ]

    def run() -> None:
        for work, times in works:
            for _ in range(times):
                work()

    return run


def best(forms: list[Work]) -> Work:
    """The fastest of several, by the least of five times."""

    def seconds(work: Work) -> float:
        work()
        taken = []
        for _ in range(5):
            started = time.perf_counter()
            work()
            taken.append(time.perf_counter() - started)
        return min(taken)

    return min(forms, key=seconds) if len(forms) > 1 else forms[0]


# ------------------------------------------------------------------------------------------------------- forms


def _made(width: int, of: Matrix) -> Tensor:
    """Numbers for so many members, stored as the one's are: (width · leading, m, n)."""
    (*lead, m, n), turned = of
    lead = width * (lead[0] if lead else 1)
    return torch.randn(lead, n, m).mT if turned else torch.randn(lead, m, n)


def _product(width: int, left: Matrix, right: Matrix) -> list[Work]:
    a, b = _made(width, left), _made(width, right)
    out = torch.empty(len(a), a.shape[1], b.shape[2])

    def one_by_one() -> None:
        for x, y, z in zip(a, b, out, strict=True):
            torch.mm(x, y, out=z)

    return [lambda: torch.bmm(a, b, out=out), *([one_by_one] if len(a) == width else [])]


def _forwards(width: int, x: Shape, w: Shape, how: Options) -> list[Work]:
    xs, ws = torch.randn(width, *x), torch.randn(width, *w)
    together, weights = torch.randn(x[0], width * x[1], *x[2:]), ws.flatten(0, 1)
    groups = x[1] // w[1]

    def one_by_one() -> None:
        for a, b in zip(xs, ws, strict=True):
            _convolved(a, b, how, groups)

    return [
        lambda: _convolved(together, weights, how, width * groups),
        one_by_one,
        *_of_patches(width, x, w, how, [("rows", "matrices")]),
    ]


def _backwards(width: int, x: Shape, w: Shape, how: Options, wanted: tuple[bool, ...]) -> list[Work]:
    xs, ws, groups = torch.randn(width, *x), torch.randn(width, *w), x[1] // w[1]
    gs = torch.randn(width, *_convolved(xs[0], ws[0], how, groups).shape)
    g, a = (torch.randn(t.shape[1], width * t.shape[2], *t.shape[3:]) for t in (gs, xs))
    weights = ws.flatten(0, 1)

    def of(gradient: Tensor, x: Tensor, w: Tensor, groups: int) -> None:
        none, mask = [0] * len(how[0]), [*wanted, False]
        aten.convolution_backward(gradient, x, w, None, *how, False, none, groups, mask)

    def one_by_one() -> None:
        for one in zip(gs, xs, ws, strict=True):
            of(*one, groups)

    products = [("outputs", "rows"), *([("outputs", "back")] if wanted[0] else [])]
    return [lambda: of(g, a, weights, width * groups), one_by_one, *_of_patches(width, x, w, how, products)]


def _convolved(x: Tensor, w: Tensor, how: Options, groups: int) -> Tensor:
    stride, padding, dilation = how
    none = [0] * len(stride)
    return aten.convolution(x, w, None, stride, padding, dilation, False, none, groups)


def _of_patches(width: int, x: Shape, w: Shape, how: Options, products: list[tuple[str, str]]) -> list[Work]:
    """The products alone that a convolution without groups is of its patches, which are taken to be there."""
    if x[1] != w[1]:
        return []
    places = _convolved(torch.empty(x, device="meta"), torch.empty(w, device="meta"), how, 1).shape[2:].numel() * x[0]
    out, taps = w[0], x[1] * torch.Size(w[2:]).numel()
    there = {
        "rows": torch.randn(width, places, taps),
        "matrices": torch.randn(width, out, taps).mT,
        "outputs": torch.randn(width, places, out),
        "back": torch.randn(width, out, taps),
    }
    pairs = [(there[a].mT if b == "rows" else there[a], there[b]) for a, b in products]
    outs = [torch.empty(width, a.shape[1], b.shape[2]) for a, b in pairs]

    def run() -> None:
        for (a, b), c in zip(pairs, outs, strict=True):
            torch.bmm(a, b, out=c)

    return [run]


FORMS: dict[str, Callable[..., list[Work]]] = {"product": _product, "forwards": _forwards, "backwards": _backwards}
