"""Turns at computing: fair by address, bounded in CPU seconds, and ended by a server that stops."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import pytest

from protocol.errors import ProtocolError
from protocol.limits import Limits, address_key
from protocol.turns import Turn, Turns
from tests.waiting import PATIENCE_S, wait_until


def compute(turn: Turn, pieces: int, piece_s: float) -> None:
    """So many pieces of so many CPU seconds."""
    with turn:
        for _ in range(pieces):
            with turn:
                end = time.thread_time() + piece_s
                while time.thread_time() < end:
                    pass


def started(run: Callable[[], None]) -> threading.Thread:
    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    return thread


def ends(threads: list[threading.Thread]) -> None:
    for thread in threads:
        thread.join(timeout=PATIENCE_S)
        assert not thread.is_alive()


def test_one_piece_is_done_amid_many_sessions_of_another_address() -> None:
    turns, stop = Turns(1), threading.Event()

    def crowd() -> None:
        while not stop.is_set():
            compute(Turn(turns, "crowd"), 1000, 0.02)

    def quietly() -> None:
        with pytest.raises(ProtocolError, match="over"):
            crowd()

    threads = [started(quietly) for _ in range(5)]
    wait_until(lambda: turns.waiting == 4)
    before_s = turns._use("crowd").served_s
    for _ in range(3):
        compute(Turn(turns, "honest"), 1, 0.02)
    meanwhile_s = turns._use("crowd").served_s - before_s
    stop.set()
    turns.stop("over")
    ends(threads)
    assert meanwhile_s < 10.0  # CPU seconds; a batch of the crowd is 20


def test_an_address_that_computed_while_nobody_waited_owes_nothing_for_it() -> None:
    turns = Turns(1)
    for _ in range(50):
        turns.take("regular")
        turns.give_back("regular", 2.0)

    def newcomer() -> None:
        with pytest.raises(ProtocolError, match="over"):
            compute(Turn(turns, "newcomer"), 10000, 0.02)

    threads = [started(newcomer) for _ in range(3)]
    wait_until(lambda: turns.waiting == 2)
    before_s = turns._use("newcomer").served_s
    compute(Turn(turns, "regular"), 1, 0.02)
    meanwhile_s = turns._use("newcomer").served_s - before_s
    turns.stop("over")
    ends(threads)
    assert meanwhile_s < 10.0  # CPU seconds; it was a hundred more than the newcomer's


def test_an_address_that_was_idle_has_saved_nothing_up() -> None:
    turns = Turns(1)
    turns.take("busy")
    turns.give_back("busy", 100.0)
    order: list[str] = []
    turns.take("busy")
    waiting = []
    for address in ("late", "busy") * 3:

        def wait(address: str = address) -> None:
            turns.take(address)
            order.append(address)
            turns.give_back(address, 1.0)

        waiting.append(started(wait))
        wait_until(lambda: turns.waiting == len(waiting))
    turns.give_back("busy", 1.0)
    ends(waiting)
    assert order == ["late", "late", "busy", "late", "busy", "busy"]
    turns.take("later")
    assert turns._use("later").served_s >= turns._now_s > 0


def test_what_waits_for_its_peer_leaves_its_turn_to_others() -> None:
    turns = Turns(1)
    mine = Turn(turns, "a")
    with mine:
        with mine.aside():
            compute(Turn(turns, "b"), 1, 0.001)
        other = started(lambda: compute(Turn(turns, "b"), 1, 0.001))
        other.join(timeout=0.2)
        assert other.is_alive()
    ends([other])


def test_cpu_seconds_of_an_address_are_bounded_in_the_middle_of_a_batch() -> None:
    turns = Turns(1, hourly_s=1.0)
    with pytest.raises(ProtocolError, match="used the 1 CPU seconds an hour"):
        compute(Turn(turns, "crowd"), 1000, 0.02)
    with pytest.raises(ProtocolError, match="CPU seconds"):
        turns.take("crowd")
    compute(Turn(turns, "honest"), 1, 0.001)


def test_a_stop_ends_whoever_computes_and_whoever_waits() -> None:
    turns, ended = Turns(1), []

    def run() -> None:
        with pytest.raises(ProtocolError, match="stopping") as raised:
            compute(Turn(turns, "a"), 100000, 0.01)
        ended.append(raised)

    threads = [started(run) for _ in range(3)]
    wait_until(lambda: turns.waiting == 2)
    turns.stop("server is stopping")
    ends(threads)  # together they would compute for 3,000 s
    assert len(ended) == 3


def test_many_addresses_take_bounded_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("protocol.turns.MOST_ADDRESSES", 100)
    turns = Turns(1)
    for number in range(1000):
        turns.take(str(number))
        turns.give_back(str(number), 0.001)
    assert len(turns._uses) == 100


@pytest.mark.parametrize(
    ("host", "key"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("local", "local"),
    ],
)
def test_addresses_that_one_host_has_at_will_are_one(host: str, key: str) -> None:
    assert address_key(host) == key


def test_parts_of_an_address_follow_the_whole() -> None:
    limits = Limits(clients=40, memory_bytes=2**24, workers=3)
    assert (limits.address_clients, limits.address_bytes, limits.address_hourly_s) == (10, 2**23, 5400.0)
    assert Limits(clients=1).address_clients == 1
    with pytest.raises(ValueError, match="max_tokens"):
        Limits(max_tokens=2000)
