import json
import re
import shutil
import subprocess
import sys
from html.parser import HTMLParser

import pytest

from assay.errors import BrokenRecord, UsageError
from assay.report import draw, summary_html
from assay.space import Choice, Float, Int

from .conftest import HOSTILE, contender, make_run

pytestmark = pytest.mark.rendered

PUBLISHED = ["comparison_plot", "training_loss", "score_by_lr", "norms"]
HONEST = [
    "differences", "comparison_plot", "training_loss", "score_by_lr", "tuning_curve", "speed", "stability",
    "norms", "winners_curse",
]  # fmt: skip
FETCHING = {"src", "href", "xlink:href", "srcset", "poster", "action", "data", "formaction", "background", "ping"}


class Page(HTMLParser):
    """What a browser would make of the page: tags, ids, figures, and every address in it."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.ids, self.addresses, self.figures, self.svg_text, self.text = [], [], [], {}, [], []
        self._figure, self._open = None, []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self._open.append(tag)
        for name, value in attrs:
            if name == "id":
                self.ids.append(value)
            if name in FETCHING:
                self.addresses.append(value)
            self.addresses += re.findall(r"url\(\s*['\"]?([^)'\"]*)", value or "")
        if tag == "figure":
            self._figure = dict(attrs)["id"]
            self.figures[self._figure] = {"svg": 0, "caption": ""}
        if self._figure and tag == "svg":
            self.figures[self._figure]["svg"] += 1

    def handle_endtag(self, tag):
        while self._open and self._open.pop() != tag:
            pass
        if tag == "figure":
            self._figure = None

    def handle_data(self, data):
        inside = self._open[-1] if self._open else ""
        if inside == "style":
            self.addresses += re.findall(r"url\(\s*['\"]?([^)'\"]*)", data) + re.findall(r"@import\s+(\S+)", data)
        else:
            self.text.append(data)
        if "text" in self._open:
            self.svg_text.append(data)
        if inside == "figcaption" and self._figure:
            self.figures[self._figure]["caption"] += data


def drawn(folder, tmp_path):
    """A copy of a finished run, with its report."""
    copy = shutil.copytree(folder, tmp_path / "copy")
    path = draw(copy)
    return copy, path.read_text(encoding="utf-8")


@pytest.mark.parametrize(("kind", "figures"), [("published", PUBLISHED), ("honest", HONEST)])
def test_the_page_has_every_figure_and_fetches_nothing(kind, figures, request, tmp_path):
    folder, text = drawn(request.getfixturevalue(kind), tmp_path)
    page = Page(text)
    assert list(page.figures) == figures
    for name, figure in page.figures.items():
        assert figure["svg"] == 1, name
        assert len(figure["caption"].strip()) > 40, name
        assert (folder / f"{name}.png").read_bytes().startswith(b"\x89PNG\r\n")
    assert len(text.encode()) < 2_000_000
    assert "script" not in page.tags
    assert all(address.startswith(("#", "data:")) for address in page.addresses), page.addresses
    assert len(page.ids) == len(set(page.ids))
    assert {a[1:] for a in page.addresses if a.startswith("#")} <= set(page.ids)
    sentence = json.loads((folder / "result.json").read_text())["verdicts"][0]["sentence"]
    assert "".join(sentence.split()) in "".join("".join(page.text).split())


def test_text_in_figures_is_text_in_the_colour_of_the_page(published, tmp_path):
    _, text = drawn(published, tmp_path)
    assert {"epoch", "adam", "gradient norm", "lr"} <= {t.strip() for t in Page(text).svg_text}
    assert not re.search(r"(fill|stroke): #(000000|0072b2|d55e00)", text)
    assert "fill: currentColor" in text
    assert "var(--series-1)" in text


def test_the_same_run_gives_the_same_page(honest, tmp_path):
    folder, text = drawn(honest, tmp_path)
    assert draw(folder).read_text(encoding="utf-8") == text
    assert not list(folder.glob(".tmp-*"))


@pytest.mark.parametrize("protocol", ["published", "honest"])
def test_names_notes_and_paths_are_only_ever_text(protocol, tmp_path):
    contenders = [
        contender(HOSTILE, reference=f"{HOSTILE}.py:Adam", source=HOSTILE),
        contender(r"$\frac{a$ & _x", note=f"wraps {HOSTILE}", fixed={"betas": HOSTILE}),
        contender(
            "_hidden\n" + "long" * 40, space={"lr": Float(1e-4, 1.0, log=True), '"><img src=x>': Float(0.0, 1.0)}
        ),
        contender("優化器 🐌"),
    ]
    folder = make_run(tmp_path / "run", protocol, contenders)
    text = draw(folder).read_text(encoding="utf-8")
    page = Page(text)
    assert "script" not in page.tags
    assert "img" not in page.tags
    shown = "".join(page.text)
    assert HOSTILE in shown
    assert r"$\frac{a$ & _x" in "".join(page.svg_text)
    assert "优化器" not in shown
    assert "優化器 🐌" in "".join(page.svg_text)
    assert "<script" not in summary_html(json.loads((folder / "result.json").read_text()))


def test_a_notebook_shows_the_sentence_and_every_contender(honest):
    content = json.loads((honest / "result.json").read_text())
    page = Page(summary_html(content))
    shown = " ".join("".join(page.text).split())
    assert all(word in shown for word in content["verdicts"][0]["sentence"].split())
    for came in content["contenders"].values():
        assert f"{100 * came['score_mean']:.2f}" in shown
    assert page.tags.count("tr") == 1 + len(content["contenders"])
    assert page.addresses == []


def test_torch_is_never_imported(published, tmp_path):
    copy = shutil.copytree(published, tmp_path / "copy")
    program = f"import sys; from assay.report import draw; draw({str(copy)!r}); sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", program], check=True, timeout=120)


MANY = {
    "lr": Float(1e-5, 1e-1, log=True),
    "momentum": Float(0.0, 0.99),
    "warmup": Int(1, 100, log=True),
    "nesterov": Choice((True, False)),
    "zeta": Float(0.0, 1.0),
}


@pytest.mark.parametrize("protocol", ["published", "honest"])
def test_other_spaces_and_many_contenders(protocol, tmp_path):
    contenders = [contender("plain"), contender("rich", MANY), contender("mixed", {"nesterov": Choice(("a", "b"))})]
    contenders += [contender(f"more-{i}", {"momentum": Float(0.5, 2.0)}) for i in range(5)]
    text = draw(make_run(tmp_path / "run", protocol, contenders)).read_text(encoding="utf-8")
    labels = {t.strip() for t in Page(text).svg_text}
    assert {"lr", "momentum", "nesterov", "warmup", "True", "False", "a", "b"} <= labels
    assert "zeta" not in labels
    assert len(text) < 2_000_000


def test_a_loss_that_should_be_small(tmp_path):
    folder = make_run(tmp_path / "run", "honest", metric="loss", direction="min", unit="nats", scale=1.0, margin=0.02)
    text = draw(folder).read_text(encoding="utf-8")
    assert "test loss (nats)" in {t.strip() for t in Page(text).svg_text}
    assert "%" not in Page(text).figures["comparison_plot"]["caption"].replace("80 %", "")


def test_a_metric_without_a_unit_leaves_no_empty_brackets(tmp_path):
    folder = make_run(tmp_path / "run", "honest", metric="RMSE", direction="min", unit="", scale=1.0, margin=0.02)
    page = Page(draw(folder).read_text(encoding="utf-8"))
    labels = {t.strip() for t in page.svg_text}
    assert {"difference in RMSE", "standard deviation over final seeds", "tuning score − fresh score"} <= labels
    assert not re.search(r"\(\s*\)| ,", " ".join(labels))
    assert not re.search(r" \(\s*\)|\d ,", " ".join("".join(page.text).split()))


def test_norms_are_said_to_change_by_what_they_change(honest, tmp_path):
    _, text = drawn(honest, tmp_path)
    said = Page(text).figures["norms"]["caption"]
    one = r"(?:keep their size|(?:shrink|grow) to \d+ %|grow [\d.]+-fold)"
    assert re.search(
        rf"adam's gradients {one} and its updates {one}; adamw's gradients {one} and its updates {one}", said
    )


def test_a_step_of_the_trainings_is_not_set_beside_the_optimizers_as_its_part(honest, tmp_path):
    _, text = drawn(honest, tmp_path)
    shown = " ".join("".join(Page(text).text).split())
    assert "optimizer.step() by itself" in shown
    assert "of it, the optimizer" not in shown


def test_a_contender_whose_every_run_diverged(tmp_path):
    gone = [(1, phase, k, i) for phase in ("tune", "final") for k in range(6) for i in range(12)]
    text = draw(make_run(tmp_path / "run", "honest", diverging=gone)).read_text(encoding="utf-8")
    page = Page(text)
    assert "norms" in page.figures
    assert "every final run of adamw diverged" in "".join(page.text)


def test_a_published_run_that_diverged(tmp_path):
    text = draw(make_run(tmp_path / "run", "published", diverging=[(1, "final", 0, 0)])).read_text(encoding="utf-8")
    assert "a final run diverged" in Page(text).figures["comparison_plot"]["caption"]


def test_one_replicate_has_no_interval_and_one_seed_no_spread(tmp_path):
    text = draw(make_run(tmp_path / "run", "honest", replicates=1, final_seeds=1)).read_text(encoding="utf-8")
    page = Page(text)
    assert list(page.figures) == [name for name in HONEST if name != "stability"]
    assert "no interval" in page.figures["differences"]["caption"]


def test_fixed_data_and_a_good_range(tmp_path):
    folder = make_run(tmp_path / "run", "honest", generated=False)
    content = json.loads((folder / "result.json").read_text())
    content["contenders"]["adam"]["good_range"] = {"lr": [0.003, 0.03]}
    (folder / "result.json").write_text(json.dumps(content))
    page = Page(draw(folder).read_text(encoding="utf-8"))
    assert "1.0 decades of lr for adam" in page.figures["score_by_lr"]["caption"]
    assert "on this data set" in "".join(page.text)


def test_one_epoch_leaves_figures_too(tmp_path):
    assert draw(make_run(tmp_path / "run", "honest", epochs=1)).exists()


def test_no_folder_no_result_and_another_plans_result(published, tmp_path):
    with pytest.raises(UsageError, match="no run folder"):
        draw(tmp_path)
    copy = shutil.copytree(published, tmp_path / "copy")
    content = json.loads((copy / "result.json").read_text())
    (copy / "result.json").write_text(json.dumps({**content, "plan_hash": "0"}))
    with pytest.raises(BrokenRecord, match="another plan"):
        draw(copy)
    (copy / "result.json").write_text("{")
    with pytest.raises(BrokenRecord, match="can't be read"):
        draw(copy)
    (copy / "result.json").unlink()
    with pytest.raises(UsageError, match="no result yet"):
        draw(copy)
