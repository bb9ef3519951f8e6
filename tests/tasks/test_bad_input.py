"""What is wrong with a task is said before anything is trained, in one line with cause and mend; exit code 2."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from assay.cli import call
from assay.core import Metric, Split, Splits
from assay.errors import UsageError
from assay.tasks import find
from assay.tasks.metrics import accuracy, rmse
from assay.training.validate import validate_task

from .. import asked, tiny


def fault(**changes) -> str:
    """The one line that is said of the tiny task with these changes."""
    task = find(tiny.task(**changes))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch warns of broadcasting too
        with pytest.raises(UsageError) as caught:
            validate_task(task, task.data(0))
    assert "\n" not in str(caught.value)
    assert "clouds" in str(caught.value)
    return str(caught.value)


def data(train: int = 100, inputs=None, targets=None):
    """The tiny task's data with its training arrays changed by the functions given."""

    def make(seed: int) -> Splits:
        splits = tiny.clouds(seed)
        x, y = splits.train.inputs[:train].copy(), splits.train.targets[:train].copy()
        return Splits(Split(inputs(x) if inputs else x, targets(y) if targets else y), splits.validation, splits.test)

    return make


def real(seed: int) -> Splits:
    """Targets (n,) float32."""
    return Splits(*(Split(s.inputs, s.targets.astype(np.float32)) for s in _parts(tiny.clouds(seed))))


def _parts(splits: Splits) -> tuple[Split, Split, Split]:
    assert splits.validation is not None
    return splits.train, splits.validation, splits.test


RIGHT = Metric("right", lambda o, t: ((o[:, 0] > 0) == (t > 0)).float().mean(), lambda train, test: 0.5, "max", "")


def mse(outputs, targets):
    return nn.functional.mse_loss(outputs, targets)


def one_output() -> nn.Module:
    return nn.Linear(4, 1)


def flat_output() -> nn.Module:
    return nn.Sequential(nn.Linear(4, 1), nn.Flatten(0))


def test_model_and_data_that_dont_fit_are_shown_with_their_shapes():
    said = fault(model=lambda: nn.Linear(5, 2))
    assert "(32, 4) float32" in said
    assert "(2, 5)" in said


def test_outputs_and_targets_that_the_loss_cant_compare_are_shown():
    assert "outputs (32, 1) float32 with targets (32,) int64" in fault(model=one_output)


@pytest.mark.parametrize("model", [one_output, flat_output])
def test_whole_number_targets_with_a_regression_loss(model):
    said = fault(model=model, loss=mse, metric=rmse)
    assert "whole numbers" in said
    assert "float32" in said


def test_a_loss_that_makes_real_numbers_of_whole_ones_itself_is_sound():
    def loss(outputs, targets):
        return nn.functional.binary_cross_entropy_with_logits(outputs.squeeze(1), targets.float())

    task = find(tiny.task(model=one_output, loss=loss, metric=RIGHT))
    validate_task(task, task.data(0))
    count = find(
        tiny.task(model=one_output, loss=lambda o, t: nn.functional.poisson_nll_loss(o[:, 0], t), metric=RIGHT)
    )
    validate_task(count, count.data(0))


@pytest.mark.parametrize("kind", [np.int64, np.float32])
def test_a_column_of_targets_isnt_broadcast_against_wider_outputs(kind):
    def column(seed: int) -> Splits:
        return Splits(*(Split(s.inputs, s.targets[:, None].astype(kind)) for s in _parts(tiny.clouds(seed))))

    said = fault(model=lambda: nn.Linear(4, 3), data=column, loss=mse, metric=rmse)
    assert "broadcast" in said or "whole numbers" in said


def test_nan_in_arrays_is_named_by_their_own_rows():
    x, y = np.zeros((50, 4), np.float32), np.zeros(50, np.int64)
    x[37, 1] = np.inf
    with pytest.raises(UsageError, match=r"the first is row 37"):
        find(tiny.task(data=(x, y)))


def test_outputs_that_would_be_broadcast_against_targets():
    said = fault(model=one_output, data=real, loss=mse, metric=rmse)
    assert "(32, 1)" in said
    assert "(32,)" in said
    assert "broadcast" in said
    task = find(tiny.task(model=flat_output, data=real, loss=mse, metric=rmse))
    validate_task(task, task.data(0))  # and this is what it asks for


def test_a_metric_that_returns_a_tensor_with_gradients():
    def score(outputs, targets):
        with torch.enable_grad():
            return (outputs.requires_grad_() ** 2).mean()

    assert ".detach()" in fault(metric=Metric("mine", score, lambda a, b: 0.0, "max", ""))


@pytest.mark.parametrize(
    ("score", "said"),
    [(lambda o, t: 0.5, "float"), (lambda o, t: (o.argmax(1) == t).float(), "(60,)"), (lambda o, t: None, "NoneType")],
)
def test_a_metric_that_gives_no_single_number(score, said):
    assert said in fault(metric=Metric("mine", score, lambda a, b: 0.0, "max", ""))


def test_a_loss_that_gives_more_than_one_number_or_no_gradient():
    assert "(32,)" in fault(loss=lambda o, t: nn.functional.cross_entropy(o, t, reduction="none"))
    assert "no gradient" in fault(loss=lambda o, t: (o.argmax(1) == t).float().mean())


def test_data_with_nan_says_where():
    def broken(x):
        x[[7, 30], 2] = np.nan
        return x

    said = fault(data=data(inputs=broken))
    assert "train inputs" in said
    assert "2 of 100 rows" in said
    assert "row 7" in said


def test_a_split_too_small_for_its_batch():
    said = fault(data=data(train=20))
    assert "20 samples" in said
    assert "batch of 32" in said
    normalised = lambda: nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.Linear(8, 2))  # noqa: E731
    assert "1 value" in fault(data=data(train=33), model=normalised)  # the last batch holds one sample


def test_inputs_and_targets_of_different_lengths():
    with pytest.raises(UsageError, match=r"\(100, 4\) and targets \(99,\)"):
        find(tiny.task(data=data(targets=lambda y: y[:-1]))).data(0)


@pytest.mark.parametrize("given", [3, "data.csv", [1, 2, 3]])
def test_data_of_no_known_kind(given):
    with pytest.raises(UsageError, match="its data is"):
        find(tiny.task(data=given))


def test_a_run_stops_before_training_with_code_2(tmp_path):
    plan = asked.plan("adam", "sgd", task=tiny.task(model=lambda: nn.Linear(5, 2)), out=tmp_path / "run")
    with pytest.raises(UsageError, match="don't fit"):
        asked.run(plan, 1)
    assert not list((tmp_path / "run").glob("members/*"))


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("import nothing_of_this_name\n", "nothing_of_this_name"),
        ("def task(:\n", "SyntaxError"),
        ("raise ValueError('no luck')\n", "no luck"),
        ("task = 3\n", "it must be an assay.Task"),
        ("other = 3\n", "has no 'task'"),
    ],
)
def test_a_task_file_that_fails_to_import(tmp_path: Path, capsys, content: str, said: str):
    (tmp_path / "mine.py").write_text(content)
    assert call(["run", "adam", "sgd", "--task", f"{tmp_path / 'mine.py'}:task", "--plan-only"]) == 2
    assert said in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--task", "quadratic", "--train-samples", "100"], "takes no --train-samples; it takes --width"),
        (["--task", "digits", "--label-noise", "1.5"], "from 0 to 1"),
        (["--task", "digits", "--width", "0"], "width must be 1 or more"),
        (["--task", "digits", "--batch-size", "0"], "--batch-size 0"),
        (["--task", "char-attention", "--width", "7"], "even"),
    ],
)
def test_options_that_a_task_refuses(capsys, options: list[str], said: str):
    assert call(["run", "adam", "sgd", *options, "--plan-only"]) == 2
    assert said in capsys.readouterr().err


def test_a_sound_task_is_admitted():
    task = find(tiny.task(metric=accuracy))
    validate_task(task, task.data(0))
