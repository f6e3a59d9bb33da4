"""HTML comes from templates: found beside the code of every package, and with every text escaped."""

from __future__ import annotations

import subprocess
import sys
from html.parser import HTMLParser
from importlib.resources import files
from pathlib import Path

import pandas as pd
import pytest
from jinja2 import TemplateNotFound, UndefinedError

from costmodel.html import filled
from fastquery.figures import FIGURES
from fastquery.figures.registry import index_page
from fastquery.page import designs

PACKAGES = ("costmodel", "validate", "fastquery")
VOID = ("meta", "img", "br")
HOSTILE = "<script>alert('&')</script>"


class Tags(HTMLParser):
    """Which tags a text has, each closed by its own, and its words."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.opened: list[str] = []
        self.seen: list[str] = []
        self.words = ""
        self.feed(text)
        self.close()
        assert not self.opened

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.seen.append(tag)
        if tag not in VOID:
            self.opened.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.opened.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words += data


def test_every_package_with_templates_is_known() -> None:
    root = Path(str(files("costmodel"))).parent
    assert sorted(place.parent.name for place in root.glob("*/templates")) == sorted(PACKAGES)


def test_texts_of_a_result_are_escaped() -> None:
    frame = pd.DataFrame({"item": [HOSTILE], "bytes": [3.0]})
    page = filled("costmodel/result.html", headline={"table": HOSTILE}, tables={HOSTILE: frame})
    read = Tags(page)
    assert "script" not in read.seen
    assert read.words.count(HOSTILE) == 3
    assert {"details", "summary"} < set(read.seen)


def test_a_report_has_all_its_parts() -> None:
    parts = [
        ("heading", "Validation"),
        ("subheading", HOSTILE),
        ("text", "a < b"),
        ("table", (("name", HOSTILE), [["x", "1"], [HOSTILE, "2"]])),
        ("picture", ('a "caption"', "a b.png")),
    ]
    read = Tags(filled("validate/report.html", title="Validation", parts=parts))
    assert "script" not in read.seen
    assert [tag for tag in read.seen if tag in ("h1", "h2", "p", "tr", "img")] == [
        "h1",
        "h2",
        "p",
        "tr",
        "tr",
        "tr",
        "img",
    ]
    assert (read.seen.count("th"), read.seen.count("td")) == (2, 4)
    assert read.words.count(HOSTILE) == 3


def test_the_index_names_every_figure_once() -> None:
    read = Tags(index_page({"noise": "noise.svg", "pareto": "pareto.pdf"}, {"measured": HOSTILE}))
    assert read.seen.count("section") == read.seen.count("code") == len(FIGURES)
    assert read.seen.count("img") == 1
    assert f"Not drawn: {HOSTILE}" in read.words
    assert read.words.count("not asked for") == len(FIGURES) - 3


def test_texts_of_the_page_are_escaped() -> None:
    told = designs.spelled_out(HOSTILE, "N=4096", {"latency_s": 0.25, "noise_bits": -20.0})
    assert Tags(told).seen == ["h3", "p", "dl", "div", "dt", "dd", "div", "dt", "dd"]
    assert 'data-figure="latency_s" data-value="0.25">250 ms' in told
    assert Tags(designs.why_not({"folded": HOSTILE}, {})).seen == ["ul", "li", "b"]
    assert "Nothing is excluded" in designs.why_not({}, {})
    figures = {
        name: {"latency_s": latency, "up_bytes": 1e3, "down_bytes": 1e3, "setup_bytes": size}
        for name, latency, size in (("folded", 0.2, 10.0), ("cheetah", 0.1, 10e6))
    }
    alone, both = (designs.headline(f"1 token of {HOSTILE}.", figures, names, 1) for names in (["folded"], figures))
    assert Tags(alone).seen == ["b"]
    assert Tags(both).seen == ["b", "b"]
    assert "No chosen design holds" in Tags(designs.headline(HOSTILE, figures, [], 1)).words


def test_a_value_that_is_left_out_and_a_template_that_is_not_there_are_errors() -> None:
    with pytest.raises(UndefinedError):
        filled("costmodel/result.html", headline={})
    with pytest.raises(TemplateNotFound):
        filled("costmodel/absent.html")


def test_commands_without_html_do_not_load_jinja() -> None:
    code = "import sys, fastquery.api, fastquery.sweeps, fastquery.figures; print('jinja2' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
