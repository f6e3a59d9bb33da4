"""Threads that share work: every range is done once, by whoever is free, with the results of one thread."""

from __future__ import annotations

import os
import threading
import time
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("openfhe")

from costmodel.parameters import Table
from protocol.meter import Meter
from protocol.threads import MOST_THREADS, Threads
from tests.protocol.known_answers import session
from tests.waiting import PATIENCE_S


@given(st.integers(0, 200), st.integers(1, 9), st.integers(1, 5))
def test_ranges_together_are_the_whole_loop(total: int, grain: int, count: int) -> None:
    done: list[tuple[int, int]] = []

    def kernel(first: int, last: int) -> int:
        done.append((first, last))
        return last - first

    assert Threads(count).share(kernel, total, grain) == total
    ranges = sorted(done)
    assert (ranges[0][0], ranges[-1][1]) == (0, total)
    assert all(one[1] == other[0] and one[1] % grain == 0 for one, other in pairwise(ranges))


@pytest.mark.parametrize("count", [0, -1, MOST_THREADS + 1])
def test_a_number_of_threads_has_bounds(count: int) -> None:
    with pytest.raises(ValueError, match=f"threads is {count}; it must lie between 1 and {MOST_THREADS}"):
        Threads(count)


def test_an_error_comes_once_everybody_is_done() -> None:
    running = threading.Semaphore(0)

    def function(item: int) -> int:
        if item == 1:
            running.acquire(timeout=PATIENCE_S)
            time.sleep(0.05)
            return item
        running.release()
        raise ValueError(f"item {item}")

    threads = Threads(2)
    with pytest.raises(ValueError, match="item 0"):
        threads.map(function, [0, 1])
    assert threads.map(str, [2, 3]) == ["2", "3"]


def test_seconds_of_others_count_for_whoever_they_help() -> None:
    threads = Threads(2)
    met = threading.Barrier(2)

    def spin(_: int) -> None:
        met.wait(timeout=PATIENCE_S)
        end = time.thread_time() + 0.05
        while time.thread_time() < end:
            pass

    before, own_before = threads.cpu_s(), time.thread_time()
    threads.map(spin, range(2))
    own_s = time.thread_time() - own_before
    assert threads.cpu_s() - before >= own_s + 0.05
    elsewhere: list[float] = []
    other = threading.Thread(target=lambda: elsewhere.append(threads.cpu_s() - time.thread_time()))
    other.start()
    other.join()
    assert elsewhere[0] == pytest.approx(0.0, abs=0.01)


def test_nobody_waits_for_a_thread_that_is_busy() -> None:
    threads, busy, released = Threads(2), threading.Semaphore(0), threading.Event()

    def hold(_: int) -> None:
        busy.release()
        released.wait(timeout=PATIENCE_S)

    holder = threading.Thread(target=lambda: threads.map(hold, range(2)))
    holder.start()
    busy.acquire(timeout=PATIENCE_S)
    busy.acquire(timeout=PATIENCE_S)
    assert threads.map(str, [1, 2, 3]) == ["1", "2", "3"]
    released.set()
    holder.join(timeout=PATIENCE_S)
    assert not holder.is_alive()


def test_a_fork_has_threads_of_its_own() -> None:
    threads = Threads(2)
    threads.map(str, [1, 2])
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(write, b"right" if threads.map(str, list(range(50))) == [str(k) for k in range(50)] else b"wrong")
        os._exit(0)
    os.close(write)
    assert os.read(read, 16) == b"right"
    os.waitpid(child, 0)
    os.close(read)


def test_items_side_by_side_count_into_one_meter() -> None:
    def compute(meter: Meter, item: int) -> int:
        with meter.counting("square") as tally:
            tally.add(item)
        return item * item

    meter = Meter("server", "online", lookup=7, threads=Threads(3))
    assert meter.side_by_side(compute, range(20)) == [item * item for item in range(20)]
    assert {place: done.times for place, done in meter.operations.items()} == {(7, "online", "square"): 190}


@pytest.mark.parametrize(
    ("options", "shape", "tokens"),
    [
        ({"protocol": "folded", "flooding_bits": 0}, Table(3000, 96), 3),
        ({"protocol": "folded", "prepared": True}, Table(700, 200), 2),
        ({"protocol": "compressed"}, Table(9000, 96), 2),
        ({"protocol": "bucketed", "flooding_bits": 0}, Table(300, 96, 5), 5),
        ({"protocol": "fastquery", "flooding_bits": 0}, Table(2049, 140), 2),
        ({"protocol": "fastquery", "prepared": True}, Table(2049, 40), 2),
    ],
    ids=str,
)
def test_threads_change_no_byte_and_no_count(options: dict[str, Any], shape: Table, tokens: int) -> None:
    alone, shared = Meter("server"), Meter("server", threads=Threads(3))
    sent = [session(dict(options), meter, shape, tokens) for meter in (alone, shared)]
    assert sent[0] == sent[1]
    counted = [{place: done.times for place, done in meter.operations.items()} for meter in (alone, shared)]
    assert counted[0] == counted[1]
