"""What an operator sees of a service: its audit log, its health, its budget."""

from __future__ import annotations

import json
import logging
import os
import socket
import struct
import threading
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import pytest

from costmodel.parameters import Table
from costmodel.systems import executed
from protocol.audit import Audit
from protocol.budget import DistanceBudget
from protocol.channel import Channel
from protocol.errors import ProtocolError
from protocol.frames import Kind
from protocol.health import MOST_REQUESTS, Health
from protocol.limits import Limits
from protocol.lookup import ClientSession, LookupServer
from protocol.meter import Meter
from protocol.seeds import SeedRecord
from protocol.service import Service
from tests.protocol.serving import Running, prepared, serving
from tests.waiting import PATIENCE_S, wait_until

pytest.importorskip("openfhe")


@pytest.fixture(scope="module")
def ready() -> Running:
    return prepared(executed("fastquery", Table(300, 96)), Limits(clients=8, timeout_s=60.0))


def with_budget(ready: Running, rows: int) -> DistanceBudget:
    server: LookupServer = ready.server
    server._budget = DistanceBudget("table", -30.0, rows.bit_length() - 31.0)
    return server._budget


def test_a_budget_that_is_used_up_is_refused_before_an_answer(ready: Running) -> None:
    budget = with_budget(ready, 4)
    with serving(ready) as served:
        found, _, _ = served.look_up([1, 2, 3])
        assert found.budget is not None
        assert (found.budget.log2_most, found.budget.log2_spent) == (budget.log2_most, -1024.0)
        with pytest.raises(ProtocolError, match=r"peer reports: the table's distance budget of 2\^-28.0 is used up"):
            served.opens([4, 5])
        assert budget.rows_answered == 3
        assert served.opens([6])
        with pytest.raises(ProtocolError, match="used up"):
            served.opens([7])
    ready.server._budget = None


DESIGNS: list[dict[str, Any]] = [
    {"protocol": "fastquery"},
    {"protocol": "fastquery", "prepared": True},
    {"protocol": "fastquery", "delphi": True},
    {"protocol": "folded"},
    {"protocol": "folded", "prepared": True},
    {"protocol": "compressed"},
]


@pytest.fixture(params=DESIGNS, ids=str)
def counted(request: pytest.FixtureRequest) -> Iterator[tuple[Running, DistanceBudget]]:
    """A service of a design, with a budget of 8 rows."""
    words = {"options": ("delphi",) if (words := dict(request.param)).pop("delphi", False) else (), **words}
    ready = prepared(executed(table=Table(300, 24), **words), Limits(clients=8, timeout_s=60.0))
    budget = with_budget(ready, 8)
    with serving(ready) as served:
        yield served, budget


def opened(channel: Channel, meter: Meter, tokens: int = 1) -> ClientSession:
    return ClientSession.open(channel, meter, tokens, False, SeedRecord())


def test_a_query_that_is_refused_takes_nothing_of_the_budget(counted: tuple[Running, DistanceBudget]) -> None:
    served, budget = counted
    channel, meter = served.channel()
    with closing(channel):
        session = opened(channel, meter)
        delphi = not session.engine.lookup(1, True).shapes.answer.frames
        shapes = session.engine.lookup(1, delphi).shapes
        if delphi:
            channel.send(Kind.PREPARATION, struct.pack("<II", 1, 1))
            kind, shape = Kind.ANNOUNCEMENT, shapes.announcement
        else:
            channel.send(Kind.LOOKUP, struct.pack("<II", 1, 1))
            kind, shape = Kind.QUERY, shapes.query
        for _ in range(shape.frames):
            channel.send(kind, b"\xff" * shape.length)
        with pytest.raises(ProtocolError, match="peer reports"):
            channel.receive(Kind.FIRST_HALVES if delphi else Kind.ANSWER, 2**20)
    assert budget.rows_answered == 0
    assert served.opens([6])
    assert budget.rows_answered == 1


def test_the_last_row_of_a_budget_is_answered(counted: tuple[Running, DistanceBudget]) -> None:
    served, budget = counted
    budget.spend(7)
    assert served.opens([6])
    assert (budget.rows_answered, budget.rows_left) == (8, 0)
    with pytest.raises(ProtocolError, match="used up"):
        served.opens([7])


def test_rows_are_counted_before_their_answer_leaves_and_once(
    counted: tuple[Running, DistanceBudget], monkeypatch: pytest.MonkeyPatch
) -> None:
    served, budget = counted
    left: list[tuple[Kind, int]] = []
    send = Channel.send

    def watched(channel: Channel, kind: Kind, body: bytes | memoryview) -> None:
        if kind in (Kind.FIRST_HALVES, Kind.ANSWER):
            left.append((kind, budget.rows_answered))
        send(channel, kind, body)

    monkeypatch.setattr(Channel, "send", watched)
    channel, meter = served.channel()
    with closing(channel):
        session = opened(channel, meter, 3)
        if session.configuration.has_offline_phase:
            session.prepare(3)
            session.wait_prepared()
        session.lookup([1, 2, 3])
        session.lookup([4])
    offline = not session.engine.lookup(3, session.configuration.has_offline_phase).shapes.answer.frames
    telling = [spent for kind, spent in left if kind is (Kind.FIRST_HALVES if offline else Kind.ANSWER)]
    assert set(telling) == {3, 4}
    assert budget.rows_answered == 4


def test_a_client_that_breaks_off_in_an_answer_has_its_line(tmp_path: Path) -> None:
    ready = prepared(executed("fastquery", Table(300, 24), align_bits=20), Limits(clients=8, timeout_s=60.0))
    path = tmp_path / "audit.jsonl"
    with serving(ready) as served:
        served.service._audit = Audit(path)
        channel, meter = served.channel()
        with closing(channel):
            session = opened(channel, meter, 2)
            engine = session.engine.lookup(2, False)
            channel.send(Kind.LOOKUP, struct.pack("<II", 1, 2))
            for frame in engine.encrypt([271, 12]):
                channel.send(Kind.QUERY, frame)
            channel.receive(Kind.ANSWER, engine.shapes.answer.length)
    (line,) = map(json.loads, path.read_text().splitlines())
    assert (line["tokens"], line["log2_distance"]) == (2, None)


def test_every_lookup_is_entered_in_the_audit_log(
    ready: Running, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with_budget(ready, 16)
    path = tmp_path / "audit.jsonl"
    with serving(ready) as served:
        served.service._audit = Audit(path)
        assert served.opens([271])
        assert served.opens([271, 12], "127.0.0.2")
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert [(line["tokens"], line["lookups"], line["log2_distance"]) for line in lines] == [
        (1, 1, -30.0),
        (2, 1, -29.0),
    ]
    assert lines[1]["peer"].startswith("127.0.0.2:")
    assert path.stat().st_mode & 0o777 == 0o600
    assert "271" not in path.read_text().replace(lines[0]["time"], "").replace(lines[1]["time"], "").replace(
        lines[0]["peer"], ""
    ).replace(lines[1]["peer"], "")
    ready.server._budget = None


def test_an_audit_log_that_is_no_file_of_ones_own_is_refused(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "other")
    for path in (tmp_path / "link", tmp_path, tmp_path / "none" / "audit"):
        with pytest.raises(ValueError, match="audit is"):
            Audit(path)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="a full disk")
@pytest.mark.skipif(os.geteuid() != 0, reason="opens a device of root's")
def test_a_lookup_that_cannot_be_entered_ends_in_the_log(ready: Running, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    with serving(ready) as served:
        served.service._audit = Audit(Path("/dev/full"))
        with pytest.raises(ProtocolError):
            served.look_up([1])
    assert "OSError at audit.py" in caplog.text


def test_health_is_served_as_prometheus_reads_it(ready: Running) -> None:
    budget = with_budget(ready, 16)
    with serving(ready) as served:
        service: Service = served.service
        with Health("127.0.0.1", 0, service.gauges()) as health:
            assert served.opens([1])
            with urllib.request.urlopen(f"http://127.0.0.1:{health.port}/metrics", timeout=PATIENCE_S) as answered:
                text = answered.read().decode()
    values = {line.split()[0]: float(line.split()[1]) for line in text.splitlines() if not line.startswith("#")}
    assert values["fastquery_budget_rows_left"] == budget.rows_left
    assert {"fastquery_sessions", "fastquery_queued_sessions", "fastquery_held_bytes"} <= values.keys()
    ready.server._budget = None


def test_a_line_that_is_written_in_part_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = Audit(tmp_path / "audit.jsonl")
    monkeypatch.setattr("protocol.audit.os.write", lambda _, data: len(data) - 1)
    with pytest.raises(OSError, match="audit log took"):
        log.enter("192.0.2.1:9", None, 1, None)
    log.close()


def test_the_log_says_what_is_wrong_with_the_record_of_distances_and_clients_are_not_told(
    ready: Running, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "state" / "budgets.sqlite"
    with closing(DistanceBudget("table", -30.0, -20.0, path)) as budget, serving(ready) as served:
        ready.server._budget = budget
        assert served.opens([1])
        path.unlink()
        with pytest.raises(ProtocolError, match="peer reports: server failed in this session; its log says where"):
            served.opens([2])
    ready.server._budget = None
    assert f"server failed: record of distances {path}: it was removed while in use; restore it" in caplog.text


def test_health_is_read_beside_a_crowd_that_asks_nothing(ready: Running) -> None:
    with serving(ready) as served, Health("127.0.0.1", 0, served.service.gauges()) as health, ExitStack() as held:
        threads = threading.active_count()
        for number in range(200):
            connection = held.enter_context(socket.create_connection(("127.0.0.1", health.port), timeout=PATIENCE_S))
            connection.sendall(b"GET /metrics HTT"[: number % 17])
        with urllib.request.urlopen(f"http://127.0.0.1:{health.port}/metrics", timeout=PATIENCE_S) as answer:
            assert b"fastquery_sessions" in answer.read()
        wait_until(lambda: threading.active_count() <= threads + MOST_REQUESTS)
