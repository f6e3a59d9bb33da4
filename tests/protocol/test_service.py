"""A service under many clients: right answers, shared table, bounds, reports, and what its log says."""

from __future__ import annotations

import json
import logging
import os
import re
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from costmodel.parameters import Ring, Table
from costmodel.systems import executed
from fastquery.queries import parse_address, query
from protocol.admission import Admission, AdmittedSession, Memory
from protocol.channel import Channel
from protocol.client import ask_report, ask_shares, look_up
from protocol.engine import NOTHING, Shape, Shapes
from protocol.errors import ProtocolError
from protocol.frames import Kind
from protocol.limits import Limits
from protocol.meter import Meter
from protocol.requirements import Requirements
from protocol.seeds import RecentSeeds, SeedRecord, SeedReused
from protocol.turns import Turns
from protocol.workspaces import Workspaces
from tests.protocol.serving import Running, hello, prepared, read_frames, serving
from tests.waiting import PATIENCE_S, wait_until

pytest.importorskip("openfhe")

CONFIGURATION = executed("fastquery", Table(5000, 192), flooding_bits=40)


@pytest.fixture(scope="module")
def ready() -> Running:
    return prepared(CONFIGURATION, Limits(clients=32, timeout_s=60.0))


@pytest.fixture
def running(ready: Running) -> Iterator[Running]:
    with serving(ready) as served:
        yield served


def test_clients_at_once_get_their_own_rows(running: Running) -> None:
    tokens = [[17 * k, 4999 - k] for k in range(6)]
    with ThreadPoolExecutor(len(tokens)) as pool:
        assert all(pool.map(running.opens, tokens))


@pytest.mark.slow
def test_a_hundred_clients_at_once_get_a_hundred_right_answers(running: Running) -> None:
    tokens = [[49 * k] for k in range(100)]
    with ThreadPoolExecutor(len(tokens)) as pool:
        assert all(pool.map(running.opens, tokens))


def test_clients_beyond_the_bound_wait_for_their_turn(ready: Running) -> None:
    ready.limits = Limits(clients=1, timeout_s=60.0, workers=1)
    with serving(ready) as served, ThreadPoolExecutor(3) as pool:
        assert all(pool.map(served.opens, [[1], [2], [3]]))
    ready.limits = Limits(clients=32, timeout_s=60.0)


def test_the_openfhe_engine_serves_clients_at_once() -> None:
    ready = prepared(executed("fastquery", Table(300, 24), engine="openfhe"), Limits(clients=8))
    with serving(ready) as served, ThreadPoolExecutor(4) as pool:
        assert all(pool.map(served.opens, [[7], [8], [299], [0, 1]]))


def test_sessions_leave_the_encoded_table_as_it_is(running: Running) -> None:
    engine: Any = running.server._engine
    before = engine.table.transformed.tobytes(), engine.table.weights.tobytes()
    assert running.opens([5])
    assert (engine.table.transformed.tobytes(), engine.table.weights.tobytes()) == before


def test_the_report_is_the_servers_ledger(running: Running) -> None:
    _, report, _ = running.look_up([3])
    transfers = {(row["phase"], row["item"]): row["bytes"] for row in report if row["kind"] == "transfer"}
    assert transfers["setup", "parameters"] == 16 + 2048 + 12 * 192
    assert ("online", "answer") in transfers
    assert all(row["seconds"] >= 0 for row in report if row["kind"] == "work")
    assert all(row["party"] == "server" for row in report)


def test_shares_are_revealed_by_a_test_server_alone(ready: Running) -> None:
    with serving(ready, reveal=False) as served:
        channel, meter = served.channel()
        found = look_up(channel, meter, [1], False, SeedRecord())
        with pytest.raises(ProtocolError, match="does not reveal"):
            ask_shares(channel, found.shares)
        channel.close()


def test_the_log_names_no_token_and_no_share(running: Running, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    found, _, others = running.look_up([4321])
    with pytest.raises(ValueError, match="outside the vocabulary") as raised:
        running.look_up([987654])
    # Without what is no secret and may be equal to a share: addresses, line numbers, the size of the vocabulary.
    logged = "\n".join(record.getMessage() for record in caplog.records)
    said = re.sub(r"127\.0\.0\.1:\d+|\b4999\b", "", logged + str(raised.value))
    assert "1 token(s)" in said
    numbers = set(re.findall(r"\d{3,}", said))
    assert not numbers & {"4321", "987654", *(str(int(share)) for share in (*found.shares[0], *others[0]))}


@pytest.mark.parametrize("token", [5000, 2**40, -1])
def test_a_token_outside_the_vocabulary_is_noticed_before_keys_are_made(
    running: Running, caplog: pytest.LogCaptureFixture, token: int
) -> None:
    channel, meter = running.channel()
    with pytest.raises(ValueError, match="must lie between 0 and 4999"):
        look_up(channel, meter, [1, token], False, SeedRecord())
    channel.close()
    assert {row["item"] for row in meter.rows() if row["kind"] == "transfer"} == {"hello"}
    wait_until(lambda: caplog.records)
    assert "peer reports: client does not take the parameters" in caplog.text


def test_a_server_hears_nothing_of_why_a_client_left_that_had_sent_keys(
    running: Running, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refusing(*_: object) -> None:
        raise ProtocolError("the answer's error is 123456")

    monkeypatch.setattr("protocol.compact.client.ResidueClient.encrypt", refusing)
    with pytest.raises(ProtocolError, match="123456"):
        running.look_up([1])
    wait_until(lambda: caplog.records)
    assert "peer reports: client ended the session" in caplog.text
    assert "123456" not in caplog.text


def test_seconds_are_told_on_request_alone(ready: Running) -> None:
    with serving(ready, reveal=False) as served:
        channel, meter = served.channel()
        look_up(channel, meter, [1], False, SeedRecord())
        report = ask_report(channel)
        channel.close()
    seconds = [row["seconds"] for row in report if row["kind"] == "work"]
    assert seconds
    assert set(seconds) == {0.0}
    with serving(ready) as served:
        _, report, _ = served.look_up([1])
    told = [row["seconds"] for row in report if row["kind"] == "work"]
    assert sum(told) > 0
    assert all(value == float(f"{value:.1e}") for value in told)


def test_an_unexpected_error_ends_one_session_and_says_nothing_of_itself(
    running: Running, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("the mask is 123456")

    with monkeypatch.context() as patched:
        patched.setattr(running.server._engine, "session", broken)
        with running.connect() as connection:
            connection.sendall(hello())
            ((kind, body),) = read_frames(connection)
    assert (kind, b"123456" in body) == (Kind.ERROR, False)
    assert "RuntimeError at test_service.py" in caplog.text
    assert "123456" not in caplog.text
    assert running.opens([1])


def test_stopping_ends_sessions_and_the_port_is_free_again(ready: Running) -> None:
    with serving(ready) as served:
        port = served.port
        channel, meter = served.channel()

        def stop(_: object) -> None:
            served.service.stop()
            wait_until(lambda: served.service.sessions == 0)

        with pytest.raises(ProtocolError):
            look_up(channel, meter, [1], False, SeedRecord(), stop)
        channel.close()
    with serving(ready, port=port) as again:
        assert again.opens([1])


def test_a_query_by_hand_has_the_documented_keys(running: Running, tmp_path: Path) -> None:
    result = query(
        f"127.0.0.1:{running.port}",
        [77, 512],
        requirements=Requirements(),
        check="5000x192",
        seeds=tmp_path / "seeds.sqlite",
    )
    document = result.document()
    assert (document["correct"], document["ledgers_agree"], document["share_bytes"]) == (True, True, 2 * 64 * 8)
    unchecked = replace(result, mismatches=None).document()
    assert "correct" not in unchecked
    for name in ("up_bytes", "down_bytes", "setup_bytes"):
        assert unchecked[name] == unchecked["predicted_" + name] > 0
    for name in (
        "server_s",
        "client_s",
        "table_s",
        "offline_s",
        "latency_s",
        "predicted_server_s",
        "predicted_latency_s",
    ):
        assert unchecked[name] >= 0


@pytest.mark.parametrize(
    ("requirements", "words"),
    [
        (Requirements(security_bits=192), "at least 192 are required"),
        (Requirements(flooding_bits=41), "flooding_bits is 40; at least 41"),
        (Requirements(log2_failure=-400), "comes out wrong"),
    ],
)
def test_a_client_refuses_parameters_below_its_own_bounds(
    running: Running, requirements: Requirements, words: str
) -> None:
    channel, meter = running.channel()
    with pytest.raises(ProtocolError, match=words):
        look_up(channel, meter, [1], False, SeedRecord(), requirements.check)
    channel.close()
    assert "keys" not in {row["item"] for row in meter.rows()}


def test_a_client_refuses_less_noise_than_the_security_tables_are_for() -> None:
    Requirements().check(CONFIGURATION)
    quiet = CONFIGURATION.updated(ring=replace(CONFIGURATION.ring, sigma=0.6))
    with pytest.raises(ValueError, match=r"sigma is 0\.6"):
        Requirements(log2_failure=0).check(quiet)
    weak = CONFIGURATION.updated(ring=Ring(2048, (60,), 2**13))
    with pytest.raises(ValueError, match="bits of security"):
        Requirements(log2_failure=0).check(weak)
    Requirements(security_bits=0, log2_failure=0).check(weak)


class Session:
    """An engine's session of a given size that does nothing."""

    def __init__(self, size_bytes: int) -> None:
        self.shapes = Shapes(NOTHING, NOTHING, NOTHING, Shape(1, size_bytes), NOTHING)
        self.computing = 0

    def accept_keys(self, frames: object) -> None:
        self.computing += 1

    def prepare(self, frames: object) -> Iterator[bytes]:
        return iter(())

    def answer(self, frames: object, shares: object) -> Iterator[bytes]:
        yield b"one"
        yield b"two"


def admission(memory_bytes: float = 3000, address_bytes: float = 3000, workers: int = 1) -> Admission:
    return Admission(Memory(memory_bytes, address_bytes, 0.05), Turns(workers), Workspaces(3000, 1000))


def test_room_is_bounded_waited_for_and_given_back() -> None:
    shared = admission()
    one, other = shared.allowance("192.0.2.1").room, shared.allowance("192.0.2.2").room
    with pytest.raises(ProtocolError, match="has room for 3000"):
        one.expect(3001)
    with one.held(), other.held():
        one.arrived(900)
        with pytest.raises(ProtocolError, match="busy"):
            other.take(301)
        with other.scope():
            other.take(300)
            assert shared.memory.held_bytes == 3000
    with other.held():
        other.take(3000)
    assert shared.memory.held_bytes == 0


def test_an_address_holds_no_more_than_its_part() -> None:
    shared = admission(address_bytes=1000)
    first, second, other = (shared.allowance(f"192.0.2.{k}").room for k in (1, 1, 2))
    with pytest.raises(ProtocolError, match="has room for 1000"):
        first.expect(1001)
    with first.held(), second.held(), other.held():
        first.take(600)
        with pytest.raises(ProtocolError, match="busy"):
            second.take(600)
        other.take(1000)


def test_sessions_of_an_address_do_not_wait_for_each_other_in_a_circle() -> None:
    """Both would hold half of what they need, and wait for the other's half."""
    shared = admission(address_bytes=1000)
    first, second = (shared.allowance("192.0.2.1").room for _ in range(2))
    with first.held(), second.held():
        first.expect(900)
        second.expect(900)
        first.take(450)
        with pytest.raises(ProtocolError, match="busy"):
            second.take(450)
        second.take(100)
        first.take(450)


def test_a_session_that_sends_keeps_no_other_from_computing() -> None:
    shared = admission()
    answering: Any = AdmittedSession(Session(1), shared.allowance("192.0.2.1").turn)
    other: Any = AdmittedSession(Session(1), shared.allowance("192.0.2.1").turn)
    frames = answering.answer([], None)
    assert next(frames) == b"one"
    done = threading.Thread(target=other.accept_keys, args=([],), daemon=True)
    done.start()
    done.join(timeout=PATIENCE_S)
    assert not done.is_alive()
    assert list(frames) == [b"two"]


def test_recent_seeds_are_known_and_old_ones_forgotten() -> None:
    seeds = RecentSeeds(most=2)
    seeds.claim(b"a")
    with pytest.raises(SeedReused):
        seeds.claim(b"a")
    seeds.claim(b"b")
    seeds.claim(b"c")
    seeds.claim(b"a")


@pytest.mark.parametrize(
    ("text", "address"),
    [("127.0.0.1:9000", ("127.0.0.1", 9000)), ("[::1]:1", ("::1", 1)), ("host.example:65535", ("host.example", 65535))],
)
def test_an_address_is_read(text: str, address: tuple[str, int]) -> None:
    assert parse_address(text) == address


@pytest.mark.parametrize("text", ["", "9000", "host", "host:", "host:70000", "::1:9000", "a b:1", "host:-1"])
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="must look like"):
        parse_address(text)


@pytest.mark.parametrize("field", [{"clients": 0}, {"memory_bytes": 5}, {"timeout_s": 0.0}, {"workers": 0}])
def test_limits_that_cannot_be_are_refused(field: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(field))):
        Limits(**field)


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-c", "import sys; from fastquery.cli import main; sys.exit(main())", *arguments]


def start(port: int) -> tuple[subprocess.Popen[str], int]:
    server = subprocess.Popen(
        command("serve", "--table", "300x96", "--listen", f"127.0.0.1:{port}", "--json", "--reveal-shares-for-tests"),
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert server.stdout is not None
    lines = []
    for line in server.stdout:
        lines.append(line)
        if line.startswith("}"):
            break
    return server, json.loads("".join(lines))["port"]


@pytest.mark.slow
def test_a_server_that_is_killed_in_a_query_and_started_again_serves(tmp_path: Path) -> None:
    server, port = start(0)
    try:
        meter = Meter("client")
        channel = Channel(socket.create_connection(("127.0.0.1", port)), meter, 30.0)

        def kill(_: object) -> None:
            server.kill()
            server.wait()

        with pytest.raises(ProtocolError):
            look_up(channel, meter, [7], False, SeedRecord(), kill)
        channel.close()
        assert server.stdout is not None
        server.stdout.close()
        server, port = start(port)
        share = tmp_path / "share.npy"
        asked = command(
            "query",
            "--connect",
            f"127.0.0.1:{port}",
            "--token",
            "7",
            "--check",
            "300x96",
            "--output",
            str(share),
            "--json",
        )
        done = subprocess.run(asked, capture_output=True, text=True, check=True)
        document = json.loads(done.stdout)
        assert document["correct"]
        assert document["ledgers_agree"]
        assert share.stat().st_mode & 0o777 == 0o600
        wrong = subprocess.run(command("query", "--connect", "nowhere", "--token", "7"), capture_output=True, text=True)
        assert (wrong.returncode, wrong.stderr.count("\n")) == (2, 1)
        server.send_signal(signal.SIGTERM)
        assert server.wait(timeout=PATIENCE_S) == 0
    finally:
        server.kill()
        server.wait()
        if server.stdout is not None:
            server.stdout.close()
