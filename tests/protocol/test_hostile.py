"""Hostile sessions: twenty thousand here, or FASTQUERY_HOSTILE_CASES; `make hostile` throws a million."""

from __future__ import annotations

import os
import random
from contextlib import ExitStack
from pathlib import Path

import pytest

pytest.importorskip("openfhe")
from protocol.frames import HEADER, Kind, decode_header, encode_frame
from protocol.lookup import LookupServer
from tests.protocol import hostile

CASES = int(os.environ.get("FASTQUERY_HOSTILE_CASES", "20000"))


@pytest.mark.timeout(900)
@pytest.mark.parametrize("name", hostile.PARTS)
def test_hostile_sessions_leave_the_service_whole(name: str) -> None:
    with ExitStack() as stack:
        running = hostile.served(name, stack)
        frames = hostile.recorded(running)
        with hostile.watched() as surprises:
            for path in hostile.kept(name):
                hostile.throw(running, path.read_bytes(), "127.0.0.2", surprises)
        hostile.bombard(running, name, frames, round(CASES * hostile.PARTS[name]), seed=1)


def test_a_session_with_fresh_seeds_gets_as_far_as_its_preparation() -> None:
    with ExitStack() as stack:
        running = hostile.served("prepared", stack)
        chance, kinds = random.Random(1), []
        with running.connect() as connection, connection.makefile("rb") as replies:
            for number, (kind, body) in enumerate(hostile.recorded(running)[:4]):
                connection.sendall(encode_frame(kind, number, hostile.fresh((kind, body), chance)))
            assert kind is Kind.ANNOUNCEMENT
            while Kind.FIRST_HALVES not in kinds:
                kind, _, length, _ = decode_header(replies.read(HEADER.size))
                replies.read(length)
                kinds.append(kind)
    assert Kind.ERROR not in kinds


def test_parts_are_a_whole() -> None:
    assert hostile.PARTS.keys() == hostile.SESSIONS.keys()
    assert sum(hostile.PARTS.values()) == pytest.approx(1)


def test_a_service_that_fails_is_a_surprise_and_its_session_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hostile, "CORPUS", tmp_path)
    with ExitStack() as stack:
        running = hostile.served("fastquery", stack)
        frames = hostile.recorded(running)

        def failing(*_: object) -> None:
            raise KeyError(hostile.TOKEN)

        monkeypatch.setattr(LookupServer, "open", failing)
        with pytest.raises(hostile.Surprise, match="KeyError"):
            hostile.bombard(running, "fastquery", frames, 100, seed=0)
    (session, *_) = hostile.kept("fastquery")
    assert session.stat().st_size > 0


def test_tasks_are_all_cases_once() -> None:
    made = list(hostile.tasks(100_000, 3))
    assert sum(cases for _, cases, _ in made) == 100_000
    assert len({(name, seed) for name, _, seed in made}) == len(made)


def test_damage_reaches_every_frame() -> None:
    frames: hostile.Frames = [
        (kind, bytes(1000)) for kind in (hostile.Kind.HELLO, hostile.Kind.KEYS, hostile.Kind.QUERY)
    ]
    sent = [hostile.damaged(frames, random.Random(number)) for number in range(2000)]
    assert {len(session) // 1000 for session in sent} >= {0, 1, 2, 3}
