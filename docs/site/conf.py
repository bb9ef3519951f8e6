"""How Sphinx makes the site from the folder that gather.py fills: `make docs`, with warnings as errors."""

from __future__ import annotations

import re
from typing import Any

from docutils import nodes
from latex2mathml.converter import convert

import assay

project = "Assay"
author = copyright = "The Assay authors"
release = version = assay.__version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx_copybutton"]
source_suffix = {".md": "markdown", ".rst": "restructuredtext"}
myst_heading_anchors = 3  # as where the repository is hosted: page.md#a-heading
smartquotes = False  # which would make one dash of two
toc_object_entries = False
html_math_renderer = "mathml"  # Sphinx's own fetches MathJax from another host
autodoc_typehints = "signature"
autodoc_member_order = "bysource"
python_use_unqualified_type_names = True
copybutton_prompt_text = "$ "
copybutton_only_copy_prompt_lines = True
copybutton_remove_prompts = True

html_theme = "furo"
html_title = f"Assay {version}"
html_static_path = ["site.css"]
html_css_files = ["site.css"]
html_show_sphinx = False
html_copy_source = False
html_show_sourcelink = False


def setup(app: Any) -> None:
    """What is done to docstrings before they are read, and how formulas are shown."""
    app.connect("autodoc-process-docstring", code_as_here, priority=400)  # before napoleon
    app.connect("doctree-resolved", dash_after_parameters)
    app.connect("html-page-context", reachable, priority=900)  # after the theme
    app.add_html_math_renderer("mathml", inline_renderers=(inline, None), block_renderers=(block, None))


def code_as_here(_app: Any, _what: str, _name: str, _thing: Any, _options: Any, lines: list[str]) -> None:
    """`x` is code in our docstrings, and may end within a word."""
    text = re.sub(r"(?<!`)`([^`]+)`(?!`)(?=(\w?))", lambda m: f"``{m[1]}``" + ("\\ " if m[2] else ""), "\n".join(lines))
    lines[:] = text.split("\n")


def dash_after_parameters(_app: Any, tree: Any, _page: str) -> None:
    """What autodoc writes between a parameter and its description."""
    for text in [t for t in tree.findall(nodes.Text) if t == " -- "]:
        text.parent.replace(text, nodes.Text(" – "))


def inline(page: Any, node: Any) -> None:
    """A formula in a line, as browsers show it by themselves."""
    page.body.append(convert(node.astext()))
    raise nodes.SkipNode


def block(page: Any, node: Any) -> None:
    """Formulas on lines of their own."""
    text = node.astext()
    text = rf"\begin{{aligned}}{text}\end{{aligned}}" if "&" in text else text
    page.body.append(f'<div class="table-wrapper">{convert(text, display="block")}</div>')
    raise nodes.SkipNode


def reachable(_app: Any, _page: str, _template: str, context: dict[str, Any], _tree: Any) -> None:
    """What scrolls can be reached by the keyboard, and headings at the side say their level."""
    body = context.get("body", "")
    context["body"] = body.replace("<pre>", '<pre tabindex="0">').replace(
        '<div class="table-wrapper', '<div tabindex="0" class="table-wrapper'
    )
    tree = context.get("furo_navigation_tree", "")
    context["furo_navigation_tree"] = tree.replace('role="heading"', 'role="heading" aria-level="2"')
