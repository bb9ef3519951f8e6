"""Seeds: hashes of named axes, never counters, so that pairing is a choice of axes and no seed has two roles.

Every function takes the plan's root seed and the axes that matter, and returns an integer in [0, 2⁶³).
"""

from __future__ import annotations

import hashlib

from assay.core import Member, Phase

HUNDRED = 100  # members, of which one is audited


def hashed(role: str, root: int, **axes: int | str) -> int:
    """The seed of a role at a place on its axes; the role and every axis name are part of what is hashed."""
    text = "|".join([f"assay:{role}", f"root={root}", *(f"{name}={value}" for name, value in sorted(axes.items()))])
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big") >> 1


def split(root: int, replicate: int) -> int:
    """The data set (or the partition) of a replicate."""
    return hashed("split", root, replicate=replicate)


def sampler(root: int, replicate: int, trial: int, slot: int) -> int:
    """The hyperparameter sampler at one trial; slot is the contender's position, not its name."""
    return hashed("sampler", root, replicate=replicate, trial=trial, slot=slot)


def design(root: int, replicate: int, part: int, slot: int, entry: str) -> int:
    """Where the trials of one round of a study lie; `entry` is a hash of the contender's own plan entry.

    So each question has a luck of its own, and the baseline, who always comes first, not the same one in all of them.
    """
    return hashed("design", root, replicate=replicate, part=part, slot=slot, entry=entry)


def of_member(root: int, protocol: str, replicate: int, phase: Phase, index: int) -> dict[str, int]:
    """All seeds of one training, by their field in `Member`; all contenders share them.

    They are the data set's, the initial weights', the order of the batches', and that of whatever the model draws while it
    trains (dropout masks). Under the published protocol initial weights are the same for every trial and final run.
    """
    place = {"replicate": replicate, "phase": phase, "index": index}
    start = {"replicate": replicate, "phase": "tune", "index": 0} if protocol == "published" else place
    return {
        "split": split(root, replicate),
        "init": hashed("init", root, **start),
        "batches": hashed("batches", root, **place),
        "noise": hashed("noise", root, **place),
    }


def fit(root: int, protocol: str, member: Member) -> bool:
    """Whether a member has the seeds that its place gives it."""
    wanted = of_member(root, protocol, member.replicate, member.phase, member.index)
    return all(getattr(member, name) == seed for name, seed in wanted.items())


def audited(root: int, slot: int, number: int, total: int) -> bool:
    """Whether a contender's member is audited: of each hundred, counted in any order that is the plan's, one that is drawn.

    Of fewer than a hundred in all it is one; of the last ones of more, one or none, so that it is one in a hundred all over.

    Args:
        number: the member's, from 0. total: how many the plan has at first.
    """
    block, place = divmod(number, HUNDRED)
    size = min(HUNDRED, max(1, total))
    return place == hashed("audit", root, slot=slot, block=block) % size
