"""Optimizers that change, while they step, what the whole process computes with: none of their business."""

from __future__ import annotations

import gc
import os
import random
import signal
import sys
import tempfile
import warnings

import numpy as np
import torch
import torch._inductor.config

from assay.core import Contender
from assay.space import Float

BACKWARD = torch.Tensor.backward


def _dtype() -> None:
    torch.set_default_dtype(torch.float64)


def _optimizer() -> None:
    torch.optim.Adam.step = lambda self, closure=None: None


def _linear() -> None:
    torch.nn.functional.linear = lambda x, weight, bias=None: x @ weight.T * 0.5


def _layer() -> None:
    torch.nn.Tanh.forward = lambda self, x: x


def _loss() -> None:
    torch.nn.functional.cross_entropy = lambda outputs, targets: outputs.sum() * 0.01


def _backward() -> None:
    torch.Tensor.backward = lambda self, *a, **k: BACKWARD(self * 0.5, *a, **k)


def _addition() -> None:
    torch.Tensor.__add__ = lambda self, other: self.sub(other)


def _threads() -> None:
    torch.set_num_threads(3)


def _deterministic() -> None:
    torch.use_deterministic_algorithms(True, warn_only=True)


def _precision() -> None:
    torch.set_float32_matmul_precision("medium")


def _gradients() -> None:
    torch.set_grad_enabled(False)


def _compiler() -> None:
    from torch._inductor import config as settings

    settings.cpp.enable_unsafe_math_opt_flag = True


def _denormal() -> None:
    torch.set_flush_denormal(True)


def _hook() -> None:
    torch.nn.modules.module.register_module_forward_hook(lambda module, inputs, output: output * 0.9)


def _environment() -> None:
    os.environ["ASSAY_VANDAL"] = "1"


def _folder() -> None:
    os.chdir(tempfile.gettempdir())


def _handler() -> None:
    signal.signal(signal.SIGUSR1, lambda *_: None)


def _warnings() -> None:
    warnings.simplefilter("always")


def _recursion() -> None:
    sys.setrecursionlimit(4321)


def _collector() -> None:
    gc.disable()


def _root() -> None:
    import math

    math.sqrt = lambda x: 2.0  # type: ignore[assignment]


def _numpy() -> None:
    np.seterr(all="raise")


def _seeds() -> None:
    torch.manual_seed(0)
    np.random.seed(0)
    random.seed(0)


CHANGES = {
    _dtype: "torch's default dtype",
    _optimizer: "torch.optim.Adam.step",
    _linear: "torch.nn.functional.linear",
    _layer: "torch.nn.Tanh.forward",
    _loss: "torch.nn.functional.cross_entropy",
    _backward: "torch.Tensor.backward",
    _addition: "torch.Tensor.__add__",
    _threads: "torch's number of threads",
    _deterministic: "torch's deterministic algorithms",
    _precision: "torch's precision of matrix products",
    _gradients: "torch's gradient mode",
    _compiler: "the settings of torch's compiler",
    _denormal: "torch's treatment of denormal numbers",
    _hook: "torch's global hooks",
    _environment: "the environment (ASSAY_VANDAL)",
    _folder: "the working folder",
    _handler: "signal handlers",
    _warnings: "warning filters",
    _recursion: "Python's recursion limit",
    _collector: "the garbage collector",
    _root: "math.sqrt",
    _numpy: "NumPy's error handling",
    _seeds: "",  # which is put back without a word: drawing is nobody's fault
}


class Vandal(torch.optim.SGD):
    """SGD that does what it does at each step, and then steps."""

    def __init__(self, params, lr, change) -> None:
        super().__init__(params, lr=lr)
        self.change = change

    def step(self, closure=None):
        super().step(closure)
        self.change()


def contender(change) -> Contender:
    """The vandal of one change."""
    space = {"lr": Float(1e-3, 1e-1, log=True)}
    return Contender(change.__name__.strip("_"), lambda model, run, lr: Vandal(model.parameters(), lr, change), space)
