"""The documentation site, built offline: `make docs`."""

from __future__ import annotations

import argparse
import importlib
import os
import shutil
import sys
from pathlib import Path
from typing import NoReturn

from docutils.nodes import Element, SkipNode, math_block
from latex2mathml.converter import convert
from sphinx.application import Sphinx
from sphinx.writers.html import HTMLTranslator

from fastquery import __version__
from fastquery.cli import SUBCOMMANDS

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("COLUMNS", "100")
HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))
diagrams = importlib.import_module("diagrams")

project = "fastquery"
author = "The fastquery developers"
version = release = __version__
extensions = ["sphinx.ext.autodoc", "sphinx.ext.autosummary", "numpydoc", "myst_nb"]
exclude_patterns = ["_build"]
# Pages link to files of the repository as well; references of modules stand in their docstrings, which members cite.
# Without execution (`make docs-check`) no kernel tells a cell's language.
suppress_warnings = ["myst.xref_missing", "myst.header", "ref.citation", "myst-nb.lexer"]
myst_enable_extensions = ["deflist", "dollarmath"]
html_math_renderer = "mathml"
myst_heading_anchors = 3
nb_execution_mode = "cache" if os.environ.get("FASTQUERY_DOCS_CACHE") else "force"
nb_execution_raise_on_error = True
nb_execution_timeout = 240
nb_merge_streams = True
autosummary_generate = True
autodoc_typehints = "none"
numpydoc_show_class_members = False
html_theme = "pydata_sphinx_theme"
html_title = "fastquery"
html_theme_options = {
    "show_prev_next": False,
    "navbar_end": ["theme-switcher"],
    "secondary_sidebar_items": ["page-toc"],
    "header_links_before_dropdown": 8,
}
html_context = {"default_mode": "auto"}
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_show_sourcelink = False


def write_commands(target: Path) -> None:
    """The command reference, from the parsers themselves."""
    parts = ["# Commands\n\nWritten from the parsers of the command line.\n"]
    for name in SUBCOMMANDS:
        parsers = argparse.ArgumentParser(prog="fastquery").add_subparsers()
        importlib.import_module(f"fastquery.cli.{name}").add_parser(parsers)
        parts.append(f"## {name}\n\n```text\n{parsers.choices[name].format_help()}```\n")
    target.write_text("\n".join(parts), encoding="utf-8")


def write_math(translator: HTMLTranslator, node: Element) -> NoReturn:
    """A formula as MathML, which browsers typeset themselves: no script of another host is asked for."""
    display = "block" if isinstance(node, math_block) else "inline"
    translator.body.append(convert(node.astext(), display=display))
    raise SkipNode


def setup(app: Sphinx) -> None:
    """Register the renderer of formulas."""
    app.add_html_math_renderer("mathml", inline_renderers=(write_math, None), block_renderers=(write_math, None))


GENERATED = HERE / "generated"
shutil.rmtree(GENERATED, ignore_errors=True)
GENERATED.mkdir()
write_commands(GENERATED / "commands.md")
(GENERATED / "protocols.md").write_text(diagrams.page(), encoding="utf-8")
