import shutil

import pytest

from assay.cli import call
from assay.errors import UsageError
from assay.report.beside import write

from .conftest import make_run
from .test_report import Page

pytestmark = pytest.mark.rendered


def test_several_reports_are_one_page_that_fetches_nothing(honest, published, tmp_path):
    here = [shutil.copytree(honest, tmp_path / "a"), shutil.copytree(published, tmp_path / "b & c")]
    here.append(make_run(tmp_path / "loss", "honest", metric="RMSE", direction="min", unit="", scale=1.0, margin=0.02))
    text = write(here, tmp_path / "pages" / "page.html").read_text(encoding="utf-8")
    page = Page(text)
    assert page.tags.count("figure") == 9 + 4 + 9
    assert all(figure["svg"] == 1 for figure in page.figures.values())
    assert len(page.ids) == len(set(page.ids))
    assert {a[1:] for a in page.addresses if a.startswith("#")} <= set(page.ids)
    elsewhere = [a for a in page.addresses if not a.startswith(("#", "data:"))]
    assert set(elsewhere) == {"../a/report.html", "../b%20%26%20c/report.html", "../loss/report.html"}
    assert "b & c" in "".join(page.text)
    assert "script" not in page.tags
    assert len(text) < 2_000_000


@pytest.mark.parametrize(
    ("folders", "page", "words"),
    [(["a", "./a"], "p.html", "given twice"), (["a", "b"], "a/p.html", "sealed record"), (["a"], "p.html", "2 to 12")],
)
def test_faults(folders, page, words, honest, tmp_path):
    for name in ("a", "b"):
        shutil.copytree(honest, tmp_path / name)
    with pytest.raises(UsageError, match=words):
        write([tmp_path / name for name in folders], tmp_path / page)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["a", "b"], "--out page.html"),
        (["a", "--out", "x.html"], "goes into its folder"),
        (["a", "b", "--latex"], "one folder at a time"),
    ],
)
def test_commands_that_say_too_little_or_too_much(words, said, capsys):
    assert call(["report", *words]) == 2
    assert said in capsys.readouterr().err
