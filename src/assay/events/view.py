"""Which listener shows what happens: live on a terminal and in a notebook, plain lines elsewhere. Always on standard error."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator

from assay import events

from .lines import Lines
from .notebook import Cell, in_a_notebook
from .screen import on_a_terminal, warn_only
from .text import Screen


@contextlib.contextmanager
def view(quiet: bool) -> Iterator[events.OnEvent]:
    """A listener that shows what it hears; `quiet`: warnings only."""
    console = Screen(stderr=True, highlight=False, emoji=False)
    if quiet:
        yield warn_only(console)
    elif in_a_notebook():
        with Cell() as listener:
            yield listener
    elif console.is_terminal:
        with on_a_terminal(console) as listener:
            yield listener
    else:
        with Lines(sys.stderr) as listener:
            yield listener
