"""Small comparisons whose records are kept, to show that a change of the code's form changes no number.

`python -m tests.golden.plans [NAME …]` makes the records anew: only for a change of the protocol, never for one of form.
"""

from __future__ import annotations

import shutil
import sys
import tarfile
import tempfile
from pathlib import Path

HERE = Path(__file__).parent
DRAWN = (".html", ".png", ".db")  # not kept: they are made of the rest
MINE = "mine.py"  # read from its folder, so that a record holds no path of a machine

SMALL = "--trials 3 --replicates 3 --final-seeds 2"
EAGER = "--engine vectorized --compile off"
COMPILED = "--engine vectorized --compile on"
CLOUDS = f"--task {MINE}:clouds"
LOOP = f"{CLOUDS} --engine loop --trials 2"

PLANS: dict[str, list[str]] = {
    "published": ["adam gns-adam --protocol published --task logistic --trials 12 --epochs 2"],
    "controls": [f"adam sgd {CLOUDS} {SMALL} --engine loop --controls"],
    "eager": [
        "adam+cosine gns-adam rmsprop --task mnist1d-mlp --train-samples 400 --epochs 2 --width 32 --seed 3 "
        f"--space gns-adam.lr=1e-4..1e0:log {SMALL} {EAGER}"
    ],
    "compiled": [f"adam {MINE}:Plain --space Plain.momentum=0.5..0.99 {CLOUDS} {SMALL} {COMPILED}"],
    "compiled-network": [f"adam nadam+warmup10+linear --task digits --epochs 1 {SMALL} {COMPILED}"],
    "looks": [f"adam sgd {LOOP} --final-seeds 2 --looks 2,3,5"],
    "two-stages": [f"adam sgd {LOOP} --final-seeds 1 --replicates auto:14"],
    "longer": [f"adam sgd {LOOP} --final-seeds 2 --replicates {k}" for k in (2, 3)],
    "wrapped": [f"sgd {MINE}:Wrap sam={MINE}:Sam jumpy={MINE}:Jumpy {CLOUDS} {SMALL} {EAGER}"],
    "fixed": [f"adam sgd-momentum --task {MINE}:fixed {SMALL} {EAGER}"],
    "diverging": [f"adam sgd --space sgd.lr=1..1e9:log --margin 1 {CLOUDS} {SMALL} {EAGER}"],
    "suite": [
        "adam sgd muon=assay.contenders.muon:muon --task suite --epochs 1 --width 8 "
        f"--trials 2 --replicates 2 --final-seeds 1 {EAGER}"
    ],
    "axes": [
        f"adam sgd --task quadratic,logistic,{MINE}:clouds --epochs 1 --epochs 2 --batch-size 64 {SMALL} --engine loop"
    ],
}


def make(name: str, to: Path) -> Path:
    """The run folder of a plan, made from its commands in the folder `to`."""
    from assay.cli import call

    out = to / name
    for command in PLANS[name]:
        edition = [] if "--protocol" in command else ["--protocol", "honest-1"]
        code = call(["run", *command.split(), *edition, "--workers", "2", "--quiet", "--out", str(out)])
        if code:
            raise RuntimeError(f"assay run {command} ended with {code}")
    return out


def kept(name: str, to: Path) -> Path:
    """The record of a plan as it was kept, unpacked into the folder `to`."""
    with tarfile.open(HERE / f"{name}.tar.xz") as archive:
        archive.extractall(to, filter="data")
    return to / name


def _keep(name: str) -> None:
    from assay.record import manifest

    with tempfile.TemporaryDirectory() as temporary:
        folder = make(name, Path(temporary))
        for path in [p for p in folder.rglob("*") if p.suffix in DRAWN]:
            path.unlink()
        for sealed in [p.parent for p in folder.rglob(manifest.NAME)]:
            manifest.seal(sealed)
        manifest.seal(folder)
        with tarfile.open(HERE / f"{name}.tar.xz", "w:xz") as archive:
            archive.add(folder, name, filter=_anonymous)
        shutil.rmtree(folder)


def _anonymous(info: tarfile.TarInfo) -> tarfile.TarInfo:
    info.uid = info.gid = info.mtime = 0
    info.uname = info.gname = ""
    return info


if __name__ == "__main__":
    import os

    os.chdir(HERE)
    for wanted in sys.argv[1:] or PLANS:
        _keep(wanted)
        print(wanted, (HERE / f"{wanted}.tar.xz").stat().st_size)
