"""Optimizers: any ``torch.optim.Optimizer`` with its learning rate divided by a power of the gradient's norm.

Importing this package imports torch.
"""

from assay.optim.grad_norm_scaled import GNSAdam, GradNormScaled

__all__ = ["GNSAdam", "GradNormScaled"]
