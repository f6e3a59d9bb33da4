"""Sessions whose connection was lost: their clients find them again, whatever other addresses do."""

from __future__ import annotations

import threading
from dataclasses import replace

import pytest

from protocol.errors import ProtocolError
from protocol.hello import Greeter
from protocol.parked import Parked
from tests.waiting import PATIENCE_S

CROWD, HONEST = "127.0.0.2", "127.0.0.1"


def parked_by(kept: Parked[str], address: str, size_bytes: int = 1) -> Greeter:
    greeter = Greeter(1)
    kept.put(greeter.hello, address, size_bytes, address)
    return greeter


def test_an_address_loses_its_own_first_and_nobody_elses() -> None:
    kept: Parked[str] = Parked(most=8, most_bytes=100)
    honest = parked_by(kept, HONEST)
    crowd = [parked_by(kept, CROWD) for _ in range(50)]
    assert len(kept) == 1 + 4
    assert kept.take(honest.again(1)) == HONEST
    for greeter in crowd[:-4]:
        with pytest.raises(ProtocolError, match="cannot be resumed"):
            kept.take(greeter.again(1))
    assert [kept.take(greeter.again(1)) for greeter in crowd[-4:]] == [CROWD] * 4


def test_whoever_resumes_a_session_that_is_served_ends_its_old_connection() -> None:
    kept: Parked[str] = Parked()
    greeter, begun, left = Greeter(1), threading.Event(), threading.Event()
    hello = greeter.hello

    def serve() -> None:
        with kept.serving(hello, left.set):
            begun.set()
            assert left.wait(PATIENCE_S)
            kept.put(hello, "keys", 1, HONEST)

    old = threading.Thread(target=serve)
    old.start()
    assert begun.wait(PATIENCE_S)
    with pytest.raises(ProtocolError, match="cannot be resumed"):
        kept.take(replace(hello, secret=bytes(32), number=1))
    assert not left.is_set()
    assert kept.take(greeter.again(1)) == "keys"
    old.join()


def test_memory_is_shared_as_numbers_are() -> None:
    kept: Parked[str] = Parked(most=8, most_bytes=100)
    honest = parked_by(kept, HONEST, 40)
    for size_bytes in (30, 30, 200, 20):
        parked_by(kept, CROWD, size_bytes)
    assert kept.held_bytes <= 40 + 50
    assert kept.take(honest.again(1)) == HONEST


def test_where_all_is_full_the_address_with_the_most_makes_place() -> None:
    kept: Parked[str] = Parked(most=8)
    for address in ("127.0.0.2", "127.0.0.3"):
        for _ in range(4):
            parked_by(kept, address)
    one = [parked_by(kept, HONEST), parked_by(kept, HONEST)]
    assert len(kept) == 8
    assert [kept.take(greeter.again(1)) for greeter in one] == [HONEST, HONEST]


def test_a_session_is_kept_for_a_while_alone() -> None:
    kept: Parked[str] = Parked(keep_s=0.0)
    greeter = parked_by(kept, HONEST)
    assert len(kept) == 0
    with pytest.raises(ProtocolError, match="cannot be resumed"):
        kept.take(greeter.again(1))
