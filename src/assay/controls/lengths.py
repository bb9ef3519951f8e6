"""How long the steps of a schedule replay are: what the candidate's own final runs took, in the other replicates."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np

from assay.answer.arrays import RecordArrays
from assay.controls import plan
from assay.errors import BrokenRecord
from assay.record import RunFolder, checksum
from assay.record.files import read_bytes


def lengths(norms: np.ndarray, alive: np.ndarray, name: str) -> np.ndarray | str:
    """For each replicate the geometric mean of the update norms at each step over all *other* replicates' runs (K, T).

    Leaving the replicate's own runs out keeps its luck out of its replay. A step on which every run stands still has
    length 0.

    Args:
        norms: ‖θₜ₊₁−θₜ‖₂ of `name`'s final runs (K, r, T).
        alive: (K, r) bool, which of them did not diverge; the others don't count.
    Returns:
        The lengths, or one line that says why there are none.
    """
    counts = alive.sum()
    if len(norms) < 2:
        return "one replicate: there is no other to take the lengths from"
    if any(not np.delete(alive, k, axis=0).any() for k in range(len(norms))):
        return f"{alive.size - counts} of {alive.size} final runs of {name} diverged, too many to follow"
    taken = norms[alive].astype(np.float64)  # (runs, T)
    if not (np.isfinite(taken) & (taken >= 0)).all():
        return f"an update of {name} has no finite length"
    still = taken == 0
    if still.all():
        return f"the updates of {name} are all zero: there is no schedule to replay"
    mixed = still.any(axis=0) & ~still.all(axis=0)
    if mixed.any():
        return f"at step {int(np.argmax(mixed)) + 1} some runs of {name} stand still and some don't: there is no mean length"
    with np.errstate(divide="ignore"):
        logs = np.where(alive[:, :, None], np.log(norms.astype(np.float64)), 0.0).sum(axis=1)  # (K, T)
    here = alive.sum(axis=1)
    others = [(np.delete(logs, k, axis=0).sum(axis=0), counts - here[k]) for k in range(len(norms))]
    return np.exp(np.stack([total / number for total, number in others]))


def of_record(folder: RunFolder, arrays: RecordArrays) -> dict[int, np.ndarray | str]:
    """The lengths for a replay of each candidate, by slot, from the question's record.

    Raises:
        BrokenRecord: final runs whose steps are not on record.
    """
    science, found = arrays.plan.science, dict[int, np.ndarray | str]()
    baseline = science.contenders[0]
    for slot, info in enumerate(science.contenders[1:], start=1):
        taken = {plan.MULTIPLIER, plan.REPLICATE} & baseline.space.keys()
        if plan.is_the_baseline(info, baseline):
            found[slot] = f"{info.name} is {baseline.name} itself under another name"
        elif taken:
            found[slot] = f"{baseline.name} has a hyperparameter called {min(taken)}, as the replay has"
        else:
            found[slot] = lengths(*_norms(folder, arrays, slot), info.name)
    return found


def _norms(folder: RunFolder, arrays: RecordArrays, slot: int) -> tuple[np.ndarray, np.ndarray]:
    p, kept = arrays.protocol, folder.step_norms(slot)
    places = [(k, i) for k in range(p.replicates) for i in range(p.final_seeds)]
    missing = [place for place in places if place not in kept]
    if missing:
        raise BrokenRecord(
            f"{len(missing)} final runs are on record without their steps; run the command that made it again"
        )
    norms = np.stack([kept[place] for place in places]).reshape(p.replicates, p.final_seeds, -1)
    diverged = arrays.members(slot, "final")["diverged"].to_numpy().reshape(p.replicates, p.final_seeds)
    return norms, diverged == 0


def keep(folder: Path, found: dict[int, np.ndarray | str]) -> None:
    """Write the lengths beside the controls' plan."""
    for slot, table in found.items():
        if not isinstance(table, str):
            checksum.write_array(path(folder, slot), table)


def read(folder: Path, slot: int) -> np.ndarray:
    """What `keep` wrote. BrokenRecord where it can't be read."""
    file = path(folder, slot)
    try:
        return checksum.array_of(io.BytesIO(read_bytes(file)))
    except (OSError, ValueError) as error:
        raise BrokenRecord(f"{file} can't be read ({error}); delete {folder} and run the command again") from error


def path(folder: Path, slot: int) -> Path:
    """Where the lengths of one candidate are."""
    return folder / f"lengths-{slot}.npy"
