"""Spelling of links and times of transfers."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from costmodel.link import (
    PRESETS,
    Link,
    exchange_s,
    fresh_exchange_s,
    idle_window,
    parse_link,
    parse_rate,
    reached_window,
    relay_exchange_s,
    tcp_leg_s,
    warm_exchange_s,
)

SIZES = st.integers(0, 10**9)
RATES = st.floats(1e6, 1e10)
DELAYS = st.floats(0, 0.5)
WINDOWS = st.integers(1, 10**5)


@pytest.mark.parametrize(
    ("text", "bit_per_s"),
    [
        ("44Mbit/s", 44e6),
        ("44MB/s", 352e6),
        ("1.5 Gbit/s", 1.5e9),
        ("800kbit/s", 8e5),
        ("2MiB/s", 2**24),
        ("1e3bit/s", 1e3),
    ],
)
def test_rates(text, bit_per_s):
    assert parse_rate(text) == bit_per_s


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("44", "link rate '44' has no unit: one of bit/s"),
        ("44,40ms", "has no unit"),
        ("44Mb/s", "unknown unit 'Mb/s'"),
        ("44Mbs", "unknown unit"),
        ("0Mbit/s", "must be positive"),
        ("44Mbit/s,40", "link round-trip time '40' has no unit: one of us, ms, s"),
        ("44Mbit/s,", "link round-trip time"),
        ("44Mbit/s,-1ms", "link round-trip time"),
        ("dsl", "one of loopback, lan, wan"),
        ("", "one of loopback"),
    ],
)
def test_bad_links_name_what_would_be_valid(text, message):
    with pytest.raises(ValueError, match=message):
        parse_link(text)


def test_links_are_values():
    link = parse_link(" 44Mbit/s, 40ms ")
    assert link == Link(44e6, 0.04, "44Mbit/s,40ms")
    assert hash(link) == hash(parse_link("44Mbit/s,40ms"))
    assert parse_link("9MB/s") == Link(72e6, 0.0, "9MB/s")
    with pytest.raises(ValueError, match="round-trip time"):
        Link(1e6, -1.0, "x")
    with pytest.raises(ValueError, match="link rate nan"):
        Link(math.nan, 0.0, "x")


@pytest.mark.parametrize("rate", [384, 44, 9])
def test_papers_links_under_both_readings(rate):
    bits, by = PRESETS[f"paper-{rate}"], PRESETS[f"paper-{rate}MB"]
    assert bits.rate_bit_per_s == rate * 1e6
    assert by.rate_bit_per_s == 8 * bits.rate_bit_per_s
    assert by.round_trip_s == bits.round_trip_s


def leg_by_loop(size, rate, delay, window):
    bytes_per_s = rate / 8 / 1.043
    rounds = max(0, math.ceil(math.log2(size / (window * 1448) + 1)) - 1)
    return size / bytes_per_s + sum(max(0.0, delay - window * 1448 * 2**j / bytes_per_s) for j in range(rounds))


@given(size=SIZES, rate=RATES, delay=DELAYS, window=WINDOWS)
def test_leg_is_the_sum_over_rounds(size, rate, delay, window):
    assert tcp_leg_s(size, rate, delay, window) == pytest.approx(leg_by_loop(size, rate, delay, window), rel=1e-9)


@given(up=SIZES, down=SIZES, rate=RATES, delay=DELAYS)
def test_fresh_open_and_warm(up, down, rate, delay):
    fresh, opened, warm = (f(up, down, rate, delay) for f in (fresh_exchange_s, exchange_s, warm_exchange_s))
    assert fresh == pytest.approx(opened + delay)
    assert warm <= opened * (1 + 1e-12)
    assert warm == pytest.approx(delay + (up + down) * 8 * 1.043 / rate)
    assert relay_exchange_s(up, down, rate, delay) == pytest.approx(delay + (up + down) * 8 / rate)


@given(size=SIZES, rate=RATES, delay=DELAYS)
def test_same_size_again_does_not_start_slowly(size, rate, delay):
    window = reached_window(size)
    assert tcp_leg_s(size, rate, delay, window) == pytest.approx(size * 8 * 1.043 / rate)
    assert idle_window(window, 0.0, delay) == window
    assert idle_window(window, 1e6, delay) == 10


def test_hand_counted_transfer():
    """100 kB at 1 Gbit/s and 100 ms: windows of 10, 20 and 40 segments, idle after the first two."""
    stalls = 2 * 0.1 - (10 + 20) * 1448 * 8 * 1.043 / 1e9
    assert tcp_leg_s(100_000, 1e9, 0.1) == pytest.approx(100_000 * 8 * 1.043 / 1e9 + stalls)
    assert tcp_leg_s(14_480, 1e9, 0.1) == pytest.approx(14_480 * 8 * 1.043 / 1e9)


def test_arrays_broadcast_and_scalars_stay_scalar():
    sizes, rates = np.array([[1e3], [1e6]]), np.array([1e7, 1e8, 1e9])
    legs = tcp_leg_s(sizes, rates, 0.04)
    assert legs.shape == (2, 3)
    assert legs[1, 2] == tcp_leg_s(1e6, 1e9, 0.04)
    assert isinstance(tcp_leg_s(1e6, 1e9, 0.04), float)
    assert tcp_leg_s(10**9, 40e9, 0.0) == pytest.approx(10**9 * 8 * 1.043 / 40e9)
