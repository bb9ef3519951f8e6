"""In a notebook: one place below the cell that is written anew while it works."""

from __future__ import annotations

import html
import sys
import threading
import time
from typing import Protocol

from assay import events

from .state import State, lasted
from .ticking import Ticking

EVERY = 0.5  # seconds


def in_a_notebook() -> bool:
    """Whether this runs in a kernel that shows what is displayed: Jupyter's, or marimo's."""
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    return getattr(shell, "kernel", None) is not None or _in_marimo()


def _in_marimo() -> bool:
    return bool(getattr(sys.modules.get("marimo"), "running_in_notebook", bool)())


class Place(Protocol):
    """Where something stands that is written anew."""

    def update(self, shown: Shown, /) -> object:
        """Write this in its place."""
        ...


class _MarimoOutput:
    def update(self, shown: Shown, /) -> None:
        import marimo  # type: ignore[import-not-found]

        marimo.output.replace(marimo.Html(shown._repr_html_()))


def _place(first: Shown) -> Place:
    """With this in it."""
    if _in_marimo():
        found = _MarimoOutput()
        found.update(first)
        return found
    from IPython.display import display  # type: ignore[import-not-found]

    handle = display(first, display_id=True)
    assert handle is not None  # with an id there is one
    return handle


class Shown:
    """What stands below the cell: a bar, what is at work, and what has been said."""

    def __init__(self, line: str, share: float | None, said: list[str]) -> None:
        self.line, self.share, self.said = line, share, said

    def __repr__(self) -> str:
        return "\n".join([*self.said, self.line])

    def _repr_html_(self) -> str:
        bar = "" if self.share is None else f'<progress value="{self.share:.4f}" max="1"></progress> '
        said = "".join(f"<div>{html.escape(line)}</div>" for line in self.said)
        return f'<div style="font-size: 90%">{said}<div>{bar}{html.escape(self.line)}</div></div>'


class Cell:
    """A listener that writes what it hears below the cell."""

    def __init__(self) -> None:
        self.state, self.said, self.lock, self.shown = State(), list[str](), threading.Lock(), 0.0

    def __enter__(self) -> Cell:
        self.handle = _place(self._now())
        self.ticking = Ticking(EVERY, self._show)
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        self.ticking.stop()
        how = "done" if kind is None else f"stopped while {self.state.stage}"
        self.handle.update(Shown(f"{how}, at {lasted(self.state.elapsed)}", None, self.said))

    def __call__(self, event: events.Event) -> None:
        """Show what it tells."""
        with self.lock:
            lines = self.state.hear(event)
            if not isinstance(event, events.Stage):  # which the line says that is written anew
                self.said += lines
        if lines or time.monotonic() - self.shown > EVERY:
            self._show()

    def _now(self) -> Shown:
        share = self.state.done / self.state.total if self.state.total else None
        return Shown(self.state.line(), share, [*self.said])

    def _show(self) -> None:
        with self.lock:
            self.shown = time.monotonic()
            now = self._now()
        self.handle.update(now)
