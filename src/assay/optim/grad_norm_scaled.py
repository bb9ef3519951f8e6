"""A wrapper that divides any optimizer's learning rate by a power of the gradient's L2 norm, and Adam in it."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable
from numbers import Real
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

    **Relation to known methods.** With ``torch.optim.SGD`` and ``power=1`` this is normalised gradient descent (Nesterov
    1984; Hazan, Levy & Shalev-Shwartz 2015, arXiv:1507.02030): each step has length ``lr``, whatever the gradient's
    scale. With ``momentum`` the gradients enter the buffer as they are and the sum is scaled; Cutkosky & Mehta 2020
    (arXiv:2002.03305) normalise the momentum instead. With Adam (Kingma & Ba 2015, arXiv:1412.6980) it is something
    else: Adam's step does not change when the loss is multiplied by a constant (apart from ``eps``), so dividing its
    rate by the norm removes no scale but puts one in. A loss 10 times larger gives steps 10 times smaller, and ``lr``
    can't be compared with Adam's.

    **When not to use it.** Where gradients vanish at the solution (full batches, models that fit the data exactly),
    the steps of a scale-invariant base grow without bound as training succeeds. The rule also reacts to what only
    changes the gradient's scale: a summed instead of an averaged loss, the batch size, freezing a layer, clipping (all
    clipped steps see the norm ``max_norm``). With decoupled weight decay (AdamW) the decay is scaled too.

    **Zero, infinite and NaN norms.** A norm of 0 leaves the learning rate as it is. Beyond that the formula is followed
    to its limit: an infinite norm means a learning rate of 0 (for ``power > 0``), a NaN norm a NaN rate, which spreads to
    every parameter, so that a run that has diverged is seen at once. For protection, use ``torch.amp.GradScaler`` or
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
        # sets up the hooks as Optimizer.__init__ does, which would make groups and state of its own as well
        self.__setstate__({"base": base, "power": float(power)})

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
        unscaled = isinstance(self.power, Real) and self.power == 0
        parts = [] if unscaled else [gradients(group) for group in self.param_groups]
        if present := [gradient for part in parts for _, gradient in part]:
            self._step_scaled(_factor(total_norm(present), self.power), parts)
        else:
            self._step_base()
        return loss

    def _step_scaled(self, factor: Any, parts: list[list[tuple[Tensor, Tensor]]]) -> None:
        """Step the base with every learning rate times the factor; ``parts`` as from ``gradients``."""
        on_cuda = isinstance(factor, Tensor) and factor.is_cuda
        number = None if isinstance(factor, Tensor) else factor
        kept: list[tuple[dict[str, Any], dict[str, Any]]] = []
        rates: list[tuple[dict[str, Any], Any]] = []
        try:
            for group, part in zip(self.param_groups, parts, strict=True):
                if not part:
                    continue
                choose_kernel(self.base, group)
                kept.append((group, {key: group[key] for key in ("lr", "fused") if key in group}))
                if group.get("fused") and not suits_fused_now(self.base, part):
                    group["fused"] = False
                device = device_of_rate(self.base, group, [p for p, _ in part]) if on_cuda else None
                if device is None:
                    number = factor.item() if number is None else number
                    group["lr"] = group["lr"] * number
                else:  # float32, as torch's fused CUDA kernels read it
                    group["lr"] = (group["lr"] * factor).to(device, torch.float32, non_blocking=True)
                rates.append((group, group["lr"]))
            self._step_base()
            changed = any(group["lr"] is not rate for group, rate in rates)
        finally:
            for group, before in kept:
                group.update(before)
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


class GNSAdam(GradNormScaled):
    r"""Adam (Kingma & Ba 2015, arXiv:1412.6980) whose step t uses :math:`\eta_t / \lVert g_t \rVert_2^{p}`.

    .. math::
        m_t &= \beta_1 m_{t-1} + (1 - \beta_1) g_t, \qquad v_t = \beta_2 v_{t-1} + (1 - \beta_2) g_t^2 \\
        \theta_t &= \theta_{t-1} - \frac{\eta_t}{\lVert g_t \rVert_2^{p}} \cdot
            \frac{m_t / (1 - \beta_1^t)}{\sqrt{v_t / (1 - \beta_2^t)} + \epsilon}

    The norm is that of the gradients in ``.grad``, all parameters of all groups together, before ``weight_decay`` adds
    to them. It is :class:`GradNormScaled` with ``torch.optim.Adam``: see there for its relation to other methods, when
    not to use it, zero and non-finite norms, cost, kernels, and errors.

    Args:
        params: parameters, ``(name, parameter)`` pairs or groups.
        lr: the learning rate η. Its good values are not Adam's: they grow with the norms met in training.
        betas: decay rates of the two moving averages.
        eps: added to the denominator.
        weight_decay: L2 penalty.
        amsgrad: use the largest second moment so far (Reddi et al. 2018, arXiv:1904.09237).
        power: the exponent p. 0 is Adam, bit for bit; 1 is the published rule.
        **adam_options: ``foreach``, ``fused``, ``capturable``, ``maximize``: as for ``torch.optim.Adam``.

    Example:
        >>> theta = torch.nn.Parameter(torch.zeros(2))
        >>> optimizer = assay.optim.GNSAdam([theta], lr=0.5)
        >>> theta.grad = torch.tensor([3.0, 4.0])  # of norm 5: the step is a fifth of Adam's first, lr in each element
        >>> optimizer.step()
        >>> theta.detach()
        tensor([-0.1000, -0.1000])
    """

    def __init__(
        self,
        params: ParamsT,
        lr: float | Tensor = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        amsgrad: bool = False,
        *,
        power: float = 1.0,
        **adam_options: Any,
    ) -> None:
        options = {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay, "amsgrad": amsgrad}
        super().__init__(params, Adam, power, **options, **adam_options)


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
    _, *arguments = inspect.signature(type(base).step).parameters.values()
    if needed := [
        a.name for a in arguments if a.default is a.empty and a.kind not in (a.VAR_POSITIONAL, a.VAR_KEYWORD)
    ]:
        raise TypeError(
            f"{name}.step() needs {', '.join(needed)}, so there is no single gradient to take the norm of before it: "
            "choose a base whose step() can be called without arguments"
        )
    for group in base.param_groups:
        if not isinstance(group.get("lr"), Real | Tensor):
            raise ValueError(f"{name} has no numeric lr to scale (lr={group.get('lr')!r}): choose a base that has one")
        if group.get("differentiable"):
            raise ValueError("differentiable=True is not supported: the norm is not differentiated. Leave it False")
