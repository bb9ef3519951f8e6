"""What was found, as files that other tools read: JUnit's XML, SARIF, a baseline of what is known to fail, a badge."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

import msgspec

from assay.conformance.catalogue import CATALOGUE
from assay.conformance.explained import EXPLAINED
from assay.conformance.report import Found, Report
from assay.core.versions import installed
from assay.errors import UsageError

Baseline = dict[str, dict[str, str]]  # by that name, then by check: what was said of it


def failures(found: Found) -> Baseline:
    """What fails of each, and what is said of it."""
    reports = {name: report for name, report in found.items() if isinstance(report, Report)}
    return {name: {f.name: f.sentence for f in report.failed} for name, report in reports.items() if report.failed}


def new(found: Found, known: Baseline) -> Baseline:
    """Of what fails, what isn't known."""
    fresh = {n: {c: s for c, s in checks.items() if c not in known.get(n, {})} for n, checks in failures(found).items()}
    return {name: checks for name, checks in fresh.items() if checks}


def gone(found: Found, known: Baseline) -> Baseline:
    """Of what is known to fail, what was asked for and fails no more."""
    failing = failures(found)
    mended = {
        n: {c: s for c, s in checks.items() if c not in failing.get(n, {})} for n, checks in known.items() if n in found
    }
    return {name: checks for name, checks in mended.items() if checks}


def read_baseline(path: Path) -> Baseline:
    """What a baseline holds; nothing where there is no such file.

    Raises:
        UsageError: it is none.
    """
    if not path.exists():
        return {}
    try:
        return msgspec.json.decode(path.read_bytes(), type=Baseline)
    except (OSError, msgspec.MsgspecError) as error:
        raise UsageError(
            f"--baseline {path} can't be read ({error}): take it away, and run with --update-baseline"
        ) from None


def as_baseline(found: Found, known: Baseline) -> bytes:
    """A baseline of what fails now, and of what was known of others; reasons that were written there are kept."""
    now = {n: {c: known.get(n, {}).get(c, s) for c, s in checks.items()} for n, checks in failures(found).items()}
    others = {name: checks for name, checks in known.items() if name not in found}
    return msgspec.json.format(msgspec.json.encode(dict(sorted({**others, **now}.items()))), indent=2) + b"\n"


def as_junit(found: Found, known: Baseline) -> bytes:
    """A test case for each optimizer and check, as test reports are read by most CI systems; known failures are skipped."""
    suites = ET.Element("testsuites", name="assay check")
    for name, report in found.items():
        suite = ET.SubElement(suites, "testsuite", name=name)
        if isinstance(report, str):
            ET.SubElement(ET.SubElement(suite, "testcase", classname=name, name="made"), "skipped", message=report)
            continue
        for finding in report.findings:
            case = ET.SubElement(suite, "testcase", classname=name, name=finding.name)
            if finding.status == "not applicable":
                ET.SubElement(case, "skipped", message=finding.sentence)
            elif finding.status == "fail" and finding.name in known.get(name, {}):
                ET.SubElement(case, "skipped", message=f"known: {known[name][finding.name]}")
            elif finding.status == "fail":
                ET.SubElement(case, "failure", message=finding.sentence).text = finding.example or ""
    for suite in suites.iter("testsuite"):
        cases = suite.findall("testcase")
        for kind, tag in (("failures", "failure"), ("skipped", "skipped")):
            suite.set(kind, str(sum(case.find(tag) is not None for case in cases)))
        suite.set("tests", str(len(cases)))
    ET.indent(suites)
    return ET.tostring(suites, encoding="utf-8", xml_declaration=True)


def as_sarif(found: Found, known: Baseline) -> bytes:
    """What fails, by the file and line of the class, as code hosts show it (SARIF 2.1.0)."""
    rules = [
        {"id": spec.name, "shortDescription": {"text": spec.title}, "help": {"text": _help(spec.name)}}
        for spec in CATALOGUE
        if spec.kind == "check"
    ]
    results: list[dict[str, Any]] = []
    for name, report in found.items():
        if isinstance(report, str):
            continue
        file, _, line = report.where.rpartition(":")
        for finding in report.failed:
            result: dict[str, Any] = {"ruleId": finding.name, "level": "error"}
            result["message"] = {"text": f"{name}: {finding.sentence}\n\n{finding.example or ''}".strip()}
            if file:
                region = {"startLine": int(line) or 1}
                result["locations"] = [
                    {"physicalLocation": {"artifactLocation": {"uri": _seen(file)}, "region": region}}
                ]
            if finding.name in known.get(name, {}):
                result["suppressions"] = [{"kind": "external", "justification": known[name][finding.name]}]
            results.append(result)
    driver = {"name": "assay", "version": installed("assay"), "rules": rules}
    whole = {
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{"tool": {"driver": driver}, "results": results}],
    }
    return msgspec.json.format(msgspec.json.encode(whole), indent=2) + b"\n"


def as_badge(found: Found, known: Baseline) -> str:
    """An SVG of one line: how many pass, or all but what is known to fail."""
    fresh, failing = new(found, known), failures(found)
    checked = sum(isinstance(report, Report) for report in found.values())
    said = (
        f"{checked - len(fresh)} of {checked} pass"
        if fresh
        else "all checks pass"
        if not failing
        else "passes, faults known"
    )
    colour = "#c0392b" if fresh else "#2e7d32" if not failing else "#8a6d1a"
    left, right = 46, 12 + round(6.6 * len(said))
    told, font = escape(f"assay: {said}"), 'font-family="Verdana,DejaVu Sans,sans-serif" font-size="11"'
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{left + right}" height="20" role="img" aria-label="{told}">'
        f'<title>{told}</title><rect width="{left}" height="20" fill="#444"/>'
        f'<rect x="{left}" width="{right}" height="20" fill="{colour}"/><g fill="#fff" {font} text-anchor="middle">'
        f'<text x="{left / 2}" y="14">assay</text><text x="{left + right / 2}" y="14">{escape(said)}</text></g></svg>\n'
    )


def _help(name: str) -> str:
    told = EXPLAINED[name]
    return f"{told.why}\n\nMend: {told.mend}"


def _seen(file: str) -> str:
    """A path as seen from here, which is where code hosts look from, or whole."""
    path = Path(file).resolve()
    return path.relative_to(Path.cwd()).as_posix() if path.is_relative_to(Path.cwd()) else path.as_uri()
