"""Adam with its learning rate divided by the gradient's L2 norm."""

from __future__ import annotations

from typing import Any

from torch import Tensor
from torch.optim import Adam
from torch.optim.optimizer import ParamsT

from assay.optim.grad_norm_scaled import GradNormScaled


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
