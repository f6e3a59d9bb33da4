"""Blocks of code on the pages: Python is executed, and every command is one that its parser takes.

Cells of notebooks are executed where the site is built, the README's example in `test_pages.py`.
"""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from fastquery.cli import _parser, main

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")), *sorted((ROOT / "docs" / "tutorials").glob("*.md"))]
BUILT_IN = ROOT / "costmodel" / "data" / "machine.toml"
FENCED = re.compile(r"^```([^\n]*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
KINDS = {"", "text", "sh", "ini", "dockerfile", "python", "toml", "{code-cell}", "{toctree}", "{eval-rst}", "{include}"}
SUBCOMMAND = re.compile(r"(?:^|[\s/])fastquery (?=[a-z])(.+)")


def fenced(page: Path) -> list[tuple[str, str]]:
    """Language and text of every fenced block."""
    return FENCED.findall(page.read_text("utf-8"))


def shown(page: Path) -> list[str]:
    """Lines of fenced and of indented blocks but Python's, continued lines joined."""
    whole = page.read_text("utf-8")
    blocks = [text for kind, text in fenced(page) if kind not in ("python", "{code-cell}", "text")]
    blocks += re.findall(r"(?<=\n\n)(?:    [^\n]*\n)+", FENCED.sub("", whole))
    return [line.strip() for text in blocks for line in text.replace("\\\n", " ").splitlines()]


def commands() -> list[str]:
    """Arguments of every `fastquery` that a block shows, without what a shell does around it."""
    found = (SUBCOMMAND.search(line.split("#")[0]) for page in PAGES for line in shown(page))
    return sorted({re.split(r" [|&>]|;", one[1])[0].strip() for one in found if one})


def test_every_block_has_a_language_that_a_test_knows() -> None:
    assert {kind.split()[0] if kind else "" for page in PAGES for kind, _ in fenced(page)} <= KINDS


@pytest.mark.parametrize("command", commands())
def test_the_parser_takes_every_command(command: str) -> None:
    # `auto` is a file that this machine may lack or hold of an older version.
    words = [str(BUILT_IN) if word == "auto" else word for word in shlex.split(command)]
    assert _parser(words[0]).parse_args(words).subcommand == words[0]


@pytest.mark.parametrize("command", [one for one in commands() if one.startswith("estimate ")])
def test_every_estimate_can_be_had(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(shlex.split(command)) == 0
    assert "latency" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("page", "code"),
    [
        pytest.param(page, text, id=f"{page.name}-{k}")
        for page in PAGES[1:]
        for k, (kind, text) in enumerate(fenced(page))
        if kind == "python"
    ],
)
def test_python_runs(page: Path, code: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if "panel" in code:
        pytest.importorskip("panel", reason="the example needs the extra page")
    monkeypatch.chdir(tmp_path)
    exec(compile(code, str(page), "exec"), {})
