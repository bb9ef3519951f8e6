"""LaTeX: text that is only ever text in it, and templates filled in with such."""

from __future__ import annotations

import unicodedata
from functools import cache
from typing import Any

import jinja2

SPECIAL = {
    "\\": r"\textbackslash{}", "{": r"\{", "}": r"\}", "$": r"\$", "&": r"\&", "#": r"\#", "^": r"\textasciicircum{}",
    "_": r"\_", "~": r"\textasciitilde{}", "%": r"\%", "<": r"\textless{}", ">": r"\textgreater{}", "|": r"\textbar{}",
    '"': r"{\char34}", "[": "{[}", "*": "{*}",
    "−": "$-$", "×": r"$\times$", "±": r"$\pm$", "≤": r"$\le$", "≥": r"$\ge$", "≈": r"$\approx$",
    "·": r"$\cdot$", "→": r"$\to$", "‖": r"$\|$", "α": r"$\alpha$", "β": r"$\beta$", "θ": r"$\theta$", "√": r"$\surd$",
    "²": "$^2$", "₂": "$_2$", "µ": r"$\mu$", "μ": r"$\mu$", "–": "--", "—": "---", "…": r"\ldots{}", "“": "``", "”": "{''}",
    "‘": "`", "’": "'", "\u00a0": "~", "\u202f": r"\,", "\u200b": r"\hspace{0pt}",
}  # fmt: skip


def tex(value: Any) -> str:
    """A value as text in LaTeX, whatever is in it: pdflatex takes no more than Latin letters, others become their numbers.

    Example:
        >>> tex("lr 1e-3, 95 % & _x")
        'lr 1e-3, 95\\\\,\\\\% \\\\& \\\\_x'
    """
    return "".join(map(_character, unicodedata.normalize("NFC", str(value).replace("--", "-\u200b-")))).replace(
        r" \%", r"\,\%"
    )


class Raw(str):
    """Text that is LaTeX already, or a name of ours that needs no escaping."""


def _character(character: str) -> str:
    if character in SPECIAL:
        return SPECIAL[character]
    if character.isspace():
        return " "
    if " " <= character <= "~" or (character.isalpha() and "\u00c0" <= character <= "\u017f"):
        return character
    return f"{{[}}U+{ord(character):04X}]"


def filled(template: str, **context: Any) -> str:
    """A template filled in; every value in `<< >>` goes through `tex`."""
    return _templates().get_template(template).render(**context)


@cache
def _templates() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("assay.report", "templates"),
        block_start_string="<%",
        block_end_string="%>",
        variable_start_string="<<",
        variable_end_string=">>",
        comment_start_string="<#",
        comment_end_string="#>",
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
        finalize=lambda value: value if isinstance(value, Raw | jinja2.Undefined) else tex(value),
    )
    environment.filters["raw"] = Raw
    return environment
