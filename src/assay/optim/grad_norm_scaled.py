"""A wrapper that divides any optimizer's learning rate by a power of the gradient's L2 norm."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable
from numbers import Real
from types import SimpleNamespace
from typing import Any, cast, overload

import torch
from torch import Tensor
from torch.optim import Adam, Optimizer
from torch.optim.optimizer import ParamsT

from assay.optim._gradient import gradients, total_norm
from assay.optim._kernels import choose_kernel, device_of_rate, suits_fused_now


def _shared_with_base(name: str) -> property:
    return property(lambda self: getattr(self.base, name), lambda self, value: setattr(self.base, name, value))


class GradNormScaled(Optimizer):
    r"""Steps a base optimizer with the learning rate :math:`\eta_t / \lVert g_t \rVert_2^{p}`.

    .. math::
        \lVert g_t \rVert_2 = \sqrt{\textstyle\sum_{i} \lVert \nabla_{\theta_i} f_t \rVert_2^2},
        \qquad
        \theta_{t+1} = \mathrm{base}\bigl(\theta_t, g_t;\ \eta_t / \lVert g_t \rVert_2^{p}\bigr)

    The sum runs over all parameters of all groups that have a gradient. :math:`\eta_t` is ``group["lr"]``, which stays
    the user's: it is replaced only while the base steps, so schedulers, rates by group, groups added later and
    checkpoints work as they do with the base.

    **Relation to known methods.** With ``base_optimizer=torch.optim.SGD`` and ``power=1`` this is normalised gradient
    descent (Nesterov 1984; Hazan, Levy & Shalev-Shwartz 2015, "Beyond Convexity: Stochastic Quasi-Convex
    Optimization", arXiv:1507.02030): each step has length ``lr``, whatever the gradient's scale. With SGD's
    ``momentum`` the gradients enter the buffer as they are and the sum is scaled; Cutkosky & Mehta 2020
    (arXiv:2002.03305) normalise the momentum instead. With Adam (Kingma & Ba 2015, arXiv:1412.6980) it is something
    else. Adam's step does not change when the loss is multiplied by a constant (apart from ``eps``), so there is no
    scale left to remove, and dividing its rate by the norm puts one in: a loss 10 times larger gives steps 10 times
    smaller. It is Adam with the implicit schedule :math:`1/\lVert g_t \rVert_2^{p}`, and its ``lr`` can't be compared
    with Adam's.

    **When not to use it.** Where gradients vanish at the solution (full batches, models that fit the data exactly),
    the steps of a scale-invariant base grow without bound as training succeeds. The rule also reacts to what only
    changes the gradient's scale: a summed instead of an averaged loss, the batch size, freezing a layer, clipping (all
    clipped steps see the norm ``max_norm``). With decoupled weight decay (AdamW) the decay is scaled too.

    **Zero, infinite and NaN norms.** A norm of 0 leaves the learning rate as it is. Beyond that the formula is followed
    to its limit. An infinite norm means a learning rate of 0 (for ``power > 0``): keeping the rate would take a full
    step where the rule says to take none. A NaN norm means a NaN rate, which spreads to every parameter, so that a run
    that has diverged is seen at once; skipping the step would hide it. For protection, use ``torch.amp.GradScaler`` or
    ``clip_grad_norm_(..., error_if_nonfinite=True)``, which act before this step.

    **Cost.** One more pass over the gradients. On CUDA the host does not wait where the base reads its rate on the
    device: ``Adam`` and ``AdamW`` with ``fused`` or ``capturable``, and ``SGD`` with ``fused`` (the rate is then
    float32). Any other base there costs one host read a step, and so does ``GradScaler``, which hands over unscaled
    gradients and skips the step itself if they are not finite.

    **Kernels.** ``foreach``, ``fused`` and ``capturable`` are the base's. For ``Adam`` and ``AdamW`` with none of them
    given, the first step sets ``fused`` in the groups that can have it, on CPU and CUDA; with ``power=0`` nothing is
    set, and the steps are the base's bit for bit. A gradient laid out in memory unlike its parameter is stepped without
    the fused kernel, which on a CPU would mix up its elements.

    Args:
        params: parameters, ``(name, parameter)`` pairs or groups, as for any ``torch.optim`` optimizer.
        base_optimizer: the class of the base, or a callable that returns one. The instance made is ``self.base``.
        power: the exponent p, any finite number. It is read at each step and kept in ``state_dict()``.
        **base_kwargs: passed to the base (``lr`` and so on).

    Raises:
        TypeError: if the base is no optimizer class, or its ``step`` needs the closure or other arguments (LBFGS).
        ValueError: if the power is not finite, the base has no numeric ``lr``, or ``differentiable=True``.
        RuntimeError: from ``step()``, for sparse or DTensor gradients, and for a base that changes ``group["lr"]``
            itself. Parameters sharded in a way that can't be seen here (FSDP1, ZeRO) are not supported either: each
            process would use the norm of its own part.

    Example:
        >>> theta = torch.nn.Parameter(torch.zeros(2))
        >>> optimizer = assay.optim.GradNormScaled([theta], torch.optim.SGD, lr=0.5)
        >>> theta.grad = torch.tensor([3.0, 4.0])
        >>> optimizer.step()  # of length lr, whatever the gradient's is
        >>> theta.detach()
        tensor([-0.3000, -0.4000])
    """

    base: Optimizer
    power: float
    # one copy of each, the base's, so that whoever reads or sets them here does so there
    param_groups: Any = _shared_with_base("param_groups")
    state: Any = _shared_with_base("state")
    defaults: Any = _shared_with_base("defaults")

    def __init__(
        self,
        params: ParamsT,
        base_optimizer: Callable[..., Optimizer] = Adam,
        power: float = 1.0,
        **base_kwargs: Any,
    ) -> None:
        if not callable(base_optimizer):
            raise TypeError(
                f"base_optimizer must be a class such as torch.optim.SGD, not {type(base_optimizer).__name__!r}: "
                "pass the class, and its arguments by name"
            )
        if not isinstance(power, Real):
            raise TypeError(f"power must be a number, not {type(power).__name__!r}")
        if not math.isfinite(power):
            raise ValueError(f"power must be finite, not {power}")
        base = base_optimizer(params, **base_kwargs)
        _check(base)
        self.power = float(power)
        # Optimizer.__init__ sets up the hooks, but would also make groups and state of its own. A stand-in takes those.
        self.base = cast(Optimizer, SimpleNamespace(add_param_group=lambda group: None))
        super().__init__(base.param_groups, base.defaults)
        self.base = base

    @overload
    def step(self, closure: None = None) -> None: ...

    @overload
    def step(self, closure: Callable[[], float]) -> float: ...

    def step(self, closure: Callable[[], float] | None = None) -> float | None:
        """Take one step.

        Args:
            closure: clears the gradients, computes the loss, calls ``backward()`` and returns the loss. Called once.

        Returns:
            The closure's loss, or None without one.
        """
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        if isinstance(self.power, Real) and self.power == 0:
            self._step_base()
            return loss
        parts = [gradients(group) for group in self.param_groups]
        present = [gradient for part in parts for _, gradient in part]
        if present:
            self._step_scaled(total_norm(present), parts)
        else:
            self._step_base()
        return loss

    def _step_scaled(self, norm: float | Tensor, parts: list[list[tuple[Tensor, Tensor]]]) -> None:
        """Step the base with every learning rate divided by a power of the norm; ``parts`` as from ``gradients``."""
        factor = _factor(norm, self.power)
        on_cuda = isinstance(factor, Tensor) and factor.is_cuda
        number = None if isinstance(factor, Tensor) else factor
        kept: list[tuple[dict[str, Any], Any, Any]] = []
        rates: list[Any] = []
        try:
            for group, part in zip(self.param_groups, parts, strict=True):
                if not part:
                    continue
                choose_kernel(self.base, group)
                lr, fused = group["lr"], group.get("fused")
                kept.append((group, lr, fused))
                if fused and not suits_fused_now(self.base, part):
                    group["fused"] = False
                device = device_of_rate(self.base, group, [p for p, _ in part]) if on_cuda else None
                if device is None:
                    number = factor.item() if number is None else number
                    rate = lr * number
                else:  # float32, as torch's fused CUDA kernels read it
                    rate = (lr * factor).to(device, torch.float32, non_blocking=True)
                group["lr"] = rate
                rates.append(rate)
            self._step_base()
            changed = any(group["lr"] is not rate for (group, _, _), rate in zip(kept, rates, strict=True))
        finally:
            for group, lr, fused in kept:
                group["lr"] = lr
                if "fused" in group:
                    group["fused"] = fused
        if changed:
            raise RuntimeError(
                f'{type(self.base).__name__} changes group["lr"] in its step, which GradNormScaled would undo: '
                "give it a learning rate that it leaves alone"
            )

    def _step_base(self) -> None:
        """Step the base, without the profiler range and global hooks that torch puts around each class's ``step``.

        They have run around this class's own. Hooks that belong to the base alone still run.
        """
        base, step = self.base, type(self.base).step
        own = base._optimizer_step_pre_hooks or base._optimizer_step_post_hooks or "step" in vars(base)
        if own or not getattr(step, "hooked", False):
            base.step()
        else:
            cast(Any, step).__wrapped__(base)

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Clear the gradients, as the base does it."""
        self.base.zero_grad(set_to_none)

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Add a group, as the base does it; its gradients count in the norm from the next step on."""
        self.base.add_param_group(param_group)

    def state_dict(self) -> dict[str, Any]:
        """The base's ``state_dict()``, which it can load alone, with ``power`` added."""
        for before in self._optimizer_state_dict_pre_hooks.values():
            before(self)
        state_dict = {**self.base.state_dict(), "power": self.power}
        for after in self._optimizer_state_dict_post_hooks.values():
            changed = after(self, state_dict)
            state_dict = state_dict if changed is None else changed
        return state_dict

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Load what ``state_dict()`` gave, here or in the base alone (then ``power`` stays as it is)."""
        state_dict = state_dict.copy()
        for before in self._optimizer_load_state_dict_pre_hooks.values():
            changed = before(self, state_dict)
            state_dict = state_dict if changed is None else changed
        self.base.load_state_dict({key: value for key, value in state_dict.items() if key != "power"})
        self.power = state_dict.get("power", self.power)
        for after in self._optimizer_load_state_dict_post_hooks.values():
            after(self)

    def __getstate__(self) -> dict[str, Any]:
        return {"base": self.base, "power": self.power}

    def __setstate__(self, state: dict[str, Any]) -> None:
        own = {key: state[key] for key in ("base", "power") if key in state}
        super().__setstate__(own)
        if shared := {key: value for key, value in state.items() if key not in own}:
            self.base.__setstate__(shared)


def _factor(norm: float | Tensor, power: float | Tensor) -> Any:
    """``norm ** -power``, and 1 for a norm of 0.

    A Python number gives one. A tensor gives one, with no branch on its value: it may be on a GPU, or stand for many
    values at once (``torch.func.vmap``).
    """
    if isinstance(norm, Tensor):
        return norm.pow(-power).masked_fill(norm == 0, 1.0)
    try:
        return norm**-power if norm else 1.0
    except OverflowError:
        return math.inf


def _check(base: object) -> None:
    if not isinstance(base, Optimizer):
        raise TypeError(f"base_optimizer must make a torch.optim.Optimizer, not {type(base).__name__!r}")
    name = type(base).__name__
    if needed := _required_arguments(type(base).step):
        raise TypeError(
            f"{name}.step() needs {', '.join(needed)}, so there is no single gradient to take the norm of before it: "
            "choose a base whose step() can be called without arguments"
        )
    for group in base.param_groups:
        if not isinstance(group.get("lr"), Real | Tensor):
            raise ValueError(f"{name} has no numeric lr to scale (lr={group.get('lr')!r}): choose a base that has one")
        if group.get("differentiable"):
            raise ValueError("differentiable=True is not supported: the norm is not differentiated. Leave it False")


def _required_arguments(step: Callable[..., Any]) -> list[str]:
    """Names of the arguments without a default, after ``self``."""
    _, *arguments = inspect.signature(step).parameters.values()
    optional = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    return [a.name for a in arguments if a.default is a.empty and a.kind not in optional]
