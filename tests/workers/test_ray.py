"""Ray: the same bits as local workers on one node and on three, also when one is killed in the middle."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from assay.workers import ray as ray_workers

ray = pytest.importorskip("ray", reason="Ray isn't installed: pip install 'assay[ray]'")
pytestmark = pytest.mark.filterwarnings("ignore")  # Ray's own

ROOT = Path(__file__).parents[2]
SMALL = ["--trials", "6", "--replicates", "3", "--final-seeds", "2", "--epochs", "30", "--engine", "loop", "--quiet"]


def command(out: Path, *more: str) -> list[str]:
    start = [sys.executable, "-m", "assay", "run", "adam", "sgd", "--task", "tests/tiny.py:task", *SMALL]
    return [*start, "--out", str(out), *more]


def run(out: Path, *more: str) -> bytes:
    done = subprocess.run(command(out, *more), cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return (out / "result.json").read_bytes()


@pytest.fixture(scope="module")
def reference(tmp_path_factory) -> bytes:
    return run(tmp_path_factory.mktemp("one") / "run", "--workers", "1")


@pytest.fixture
def cluster():
    from ray.cluster_utils import Cluster

    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    made = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    yield made
    made.shutdown()


def test_two_workers_and_an_embedded_ray_give_the_reference(tmp_path, reference):
    assert run(tmp_path / "two", "--workers", "2") == reference
    assert run(tmp_path / "ray", "--workers", "ray") == reference


def test_three_nodes_one_of_them_killed_in_the_middle(tmp_path, reference, cluster):
    doomed = cluster.add_node(num_cpus=1)
    cluster.add_node(num_cpus=1)
    cluster.wait_for_nodes()
    out = tmp_path / "run"
    going = subprocess.Popen(
        command(out, "--workers", "ray", "--ray-address", cluster.address),
        cwd=ROOT,
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    deadline = time.monotonic() + 300
    while len(list(out.glob("members/*.parquet"))) < 8 and going.poll() is None and time.monotonic() < deadline:
        time.sleep(0.02)
    before = {p.name: p.stat().st_ino for p in out.glob("members/*.parquet")}
    assert going.poll() is None
    cluster.remove_node(doomed, allow_graceful=False)
    _, errors = going.communicate(timeout=300)
    assert going.returncode == 0, errors
    assert (out / "result.json").read_bytes() == reference
    assert before.items() <= {p.name: p.stat().st_ino for p in out.glob("members/*.parquet")}.items()


def test_a_gpu_is_asked_for_where_the_device_is_cuda(cluster):
    from assay.errors import UsageError

    with pytest.raises(UsageError, match="no GPU"):
        ray_workers.RayWorkers(cluster.address, "cuda")
    cluster.add_node(num_cpus=1, num_gpus=1)  # Ray takes our word for it
    workers = ray_workers.RayWorkers(cluster.address, "cuda")
    try:
        assert workers.size == 1
        assert workers.submit(gpus).result(timeout=120) == "0"
    finally:
        workers.end()


def gpus() -> str | None:
    return os.environ.get("CUDA_VISIBLE_DEVICES")


def another_torch(folder: Path) -> str:
    (folder / "torch-9.9.dist-info").mkdir()
    (folder / "torch-9.9.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\nName: torch\nVersion: 9.9\n")
    return "torch 9.9"


def another_assay(folder: Path) -> str:
    shutil.copytree(Path(ray_workers.__file__).parents[1], folder / "assay")
    (folder / "assay" / "__init__.py").open("a").write("# edited\n")
    return "has assay"


def no_assay(folder: Path) -> str:
    (folder / "assay.py").write_text("raise ImportError('not here')\n")
    return "has no assay"


@pytest.mark.parametrize("make", [another_torch, another_assay, no_assay])
def test_a_node_with_something_else_is_refused_before_training(tmp_path, monkeypatch, cluster, make):
    """The second of two nodes finds other packages than this machine has."""
    words = make(tmp_path)
    path = os.environ.get("PYTHONPATH", "")
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}{os.pathsep}{path}")
    cluster.add_node(num_cpus=1)
    monkeypatch.setenv("PYTHONPATH", path)
    cluster.wait_for_nodes()
    asked = command(tmp_path / "run", "--workers", "ray", "--ray-address", cluster.address)
    done = subprocess.run(asked, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 2, done.stderr
    assert words in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert not (tmp_path / "run" / "plan.json").exists()
