"""The documentation site builds without a warning, fetches nothing, and fits a phone: by Sphinx, and by a real Chromium."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from .report.browser import Browser, find

for name in ("furo", "latex2mathml", "myst_parser", "sphinx", "sphinx_copybutton"):
    pytest.importorskip(name)

REPOSITORY = Path(__file__).parents[1]
FETCHED = re.compile(
    r"""<(?:script|img|iframe|source)\b[^>]*\bsrc=["']?(?:https?:)?//|<link\b[^>]*\bhref=["']?(?:https?:)?//"""
)
SEEN = ["index", "tutorial", "guides", "board", "reference/commands", "reference/python", "reference/result", "search"]
TOO_WIDE = """[...document.querySelectorAll("article *")].filter(e =>
  !e.parentElement.closest("pre, .table-wrapper, .highlight, svg, math, .sig") && e.getBoundingClientRect().right > innerWidth + 1
).map(e => e.outerHTML.slice(0, 120))"""


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    source, built = tmp_path_factory.mktemp("pages"), tmp_path_factory.mktemp("site")
    run = [sys.executable, str(REPOSITORY / "docs/site/gather.py"), str(source)]
    subprocess.run(run, check=True, cwd=REPOSITORY)
    config = str(REPOSITORY / "docs/site")
    made = [sys.executable, "-m", "sphinx", "-W", "--keep-going", "-q", "-c", config, str(source), str(built)]
    done = subprocess.run(made, cwd=REPOSITORY, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return built


def test_no_page_names_a_script_a_style_or_a_picture_of_another_host(site):
    pages = sorted(site.rglob("*.html"))
    assert len(pages) > 25
    assert [p.name for p in pages if FETCHED.search(p.read_text(encoding="utf-8"))] == []
    styles = [p for p in site.rglob("*.css") if re.search(r"(url\(|@import )[\"']?(https?:)?//", p.read_text("utf-8"))]
    assert styles == []


def test_every_option_of_a_command_and_every_public_name_has_its_place(site):
    import assay

    commands = (site / "reference/commands.html").read_text(encoding="utf-8")
    python = (site / "reference/python.html").read_text(encoding="utf-8")
    for option in ("--replicates", "--speedup", "--retrain", "--tensorboard", "mnist1d-mlp"):
        assert option in commands
    for public in ("compare", "plan", "open", "Task", "Contender"):
        assert f'id="assay.{public}"' in python
    assert [name for name in assay.__all__ if f'id="assay.{name}' not in python] == []


@pytest.mark.skipif(find() is None, reason="there is no Chromium on this machine")
@pytest.mark.parametrize("width", [390, 1400])
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_pages_in_a_browser_ask_for_nothing_complain_of_nothing_and_fit(site, width, dark):
    with Browser(find()) as browser:
        for page in SEEN:
            browser.open((site / f"{page}.html").as_uri(), width, dark)
            assert [url for url in browser.requested if not url.startswith("file:")] == [], page
            assert browser.complaints == [], page
            assert browser.evaluate("document.documentElement.scrollWidth") <= width, page
            assert browser.evaluate(TOO_WIDE) == [], page
