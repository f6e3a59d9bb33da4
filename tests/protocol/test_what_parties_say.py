"""What processes say when they fail and when they do not: neither tokens nor shares."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from costmodel.parameters import Configuration, Table
from protocol.errors import ProtocolError

pytest.importorskip("openfhe")
from protocol.execute import execute
from tests.protocol.parties import (
    own,
)

TOKEN = 31415
"""A token that no byte count or line number is."""


class Recorded(subprocess.Popen[str]):
    """A process whose arguments and standard output are kept, its standard error in its output."""

    lines: list[str]

    def __init__(self, arguments: list[str], **options: Any) -> None:
        self.lines.append(" ".join(arguments))
        super().__init__(arguments, **{**options, "stderr": subprocess.STDOUT})
        assert self.stdout is not None
        self.stdout = self._kept(self.stdout)  # type: ignore[assignment]

    def _kept(self, stream: Any) -> Any:
        lines = self.lines

        class Kept:
            def __iter__(self) -> Iterator[str]:
                for line in stream:
                    lines.append(line)
                    # Tracebacks and warnings go where the events are, and are none.
                    if line.startswith("{"):
                        yield line

            def close(self) -> None:
                lines.extend(stream)
                stream.close()

        return Kept()


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> list[str]:
    """Everything that the two processes of a run say, and their arguments."""
    lines: list[str] = []
    monkeypatch.setattr(Recorded, "lines", lines, raising=False)
    monkeypatch.setattr(subprocess, "Popen", Recorded)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    return lines


def numbers(value: Any) -> Iterator[int]:
    if isinstance(value, dict):
        for inner in value.values():
            yield from numbers(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from numbers(inner)
    elif isinstance(value, int):
        yield value


def mentions(text: str, number: int) -> bool:
    return re.search(rf"(?<![\d.]){number}(?![\d.])", text) is not None


WIDE = own(40000, 6, flooding_bits=0)
WIRE = WIDE.wire
assert WIRE is not None

DAMAGED = {
    "answers too wide to be made": WIDE.updated(wire=replace(WIRE, answer_b_bits=60)),
    "fields that do not cover": own(40000, 6, flooding_bits=0, ring={"plaintext_modulus": 9001}).updated(align_bits=9),
}
MORE_DAMAGED = {
    "queries wider than their modulus": WIDE.updated(wire=replace(WIRE, query_bits=63)),
    "digits wider than a limb": WIDE.updated(wire=replace(WIRE, digit_bits=60)),
    "a table of another shape": WIDE.updated(table=Table(40001, 6)),
    "a sigma that is not drawn": WIDE.updated(ring=replace(WIDE.ring, sigma=3.2)),
}


@pytest.mark.parametrize(
    "configuration",
    [*DAMAGED.values(), *(pytest.param(one, marks=pytest.mark.slow) for one in MORE_DAMAGED.values())],
    ids=[*DAMAGED, *MORE_DAMAGED],
)
def test_no_token_is_in_what_failing_parties_say(configuration: Configuration, said: list[str]) -> None:
    with pytest.raises(ProtocolError) as raised:
        execute(configuration, "40000x6", [TOKEN])
    output = "".join(said)
    assert "failed" in output
    assert not mentions(output, TOKEN)
    assert not mentions(str(raised.value), TOKEN)


@pytest.mark.parametrize(
    "configuration",
    [
        own(40000, 6, align_bits=37, prepared=True),
        *(pytest.param(one, marks=pytest.mark.slow) for one in (WIDE, own(40000, 6))),
    ],
)
def test_no_token_and_no_share_is_in_what_parties_say(configuration: Configuration, said: list[str]) -> None:
    run = execute(configuration, "40000x6", [TOKEN])
    output = "".join(said)
    assert not mentions(output, TOKEN)
    events = [json.loads(line) for line in said if line.startswith("{")]
    assert [event for event in events if event["event"] == "result"]
    told = set(numbers(events))
    secret = {int(share) for share in np.concatenate([run.client_shares.ravel(), run.server_shares.ravel()])}
    assert not {share for share in secret - set(range(4096)) if share in told or mentions(output, share)}


def test_a_token_outside_the_vocabulary_is_refused_without_naming_it(said: list[str]) -> None:
    with pytest.raises(ProtocolError, match="outside the vocabulary") as raised:
        execute(WIDE, "40000x6", [8271828])
    assert not mentions("".join(said) + str(raised.value), 8271828)
