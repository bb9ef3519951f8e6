"""The open board's page: every claim with its interval, who made it, and what other runs say of it; what was refused, and why."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np

from assay.openboard.again import Retrained
from assay.openboard.claims import ALPHA, Claim
from assay.openboard.received import Refused
from assay.report.drawn import PAGE, drawn_with
from assay.report.figures import Card, Series
from assay.report.figures.rows import forest
from assay.report.page import html, put, svg
from assay.report.style import OUTCOMES, drawing
from assay.report.units import signed

FIGURES = 40  # rows of one figure, the latest claims


def write(
    claims: Sequence[Claim], rows: Sequence[dict[str, Any]], refused: Sequence[Refused], page: Path, title: str
) -> Path:
    """Write the page, and return where it is. `rows`: those of the claims.

    Raises:
        UsageError: it can't be written.
    """
    with drawing():
        drawn = [(card, svg(card.figure, card.name, f"{card.title}. {card.reading}")) for card in _figures(claims)]
    text = html(
        "openboard.html.j2",
        title=title,
        rows=rows,
        history=sorted(rows, key=lambda r: (r["made"], r["folder"]), reverse=True),
        tasks=list(dict.fromkeys(r["where"] for r in rows)),
        sizes=list(dict.fromkeys(r["options"] for r in rows if r["options"])),
        refused=refused,
        figures=drawn,
        alpha=ALPHA,
        drawn_with=drawn_with(),
    )
    return put(page, text)


def row(claim: Claim, retrained: Retrained | None, page: Path) -> dict[str, Any]:
    """A claim as the page shows it, plain data; addresses are seen from the page."""
    one, verdict = claim.one, claim.verdict
    protocol = one.sciences[0].protocol
    return {
        "where": claim.where,
        "options": ", ".join(f"{name} {value}" for name, value in claim.options.items()),
        "candidate": verdict["candidate"],
        "baseline": one.sciences[0].contenders[0].name,
        "outcome": verdict["outcome"],
        "mean": claim.mean,
        "said": signed(claim.mean) + (f" ({signed(claim.ends[0])} to {signed(claim.ends[1])})" if claim.ends else ""),
        "worth": verdict.get("speedup"),
        "worth_ends": (verdict.get("speedup_low"), verdict.get("speedup_high")),
        "replicates": len(claim.differences),
        "trials": protocol.trials,
        "seed": claim.seed,
        "by": one.submission.by,
        "made": one.submission.made,
        "licence": one.submission.licence,
        "note": one.submission.note,
        "machine": one.machine,
        "root": one.submission.root,
        "sentence": verdict["sentence"],
        "folder": one.folder.name,
        "address": _address(claim, page),
        "retrained": str(retrained or ""),
        "others": [
            {
                "by": other.claim.one.submission.by,
                "address": _address(other.claim, page),
                "said": signed(other.claim.mean),
                "p": other.p,
                "contradicts": other.contradicts,
            }
            for other in claim.others
        ],
        "skeptical": bool(claim.skeptical),
    }


def _address(claim: Claim, page: Path) -> str:
    return quote(os.path.relpath(claim.one.record / PAGE, page.resolve().parent))


def _figures(claims: Sequence[Claim]) -> list[Card]:
    return [_forest(claims)] if claims else []


def _forest(claims: Sequence[Claim]) -> Card:
    latest = sorted(range(len(claims)), key=lambda place: claims[place].one.submission.made, reverse=True)[:FIGURES]
    shown = [claims[place] for place in sorted(latest)]
    rows = [
        Series(
            f"{claim.verdict['candidate']} by {claim.one.submission.by}, {claim.where}",
            OUTCOMES[claim.verdict["outcome"]],
            np.array([other.claim.mean for other in claim.others]),
            claim.mean,
            claim.ends,
        )
        for claim in shown
    ]
    found = {claim.verdict["outcome"] for claim in shown}
    return Card(
        "claims",
        "What is claimed, and what other runs found",
        "Right of the line is better than the baseline. Large marks are claims with the interval that decides, small dots other "
        "runs of the same question at other seeds; in the grey band a difference is too small to matter.",
        forest(rows, "difference in margins", {name: look for name, look in OUTCOMES.items() if name in found}),
    )
