"""examples/adopt is green, and lists what is known with its reasons."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

ADOPT = Path(__file__).parents[2] / "examples" / "adopt"
REASONS = {
    "torch_optim": ("Rprop-schedulers", "lr is the length of the first step only"),
    "schedulefree": ("SGDScheduleFree-grads_intact", "weight decay is added to the gradient itself"),
    "lion_pytorch": ("Lion-deepcopy", "self.decoupled_wd"),
}


@pytest.mark.parametrize(
    "package", [pytest.param("torch_optim", marks=pytest.mark.whole), "schedulefree", "lion_pytorch"]
)  # the sound ones of torch are asked elsewhere, too
def test_an_adopted_package_is_green_with_reasons(package):
    file = ADOPT / f"test_{package}.py"
    if package != "torch_optim" and importlib.util.find_spec(package) is None:
        pytest.skip(f"{package} is not installed")
    command = [sys.executable, "-m", "pytest", "-q", "-rx", "-p", "no:cacheprovider", str(file)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ADOPT)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-1000:]
    for words in REASONS[package]:
        assert words in done.stdout
