"""Is a task fit to be trained on? What is wrong is said before anything is trained, in one line: cause and mend."""

from __future__ import annotations

import math
import warnings
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

from assay.core import Split, Splits, Task, steps_per_epoch
from assay.errors import AssayError, UsageError, own_frames, said
from assay.training.data import Given, as_tensor
from assay.training.step import own_randomness, see_weights

LARGE = 1_000_000  # numbers in a split's inputs


def validate_task(task: Task, splits: Splits) -> None:
    """See that data, model, loss and metric of a task go together: one batch forward and back, its score, the floor.

    Raises:
        UsageError: data with NaN, or too little of it; shapes that don't fit; whole-number targets with a loss that
            wants real ones; a metric that is no plain number.
    """
    try:
        with own_randomness(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            _data(splits, task.batch_size)
            model = task.model()
            if not isinstance(model, nn.Module):
                raise UsageError(f"its model function returns {type(model).__name__}; it must return a torch.nn.Module")
            see_weights(model)
            _see_that_it_is_new(model, task.model())
            for size in (task.batch_size, len(splits.train.targets) % task.batch_size):
                if size:
                    _trains(task, model, splits.train, size)
            for split in (splits.validation, splits.test):
                if split is not None:
                    _scores(task, model, splits.train, split)
    except UsageError as error:
        raise UsageError(f"task {task.name}: {error}") from None
    except AssayError:
        raise
    except Exception as error:
        raise UsageError(f"task {task.name} fails: {own_frames(error)}") from None


def _data(splits: Splits, batch_size: int) -> None:
    for name, split in (("train", splits.train), ("validation", splits.validation), ("test", splits.test)):
        if split is None:
            continue
        if not len(split.targets):
            raise UsageError(f"its {name} split is empty")
        for what, array in split._asdict().items():
            if array.dtype.kind not in "fiub":
                wanted = "give numbers (float32, or int64 for classes)"
                raise UsageError(f"the {name} {what} are of type {array.dtype}; {wanted}")
            rows = np.flatnonzero(~np.isfinite(array.reshape(len(array), -1)).all(1))
            if len(rows):
                raise UsageError(
                    f"the {name} {what} hold NaN or infinity in {len(rows)} of {len(array)} rows (the first is row {rows[0]}): "
                    "leave those rows out, or fill them"
                )
    n = len(splits.train.targets)
    if n < batch_size:
        raise UsageError(
            f"its train split holds {n} samples, fewer than a batch of {batch_size}: use --batch-size {n} or less"
        )
    if splits.loader is None:
        return
    steps, own = len(splits.loader), getattr(splits.loader, "batch_size", None)
    if own is None:
        raise UsageError(
            "its DataLoader has no batch_size, for its data set or its sampler makes the batches: that can't be told from the "
            "task's; give DataLoader(…, batch_size=…)"
        )
    if own != batch_size or steps != steps_per_epoch(n, batch_size):
        raise UsageError(
            f"its DataLoader gives {steps} batches of {own} for {n} samples, and the task's batch_size is {batch_size}: give "
            "both the same batch_size"
        )


def _see_that_it_is_new(model: nn.Module, again: nn.Module) -> None:
    """UsageError where two calls share weights: one training would begin with what another left."""
    first = {t.untyped_storage().data_ptr() for t in (*model.parameters(), *model.buffers()) if t.numel()}
    for name, tensor in (*again.named_parameters(), *again.named_buffers()):
        if tensor.numel() and tensor.untyped_storage().data_ptr() in first:
            raise UsageError(
                f"its model function returns weights that it has returned before ({name}), so that a training would go on where "
                "another ended: make the model inside the function, or return copy.deepcopy of it"
            )


def _trains(task: Task, model: nn.Module, split: Split, size: int) -> None:
    """One step's forward and backward pass on `size` samples."""
    given = _Lent(split, size)
    x, y = given.tensors
    model.train()
    if not any(p.requires_grad for p in model.parameters()):
        count = sum(1 for _ in model.parameters())
        frozen = f"all {count} of its model's parameters are frozen (requires_grad is False)"
        raise UsageError(f"{frozen if count else 'its model has no parameters'}, so nothing can be trained")
    outputs = _forward(model, x)
    given.see_unwritten("its model")
    # A --model is told what to give, for a class too many or too few would train
    gives = getattr(task.model, "gives", outputs.shape[1:])
    if outputs.shape[1:] != gives:
        raise UsageError(f"its --model gives outputs of shape {tuple(outputs.shape)}, and {(len(x), *gives)} is needed")
    watched = _Compared()
    try:
        with watched:
            loss = task.loss(outputs, y)
    except Exception as error:
        if not y.is_floating_point() and _takes(task, outputs, y.to(outputs.dtype)):
            raise _whole_numbers(outputs, y) from None
        raise UsageError(f"its loss can't compare {_shown(outputs, y)}: {_line(error)}") from None
    given.see_unwritten("its loss")
    if watched.whole:
        raise _whole_numbers(outputs, y)
    if watched.broadcast or (y.is_floating_point() and outputs.shape != y.shape and outputs.numel() == y.numel()):
        raise UsageError(f"{_shown(outputs, y)} would be broadcast against each other: give both the same shape")
    if not isinstance(loss, Tensor) or loss.dim():
        raise UsageError(f"its loss gives {_kind(loss)}; it must be one number for a batch (the mean over its samples)")
    if torch.isnan(loss):
        raise UsageError(f"its loss is NaN before the first step, on {_shown(outputs, y)}")
    if not loss.requires_grad:
        raise UsageError(
            "its loss has no gradient: it, or the model, leaves torch's graph (detach, item, argmax, no_grad)"
        )
    loss.backward()


def _scores(task: Task, model: nn.Module, train: Split, split: Split) -> None:
    """The metric on a split, on a few samples of it where it is large, and what the best constant prediction scores."""
    given = _Lent(split, task.batch_size if split.inputs.size > LARGE else len(split.targets))
    x, y = given.tensors
    model.eval()
    with torch.no_grad():
        outputs = _forward(model, x)
        given.see_unwritten("its model")
        try:
            score: Any = task.metric.score(outputs, y)
        except Exception as error:
            raise UsageError(f"its metric can't compare {_shown(outputs, y)}: {_line(error)}") from None
    given.see_unwritten("its metric")
    if not isinstance(score, Tensor) or score.dim():
        raise UsageError(f"its metric {task.metric.name} gives {_kind(score)}; it must give a 0-dimensional tensor")
    if score.requires_grad:
        raise UsageError(f"its metric {task.metric.name} gives a tensor with gradients: return it after .detach()")
    if not torch.isfinite(score) and torch.isfinite(outputs).all():
        raise UsageError(
            f"its metric {task.metric.name} gives {float(score):g} for finite outputs of a model that isn't trained yet: a run "
            "would count as diverged by it; let it give a number there"
        )
    targets = train.targets.copy(), split.targets.copy()
    constant = task.metric.constant(*targets)
    if not all(map(np.array_equal, targets, (train.targets, split.targets))):
        raise UsageError(
            f"its metric {task.metric.name}'s constant writes to the targets that it is given: let it work on a copy"
        )
    if not math.isfinite(constant):
        raise UsageError(
            f"its metric {task.metric.name} scores the best constant prediction {constant}; that must be finite"
        )


class _Lent(Given):
    """The first samples of a split as copies, which are compared by their values too: not all that writes counts as torch's."""

    def __init__(self, split: Split, size: int) -> None:
        self._own = [as_tensor(array[:size], "float32") for array in split]
        super().__init__(*(tensor.clone() for tensor in self._own))

    def written(self) -> bool:
        """Whether one of them was written to, also by way of `.data` or of NumPy."""
        return super().written() or not all(map(torch.equal, self.tensors, self._own))


class _Compared(TorchFunctionMode):
    """Sees how a loss of numbers compares: with whole numbers, or with what it has to broadcast.

    A loss that makes real numbers of its targets itself, or wants whole ones, is none of its business.
    """

    def __init__(self) -> None:
        super().__init__()
        self.whole = self.broadcast = False

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func in _REGRESSION:
            a, b = [*args, *(kwargs or {}).values(), None, None][:2]
            if isinstance(a, Tensor) and isinstance(b, Tensor) and a.dim() and b.dim():
                self.whole |= a.is_floating_point() != b.is_floating_point()
                self.broadcast |= a.shape != b.shape and {a.shape[0], b.shape[0]} != {1}
        return func(*args, **(kwargs or {}))


_REGRESSION = {F.mse_loss, F.l1_loss, F.smooth_l1_loss, F.huber_loss}


def _forward(model: nn.Module, x: Tensor) -> Tensor:
    try:
        outputs = model(x)
    except Exception as error:
        weight = next((tuple(p.shape) for p in model.parameters()), None)
        raise UsageError(
            f"model and data don't fit: inputs {_of(x)}, a {type(model).__name__} whose first weight is {weight}: {_line(error)}"
        ) from None
    if not isinstance(outputs, Tensor):
        raise UsageError(f"its model gives {_kind(outputs)}; it must give one tensor")
    return outputs


def _takes(task: Task, outputs: Tensor, targets: Tensor) -> bool:
    try:
        return bool(torch.isfinite(task.loss(outputs, targets)).all())
    except Exception:
        return False


def _whole_numbers(outputs: Tensor, targets: Tensor) -> UsageError:
    return UsageError(
        f"its targets are whole numbers and its loss wants real ones ({_shown(outputs, targets)}): give targets as float32"
    )


def _of(tensor: Tensor) -> str:
    return f"{tuple(tensor.shape)} {str(tensor.dtype).removeprefix('torch.')}"


def _shown(outputs: Tensor, targets: Tensor) -> str:
    return f"outputs {_of(outputs)} with targets {_of(targets)}"


def _kind(value: Any) -> str:
    return f"a tensor of shape {tuple(value.shape)}" if isinstance(value, Tensor) else f"a {type(value).__name__}"


def _line(error: Exception) -> str:
    return said(error)[:200]
