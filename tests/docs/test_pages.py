"""The documentation's pages: what they name exists, and the page on the paper counts its own rows."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import pytest

import fastquery as fq
from costmodel.wire import FRAME_HEADER_BYTES
from fastquery.cli import main
from validate.published import load_claims

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAPER = (DOCS / "paper.md").read_text("utf-8")
README = (ROOT / "README.md").read_text("utf-8")
PAGES = sorted(DOCS.glob("*.md"))
STATUSES = ("holds", "corrected", "differs", "unchecked", "background")


def spans(text: str) -> list[str]:
    """What stands in backticks."""
    return re.findall(r"`([^`\n]+)`", text)


def statements() -> list[list[str]]:
    """Number, statement, where, status and reason of every row of the paper's page."""
    rows = [line.strip("|").split("|") for line in PAPER.splitlines() if re.match(r"\| \d+ \|", line)]
    return [[cell.strip() for cell in row] for row in rows]


def named_commands() -> list[str]:
    return sorted({one for one in spans(PAPER) if one.startswith("fastquery ")})


def test_statements_are_numbered_and_counted() -> None:
    rows = statements()
    assert [int(row[0]) for row in rows] == list(range(1, len(rows) + 1))
    assert all(len(row) == 5 for row in rows)
    assert f"{len(rows)} numbers, formulas" in PAPER
    counted = {name: int(count) for name, count in re.findall(r"^\| (\w+) \| (\d+) \| ", PAPER, re.MULTILINE)}
    assert counted == dict(Counter(row[3] for row in rows))
    assert set(counted) == set(STATUSES)


def test_every_claim_of_the_page_exists() -> None:
    ids = [one.id for one in load_claims()]
    named = [
        one for one in spans(PAPER) if "/" in one and not one.startswith("fastquery ") and "." not in one.split("/")[-1]
    ]
    assert len(named) >= 80
    for one in named:
        pattern = re.compile(re.escape(one).replace(r"\*", ".*") + "$")
        assert any(pattern.match(name) for name in ids), one


def test_every_claim_of_the_paper_is_on_the_page() -> None:
    patterns = [re.escape(one).replace(r"\*", ".*") + "$" for one in spans(PAPER) if "/" in one]
    left = [one.id for one in load_claims() if "FastQuery (DAC" in one.source]
    assert [name for name in left if not any(re.match(pattern, name) for pattern in patterns)] == []


def test_every_file_of_the_page_exists() -> None:
    files = [one for one in spans(PAPER) if re.search(r"/[^/ ]+\.(py|md|toml)$", one)]
    assert len(files) >= 20
    assert [one for one in files if not (ROOT / one).is_file()] == []


@pytest.mark.parametrize("command", named_commands())
def test_every_command_of_the_page_has_its_options(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    _, subcommand, *words = command.split()
    with pytest.raises(SystemExit) as ended:
        main([subcommand, "--help"])
    assert ended.value.code == 0
    shown = capsys.readouterr().out
    assert [word for word in words if word.startswith("--") and word not in shown] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_cited_work_is_in_the_references(page: Path) -> None:
    known = set(re.findall(r"^@\w+\{(\w+),", (DOCS / "references.bib").read_text("utf-8"), re.MULTILINE))
    text = re.sub(r"`[^`\n]*`|^(```|    ).*$", "", page.read_text("utf-8"), flags=re.MULTILINE)
    cited = set(re.findall(r"(?<!\])\[([a-z][a-z0-9]+)\](?![(\[])", text))
    assert cited <= known


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_leads_to_a_page(page: Path) -> None:
    links = re.findall(r"\]\(([^)#]+?)(?:#[^)]*)?\)", page.read_text("utf-8"))
    assert [link for link in links if "://" not in link and not (page.parent / link).is_file()] == []


def test_the_example_of_the_readme_runs(capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("openfhe", reason="the example executes a lookup")
    (example,) = re.findall(r"^```python\n(.*?)^```$", README, re.DOTALL | re.MULTILINE)
    exec(compile(example, "README.md", "exec"), {})
    assert "True True" in capsys.readouterr().out


def test_every_link_of_the_readme_leads_to_a_file() -> None:
    links = re.findall(r'(?:\]\(|src=")([^)#"]+)', README)
    assert len(links) >= 12
    assert [link for link in links if "://" not in link and not (ROOT / link).is_file()] == []


def test_the_folded_query_of_the_page_is_the_one_that_is_priced() -> None:
    """The numbers in brackets of section 11, which are those of LLaMA-7B's table."""
    page = (DOCS / "model.md").read_text("utf-8")
    found = fq.estimate(table="llama-7b", protocol="folded")
    counts = dict(zip(found.ledger["item"], found.ledger["count"], strict=True))
    sizes = dict(zip(found.ledger["item"], found.ledger["bytes"], strict=True))
    single, split = (int(part) for part in re.findall(r"\[(\d+) \+ (\d+)\]", page)[-1])
    assert single + split == counts["expand"]
    assert f"[{counts['fold']}]" in page
    assert f"C d1 [{counts['table pass']}]" in page
    for item in ("query", "answer"):
        assert re.search(rf"{item} bytes\}} = .*\[{sizes[item] - FRAME_HEADER_BYTES:.0f}: .*and 16 of header", page)
    assert f"[{sizes['keys'] / 1e6:.2f} MB: {counts['read keys']} rows]" in page
