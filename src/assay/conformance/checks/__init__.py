"""The checks: functions of a `Lab`, one module a subject. They return `Passed` or raise `Failed` or `Skip`."""

from collections.abc import Callable

from assay.conformance.checks import (
    basic,
    checkpoint,
    closure,
    cost,
    gradients,
    groups,
    identity,
    implementations,
    invariance,
    restored,
    settings,
    tensors,
)
from assay.conformance.lab import Lab
from assay.conformance.report import Passed

CHECKS: dict[str, Callable[[Lab], Passed]] = {
    name.removeprefix("check_"): function
    for module in (
        basic,
        checkpoint,
        closure,
        cost,
        gradients,
        groups,
        identity,
        implementations,
        invariance,
        restored,
        settings,
        tensors,
    )
    for name, function in vars(module).items()
    if name.startswith("check_")
}
"""Every check by the name that the catalogue gives it."""
