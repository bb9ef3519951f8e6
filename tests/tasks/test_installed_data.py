"""`hf:` and `torchvision:`: data sets that those packages hold on this machine, read by the packages themselves."""

from __future__ import annotations

import pickle
import sys
from types import ModuleType

import numpy as np
import pytest
from PIL import Image

from assay.cli import call
from assay.driver.job import task_info
from assay.errors import UsageError
from assay.tasks import again, find
from assay.tasks.own.vision import Vision

from ..asked import small

RNG = np.random.default_rng(0)


def verdict(task: str, out, *more: str) -> int:
    spaces = ["--space", "adam.lr=1e-4..1e-2:log", "--space", "sgd.lr=1e-3..1e-1:log"]
    return call(["run", "adam", "sgd", "--task", task, *small(), "--epochs", "1", *spaces, *more, "--out", str(out)])


def picture(side: int) -> Image.Image:
    return Image.fromarray(RNG.integers(0, 255, (side, side, 3), dtype=np.uint8))


@pytest.fixture
def datasets(tmp_path, monkeypatch):
    found = pytest.importorskip("datasets", reason="pip install datasets")
    monkeypatch.setattr(found.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    return found


@pytest.fixture
def people(datasets, tmp_path):
    """Labels, numbers with gaps, words, lists; two splits, and one of other columns."""
    features = datasets.Features(
        {
            "kind": datasets.ClassLabel(names=["tall", "short"]),
            "height": datasets.Value("float32"),
            "town": datasets.Value("string"),
            "scores": datasets.List(datasets.Value("int64")),
        }
    )

    def split(n: int, kind: int | None = None):
        height = [None if i % 9 == 0 else float(i) for i in range(n)]
        kinds = [i % 2 if kind is None else kind for i in range(n)]
        columns = {"kind": kinds, "height": height, "town": ["Bonn", "Rome"] * (n // 2), "scores": [[1, 2]] * n}
        return datasets.Dataset.from_dict(columns, features=features)

    other = datasets.Dataset.from_dict({"text": ["a"]})
    sets = datasets.DatasetDict({"train": split(60), "test": split(20), "hidden": split(4, -1), "extra": other})
    sets.save_to_disk(str(tmp_path / "people"))
    return tmp_path / "people"


def test_a_data_set_with_columns_is_a_table(people, tmp_path):
    task = find(f"hf:{people}", {"target": "kind", "width": 8})
    parts = task.data(0)
    assert sum(len(p.targets) for p in (parts.train, parts.validation, parts.test)) == 80
    assert parts.train.inputs.shape[1] == 4  # a height, whether there is one, two towns
    assert "extra, which has other columns" in task.note
    assert "scores, which holds List" in task.note
    assert "4 rows without a kind" in task.note
    assert again(task_info(task)).data(0).digest == parts.digest
    assert verdict(f"hf:{people}", tmp_path / "run", "--target", "kind") == 0
    assert call(["verify", str(tmp_path / "run")]) == 0


def test_a_quantity_is_predicted_too(people):
    assert find(f"hf:{people}", {"target": "height"}).metric.name == "RMSE"


def test_pictures_need_a_column_of_labels(datasets, tmp_path):
    features = datasets.Features(
        {"img": datasets.Image(), "fine": datasets.ClassLabel(3), "coarse": datasets.ClassLabel(2)}
    )
    columns = {
        "img": [picture(20 + i % 3) for i in range(60)],
        "fine": [0, 1, 2] * 20,
        "coarse": [0, 1] * 29 + [-1] * 2,
    }
    datasets.Dataset.from_dict(columns, features=features).save_to_disk(str(tmp_path / "shapes"))
    with pytest.raises(UsageError, match=r"which column .* has the labels\? --target COLUMN, one of fine, coarse"):
        find(f"hf:{tmp_path / 'shapes'}")
    with pytest.raises(UsageError, match="no column 'finest' of labels; did you mean fine"):
        find(f"hf:{tmp_path / 'shapes'}", {"target": "finest"})
    task = find(f"hf:{tmp_path / 'shapes'}", {"target": "coarse", "width": 4})
    assert "2 pictures without a label" in task.note
    parts = task.data(0)
    assert parts.train.inputs.shape[1:] == (3, 32, 32)
    assert sum(len(p.targets) for p in (parts.train, parts.validation, parts.test)) == 58
    with pytest.raises(UsageError, match="is taken as images, which takes no --depth"):
        find(f"hf:{tmp_path / 'shapes'}", {"target": "coarse", "depth": 2})


def test_a_column_of_texts_is_a_text(datasets, tmp_path):
    line = (
        "the quick brown fox jumps over the lazy dog, and then it does it again, until the dog has had enough of it. "
    )
    stories = datasets.Dataset.from_dict({"text": [line * 2, None, line] * 40})
    stories.save_to_disk(str(tmp_path / "stories"))
    task = find(f"hf:{tmp_path / 'stories'}", {"context": 8, "width": 16, "depth": 1})
    assert task.metric.name == "cross entropy"
    assert (
        bytes(task.data(0).train.inputs[0].astype(np.uint8))
        in (line * 2 + "\n\n\n\n" + line + "\n\n" + line * 2).encode()
    )
    rated = stories.add_column("stars", list(range(120)))
    rated.save_to_disk(str(tmp_path / "rated"))
    assert find(f"hf:{tmp_path / 'rated'}", {"target": "text"}).metric.name == "cross entropy"
    with pytest.raises(UsageError, match=r"which column is to be predicted\? --target COLUMN, one of text, stars"):
        find(f"hf:{tmp_path / 'rated'}")


def test_one_that_the_hub_gave_is_found_by_its_name_offline(datasets, tmp_path, monkeypatch):
    """What `load_dataset` once kept in the cache, under the name that it has on the hub."""
    rows = tmp_path / "rows"
    rows.mkdir()
    (rows / "a.csv").write_text("height,kind\n" + "".join(f"{i},{'ab'[i % 2]}\n" for i in range(60)))
    datasets.load_dataset(str(rows), cache_dir=str(tmp_path / "cache"))
    kept = next((tmp_path / "cache").glob("*/default*"))
    kept.rename(tmp_path / "cache" / "default")
    (tmp_path / "cache" / "someone___rows").mkdir()
    (tmp_path / "cache" / "default").rename(tmp_path / "cache" / "someone___rows" / "default")
    monkeypatch.setattr("socket.socket.connect", _no_network)
    assert find("hf:someone/rows", {"target": "kind"}).data(0).train.inputs.shape[1] == 1
    with pytest.raises(UsageError, match=r"isn't on this machine.*load_dataset\('someone/else'\)"):
        find("hf:someone/else", {"target": "kind"})


def _no_network(*_):
    raise AssertionError("it connects")


@pytest.mark.parametrize(("task", "package"), [("hf:x", "datasets"), ("torchvision:MNIST", "torchvision")])
def test_without_the_package_its_name_is_said(task, package, monkeypatch, tmp_path, capsys):
    monkeypatch.setitem(sys.modules, package, None)
    assert verdict(task, tmp_path / "run") == 2
    assert f"pip install {package}" in capsys.readouterr().err


# ---------------------------------------------------------------------------------------------------- torchvision


@pytest.fixture(scope="session")
def vision():
    """Without its kernels: they are built for one build of torch, and no data set needs them."""
    if "torchvision" not in sys.modules:
        sys.modules["torchvision._meta_registrations"] = ModuleType("torchvision._meta_registrations")
    return pytest.importorskip("torchvision", reason="pip install torchvision")


@pytest.fixture
def cifar(vision, tmp_path, monkeypatch):
    """CIFAR-10's files as torchvision unpacks them, 20 pictures each."""
    folder = tmp_path / "data" / "cifar-10-batches-py"
    folder.mkdir(parents=True)
    for name in [f"data_batch_{i}" for i in range(1, 6)] + ["test_batch"]:
        content = {"data": RNG.integers(0, 255, (20, 3072), dtype=np.uint8), "labels": [0, 1] * 10}
        (folder / name).write_bytes(pickle.dumps(content))
    (folder / "batches.meta").write_bytes(pickle.dumps({"label_names": ["cat", "dog"]}))
    monkeypatch.setattr("torchvision.datasets.cifar.check_integrity", lambda *_: True)
    return tmp_path / "data"


def test_a_set_of_torchvision_is_all_its_parts_together(cifar):
    task = find(f"torchvision:CIFAR10:{cifar}", {"width": 4})
    parts = task.data(0)
    assert sum(len(p.targets) for p in (parts.train, parts.validation, parts.test)) == 120
    assert parts.train.inputs.shape[1:] == (3, 32, 32)
    x, y = Vision("CIFAR10", cifar).pictures()
    first = pickle.loads((cifar / "cifar-10-batches-py" / "data_batch_1").read_bytes())
    assert (x[:20].reshape(20, -1) == first["data"]).all()
    assert (y[:20] == first["labels"]).all()


def test_what_isnt_there_is_said_with_the_line_that_gets_it(vision, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert verdict("torchvision:CIFAR10", tmp_path / "run") == 2
    assert "torchvision.datasets.CIFAR10('data', download=True)" in capsys.readouterr().err
    assert verdict("torchvision:CIFAR", tmp_path / "run") == 2
    assert "did you mean CIFAR10" in capsys.readouterr().err
