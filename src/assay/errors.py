"""The faults that end a command, each with the exit code of the outside contract."""

from __future__ import annotations

import difflib
import traceback
from collections.abc import Iterable
from pathlib import Path

LONGEST = 2_000  # characters of what code of others says
MOST = 600  # of a list of names


class AssayError(Exception):
    """A fault with one clear line: cause and mend. `exit_code` is what the command line returns."""

    exit_code = 2

    def _render_traceback_(self) -> list[str]:
        """What IPython shows: the line that the command line prints, without assay's frames."""
        return [f"{type(self).__name__}: {self}"]


class UsageError(AssayError):
    """Wrong usage or bad input: exit code 2."""


class BrokenRecord(AssayError):
    """A file of the record is not what it says it is: exit code 1."""

    exit_code = 1


class Interrupted(AssayError):
    """Interrupted, disk full or workers lost: exit code 3. Everything finished is kept; the same command goes on."""

    exit_code = 3


class NoVerdict(AssayError):
    """No verdict can be given: exit code 4."""

    exit_code = 4


def nearest(name: str, known: Iterable[str]) -> str:
    """A half sentence for an unknown name: the nearest known ones, or all of them when none is near."""
    known = sorted(known)
    close = difflib.get_close_matches(name, known, n=3, cutoff=0.5)
    return "did you mean " + " or ".join(close) + "?" if close else "known: " + _cut(", ".join(known), MOST)


def said(error: BaseException) -> str:
    """What an error says, on one line and cut short; an error that fails when it is asked says so."""
    try:
        return _cut(" ".join(str(error).split()))
    except BaseException as again:  # an exception class of others may do anything here
        return f"<its __str__ raises {type(again).__name__}>"


def _cut(text: str, longest: int = LONGEST) -> str:
    return text if len(text) <= longest else f"{text[:longest]}... ({len(text):,} characters)"


def described(value: object) -> str:
    """A value that is of the wrong type, in a few words: its text, cut short, and its type."""
    kind = type(value).__name__
    kind = f"{'an' if kind[:1].lower() in 'aeiou' else 'a'} {kind}"
    try:
        text = " ".join(repr(value).split())
    except Exception:  # a user's class may fail to tell what it is
        return kind
    return f"{text if len(text) <= 60 else text[:57] + '...'} ({kind})"


def own_frames(error: BaseException) -> str:
    """An error raised by a user's code: its last line, then the frames that are theirs, neither assay's nor Python's."""
    try:
        last = _cut("".join(traceback.format_exception_only(error)).strip())
    except BaseException:  # what an exception class of others does when it is formatted
        last = f"{type(error).__name__}: {said(error)}"
    foreign = ("importlib", "site-packages", str(Path(__file__).parent))
    frames = [f for f in traceback.extract_tb(error.__traceback__) if not any(part in f.filename for part in foreign)]
    return last + "".join("\n" + text.rstrip() for text in traceback.format_list(frames))
