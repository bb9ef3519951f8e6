"""The report in a real headless Chromium: nothing overflows, nothing is fetched, nothing complains, dark and light."""

import re
import shutil

import pytest

from assay.report import draw

from .browser import Browser, find
from .conftest import contender, make_run

pytestmark = [pytest.mark.rendered, pytest.mark.skipif(find() is None, reason="there is no Chromium on this machine")]

# What the page looks like from within.
PROBE = """
(() => {
  const style = (element, name) => getComputedStyle(element).getPropertyValue(name);
  const figures = {};
  for (const figure of document.querySelectorAll("figure")) {
    const svg = figure.querySelector("svg"), box = svg.getBoundingClientRect();
    const labels = [...svg.querySelectorAll("text")];
    const inside = b => b.left >= box.left - 2 && b.right <= box.right + 2 && b.top >= box.top - 2 && b.bottom <= box.bottom + 2;
    figures[figure.id] = {
      left: box.left, right: box.right, width: box.width, height: box.height,
      cut: labels.filter(t => !inside(t.getBoundingClientRect())).map(t => t.textContent),
      smallest: Math.min(...labels.map(t => t.getBoundingClientRect().height)),
      inks: [...new Set(labels.map(t => style(t, "fill")))],
      colours: [...new Set([...svg.querySelectorAll("[style*='--series']")].map(
        p => style(p, p.style.stroke.includes("--series") ? "stroke" : "fill")))],
    };
  }
  const wide = [...document.querySelectorAll("main *")].filter(e =>
    !e.parentElement.closest(".scroll, svg") && e.getBoundingClientRect().right > innerWidth + 0.5);
  return {
    inner: innerWidth, scroll: document.documentElement.scrollWidth, wide: wide.map(e => e.outerHTML.slice(0, 80)),
    hidden: [...document.querySelectorAll(".scroll")].filter(e => e.scrollWidth > e.clientWidth + 1).map(
      e => style(e, "background-image").split("gradient").length - 1),
    columns: new Set(Object.values(figures).map(f => Math.round(f.left))).size,
    page: style(document.body, "background-color"), ink: style(document.body, "color"),
    soft: style(document.querySelector("figcaption"), "color"), figures,
  };
})()
"""


def contrast(one, other):
    """The contrast ratio of two colours, as WCAG 2 defines it."""

    def luminance(colour):
        parts = [int(x) / 255 for x in re.findall(r"\d+", colour)[:3]]
        r, g, b = (c / 12.92 if c <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4 for c in parts)
        return 0.2126 * r + 0.7152 * g + 0.0722 * b

    dark, light = sorted((luminance(one), luminance(other)))
    return (light + 0.05) / (dark + 0.05)


@pytest.fixture(scope="module")
def browser():
    with Browser(find()) as found:
        yield found


@pytest.fixture(scope="module")
def pages(published, honest, tmp_path_factory):
    copies = tmp_path_factory.mktemp("pages")
    name = "a-contender-whose-name-is-far-too-long-for-a-phone-and-has-no-place-to-break"
    long = [contender("adam"), contender(name, reference=f"src/{name * 3}.py:Adam", note=name)]
    found = {"published": published, "honest": honest, "long": make_run(copies / "long-run", "honest", long)}
    return {kind: draw(shutil.copytree(folder, copies / kind)) for kind, folder in found.items()}


@pytest.mark.parametrize("scheme", ["dark", "light"])
@pytest.mark.parametrize("width", [390, 1280])
@pytest.mark.parametrize("kind", ["published", "honest", "long"])
def test_it_reads_well_anywhere(kind, width, scheme, browser, pages):
    browser.open(pages[kind].as_uri(), width, dark=scheme == "dark")
    seen = browser.evaluate(PROBE)
    assert browser.complaints == []
    assert browser.requested == []
    assert seen["inner"] == width
    assert seen["scroll"] <= width
    assert seen["wide"] == []
    assert seen["hidden"] or width > 390  # tables that go on beyond the edge of their box
    assert set(seen["hidden"]) <= {4}  # have a shadow there, and what covers it at the end
    assert seen["columns"] == (1 if width == 390 else 3)
    assert len(seen["figures"]) == (4 if kind == "published" else 9)
    assert (contrast(seen["page"], "rgb(0, 0, 0)") < 2) == (scheme == "dark")
    assert contrast(seen["page"], seen["ink"]) > 10
    assert contrast(seen["page"], seen["soft"]) > 4.5
    for name, figure in seen["figures"].items():
        assert figure["width"] > 300, name
        assert figure["height"] > 200, name
        assert figure["right"] <= width, name
        assert figure["cut"] == [], name
        assert figure["smallest"] > 9, name
        assert figure["inks"] == [seen["ink"]], name
        assert len(figure["colours"]) == (1 if name == "differences" else 2), name
        assert all(contrast(seen["page"], colour) > 3 for colour in figure["colours"]), name


@pytest.mark.parametrize("kind", ["published", "honest", "long"])
def test_it_prints_black_on_white_within_the_paper(kind, browser, pages):
    width = 673  # CSS pixels between the margins of A4
    browser.open(pages[kind].as_uri(), width, dark=True, media="print")
    seen = browser.evaluate(PROBE)
    assert seen["scroll"] <= width
    assert seen["columns"] == 2
    assert seen["page"] == "rgb(255, 255, 255)"
    assert seen["ink"] == "rgb(0, 0, 0)"
    assert all(figure["inks"] == ["rgb(0, 0, 0)"] for figure in seen["figures"].values())


def test_the_probe_sees_what_is_wrong(browser, pages, tmp_path):
    wrong = '<img src="http://example.invalid/x.png"><p style="width: 3000px">wide</p><script>undefined_name()</script>'
    page = tmp_path / "wrong.html"
    page.write_text(
        pages["published"].read_text(encoding="utf-8").replace("</main>", f"{wrong}</main>"), encoding="utf-8"
    )
    browser.open(page.as_uri(), 390, dark=False)
    seen = browser.evaluate(PROBE)
    assert browser.requested == ["http://example.invalid/x.png"]
    assert seen["scroll"] > 390
    assert len(seen["wide"]) == 1
    assert any("undefined_name" in line for line in browser.complaints)
