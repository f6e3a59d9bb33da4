"""The documentation site, built offline: `make docs`."""

from __future__ import annotations

import argparse
import importlib
import os
import shutil
from pathlib import Path

from fastquery import __version__
from fastquery.cli import SUBCOMMANDS

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("COLUMNS", "100")
HERE = Path(__file__).parent

project = "fastquery"
author = "The fastquery developers"
version = release = __version__
extensions = ["sphinx.ext.autodoc", "sphinx.ext.autosummary", "numpydoc", "myst_nb"]
exclude_patterns = ["_build"]
# Pages link to files of the repository as well; references of modules stand in their docstrings, which members cite.
suppress_warnings = ["myst.xref_missing", "myst.header", "ref.citation"]
myst_enable_extensions = ["deflist"]
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


GENERATED = HERE / "generated"
shutil.rmtree(GENERATED, ignore_errors=True)
GENERATED.mkdir()
write_commands(GENERATED / "commands.md")
