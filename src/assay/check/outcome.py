"""How a check answers: it returns `Passed`, or raises one of the others."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Passed:
    """All is well, in one sentence; `value` is what was measured, `facts` what later checks need to know."""

    sentence: str
    value: Mapping[str, Any] = field(default_factory=dict)
    facts: Mapping[str, Any] = field(default_factory=dict)


class Failed(Exception):
    """A fault, in one sentence, with the example that shows it (else the lab's last one)."""

    def __init__(self, sentence: str, example: str | None = None) -> None:
        super().__init__(sentence)
        self.example = example


class Skip(Exception):
    """The check doesn't apply, with the reason."""
