"""What `assay report` does: a run's page again, several side by side, or what a paper needs. Only of records that are sound."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path


def again(folder: Path) -> Path:
    """Draw the report into its folder, and seal that anew."""
    from assay.record import manifest
    from assay.record.inspection import reading
    from assay.report import draw

    with reading(folder):
        _see_that_it_is_sound(folder)
        page = draw(folder)
        manifest.seal(folder)
    return page


def paper(folder: Path, to: Path) -> Path:
    """Write what a paper needs."""
    from assay.record.inspection import reading
    from assay.report.paper import write

    with reading(folder):
        _see_that_it_is_sound(folder)
        return write(folder, to)


def beside(folders: Sequence[Path], page: Path) -> Path:
    """Write the page of several."""
    from contextlib import ExitStack

    from assay.record.inspection import reading
    from assay.report.beside import write

    with ExitStack() as stack:
        for folder in dict.fromkeys(path.resolve() for path in folders):
            stack.enter_context(reading(folder))
            _see_that_it_is_sound(folder)
        return write(folders, page)


def _see_that_it_is_sound(folder: Path) -> None:
    from assay.driver.verify import check_result
    from assay.record import manifest
    from assay.record.inspection import inspect

    manifest.see_that_it_is_as_sealed(folder)
    inspect(folder)
    check_result(folder)
