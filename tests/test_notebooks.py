"""The notebooks of the examples run from top to bottom in a kernel, and show what they say they show."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

nbformat = pytest.importorskip("nbformat")

FOLDER = Path(__file__).parents[1] / "examples" / "notebooks"
PICTURES = {"idea_to_verdict": 2, "worth_in_steps": 2, "check_an_optimizer": 0}


def kinds(notebook: Any) -> list[str]:
    """What its outputs can be shown as, the richest of each."""
    data = [output.get("data", {}) for cell in notebook.cells for output in cell.get("outputs", [])]
    return [next((k for k in ("image/png", "text/html") if k in each), "text/plain") for each in data if each]


def test_each_is_known_here() -> None:
    assert {path.stem for path in FOLDER.glob("*.ipynb")} == set(PICTURES)


@pytest.mark.parametrize("name", PICTURES)
def test_it_runs_from_top_to_bottom(name: str, tmp_path: Path) -> None:
    source = nbformat.read(FOLDER / f"{name}.ipynb", as_version=4)
    assert all(not cell.get("outputs") for cell in source.cells), "it is kept without outputs"
    copy = tmp_path / f"{name}.ipynb"
    shutil.copyfile(FOLDER / copy.name, copy)
    # in a process of its own: its sockets are closed with it, and not before
    run = "import nbclient.cli; nbclient.cli.main()"
    done = subprocess.run(
        [sys.executable, "-c", run, "--inplace", "--timeout=600", str(copy)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found = kinds(nbformat.read(copy, as_version=4))
    assert found.count("image/png") == PICTURES[name]
    assert ("text/html" in found) == (PICTURES[name] > 0)  # a check's report is text


MARIMO = """
import marimo
app = marimo.App()

@app.cell
def _():
    import assay
    few = dict(replicates=2, trials=2, final_seeds=1, epochs=1, engine="loop", out="run")
    result = assay.compare("adam", "sgd", task="logistic", **few)
    return (result,)

@app.cell
def _(result):
    result
    return

@app.cell
def _(result):
    result.figures["differences"]
    return
"""


def test_marimo_shows_how_far_it_is_the_result_and_figures(tmp_path: Path) -> None:
    pytest.importorskip("marimo", reason="pip install marimo")
    (tmp_path / "notebook.py").write_text(MARIMO)
    export = [sys.executable, "-m", "marimo", "export", "html", "notebook.py", "-o", "page.html"]
    done = subprocess.run(export, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    page = (tmp_path / "page.html").read_text()
    assert all(words in page for words in ("done, at 0:", "On logistic, sgd tuned with 2 trials", "data:image/png"))
