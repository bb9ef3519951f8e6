"""The reference, made from the code: nothing in it is written by hand."""

from __future__ import annotations

import inspect
import json
import re
from types import ModuleType

import fields
import msgspec

import assay
from assay.cli.commands import app
from assay.core import Metric, Plan, environment, result
from assay.driver.protocol import USUAL
from assay.errors import AssayError
from assay.record.chunks import SCHEMA
from assay.record.manifest import Manifest
from assay.record.suite import Suite
from assay.record.timings import Timings


def pages() -> dict[str, str]:
    """Text by page."""
    return {
        "reference/commands.rst": _commands(),
        "reference/python.rst": _python(),
        "reference/result.md": _result(),
        "reference/result.schema.json": json.dumps(result.schema(), indent=2),
        "reference/files.md": _files(),
        "reference/plan.schema.json": json.dumps(msgspec.json.schema(Plan), indent=2),
        "reference/suite.schema.json": json.dumps(msgspec.json.schema(Suite), indent=2),
        "reference/environment.md": _environment(),
        "reference/exit-codes.md": _exit_codes(),
    }


def _commands() -> str:
    """What `assay X --help` says, and what a protocol does where nothing is said."""
    text: str = app.generate_docs(output_format="rst")
    text = text.replace("assay\n=====", "Commands\n========").replace("=====\nCommands", "========\nCommands")
    text = text.replace(
        ".. contents:: Table of Contents\n   :local:\n   :depth: 6\n", ""
    )  # which each page has beside it
    text = text.replace(" [Default: ``False``]", "").replace(" [Default: ``()``]", "")
    text = re.sub(r"\bdocs/([\w-]+)\.md", r":doc:`/\1`", text)
    rows = [f"   * - {name}\n" + "".join(f"     - {n}\n" for n in usual.values()) for name, usual in USUAL.items()]
    head = "".join(f"     - {name}\n" for name in ("replicates", "trials", "… of two or more", "final seeds"))
    title = "Budgets where nothing is said"
    table = f".. list-table::\n   :header-rows: 1\n\n   * - --protocol\n{head}{''.join(rows)}"
    return f"{text}\n{title}\n{'-' * len(title)}\n\n{table}"


def _python() -> str:
    """Every public name, from its docstring."""
    modules = {name: thing for name in assay.__all__ if isinstance(thing := getattr(assay, name), ModuleType)}
    names = [*(f"assay.{name}" for name in (*assay.__all__, "open") if name not in modules)]
    names += [f"assay.{module}.{name}" for module, thing in modules.items() for name in _public(thing)]
    return "Python\n======\n\n" + "\n".join(_documented(name) for name in sorted(names, key=_functions_first))


def _public(module: ModuleType) -> list[str]:
    """Names that a module lists, or else that it defines itself, and its metrics."""
    listed = getattr(module, "__all__", None)
    found = {n: v for n, v in vars(module).items() if not n.startswith("_")}
    return listed or [
        n for n, v in found.items() if isinstance(v, Metric) or getattr(v, "__module__", "") == module.__name__
    ]


def _thing(name: str) -> object:
    found: object = assay
    for part in name.split(".")[1:]:
        found = getattr(found, part)
    return found


def _functions_first(name: str) -> tuple[int, bool, str]:
    return name.count("."), inspect.isclass(_thing(name)), name.lower()


def _documented(name: str) -> str:
    thing = _thing(name)
    what = "autoclass" if inspect.isclass(thing) else "autofunction" if callable(thing) else "autodata"
    option = {"autoclass": "   :members:\n", "autodata": "   :no-value:\n"}.get(what, "")
    return f"{name}\n{'-' * len(name)}\n\n.. {what}:: {name}\n{option}"


def _result() -> str:
    """`result.json`, type by type."""
    intro = (
        "# result.json\n\nThe answer of a run folder, on one task or across several. Its JSON Schema is "
        "{download}`result.schema.json`; the tests hold kept records and new runs to it. `float` is any number; scores and "
        "margins are in file units (an accuracy is a share), the verdict's differences turned so that positive is better.\n"
    )
    return intro + "\n" + "\n".join(fields.section(kind) for kind in fields.of_all(result.KINDS))


def _files() -> str:
    """The other files of a run folder."""
    columns = "\n".join(f"| `{name}` | `{kind}` |" for name, kind in SCHEMA.items())
    parts = [
        "# The other files of a run folder\n\nWhat a record proves, and how `assay verify` reads it: "
        "[What a record proves](../record.md).\n",
        "## plan.json\n\nJSON Schema: {download}`plan.schema.json`.\n",
        *(fields.section(kind, 3) for kind in fields.of_all([Plan])),
        "## suite.json\n\nJSON Schema: {download}`suite.schema.json`.\n",
        *(fields.section(kind, 3) for kind in fields.of_all([Suite])),
        "## manifest.json\n",
        fields.section(Manifest, 3),
        "## timings.json\n",
        *(fields.section(kind, 3) for kind in fields.of_all([Timings])),
        "## members/*.parquet\n\nA row a member (a training), curves as lists over epochs.\n",
        f"| column | type |\n|---|---|\n{columns}\n",
    ]
    return "\n".join(parts)


def _environment() -> str:
    rows = "\n".join(f"| `{v.name}` | {v.decides} |" for v in environment.VARIABLES)
    return f"# Environment variables\n\n| | what it decides |\n|---|---|\n{rows}\n"


def _exit_codes() -> str:
    rows = {0: "All is well, whatever the verdict.", 1: "A check fails, or what `assay verify` looks at doesn't fit."}
    for kind in (AssayError, *AssayError.__subclasses__()):
        if kind is not AssayError:
            rows[kind.exit_code] = " ".join([rows.get(kind.exit_code, ""), _said(kind)]).strip()
    table = "\n".join(f"| {code} | {said} |" for code, said in sorted(rows.items()))
    intro = "# Exit codes\n\nOf every command; with each but 0 goes one line that says what, and the mend.\n\n"
    return f"{intro}| | |\n|---|---|\n{table}\n"


def _said(kind: type[AssayError]) -> str:
    """Its docstring, without the code that the table has."""
    return re.sub(r":? exit code \d(: |\.)", lambda m: ". " if m[1] == ": " else ".", inspect.getdoc(kind) or "")
