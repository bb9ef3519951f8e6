"""`assay doctor`: is all here that assay needs, and does it work? What is wrong comes with its mend."""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from importlib import metadata
from pathlib import Path
from typing import Literal, NamedTuple

from assay.errors import said
from assay.record import cache

CPU_BUILD = "pip install torch --index-url https://download.pytorch.org/whl/cpu"
LEAST_ROOM = 2**30  # bytes
PROGRAM = (
    '#include <vector>\n#include <cmath>\nextern "C" double half(double x) { return std::vector<double>{x / 2}[0]; }\n'
)
PATIENCE = 60  # seconds for a compiler, or what tells of a GPU

Grade = Literal["ok", "note", "wrong"]


class Finding(NamedTuple):
    """One line: what was looked at, what was found, and, for a `note` or what is `wrong`, how to mend it."""

    name: str
    grade: Grade
    found: str
    mend: str = ""

    def __str__(self) -> str:
        mark = {"ok": "", "note": "note: ", "wrong": "WRONG: "}[self.grade]
        return f"{self.name}: {mark}{self.found}" + (f". {self.mend}" if self.mend else "")


def examine(self_test: bool = True) -> Iterator[Finding]:
    """Every finding as soon as it is made. None of them raises: what fails is a finding.

    Example:
        >>> from assay.driver.doctor import examine
        >>> [finding.grade for finding in examine(self_test=False) if finding.name == "python"]
        ['ok']
    """
    looks: list[tuple[str, Callable[[], Finding]]] = [
        ("python", _python),
        ("packages", _packages),
        ("optional", _optional),
        ("torch", _torch),
        ("cores", _cores),
        ("compiler", _compiler),
        ("GPU", _gpu),
        ("cache", _cache),
        *([("self-test", _self_test)] if self_test else []),
    ]
    for name, look in looks:
        try:
            yield look()
        except Exception as error:  # of torch, a driver, a file system: whatever it is, it is what is wrong here
            yield Finding(name, "wrong", f"{type(error).__name__}: {said(error)}", _mend(name))


def _mend(name: str) -> str:
    if name in ("torch", "compiler", "GPU"):
        return f"If `python -c 'import torch'` fails, too, install torch anew: {CPU_BUILD}"
    return "If that tells you nothing, install anew: pip install --force-reinstall assay"


def _python() -> Finding:
    return Finding("python", "ok", f"{platform.python_version()} at {sys.executable}, {platform.platform()}")


def _required(optional: bool) -> Iterator[tuple[str, str, bool]]:
    """Name, version here or "", and whether that is in the range asked for, of each package."""
    from packaging.requirements import Requirement  # matplotlib brings it

    for text in metadata.requires("assay") or ():
        requirement = Requirement(text)
        marker = str(requirement.marker or "")
        if ("extra" in marker) != optional or "dev" in marker:
            continue
        try:
            version = metadata.version(requirement.name)
        except metadata.PackageNotFoundError:
            version = ""
        yield requirement.name, version, requirement.specifier.contains(version, prereleases=True) if version else False


def _packages() -> Finding:
    try:
        known = list(_required(optional=False))
        own = metadata.version("assay")
    except metadata.PackageNotFoundError:
        return Finding("packages", "note", "assay is read from its source, and not installed", "pip install -e .")
    wrong = [f"{name} {version or 'is not installed'}" for name, version, good in known if not good]
    if wrong:
        return Finding(
            "packages", "wrong", ", ".join(wrong), "pip install --upgrade assay, in an environment of its own"
        )
    return Finding("packages", "ok", f"assay {own}; " + ", ".join(f"{name} {version}" for name, version, _ in known))


def _optional() -> Finding:
    """Packages that an option needs: of the extras, without those of development."""
    known = {name: version for name, version, _ in _required(optional=True)}
    there = ", ".join(f"{name} {version}" for name, version in known.items() if version)
    missing = ", ".join(name for name, version in known.items() if not version)
    return Finding("optional", "ok", f"{there or 'none'} (not installed: {missing or 'none'})")


def _torch() -> Finding:
    import torch

    if not torch.equal(torch.ones(3) + torch.ones(3), torch.full((3,), 2.0)):
        return Finding("torch", "wrong", f"{torch.__version__} says that 1 + 1 isn't 2", _mend("torch"))
    return Finding("torch", "ok", f"{torch.__version__}, {torch.get_num_threads()} threads by default")


def _cores() -> Finding:
    from assay.training.numerics import cpu_model
    from assay.workers.local import cores

    memory = ""
    if hasattr(os, "sysconf") and "SC_PHYS_PAGES" in os.sysconf_names:
        memory = f", {os.sysconf('SC_PHYS_PAGES') * os.sysconf('SC_PAGE_SIZE') / 2**30:.0f} GiB of memory"
    return Finding("cores", "ok", f"{cores()} of {os.cpu_count()}{memory}, {cpu_model()}")


def _compiler() -> Finding:
    from assay.engine.torch_private import cpp_compiler

    path = cpp_compiler()
    if path is None:
        found = "there is no C++ compiler: whole populations train at once, but their steps aren't compiled, and take longer"
        return Finding("compiler", "note", found, "apt install g++, or xcode-select --install")
    with tempfile.TemporaryDirectory() as folder:
        source, made = Path(folder, "half.cpp"), Path(folder, "half.so")
        source.write_text(PROGRAM)
        command = [path, "-shared", "-fPIC", "-o", str(made), str(source)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE)
        if done.returncode != 0 or not made.exists():
            why = (done.stderr.strip().splitlines() or ["it leaves nothing"])[0]
            return Finding(
                "compiler", "wrong", f"{path} can't compile ({why})", "apt install g++, or name another in CXX"
            )
    version = subprocess.run([path, "--version"], capture_output=True, text=True, timeout=PATIENCE).stdout
    return Finding("compiler", "ok", f"{path}, {(version.splitlines() or ['of no version'])[0]}")


def _gpu() -> Finding:
    import torch

    if not torch.cuda.is_available():
        if shutil.which("nvidia-smi") is None:
            return Finding("GPU", "ok", "none; everything trains on the CPU")
        build = torch.version.cuda
        if build is None:
            return Finding(
                "GPU", "note", "there is a driver, but this torch is a CPU build", "pip install torch, for CUDA"
            )
        asked = subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True, timeout=PATIENCE)
        if asked.returncode != 0 or not re.search(r"^GPU \d", asked.stdout, re.MULTILINE):
            return Finding("GPU", "ok", "a driver's tools, but no GPU that this session may use")
        return Finding(
            "GPU", "wrong", f"torch for CUDA {build} can't use the GPU", "Update the driver, or take an older torch"
        )
    found: list[str] = []
    for place in range(torch.cuda.device_count()):
        if float(torch.ones(64, 64, device=f"cuda:{place}").sum()) != 64 * 64:
            return Finding("GPU", "wrong", f"cuda:{place} adds wrongly", "Try another, or ask who keeps this machine")
        free, total = torch.cuda.mem_get_info(place)
        found.append(f"{torch.cuda.get_device_name(place)} ({free / 2**30:.0f} of {total / 2**30:.0f} GiB free)")
    return Finding("GPU", "ok", f"{', '.join(found)}; --device cuda")


def _cache() -> Finding:
    folder = cache.cache_folder()
    if why := cache.writable():
        return Finding("cache", "wrong", why)
    files = [p for p in folder.rglob("*") if p.is_file()]
    size = sum(p.stat().st_size for p in files)
    free = shutil.disk_usage(folder).free
    found = f"{folder}, {size / 2**20:,.1f} MiB in {len(files):,} files, writable, {free / 2**30:,.1f} GiB free"
    if free < LEAST_ROOM:
        return Finding("cache", "wrong", found, "Make room, or set ASSAY_CACHE to a folder on another disk")
    return Finding("cache", "ok", found)


def _self_test() -> Finding:
    """A small comparison from the plan to its page, in a worker, by both engines; then its record is verified."""
    from assay.driver.compare import compare
    from assay.driver.verify import faults
    from assay.record.plan import read_plan

    started = time.perf_counter()
    ranges = ["adam.lr=1e-3..1:log", "sgd.lr=1e-2..10:log"]
    small = {"trials": 2, "replicates": 2, "final_seeds": 1, "epochs": 1, "workers": 1, "space": ranges, "quiet": True}
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder, "run")
        compare("adam", "sgd", task="logistic", out=place, engine="vectorized", compile="off", **small)
        wrong = [*faults(place)]
        looped = [n.reason for n in read_plan(place).numerics if n.engine == "loop"]
    took = f"{time.perf_counter() - started:.1f} s"
    if wrong:
        return Finding("self-test", "wrong", f"its record is not sound: {wrong[0]}", _mend("self-test"))
    if looped:
        return Finding("self-test", "wrong", f"the vectorized engine isn't the loop here: {looped[0]}", _mend("torch"))
    return Finding("self-test", "ok", f"12 trainings planned, trained at once, judged, drawn and verified in {took}")
