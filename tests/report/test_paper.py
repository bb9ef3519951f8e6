"""A record for a paper: read by LaTeX where it is installed, by CSV's own reader, by the figures' own formats."""

import csv
import re
import shutil
import subprocess
import xml.etree.ElementTree as ET

import numpy as np
import pytest

from assay.errors import UsageError
from assay.report.paper import write
from assay.report.paper.latex import tex
from assay.report.reading import read

from .conftest import HOSTILE, contender, make_run

pytestmark = pytest.mark.rendered

COLUMN = 3.35 * 72


@pytest.fixture(scope="module")
def written(honest, tmp_path_factory):
    to = tmp_path_factory.mktemp("paper") / "paper"
    assert write(honest, to) == to / "paper.tex"
    return to


def test_each_figure_is_a_vector_a_column_wide(written):
    names = {path.stem for path in (written / "figures").glob("*.pdf")}
    assert {"differences", "comparison_plot", "training_loss", "score_by_lr", "norms"} <= names
    assert names == {path.stem for path in (written / "figures").glob("*.svg")}
    for name in names:
        page = (written / "figures" / f"{name}.pdf").read_bytes()
        width, height = map(float, re.search(rb"/MediaBox \[ 0 0 ([\d.]+) ([\d.]+) \]", page).groups())
        assert width == pytest.approx(COLUMN)
        assert b"/Type3" not in page  # which journals refuse
        svg = ET.parse(written / "figures" / f"{name}.svg").getroot()
        assert [float(svg.get(side).removesuffix("pt")) for side in ("width", "height")] == pytest.approx(
            [width, height]
        )
        assert not list(svg.iter("{http://www.w3.org/2000/svg}text"))  # the same everywhere, whatever fonts there are


def test_the_numbers_behind_a_figure_are_those_on_record(written, honest):
    reading = read(honest)
    with (written / "data" / "differences.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    (verdict,) = reading.content["verdicts"]
    axis = "difference in accuracy (points)"
    dots = [float(row[axis]) for row in rows if row["replicate"] != "all"]
    np.testing.assert_allclose(dots, 100 * np.array(verdict["details"]["differences"]))
    assert float(rows[-1]["low"]) == pytest.approx(100 * verdict["ci_low"])
    with (written / "data" / "training_loss.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    for arm in reading.arms:
        said = [row["training loss"] for row in rows if row["contender"] == arm.name]
        expected = arm.curves("train_loss").ravel()
        assert [s == "" for s in said] == np.isnan(expected).tolist()
        np.testing.assert_array_equal([float(s) for s in said if s], expected[np.isfinite(expected)])
    with (written / "data" / "score_by_lr.csv").open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["is"] == "trial"]
    assert len(rows) == 2 * 6 * 12


def test_the_text_says_how_it_was_made(written, honest):
    text = (written / "paper.tex").read_text()
    plan, content = read(honest).plan, read(honest).content
    for said in (
        "In each of 6 replicates",
        "12 trials",
        "4 fresh seeds",
        "15 epochs",
        "batches of 128",
        "seed 0",
        "1 point",
    ):
        assert said in text
    assert f"torch {content['versions']['torch']}" in text
    assert read(honest).root in text.replace(r"\hspace{0pt}", "")
    assert all(tex(c.reference) in text for c in plan.science.contenders)
    trained = sum(stage["trainings"] for stages in content["ledger"].values() for stage in stages.values())
    assert f"{trained} trainings" in text
    bibliography = (written / "assay.bib").read_text()
    cited = {key for keys in re.findall(r"\\cite\{([^}]*)\}", text) for key in keys.split(",")}
    assert cited == set(re.findall(r"@\w+\{(\w+),", bibliography))


@pytest.mark.parametrize("protocol", ["published", "honest"])
def test_names_are_only_ever_text_in_latex(protocol, tmp_path):
    hostile = [contender(HOSTILE), contender(r"\input{/etc/passwd} $x_1^2$ #1 & 5 % ~ {"), contender("優化器 −Ünïcödé")]
    write(make_run(tmp_path / "run", protocol, hostile), tmp_path / "paper")
    text = (tmp_path / "paper" / "paper.tex").read_text()
    assert r"\input{/etc" not in re.sub(r"%.*", "", text)
    assert r"\textbackslash{}input\{/etc/passwd\}" in text
    assert "U+512A" in text
    if shutil.which("pdflatex") is None:
        pytest.skip("there is no pdflatex on this machine")
    head = r"\documentclass{article}\usepackage{graphicx}\begin{document}"
    (tmp_path / "paper" / "main.tex").write_text(rf"{head}\input{{paper}}\end{{document}}")
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "main.tex"]
    done = subprocess.run(command, cwd=tmp_path / "paper", capture_output=True, timeout=300)
    assert done.returncode == 0, done.stdout.decode(errors="replace")[-2000:]


def test_it_is_not_written_into_a_record(honest):
    with pytest.raises(UsageError, match="sealed record"):
        write(honest, honest / "paper")
