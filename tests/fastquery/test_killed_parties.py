"""What becomes of a session whose other party is killed in the middle of a lookup."""

from __future__ import annotations

import random
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

import fastquery as fq
from protocol.errors import ProtocolError
from protocol.share import open_levels
from tests.fastquery.test_sessions import plain
from tests.fastquery.test_shares import server

pytest.importorskip("openfhe")

CLIENT = """
import sys
from pathlib import Path
import fastquery as fq
with fq.connect(sys.argv[1], tokens=2, seeds=Path(sys.argv[2])) as session:
    while True:
        print(session.lookup([7, 8]).lookup, flush=True)
"""
COUNTS = [2, pytest.param(500, marks=[pytest.mark.slow, pytest.mark.timeout(1800)])]


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))


@pytest.mark.parametrize("protocol", ["fastquery", "folded"])
@pytest.mark.parametrize("count", COUNTS)
def test_a_client_is_killed(protocol: str, count: int, tmp_path: Path) -> None:
    """The server goes on; the client that starts again has another seed, session and secret."""
    seeds = tmp_path / "seeds.sqlite"
    with fq.Server("300x24", protocol=protocol, on_share=lambda _: None) as served:
        for killed in range(2):
            command = [sys.executable, "-c", CLIENT, served.address, str(seeds)]
            with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as client:
                assert client.stdout is not None
                for number in range(1, count + 1):
                    assert int(client.stdout.readline()) == number
                time.sleep(random.Random(killed).uniform(0, 0.05))
                client.send_signal(signal.SIGKILL)
        before = claimed(seeds)
        with fq.connect(served.address, seeds=seeds) as session:
            assert session.lookup([5]).lookup == 1
        assert claimed(seeds) > before


def claimed(path: Path) -> int:
    """Seeds in a record, which takes each of them once."""
    with sqlite3.connect(path) as record:
        found: int = record.execute("SELECT count(*) FROM used").fetchone()[0]
        return found


@pytest.mark.parametrize("count", COUNTS)
def test_a_server_is_killed(count: int) -> None:
    """The client's lookup ends with a reason, in time."""
    with server("--protocol", "folded") as (process, address), fq.connect(address) as session:
        for _ in range(count):
            session.lookup([7])
        threading.Timer(0.02, process.kill).start()
        started = time.monotonic()
        with pytest.raises(ProtocolError, match=r"no server at|connection|closed"):
            look_up_until(session, started + 60)
        assert time.monotonic() - started < 60


@pytest.mark.parametrize("moment", range(4))
def test_a_killed_server_has_counted_all_that_it_answered(moment: int, tmp_path: Path) -> None:
    """Whenever it is killed, at most the lookup that was under way is counted without an answer."""
    counted = tmp_path / "state" / "fastquery" / "budgets.sqlite"
    answers: list[fq.Share] = []
    with server("--protocol", "folded", "--flooding-bits", "40") as (process, address), fq.connect(address) as session:
        answers.append(session.lookup([7]))
        threading.Timer(random.Random(moment).uniform(0.05, 0.5), process.kill).start()
        with pytest.raises(ProtocolError):
            answers.extend(iter(lambda: session.lookup([7]), None))
    with sqlite3.connect(counted) as record:
        rows = record.execute("SELECT sum(rows) FROM spent_squares").fetchone()[0]
    assert len(answers) <= rows <= len(answers) + 1


def look_up_until(session: fq.Session, deadline: float) -> None:
    while time.monotonic() < deadline:
        session.lookup([7])


def test_eight_clients_at_once_have_their_own_rows() -> None:
    """Shares of all of them open by session and lookup, whoever was answered first."""
    taken: list[fq.Share] = []
    held: list[tuple[list[int], fq.Share]] = []
    with fq.Server("300x24", protocol="folded", on_share=taken.append) as served:

        def look_up(seed: int) -> None:
            drawn = random.Random(seed)
            with fq.connect(served.address, tokens=2) as session:
                for _ in range(3):
                    ids = [drawn.randrange(300) for _ in range(drawn.randint(1, 2))]
                    held.append((ids, session.lookup(ids)))

        clients = [threading.Thread(target=look_up, args=(seed,)) for seed in range(8)]
        for client in clients:
            client.start()
        for client in clients:
            client.join()
        table = plain(served)
    assert len(held) == len(taken) == 24
    theirs = {(share.session, share.lookup): share for share in taken}
    for ids, mine in held:
        levels = open_levels(mine, theirs[mine.session, mine.lookup])
        assert [table.levels(token).tolist() for token in ids] == levels.tolist()
