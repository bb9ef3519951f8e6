"""The checks: functions of a `Lab`, one module a subject. They return `Passed` or raise `Failed` or `Skip`."""

from assay.check.checks import basic, checkpoint, closure, cost, gradients, groups, identity, invariance, tensors

__all__ = ["basic", "checkpoint", "closure", "cost", "gradients", "groups", "identity", "invariance", "tensors"]
