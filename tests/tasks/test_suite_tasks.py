"""The tasks of the suite: what their data is, by an oracle of another make; that both engines agree; that they can be learned."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits

from assay.contenders import contenders
from assay.core import EngineOptions, Splits
from assay.driver.job import task_info
from assay.engine.select.choose import choose_engine
from assay.tasks import TASKS, again, find
from assay.tasks.char_attention import SYMBOLS, names
from assay.tasks.quadratic import CONDITION, root
from assay.training.numerics import Demand
from assay.training.validate import validate_task

OURS = [name for name in TASKS if name != "mnist1d-mlp"]  # that one is drawn by many tests
FEW = {
    "mnist1d-cnn": {"train_samples": 400},  # 8,000 samples take 3 s to draw
    "mnist1d-gru": {"train_samples": 400},
    "python-gpt": {"train_samples": 100, "context": 16},
}
WIDTHLESS = {"logistic": {"label_noise": 0.1}, "python-softmax": {"train_samples": 512}}


def small(name: str, **options):
    return find(name, {**FEW.get(name, {}), **options})


def parts(splits: Splits):
    assert splits.validation is not None
    return splits.train, splits.validation, splits.test


@pytest.mark.parametrize("name", OURS)
def test_data_is_the_seeds_and_fits_the_model(name):
    task = small(name)
    splits = task.data(1)
    validate_task(task, splits)
    assert task.data(1).digest == splits.digest != task.data(2).digest
    assert task.margin > 0
    assert task.margin_reason


@pytest.mark.parametrize("name", OURS)
def test_the_vectorized_engine_passes_the_parity_probe(name):
    (adam,) = contenders(["adam"])
    found = choose_engine(
        small(name), adam, EngineOptions(engine="vectorized", compile="off"), Demand(8, at_once=4, split=1)
    )
    assert found.numerics.engine == "vectorized", found.numerics.reason


@pytest.mark.parametrize("name", OURS)
def test_options_are_part_of_the_record_and_make_the_task_again(name):
    asked = {**WIDTHLESS.get(name, {"width": 6}), "batch_size": 7}
    task = small(name, **asked)
    assert asked.items() <= dict(task.options).items()
    made = again(task_info(task))
    assert (made.batch_size, dict(made.options)) == (7, dict(task.options))
    shapes = [[tuple(p.shape) for p in t.model().parameters()] for t in (task, made, small(name))]
    assert shapes[0] == shapes[1]
    assert name in WIDTHLESS or shapes[0] != shapes[2]
    assert len({t.data(1).digest for t in (task, made)}) == 1


def test_noise_is_on_the_training_labels_alone():
    clean, noisy = (find("digits", {"label_noise": share}).data(3) for share in (0.0, 0.4))
    changed = np.mean(clean.train.targets != noisy.train.targets)
    assert changed == pytest.approx(0.4 * 0.9, abs=4 * math.sqrt(0.36 * 0.64 / 1280))
    assert (clean.test.targets == noisy.test.targets).all()
    assert (clean.train.inputs == noisy.train.inputs).all()
    clean, noisy = (find("friedman1", {"label_noise": amount}).data(3) for amount in (0.0, 0.5))
    added = noisy.train.targets - clean.train.targets
    assert added.std() == pytest.approx(0.5 * clean.train.targets.std(), rel=0.08)
    assert (clean.validation.targets == noisy.validation.targets).all()  # type: ignore[union-attr]


def test_digits_are_scikit_learns():
    images, labels = load_digits(return_X_y=True)
    of = {(x / 16).astype(np.float32).tobytes(): y for x, y in zip(images, labels, strict=True)}
    seen = [pair for p in parts(find("digits").data(4)) for pair in zip(*p, strict=True)]
    assert len(seen) == 1797
    assert all(of[x.tobytes()] == y for x, y in seen)


def test_friedman_is_the_formula_and_its_noise_is_one():
    train, _, test = parts(find("friedman1").data(5))
    x = test.inputs.astype(float) + 0.5
    formula = 10 * np.sin(np.pi * x[:, 0] * x[:, 1]) + 20 * (x[:, 2] - 0.5) ** 2 + 10 * x[:, 3] + 5 * x[:, 4]
    left = test.targets - formula
    assert left.std() == pytest.approx(1.0, abs=0.1)
    assert np.abs(np.corrcoef(left, formula)[0, 1]) < 0.15
    assert abs(train.targets.mean()) < 1e-5


def test_the_quadratics_optimum_gradient_and_spectrum():
    task = find("quadratic")
    train, _, test = parts(task.data(6))
    h = root(100).astype(float) @ root(100).astype(float).T
    eigenvalues = np.linalg.eigvalsh(h)
    assert eigenvalues.max() / eigenvalues.min() == pytest.approx(CONDITION, rel=1e-3)
    theta = np.random.default_rng(0).normal(size=100)
    model = task.model()
    with torch.no_grad():
        model.theta.copy_(torch.tensor(theta))
    model.double()
    x, y = torch.tensor(train.inputs).double(), torch.tensor(train.targets).double()
    task.loss(model(x), y).backward()
    np.testing.assert_allclose(model.theta.grad, h @ (theta - train.targets.mean(0)), rtol=1e-4, atol=1e-5)
    score = task.metric.score(model(x[:1]).detach(), torch.tensor(test.targets).double())
    gap = theta - test.targets[0]
    assert float(score) == pytest.approx(np.log10(0.5 * gap @ h @ gap), rel=1e-5)
    assert task.metric.constant(train.targets, test.targets) == pytest.approx(
        np.log10(0.5 * test.targets[0] @ h @ test.targets[0]), rel=1e-5
    )
    assert np.abs(train.targets.mean(0) - test.targets[0]).max() < 5 / math.sqrt(4096)


def test_the_names_are_unicodes_and_no_name_is_in_two_splits():
    import unicodedata

    assert "LATIN SMALL LETTER A WITH GRAVE" in names()
    assert all(unicodedata.lookup(name) for name in names()[::97])  # today's database has every one of them
    task = find("char-attention")
    splits = task.data(7)
    texts = ["".join(SYMBOLS[i] for i in p.inputs.ravel()) for p in parts(splits)]
    whole = [set(t.split("\n")[1:-1]) for t in texts]
    assert all(w <= set(names()) for w in whole)
    assert not whole[0] & whole[1]
    assert not whole[0] & whole[2]
    train = splits.train
    assert (train.inputs.ravel()[1:] == train.targets.ravel()[:-1]).all()


def test_bits_and_rmse_are_what_they_say():
    from sklearn.metrics import log_loss, root_mean_squared_error

    from assay.tasks.metrics import bits, rmse

    rng = np.random.default_rng(8)
    logits, targets = rng.normal(size=(6, 5, 4)), rng.integers(0, 4, (6, 5))
    p = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
    expected = log_loss(targets.ravel(), p.reshape(-1, 4), labels=range(4)) / math.log(2)
    assert float(bits.score(torch.tensor(logits), torch.tensor(targets))) == pytest.approx(expected, rel=1e-12)
    a, b = rng.normal(size=50), rng.normal(size=50)
    assert float(rmse.score(torch.tensor(a), torch.tensor(b))) == pytest.approx(
        root_mean_squared_error(a, b), rel=1e-12
    )
    assert rmse.constant(a, b) == pytest.approx(root_mean_squared_error(b, np.full(50, a.mean())), rel=1e-12)
    uniform = np.repeat(np.arange(8), 1000)
    assert bits.constant(uniform, uniform) == pytest.approx(3.0, rel=1e-9)
