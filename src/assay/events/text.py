"""What may reach a terminal: text, and nothing that a terminal obeys. Names, paths, notes and errors come from anywhere."""

from __future__ import annotations

import codecs
import re
import sys
from collections.abc import Iterable

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment
from rich.text import Text

# controls of a terminal but tab and line feed, what turns the direction of text round, and halves of characters
OBEYED = re.compile("[\0-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff\ud800-\udfff]")
PLAINER = "assay.plainer"  # how an encoding without a character shows it
TWINS = {"−": "-", "–": "-", "…": "...", "±": "+/-", "×": "x", "→": "->", "≈": "~", "“": '"', "”": '"', "’": "'"}


def shown(text: str) -> str:
    """The text with what a terminal would obey written out, as in \\x1b."""
    return OBEYED.sub(lambda found: _written_out(found[0]), text)


def line(text: str) -> Text:
    """The text as one line of a console, whatever is in it."""
    return Text(shown(text).replace("\n", "\\n"))


def say(text: str) -> None:
    """Lines on standard output."""
    print(shown(text))


def tell(text: str) -> None:
    """Lines on standard error, after the name of the program."""
    print(f"assay: {shown(text)}", file=sys.stderr)


def say_json(text: str) -> None:
    """JSON on standard output, the same value: in it, what a terminal would obey or can't show is escaped."""
    encoding = sys.stdout.encoding or "utf-8"
    escaped = OBEYED.sub(_in_json, text)
    try:
        escaped.encode(encoding)
    except UnicodeEncodeError:
        escaped = re.sub(r"[^\0-\x7f]", _in_json, escaped)
    sys.stdout.write(escaped)


class Screen(Console):
    """A console of rich that shows text and its own drawing, and passes nothing else on."""

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """See rich: here what is drawn ends as text, whatever it came from."""
        for segment in super().render(renderable, options):
            yield segment if segment.control else segment._replace(text=shown(segment.text))


def _written_out(character: str) -> str:
    return character.encode("unicode_escape").decode()


def _in_json(found: re.Match[str]) -> str:
    units = found[0].encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[i : i + 2].hex()}" for i in range(0, len(units), 2))


def _plainer(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    lost = error.object[error.start : error.end]
    return "".join(TWINS.get(c) or _written_out(c) for c in lost), error.end


codecs.register_error(PLAINER, _plainer)
