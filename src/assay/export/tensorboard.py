"""Event files for TensorBoard. torch isn't needed."""

from __future__ import annotations

from pathlib import Path

from assay.export.members import members, needed, records, see_that_it_is_empty, writing

INSTALL = "'assay[tensorboard]'"


def write(path: Path, to: Path) -> Path:
    """Write each member's curves as a TensorBoard run into `to/<slot>-<contender>/<phase>/<replicate>-<index>`.

    A step is an epoch, counted from 1; its wall time is the share of the member's seconds that it would have taken.

    Raises:
        UsageError: TensorBoard isn't installed, or `to` isn't empty; else as in `tables.csv`.
    """
    Event = needed("--tensorboard", "tensorboard.compat.proto.event_pb2", INSTALL).Event
    Summary = needed("--tensorboard", "tensorboard.compat.proto.summary_pb2", INSTALL).Summary
    Writer = needed("--tensorboard", "tensorboard.summary.writer.event_file_writer", INSTALL).EventFileWriter
    found = records(path, to)
    see_that_it_is_empty(to, "TensorBoard")
    for place, folder in found:
        with writing(place):
            for member in members(folder):
                row = member.row
                arm = place / f"{row['slot']}-{_safe(row['contender'])}"
                writer = Writer(str(arm / row["phase"] / f"{row['replicate']}-{row['index']}"))
                for epoch, seconds, now in member.epochs:
                    values = [Summary.Value(tag=name, simple_value=x) for name, x in now.items()]
                    writer.add_event(Event(wall_time=seconds, step=epoch, summary=Summary(value=values)))
                writer.close()
    return to


def _safe(name: str) -> str:
    return "".join(c if c.isalnum() or c in "-_+" else "_" for c in name)[:80]
