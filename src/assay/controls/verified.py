"""Is the record of the controls what the question's record makes it? For `verify`; torch isn't needed."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec
import numpy as np

from assay import seeds
from assay.answer.arrays import RecordArrays
from assay.controls import lengths, plan
from assay.controls.judged import Trained, controls_record, replayed_at
from assay.core import Science
from assay.record import RunFolder, chunks

TOLERANCE = 1e-9  # relative: another machine's mathematics library may round its last digit differently


def faults(folder: RunFolder, arrays: RecordArrays) -> Iterator[str]:
    """What is wrong with the controls of a question, a line each.

    Raises:
        BrokenRecord: members are missing, or a file can't be read.
    """
    trained = Trained(arrays, controls_record(folder))
    yield from _another_plan(folder, trained)
    digests = dict(arrays.frame.select("replicate", "digest").iter_rows())
    for control in trained.controls:
        if trained.skipped(control):
            continue
        found, name = trained.arrays(control), trained.science.contenders[control.slot].name
        given = replayed_at(arrays) if control.kind == "replay" else {}
        for phase in ("tune", "final"):
            rows = found.members(control.slot, phase)
            shift = trained.first_seed(control) if phase == "final" else 0
            for member, digest in zip(chunks.to_members(rows), rows["digest"], strict=True):
                own = msgspec.structs.replace(member, index=member.index + shift)
                where = f"{name}, {own.words}"
                asked = given.get(member.replicate, {})
                if phase == "final":
                    asked = found.chosen(control.slot, member.replicate)
                if not seeds.fit(trained.science.seed, "honest", own):
                    yield f"{where}: not the plan's seeds"
                if digest != digests[member.replicate]:
                    yield f"{where}: it did not see the data of its replicate"
                if not asked.items() <= member.hyperparameters.items():
                    yield f"{where}: not at the hyperparameters that it should have"


def _another_plan(folder: RunFolder, trained: Trained) -> Iterator[str]:
    """The controls' plan follows from the question's; the lengths of a replay from the candidate's steps."""
    found = lengths.of_record(folder, trained.question)
    kept = dict(found)
    for slot, table in found.items():
        if isinstance(table, str):
            continue
        own = kept[slot] = lengths.read(trained.folder.path, slot)
        if table.shape != own.shape or not np.allclose(table, own, rtol=TOLERANCE, atol=0):
            yield f"{plan.FOLDER}: the lengths replayed are not those of {trained.science.contenders[slot].name}'s steps"
    expected = plan.science_of(trained.question.plan.science, kept)
    if _comparable(expected) != _comparable(trained.science):
        yield f"{plan.FOLDER}/plan.json is not what the plan of the question makes it"


def _comparable(science: Science) -> Science:
    """The science without the hash of the code that altered contenders, which may have changed since, in today's layout."""
    original = f"{science.contenders[0].source}; "
    contenders = list(science.contenders)
    for slot, info in enumerate(contenders):
        if reason := plan.skipped(info):
            contenders[slot] = msgspec.structs.replace(info, skipped=reason, source="", note="")
        elif info.reference.startswith(plan.OWN) and info.source.startswith(original):
            more = info.source.removeprefix(original).partition("; ")[2]  # of a replay: the hash of the lengths
            contenders[slot] = msgspec.structs.replace(info, source=original + more)
    return msgspec.structs.replace(science, contenders=tuple(contenders))
