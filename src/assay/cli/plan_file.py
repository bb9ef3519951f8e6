"""A question in a file, `assay run --plan FILE`, which `assay plan …` writes: YAML, of which each scalar is taken as text."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from assay.core import EngineOptions, ProtocolOptions, WorkerOptions
from assay.errors import UsageError, nearest, said

from .options import OutputOptions, TaskText

if TYPE_CHECKING:
    from yaml import MappingNode, Node

OPTION = "--plan"
NAMES = ("baseline", "candidates")
KINDS = (TaskText, ProtocolOptions, EngineOptions, WorkerOptions, OutputOptions)
BY_FIELD = {"margin_in_text": "margin"}  # where the option isn't called as the field is
OTHERS = {
    "margin",
    "plan_only",
    "json",
    "quiet",
    "fresh",
}  # fields that are no part of a question, or come by another name


def _keys() -> list[str]:
    known = [
        BY_FIELD.get(field.name, field.name) for kind in KINDS for field in fields(kind) if field.name not in OTHERS
    ]
    return [*NAMES, *known]


@dataclass(frozen=True)
class Expanded:
    """A command line, with what a file says in it, and on which line of the file each option is."""

    arguments: list[str]
    path: Path | None = None
    lines: Mapping[str, int] | None = None  # by option, as in --final-seeds

    def placed(self, message: str) -> str:
        """A message with the line of the file in front, where it speaks of an option that is from there."""
        for option, line in (self.lines or {}).items():
            names = f"({re.escape(option)}|{re.escape(option[2:].replace('-', '_'))})"
            if re.search(rf"(?<![\w-]){names}(?![\w-])", message):
                return f"{self.path}:{line}: {message}"
        return message


def expanded(arguments: Sequence[str]) -> Expanded:
    """The command line of `assay run --plan FILE …`, with what the file says put in. What is on the command line goes before it.

    Raises:
        UsageError: the file can't be read, or says something that no question has, with the line.
    """
    words = list(arguments)
    place = next((i for i, word in enumerate(words) if word == OPTION or word.startswith(f"{OPTION}=")), None)
    if words[:1] != ["run"] or place is None:
        return Expanded(words)
    word = words.pop(place)
    if word == OPTION and place >= len(words):
        raise UsageError(f"{OPTION}: which file? As in assay run {OPTION} plan.yaml")
    path = Path(words.pop(place) if word == OPTION else word.partition("=")[2])
    given = {part.partition("=")[0] for part in words if part.startswith("--")}
    names: list[str] = []
    options: list[str] = []
    lines: dict[str, int] = {}
    for key, line, values in _entries(path):
        option = f"--{key.replace('_', '-')}"
        if key in NAMES:
            at = 0 if key == "baseline" else len(names)  # whichever comes first in the file
            names[at:at] = values
        elif option not in given:
            lines[option] = line
            for value in values:
                options += [] if value == "false" else [option] if value == "true" else [option, value]
    return Expanded(["run", *names, *options, *words[1:]], path, lines)


def _entries(path: Path) -> Iterator[tuple[str, int, list[str]]]:
    """Keys, the lines they are on, and their values."""
    import yaml

    try:
        document = yaml.compose(path.read_text(encoding="utf-8"), Loader=yaml.BaseLoader)
    except OSError as error:
        raise UsageError(f"{OPTION} {path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise UsageError(f"{OPTION} {path}: it is no text in UTF-8") from None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        at = f"{path}:{mark.line + 1}" if mark else str(path)
        why = getattr(error, "problem", None) or said(error)
        raise UsageError(f"{at}: {'a tab; indent with spaces' if repr(chr(9)) in why else why}") from None
    if not isinstance(document, yaml.MappingNode):
        raise UsageError(
            f"{path}: write a line an option, as in trials: 10 (assay plan adam mine.py:Mine prints such a file)"
        )
    known, seen = _keys(), set[str]()
    for key, line, value in _pairs(document, path):
        name = key.replace("-", "_")
        if name not in known:
            raise UsageError(f"{path}:{line}: no option is called {key}; {nearest(name, known)}")
        if name in seen:
            raise UsageError(f"{path}:{line}: {key} comes twice; give its values in a list")
        seen.add(name)
        yield name, line, _values(value, path)


def _pairs(node: MappingNode, path: Path) -> Iterator[tuple[str, int, Node]]:
    from yaml import ScalarNode

    for key, value in node.value:
        line = key.start_mark.line + 1
        if not isinstance(key, ScalarNode):
            raise UsageError(f"{path}:{line}: an option's name must be a word")
        yield key.value, line, value


def _values(node: Node, path: Path) -> list[str]:
    """One, several of a list, or, of a mapping as in `space`, key=value each. Nothing where it is left empty."""
    from yaml import MappingNode, ScalarNode, SequenceNode

    line = node.start_mark.line + 1
    if isinstance(node, ScalarNode):
        return [] if node.value in ("", "null", "~") and node.style is None else [node.value]
    if isinstance(node, MappingNode):
        return [f"{key}={value}" for key, _, own in _pairs(node, path) for value in _values(own, path)]
    if isinstance(node, SequenceNode) and all(isinstance(item, ScalarNode) for item in node.value):
        return [item.value for item in node.value]
    raise UsageError(f"{path}:{line}: a list here must be of words and numbers")


def written(baseline: str, candidates: Sequence[str], *options: Any) -> str:
    """The file that asks the same: the contenders, and each option that isn't as by default."""
    import yaml

    content: dict[str, Any] = {"baseline": baseline, "candidates": list(candidates)}
    for kind in options:
        for field in fields(kind):
            value = _plain(getattr(kind, field.name))
            if field.name not in OTHERS and value != _plain(field.default):
                content[BY_FIELD.get(field.name, field.name)] = value
    return yaml.safe_dump(content, sort_keys=False, allow_unicode=True)


def _plain(value: Any) -> Any:
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return str(value) if isinstance(value, Path) else value
