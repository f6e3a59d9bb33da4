"""``fastquery query``: where its tokens come from."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from costmodel.parameters import Table
from costmodel.systems import executed
from fastquery.cli import main
from protocol.limits import Limits
from tests.protocol.serving import Running, prepared, serving


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))


@pytest.fixture
def served() -> Iterator[Running]:
    pytest.importorskip("openfhe")
    configuration = executed("fastquery", Table(300, 24), flooding_bits=0)
    with serving(prepared(configuration, Limits(clients=2, timeout_s=30.0))) as running:
        yield running


@pytest.mark.parametrize("source", ["a file", "standard input"])
def test_tokens_are_read(
    source: str, served: Running, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    content, path = "0 77\n299\n", tmp_path / "tokens.txt"
    path.write_text(content, "utf-8")
    monkeypatch.setattr("sys.stdin", io.StringIO(content))
    named = str(path) if source == "a file" else "-"
    code = main(
        ["query", "--connect", f"127.0.0.1:{served.port}", "--token-file", named, "--check", "300x24", "--json"]
    )
    document = json.loads(capsys.readouterr().out)
    assert code == 0
    assert document["correct"]
    assert (document["lookups"], document["tokens"]) == (2, 3)


@pytest.mark.parametrize("content", ["77 seventy-eight", "7.5", "", "\xff"])
def test_what_is_no_token_is_refused_and_not_repeated(
    content: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "tokens.txt"
    path.write_bytes(content.encode("latin-1"))
    assert main(["query", "--connect", "127.0.0.1:1", "--token-file", str(path)]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert "token" in error
    assert not content or content not in error.replace(str(path), "")


def test_a_file_that_is_not_there_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["query", "--connect", "127.0.0.1:1", "--token-file", "/nowhere/tokens"]) == 2
    assert "/nowhere/tokens" in capsys.readouterr().err


@pytest.mark.parametrize("tokens", [[], ["--token", "7", "--token-file", "-"]])
def test_tokens_come_from_one_place(tokens: list[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["query", "--connect", "127.0.0.1:1", *tokens])
