"""A user's own data in every form it may have, and the example that the documentation shows."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader, Dataset, IterableDataset, TensorDataset

from assay import events
from assay.contenders import contenders
from assay.core import Loaders, Split, Splits
from assay.driver.study import member
from assay.errors import UsageError
from assay.record import RunFolder
from assay.tasks import find
from assay.training import loop
from assay.training.numerics import loop_here
from assay.training.validate import validate_task

from .. import asked, tiny

SMALL = {"trials": 2, "replicates": 2, "final_seeds": 1}
EXAMPLE = Path(__file__).parents[2] / "examples" / "own_task.py"


def rows(split: Split) -> set[bytes]:
    return {x.tobytes() for x in split.inputs}


def whole(n: int = 100) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    return rng.normal(size=(n, 4)).astype(np.float32), rng.integers(0, 2, n)


@pytest.mark.parametrize("form", ["arrays", "tensors", "splits"])
def test_arrays_are_partitioned_anew_by_each_seed(form):
    x, y = whole()
    data = {
        "arrays": (x, y),
        "tensors": (torch.from_numpy(x), torch.from_numpy(y)),
        "splits": Splits(Split(x[:60], y[:60]), Split(x[60:80], y[60:80]), Split(x[80:], y[80:])),
    }[form]
    task = find(tiny.task(data=data))
    assert not task.generated
    first, again, other = (task.data(seed) for seed in (1, 1, 2))
    assert first.digest == again.digest
    assert first.digest != other.digest
    for splits in (first, other):
        parts = [splits.train, splits.validation, splits.test]
        assert [len(p.targets) for p in parts] == [60, 20, 20]
        assert set.union(*map(rows, parts)) == {r.tobytes() for r in x}  # everything is used, once
        target_of = {r.tobytes(): t for r, t in zip(x, y, strict=True)}
        assert all(target_of[r.tobytes()] == t for p in parts for r, t in zip(*p, strict=True))


def test_a_verdict_on_given_arrays_says_that_it_holds_on_them(tmp_path):
    result = asked.run(asked.plan("adam", "sgd", task=tiny.task(data=whole(200)), out=tmp_path / "run", **SMALL), 1)
    assert "on this data set" in result.verdicts[0].sentence


class Augmented(Dataset):
    """Noise from all the generators that a user's transform may draw from."""

    def __init__(self, x, y) -> None:
        self.x, self.y = torch.from_numpy(x), torch.from_numpy(y)

    def __len__(self) -> int:
        return len(self.y)

    def __getitem__(self, i):
        return self.x[i] + 0.1 * torch.randn(4) + 0.1 * np.float32(np.random.normal()), self.y[i]


def loaders(seed: int = 0, batch: int = 32) -> Loaders:
    train, validation, test = (tiny.clouds(seed).train, tiny.clouds(seed).validation, tiny.clouds(seed).test)
    assert validation is not None
    held_out = (DataLoader(TensorDataset(*map(torch.from_numpy, s)), batch) for s in (validation, test))
    return Loaders(DataLoader(Augmented(*train), batch, shuffle=True), *held_out)


def trained(task, index: int = 0):
    science = asked.job("adam", "sgd", task=task, **SMALL).science
    (adam,) = contenders(["adam"])
    m = member(science, 0, "final", 0, index, {"lr": 0.01})
    return loop.train(task, adam, [m], loop_here())


def test_batches_of_a_loader_are_drawn_from_the_seed_and_leave_the_generators_alone():
    task = find(tiny.task(data=loaders, epochs=3))
    torch.manual_seed(5)
    np.random.seed(5)
    one = trained(task)
    drawn = torch.rand(1), np.random.random()
    torch.manual_seed(6)
    np.random.seed(6)
    again, other = trained(task), trained(task, 1)
    np.testing.assert_array_equal(one.train_loss, again.train_loss)
    np.testing.assert_array_equal(one.test, again.test)
    assert (one.train_loss != other.train_loss).any()
    torch.manual_seed(5)
    np.random.seed(5)
    assert (torch.rand(1), np.random.random()) == drawn
    assert one.data[0].digest == again.data[0].digest == other.data[0].digest


def test_a_loader_is_read_whole():
    def plain(seed: int) -> Loaders:
        parts = (tiny.clouds(seed).train, tiny.clouds(seed).validation, tiny.clouds(seed).test)
        return Loaders(*(DataLoader(TensorDataset(*map(torch.from_numpy, p)), 32, shuffle=True) for p in parts))

    x = find(tiny.task(data=plain)).data(3)
    y = tiny.clouds(3)
    assert rows(x.train) == rows(y.train)
    assert x.validation is not None
    assert y.validation is not None
    assert rows(x.validation) == rows(y.validation)


def test_a_loader_runs_in_the_loop_and_the_record_says_what_is_lost(tmp_path):
    seen: list[events.Event] = []
    result = asked.run(
        asked.plan("adam", "sgd", task=tiny.task(data=loaders(), epochs=2), out=tmp_path / "run", **SMALL),
        1,
        seen.append,
    )
    warned = [e.message for e in seen if isinstance(e, events.Warned)]
    assert any("every replicate has the same split" in w for w in warned)
    numerics = RunFolder.open(result.folder).plan.numerics
    assert [n.engine for n in numerics] == ["loop", "loop"]
    assert "DataLoader" in numerics[0].reason
    page = (result.folder / "report.html").read_text()
    assert "every replicate has the same split" in page
    assert "DataLoader" in page


def test_a_loader_whose_batches_are_not_the_tasks_is_refused():
    task = find(tiny.task(data=lambda seed: loaders(seed, batch=16)))
    with pytest.raises(UsageError, match="give both the same batch_size"):
        validate_task(task, task.data(0))
    odd = find(tiny.task(data=lambda seed: replace_train(loaders(seed))))
    with pytest.raises(UsageError, match=r"must be \(inputs, targets\)"):
        odd.data(0)


class Endless(IterableDataset):
    """It never says how many it holds."""

    def __iter__(self):
        while True:
            yield torch.zeros(4), torch.tensor(0)


def test_a_loader_without_a_length_is_refused_before_it_is_read():
    task = find(tiny.task(data=lambda seed: loaders(seed)._replace(validation=DataLoader(Endless(), 32))))
    with pytest.raises(UsageError, match=r"the validation DataLoader can't say how many batches it has .* __len__"):
        task.data(0)


def replace_train(given: Loaders) -> Loaders:
    x, _ = tiny.clouds(0).train
    return given._replace(train=DataLoader(TensorDataset(torch.from_numpy(x)), 32))


def test_the_example_is_short_runs_and_can_be_made_again(tmp_path):
    assert len(EXAMPLE.read_text().splitlines()) < 50
    reference = f"{EXAMPLE}:spirals"
    task = find(reference, {"width": 8, "batch_size": 100})
    assert dict(task.options) == {"width": 8, "batch_size": 100}
    assert task.batch_size == 100
    result = asked.run(asked.plan("adam", "nadam", task=replace(task, epochs=2), out=tmp_path / "run", **SMALL), 1)
    assert result.verdicts[0].task == "spirals"
    from assay.tasks import again

    made = again(RunFolder.open(result.folder).plan.science.task)
    assert (made.batch_size, made.epochs) == (100, 2)
    assert made.model()[0].out_features == 8


def test_a_task_object_in_a_file_is_known_by_its_file(tmp_path):
    """Its model may be torch's own; what was edited is the file."""
    sources = []
    for size in (2, 3):
        file = tmp_path / f"mine{size}.py"
        file.write_text(
            "import functools, torch, assay\n"
            f"task = assay.Task('mine', lambda seed: None, functools.partial(torch.nn.Linear, 4, {size}),\n"
            "    torch.nn.functional.cross_entropy, assay.metrics.accuracy, 1, 8, 0.1, 'test')\n"
        )
        sources.append(find(f"{file}:task").source)
    assert all(s.startswith("sha256:") for s in sources)
    assert sources[0] != sources[1]
