"""Runs that are killed at random moments and started again until they are done: is anything lost, repeated or left over?

    python benchmarks/chaos.py --runs 50

Each run is one comparison on the tests' small task. At a random moment SIGKILL goes to the command, to one of its
workers, or to both; then the command is started again. In the end `result.json` must be that of a run that was left
alone, to the byte; every file of members that was there at a kill must be the very same file (inode and bytes); the
folder must hold the same files, and nothing else; and no process may be left.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
OPTIONS = [
    "--task",
    "tests/tiny.py:task",
    "--trials",
    "12",
    "--replicates",
    "4",
    "--final-seeds",
    "4",
    "--engine",
    "loop",
]


def main() -> None:
    options = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    options.add_argument("--runs", type=int, default=50)
    options.add_argument("--workers", default="2")
    options.add_argument("--epochs", default="40")
    options.add_argument("--seed", type=int, default=0)
    asked = options.parse_args()
    rng = random.Random(asked.seed)
    command = [sys.executable, "-m", "assay", "run", "adam", "sgd", *OPTIONS]
    command += ["--epochs", asked.epochs, "--workers", asked.workers, "--quiet"]
    with tempfile.TemporaryDirectory(prefix="assay-chaos-") as name:
        place = Path(name)
        started = time.monotonic()
        subprocess.run([*command, "--out", str(place / "whole")], check=True, cwd=ROOT, stdout=subprocess.DEVNULL)
        alone = time.monotonic() - started
        print(f"left alone: {alone:.1f} s, {len(list((place / 'whole' / 'members').iterdir()))} files of members")
        table: dict[str, list[int]] = {}
        wrong = 0
        for i in range(asked.runs):
            found = one(command, place / f"run{i}", place / "whole", alone, rng)
            for key, value in found["kills"].items():
                table.setdefault(key, []).append(value)
            wrong += bool(found["wrong"])
            kills = ", ".join(f"{v} × {k}" for k, v in found["kills"].items() if v)
            print(f"run {i + 1:2}: {kills or 'no kill'}; {found['wrong'] or 'as left alone'}", flush=True)
            shutil.rmtree(place / f"run{i}")
        print()
        print("| killed | times |\n|---|---|")
        for key, values in table.items():
            print(f"| {key} | {sum(values)} |")
        print(f"\n{asked.runs - wrong} of {asked.runs} runs as left alone")
    sys.exit(wrong > 0)


def one(command: list[str], folder: Path, whole: Path, alone: float, rng: random.Random) -> dict[str, Any]:
    """Run, kill, run again, until it is done; what was killed, and what is wrong in the end."""
    kills = {"the command": 0, "a worker": 0, "both": 0}
    finished: dict[str, tuple[int, bytes]] = {}
    wrong: list[str] = []
    while True:
        going = subprocess.Popen(
            [*command, "--out", str(folder)], cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
        )
        family: set[int] = set()
        moment = time.monotonic() + rng.uniform(0.2, 1.1) * alone
        victim = rng.choice(list(kills))
        while time.monotonic() < moment and going.poll() is None:
            time.sleep(0.02)
        family |= descendants(going.pid)
        if going.poll() is None:
            workers = workers_of(family)
            if victim != "the command" and workers:
                kill(rng.choice(workers))
            if victim != "a worker" or not workers:
                kill(going.pid)
                victim = victim if workers else "the command"
            kills[victim] += 1
        errors = going.communicate()[1].decode()
        if "Traceback" in errors and victim == "a worker":
            wrong.append(f"a traceback: {errors.splitlines()[-1]}")
        finished |= {p.name: (p.stat().st_ino, p.read_bytes()) for p in folder.glob("members/*.parquet")}
        if left := alive_after(family, 10):
            wrong.append(f"{len(left)} processes left")
            for pid in left:
                kill(pid)
        if going.returncode == 0:
            break
        if going.returncode not in (-signal.SIGKILL, 3):
            wrong.append(f"exit code {going.returncode}: {errors.strip()}")
            break
    if going.returncode == 0:
        if (folder / "result.json").read_bytes() != (whole / "result.json").read_bytes():
            wrong.append("another result")
        repeated = [n for n, (inode, content) in finished.items() if not same(folder / "members" / n, inode, content)]
        if repeated:
            wrong.append(f"{len(repeated)} chunks trained again")
        stray = files(folder) ^ files(whole)
        if stray:
            wrong.append(f"stray or missing: {sorted(stray)}")
    return {"kills": kills, "wrong": "; ".join(wrong)}


def same(path: Path, inode: int, content: bytes) -> bool:
    return path.exists() and path.stat().st_ino == inode and path.read_bytes() == content


def files(folder: Path) -> set[str]:
    return {p.relative_to(folder).as_posix() for p in folder.rglob("*")}


def kill(pid: int) -> None:
    """End a process that this program started."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


def descendants(pid: int) -> set[int]:
    """All processes that come from this one, itself too."""
    parents: dict[int, int] = {}
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            parents[int(entry.name)] = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
        except OSError:
            continue
    family = {pid}
    while more := {child for child, parent in parents.items() if parent in family} - family:
        family |= more
    return family


def workers_of(family: set[int]) -> list[int]:
    """The processes of a family that train: the children of its fork server."""
    servers, found = set(), []
    for pid in family:
        try:
            if b"forkserver" in Path(f"/proc/{pid}/cmdline").read_bytes():
                found.append(pid)
                servers.add(int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1]))
        except OSError:
            continue
    return sorted(pid for pid in found if pid not in servers)


def alive_after(family: set[int], seconds: float) -> list[int]:
    """Those of a family that are still there after some seconds (zombies are not)."""
    deadline = time.monotonic() + seconds
    while True:
        left = [pid for pid in family if running(pid)]
        if not left or time.monotonic() > deadline:
            return left
        time.sleep(0.1)


def running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


if __name__ == "__main__":
    main()
