"""The checks over every optimizer class of torch.optim and of the third-party packages that are installed.

    python benchmarks/survey.py docs/survey.md [--packages torch.optim …] [--limit 30] [--keep FILE] [--again REFERENCE …]

With `--keep` each report is kept as a line of a file, and not made again but for those named by `--again`. The page has
one table, then each accusation with the example that shows it. What can't be made on a matrix and a vector with its
defaults, or never takes a step there, is listed with its reason and not judged.

heavyball compiles each step, minutes a class: here it runs eagerly, by its own `utils.compile_mode`.
"""

from __future__ import annotations

import argparse
from importlib import metadata
from pathlib import Path

import msgspec

from assay.conformance import Report, check
from assay.conformance.package import exported
from assay.conformance.report import summary
from assay.errors import UsageError

PACKAGES = {
    "torch.optim": "torch",
    "pytorch_optimizer": "pytorch_optimizer",
    "schedulefree": "schedulefree",
    "heavyball": "heavyball",
    "optimi": "torch-optimi",
}

EAGER = {"heavyball": Path(__file__).parent / "heavyball_eager.py"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--packages", nargs="+", default=list(PACKAGES))
    parser.add_argument("--limit", type=float, default=30.0, help="seconds for one check")
    parser.add_argument("--keep", type=Path, help="keep reports in this file, and go on from it")
    parser.add_argument("--again", nargs="*", default=[], help="make these again")
    options = parser.parse_args()
    reports: dict[str, Report] = {}
    refused: dict[str, str] = {}
    kept = read(options.keep, options.again)
    for package in options.packages:
        for name in classes(package):
            reference, place = f"{package}:{name}", EAGER.get(package, package)
            if isinstance(found := kept.get(reference), Report):
                reports[reference] = found
                continue
            if found:
                refused[reference] = found
                continue
            try:
                report = check(f"{place}:{name}", speed=False, limit=options.limit)
            except UsageError as error:
                refused[reference] = str(error).splitlines()[0]
                continue
            if reason := next((f.sentence for f in report.failed if f.name in ("made", "steps")), None):
                refused[reference] = reason
            else:
                reports[reference] = report
            print(f"{reference}: {summary(report)}", flush=True)
            if options.keep:
                with options.keep.open("ab") as file:
                    file.write(msgspec.json.encode((reference, reports.get(reference) or refused[reference])) + b"\n")
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(page(options.packages, reports, refused), encoding="utf-8")


def read(path: Path | None, again: list[str]) -> dict[str, Report | str]:
    """What was kept: the report, or the reason why there is none, by reference; the last line of each counts."""
    if path is None or not path.exists():
        return {}
    rows = (msgspec.json.decode(line, type=tuple[str, Report | str]) for line in path.read_bytes().splitlines())
    return {reference: found for reference, found in rows if reference not in again}


def classes(package: str) -> list[str]:
    """Names of the optimizer classes of a package; none where it isn't installed."""
    try:
        return exported(package)
    except UsageError:
        return []


def page(packages: list[str], reports: dict[str, Report], refused: dict[str, str]) -> str:
    """The survey in Markdown."""
    versions = [f"{PACKAGES.get(p, p)} {version(p)}" for p in packages if version(p)]
    clean = sum(r.ok for r in reports.values())
    lines = [
        "# A survey of optimizers",
        "",
        f"Made by `python benchmarks/survey.py`, with {', '.join(versions)}: {len(reports)} optimizers were checked, {clean} "
        f"pass everything, {len(refused)} can't be made, or take no step, with their defaults.",
        "",
        "Two things explain most of what fails. torch's own `Optimizer.__getstate__` keeps `state`, `param_groups` and "
        "`defaults` alone, so that a copied or pickled optimizer has lost every other attribute its class set (a state_dict "
        "hasn't). And many step functions reuse `.grad` as room to work in, which only matters to who reads it afterwards.",
        "",
        "| optimizer | checks that fail | what it is | scaling the gradient | state, bytes a parameter |",
        "|---|---|---|---|---|",
    ]
    for reference, report in reports.items():
        failed = ", ".join(f.name for f in report.failed) or "none"
        cells = [measured(report, name) for name in ("identity", "gradient_scale", "state_bytes")]
        lines.append(f"| `{reference}` | {failed} | {' | '.join(cells)} |")
    lines += ["", "## What fails, and the example that shows it", ""]
    for reference, report in reports.items():
        for finding in report.failed:
            lines += [f"### `{reference}`: {finding.name}", "", f"{finding.title}: {finding.sentence}.", ""]
            if finding.example and finding.name == "pickle" and "deepcopy" in {f.name for f in report.failed}:
                lines += ["As for deepcopy.", ""]
            elif finding.example:
                lines += [
                    "```python",
                    finding.example.replace(f"{Path(__file__).parent}", "benchmarks").rstrip(),
                    "```",
                    "",
                ]
    lines += ["## Not checked", "", *(f"- `{reference}`: {reason}" for reference, reason in refused.items()), ""]
    return "\n".join(lines)


def measured(report: Report, name: str) -> str:
    """A finding in a table's cell."""
    try:
        finding = report[name]
    except KeyError:
        return ""
    if name == "state_bytes":
        return f"{finding.value['bytes']:.3g}" if finding.value else ""
    return finding.sentence.replace("|", "\\|")


def version(package: str) -> str:
    """The version that is installed, or nothing."""
    try:
        return metadata.version(PACKAGES.get(package, package)).partition("+")[0]
    except metadata.PackageNotFoundError:
        return ""


if __name__ == "__main__":
    main()
