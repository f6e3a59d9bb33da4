"""Sessions of many lookups, their shares, and what becomes of a session whose connection is lost."""

from __future__ import annotations

import json
import random
import resource
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.stats import chisquare

import fastquery as fq
from protocol.channel import Channel
from protocol.errors import ProtocolError
from protocol.frames import Kind
from protocol.hello import Greeter, Hello
from protocol.limits import Limits
from protocol.meter import Meter
from protocol.server import load_table
from protocol.share import Share, open_levels
from quantize.packed import PackedTable
from tests.protocol.authority import Authority
from tests.protocol.noise import IMPROBABLE
from tests.waiting import wait_until

pytest.importorskip("openfhe")

DESIGNS: list[dict[str, Any]] = [
    {"protocol": "fastquery"},
    {"protocol": "fastquery", "prepared": True},
    {"protocol": "fastquery", "align_bits": 32},
    {"protocol": "folded"},
    {"protocol": "folded", "prepared": True},
    {"protocol": "folded", "align_bits": 32},
    {"protocol": "compressed"},
    {"protocol": "compressed", "align_bits": 32},
    {"protocol": "cryptflow2", "engine": "openfhe"},
    {"protocol": "fastquery", "engine": "openfhe", "flooding_bits": 0},
]
ROWS = 300


def plain(server: fq.Server) -> PackedTable:
    configuration = server.configuration
    return load_table(configuration, f"{configuration.table.rows}x{configuration.table.channels}", 0)


def right(table: PackedTable, ids: list[int], mine: Share, theirs: Share) -> bool:
    return np.array_equal(open_levels(mine, theirs), np.stack([table.levels(token) for token in ids]))


def lookups(count: int, words: dict[str, Any], most: int = 16) -> None:
    """Lookups of one session, of random numbers of tokens, every other one prepared where that can be."""
    drawn, seen = random.Random(1), set()
    resident: list[int] = []
    with fq.Server("300x24", **words) as server, fq.connect(server.address, tokens=most) as session:
        table, shares = plain(server), server.shares()
        setup = session.setup_bytes
        for k in range(count):
            ids = [drawn.randrange(ROWS) for _ in range(drawn.randint(1, most))]
            if words.get("prepared") and k % 2:
                session.prepare(len(ids))
                session.wait_prepared()
            mine = session.lookup(ids)
            theirs = next(shares)
            assert right(table, ids, mine, theirs)
            assert mine.lookup not in seen
            seen.add(mine.lookup)
            resident.append(int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize())
        assert session.setup_bytes == setup
    if count > 200:  # the server's threads may still hold arrays of the lookup: the least of many is compared
        assert min(resident[-100:]) - min(resident[100:200]) < 8 << 20


@pytest.mark.parametrize("words", DESIGNS, ids=str)
def test_a_session_answers_lookups_of_any_number_of_tokens(words: dict[str, Any]) -> None:
    lookups(5, words, 4)


def test_a_server_that_ends_hands_out_the_shares_of_its_answers_first() -> None:
    taken = []

    def slowly(share: fq.Share) -> None:
        time.sleep(2)
        taken.append(share)

    with fq.Server("300x24", protocol="folded", on_share=slowly) as server, fq.connect(server.address) as session:
        mine = session.lookup([299])
    assert fq.open(mine, taken[0]).shape == (1, 24)


@pytest.mark.parametrize("words", [{"protocol": "fastquery"}, {"protocol": "folded", "prepared": True}], ids=str)
def test_sixty_lookups(words: dict[str, Any]) -> None:
    lookups(60, words, 2)


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("words", DESIGNS[:7], ids=str)
def test_a_thousand_lookups(words: dict[str, Any]) -> None:
    lookups(1000, words)


@pytest.mark.parametrize(
    "words", [{"protocol": "folded"}, {"protocol": "compressed"}, {"protocol": "fastquery", "align_bits": 32}], ids=str
)
def test_a_lost_connection_is_resumed_and_numbers_go_on(words: dict[str, Any]) -> None:
    with fq.Server("300x24", **words) as server, fq.connect(server.address) as session:
        table, shares = plain(server), server.shares()
        first = session.lookup([1])
        assert right(table, [1], first, next(shares))
        before = session.setup_bytes
        lose(server, session)
        second = session.lookup([2, 3])
        assert right(table, [2, 3], second, next(shares))
        assert second.session == first.session
        assert second.lookup > first.lookup
        assert session.setup_bytes - before < 20_000 < before or words.get("align_bits")


def lose(server: fq.Server, session: fq.Session) -> None:
    """Cut the connection of a session, as a network would, and wait until its server has noticed."""
    socket.socket.shutdown(session.connection, socket.SHUT_RDWR)
    wait_until(lambda: session.hello.session in server._server.parked._entries)


def test_a_session_whose_old_connection_the_server_still_holds_is_resumed() -> None:
    with fq.Server("300x24", protocol="folded") as server, fq.connect(server.address) as session:
        table, shares = plain(server), server.shares()
        first = session.lookup([1])
        assert right(table, [1], first, next(shares))
        held, (ours, theirs) = session.connection, socket.socketpair()
        theirs.close()
        session._session.channel.connection = ours
        second = session.lookup([2])
        assert right(table, [2], second, next(shares))
        assert (second.session, second.lookup > first.lookup) == (first.session, True)
        held.close()


def test_a_session_that_is_lost_again_and_again_is_resumed_at_once() -> None:
    with fq.Server("300x24", protocol="folded") as server, fq.connect(server.address) as session:
        table, shares = plain(server), server.shares()
        for token in range(20):
            socket.socket.shutdown(session.connection, socket.SHUT_RDWR)
            assert right(table, [token], session.lookup([token]), next(shares))


def test_a_session_of_somebody_else_is_not_resumed() -> None:
    with fq.Server("300x24", protocol="folded") as server:
        host, port = server.address.split(":")
        with fq.connect(server.address) as session:
            session.lookup([1])
            hello = session.hello
            lose(server, session)
            forged = Greeter(hello.tokens)
            forged.hello = hello
            channel = Channel(socket.create_connection((host, int(port))), Meter("client"), 60.0)
            channel.send(Kind.HELLO, forged.again(2).encode())
            with pytest.raises(ProtocolError, match="cannot be resumed"):
                channel.receive(Kind.READY, 0)
            channel.close()
            session.lookup([2])  # its own client still resumes it


@pytest.mark.parametrize("first_to_leave", ["thief", "client"])
def test_a_hello_that_is_repeated_takes_no_session_over(first_to_leave: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A thief opens a session of its own with a hello that it heard, and loses it before or after the client does."""
    said: list[Hello] = []
    encode = Hello.encode
    monkeypatch.setattr(Hello, "encode", lambda hello: said.append(hello) or encode(hello))
    with fq.Server("300x24", protocol="folded") as server, fq.connect(server.address) as client:
        table, shares = plain(server), server.shares()
        heard = next(hello for hello in said if not hello.resumes)
        monkeypatch.setattr("protocol.hello.Greeter.__init__", lambda greeter, _: setattr(greeter, "hello", heard))
        with fq.connect(server.address) as thief:
            assert thief.hello.session != client.hello.session
            for session in (thief, client) if first_to_leave == "thief" else (client, thief):
                lose(server, session)
            second = client.lookup([2])
        assert right(table, [2], second, next(shares))
        assert client.setup_bytes > 0


def test_a_share_is_saved_and_comes_back(tmp_path: Path) -> None:
    with fq.Server("300x24", protocol="folded") as server, fq.connect(server.address) as session:
        mine, theirs = session.lookup([5, 6]), next(server.shares())
    mine.save(tmp_path / "a.npz")
    theirs.save(tmp_path / "b.npz")
    assert (tmp_path / "a.npz").stat().st_mode & 0o777 == 0o600
    rows = fq.open(Share.load(tmp_path / "a.npz"), Share.load(tmp_path / "b.npz"))
    assert np.array_equal(rows, fq.open(mine, theirs))
    with pytest.raises(ValueError, match="one of each party"):
        fq.open(mine, mine)


@pytest.mark.parametrize(
    "damage", [lambda body: body[:-50], lambda body: body[:200] + b"\xff" * 8 + body[208:], lambda _: b"none"]
)
def test_a_damaged_share_is_refused(tmp_path: Path, damage: Callable[[bytes], bytes]) -> None:
    path = tmp_path / "a.npz"
    with fq.Server("300x24", protocol="fastquery") as server, fq.connect(server.address) as session:
        session.lookup([5]).save(path)
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(ValueError, match="is no share"):
        Share.load(path)


def test_fixed_point_shares_open_to_the_float_rows() -> None:
    with fq.Server("300x24", align_bits=40) as server, fq.connect(server.address) as session:
        mine, theirs = session.lookup([5, 6]), next(server.shares())
    bits, fraction = 36, 8
    total = (mine.embedding(bits, fraction) + theirs.embedding(bits, fraction)) & np.uint64(2**bits - 1)
    signed = np.where(total >= 2 ** (bits - 1), total.astype(np.int64) - 2**bits, total.astype(np.int64))
    rows = fq.open(mine, theirs)
    assert np.allclose(signed * mine.unit(fraction), rows, atol=np.abs(rows).max() * 2.0**-fraction)


@pytest.mark.parametrize("align_bits", [0, 32])
def test_either_share_alone_is_uniform(align_bits: int) -> None:
    values: dict[str, list[np.ndarray]] = {"client": [], "server": []}
    with fq.Server("300x24", align_bits=align_bits) as server, fq.connect(server.address) as session:
        for _ in range(30):
            for share in (session.lookup([7] * 8), next(server.shares())):
                values[share.party].append(share.values.reshape(-1) * 16 // share.modulus)
    for shares in values.values():
        counts = np.bincount(np.concatenate(shares).astype(np.int64), minlength=16)
        assert chisquare(counts).pvalue > IMPROBABLE


def test_sessions_speak_tls_by_the_words_of_serve_and_query(tmp_path: Path) -> None:
    authority = Authority(tmp_path, "authority")
    server, reader, other = (
        authority.signed("server", "127.0.0.1"),
        authority.signed("reader"),
        authority.signed("other"),
    )
    guarded: dict[str, Any] = {"client_ca": authority.certificate, "allow": ["reader"]}
    common: dict[str, Any] = {"tls_cert": server[0], "tls_key": server[1], "protocol": "folded"}
    with fq.Server("300x24", **common, **guarded) as served:
        own: dict[str, Any] = {"tls_ca": authority.certificate, "tls_cert": reader[0], "tls_key": reader[1]}
        with fq.connect(served.address, **own) as session:
            mine, theirs = session.lookup([7]), next(served.shares())
            assert right(plain(served), [7], mine, theirs)
            lose(served, session)
            session.lookup([8])
        with pytest.raises(ProtocolError):
            fq.connect(served.address, **{**own, "tls_cert": other[0], "tls_key": other[1]})
        with pytest.raises(ProtocolError):
            fq.connect(served.address)


def test_words_of_tls_that_do_not_go_together_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="tls-cert and tls-key go together"):
        fq.Server("300x24", tls_cert=tmp_path / "server.pem")
    with pytest.raises(ValueError, match="client-ca and allow go with"):
        fq.Server("300x24", allow=["reader"])
    with pytest.raises(ValueError, match="go with tls-ca"):
        fq.connect("127.0.0.1:1", tls_cert=tmp_path / "a", tls_key=tmp_path / "b")
    with pytest.raises(ValueError, match="which others reach"):
        fq.Server("300x24", listen="0.0.0.0:0")


def test_lost_sessions_are_held_to_a_quarter_of_the_memory() -> None:
    # Of the quarter an address has a half, 4 MiB: one session whose keys take 3, the one that was lost last.
    limits = Limits(memory_bytes=2**25, threads=1)
    with fq.Server("300x24", tokens=16, limits=limits) as server, fq.connect(server.address, tokens=1) as first:
        first.lookup([1])
        lose(server, first)
        with fq.connect(server.address, tokens=1) as second:
            second.lookup([1])
            lose(server, second)
            second.lookup([2])
        with pytest.raises(ProtocolError, match="cannot be resumed"):
            first.lookup([2])


def test_a_served_table_has_a_budget_and_an_audit_log(tmp_path: Path) -> None:
    log = tmp_path / "audit.jsonl"
    row = fq.estimate(table="300x24", flooding_bits=40).log2_statistical_distance
    served: dict[str, Any] = {"flooding_bits": 40, "seed": 5, "distance_budget": row + 1.01, "audit": log}
    for tokens in ([1], [2]):  # the second server of the table goes on where the first one ended
        with fq.Server("300x24", **served) as server, fq.connect(server.address) as session:
            session.lookup(tokens)
    with (
        fq.Server("300x24", **served) as server,
        fq.connect(server.address) as session,
        pytest.raises(ProtocolError, match=r"budget .* is used up"),
    ):
        session.lookup([3])
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    assert [line["tokens"] for line in lines] == [1, 1]
    assert log.stat().st_mode & 0o777 == 0o600


def test_a_budget_below_one_row_is_refused() -> None:
    with pytest.raises(ValueError, match="must lie between that of one row"):
        fq.Server("300x24", flooding_bits=40, distance_budget=-50.0)
