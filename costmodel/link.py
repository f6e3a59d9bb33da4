"""Links: rate and round-trip time, their spelling, and the time that transfers take over them.

A link has two models. `tcp_leg_s` is a message over TCP as a user sees it, with slow start; `relay_leg_s` is one
through a relay in user space that shapes rate and delay on one machine: the connections on either side of it are
loopback ones, so slow start does not show. Exchanges are a message each way and a round trip; whole conversations are
put together by `costmodel.latency`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from costmodel.checks import real_number

MSS_BYTES = 1448
"""Payload of one TCP segment on Ethernet: 1500 - 20 (IP) - 20 (TCP) - 12 (timestamps)."""
FRAMING = 1.043
"""Bytes on the link for one of payload: 62 of headers a segment (IPv4 20, TCP 32, link layer 10)."""
INITIAL_WINDOW = 10
"""Segments that a connection may send before the first acknowledgement (RFC 6928)."""
RATES_BIT_PER_S = 1.0, 1e15
"""Slowest and fastest link that is priced."""
LONGEST_ROUND_TRIP_S = 1e6

_RATE_UNITS = {
    "bit/s": 1.0, "kbit/s": 1e3, "Mbit/s": 1e6, "Gbit/s": 1e9,
    "bps": 1.0, "kbps": 1e3, "Mbps": 1e6, "Gbps": 1e9,
    "B/s": 8.0, "kB/s": 8e3, "MB/s": 8e6, "GB/s": 8e9,
    "Bps": 8.0, "kBps": 8e3, "MBps": 8e6, "GBps": 8e9,
    "KiB/s": 8.0 * 2**10, "MiB/s": 8.0 * 2**20, "GiB/s": 8.0 * 2**30,
}  # fmt: skip
_TIME_UNITS = {"us": 1e-6, "ms": 1e-3, "s": 1.0}
_QUANTITY = re.compile(r"\s*([0-9]*\.?[0-9]+(?:[eE][+-]?[0-9]+)?)\s*([A-Za-z/]*)\s*")


@dataclass(frozen=True)
class Link:
    """A link between client and server, the same in both directions.

    Parameters
    ----------
    rate_bit_per_s : float
        Bit a second that the link carries, framing included.
    round_trip_s : float
        Round-trip time in seconds.
    name : str
        How results call it.

    Raises
    ------
    ValueError
        If the rate is not from 1 to 1e15 bit/s, or the round-trip time not from 0 to 1e6 s.

    Examples
    --------
    >>> link = Link(44e6, 40e-3, "wan")
    >>> float(exchange_s(1e6, 1e4, link.rate_bit_per_s, link.round_trip_s).round(3))
    0.35
    """

    rate_bit_per_s: float
    round_trip_s: float
    name: str

    def __post_init__(self) -> None:
        for name in ("rate_bit_per_s", "round_trip_s"):
            real_number(f"link.{name}", getattr(self, name))
        slowest, fastest = RATES_BIT_PER_S
        if not slowest <= self.rate_bit_per_s <= fastest:
            raise ValueError(
                f"link rate {self.rate_bit_per_s} bit/s: must be positive, and lie between {slowest:g} and {fastest:g}"
            )
        if not 0 <= self.round_trip_s <= LONGEST_ROUND_TRIP_S:
            raise ValueError(
                f"link round-trip time {self.round_trip_s} s: must lie between 0 and {LONGEST_ROUND_TRIP_S:g}"
            )


PRESETS: dict[str, Link] = {
    link.name: link
    for link in (
        # The loopback interface has no rate of its own: 22 to 26 Gbit/s were measured between two threads on two
        # cores, and 15 to 20 us for a byte and its echo, which is scheduling and not the link.
        Link(25e9, 0.0, "loopback"),
        Link(1e9, 0.3e-3, "lan"),
        Link(100e6, 40e-3, "wan"),
        # FastQuery, section 5.3: "384Mb/s, 44Mb/s, and 9Mb/s" after Cheetah and Falcon; Cheetah's own links are
        # 384 and 44 MB/s. No round-trip times are stated: taken are those of Cheetah's LAN and WAN, and the
        # WAN's for 9.
        Link(384e6, 0.3e-3, "paper-384"),
        Link(44e6, 40e-3, "paper-44"),
        Link(9e6, 40e-3, "paper-9"),
        Link(384e6 * 8, 0.3e-3, "paper-384MB"),
        Link(44e6 * 8, 40e-3, "paper-44MB"),
        Link(9e6 * 8, 40e-3, "paper-9MB"),
        # OpenCheetah, scripts/throttle.sh.
        Link(3000e6, 0.3e-3, "cheetah-lan"),
        Link(400e6, 40e-3, "cheetah-wan"),
    )
}
_LOWER_PRESETS = {name.lower(): link for name, link in PRESETS.items()}


def preset_of(name: str) -> Link | None:
    """The preset of a name, in letters of either case; None where there is none.

    Examples
    --------
    >>> preset_of("WAN").round_trip_s
    0.04
    """
    return PRESETS.get(name) or _LOWER_PRESETS.get(name.lower())


def parse_rate(text: str) -> float:
    """Bit a second of a rate with its unit, such as ``44Mbit/s`` or ``44MB/s`` (8 times as much).

    kB, MB and GB are powers of 1000, KiB, MiB and GiB powers of 1024.

    Raises
    ------
    ValueError
        If the unit is missing or unknown, or the number is none or not positive.
    """
    rate = _quantity("link rate", text, _RATE_UNITS, "44Mbit/s is not 44MB/s")
    if rate <= 0:
        raise ValueError(f"link rate {text!r}: must be positive")
    return rate


def parse_link(text: str) -> Link:
    """A preset by its name in letters of either case, or ``RATE[,ROUND_TRIP_TIME]``; without a time 0 s.

    Raises
    ------
    ValueError
        If the text is neither, or a unit is missing.

    Examples
    --------
    >>> parse_link("44MB/s,40ms").rate_bit_per_s
    352000000.0
    """
    text = text.strip()
    if (preset := preset_of(text)) is not None:
        return preset
    rate, comma, delay = text.partition(",")
    if not re.match(r"\s*[0-9.]", rate):
        raise ValueError(f"link {text!r}: one of {', '.join(PRESETS)}, or a rate and a round-trip time: 44Mbit/s,40ms")
    delay = re.sub("[\u00b5\u03bc]s", "us", delay)
    round_trip_s = _quantity("link round-trip time", delay, _TIME_UNITS, "such as 40ms") if comma else 0.0
    return Link(parse_rate(rate), round_trip_s, "".join(text.split()))


def _quantity(field: str, text: str, units: dict[str, float], hint: str) -> float:
    match = _QUANTITY.fullmatch(text)
    if match is None:
        raise ValueError(f"{field} {text!r}: a number and a unit of {', '.join(units)}")
    number, unit = match.groups()
    if not unit:
        raise ValueError(f"{field} {text!r} has no unit: one of {', '.join(units)} ({hint})")
    if unit not in units:
        raise ValueError(f"{field} {text!r}: unknown unit {unit!r}, one of {', '.join(units)} ({hint})")
    return float(number) * units[unit]


def tcp_leg_s(
    size_bytes: ArrayLike,
    rate_bit_per_s: ArrayLike,
    round_trip_s: ArrayLike,
    window: ArrayLike = INITIAL_WINDOW,
) -> Any:
    """Seconds that one message takes on an open TCP connection, beyond half a round trip each way.

    With r = rate/8/1.043 bytes of payload a second, w the window at the start in segments, T the round trip::

        S/r + sum_{j<k} max(0, T - w*MSS*2^j/r),  k = max(0, ceil(log2(S/(w*MSS) + 1)) - 1)

    Parameters
    ----------
    size_bytes : array_like
        S, bytes of payload.
    rate_bit_per_s, round_trip_s : array_like
        The link.
    window : array_like
        w; ``np.inf`` for a connection past slow start.

    Returns
    -------
    float64 array (scalar in, scalar out)
        Seconds.

    References
    ----------
    .. [1] N. Cardwell, S. Savage, T. Anderson, "Modeling TCP Latency", INFOCOM 2000: the window doubles a
       round trip, and the sender idles for what of a round trip a window does not fill. Initial window: RFC
       6928.
    """
    rate = _payload_bytes_per_s(rate_bit_per_s)
    size = np.asarray(size_bytes, dtype=np.float64)
    delay = np.asarray(round_trip_s, dtype=np.float64)
    first = np.asarray(window, dtype=np.float64) * MSS_BYTES
    with np.errstate(divide="ignore", invalid="ignore"):
        idle_rounds = np.ceil(np.log2(delay * rate / first))
        doublings = np.ceil(np.log2(size / first + 1.0)) - 1.0
        rounds = np.maximum(np.minimum(doublings, idle_rounds), 0.0)
        idle = np.where(rounds > 0, rounds * delay - first * (np.exp2(rounds) - 1.0) / rate, 0.0)
    return (size / rate + idle)[()]


def reached_window(size_bytes: ArrayLike, window: ArrayLike = INITIAL_WINDOW) -> Any:
    """Window in segments after a message in slow start: one more for each segment acknowledged."""
    segments = np.ceil(np.asarray(size_bytes, dtype=np.float64) / MSS_BYTES)
    return (np.asarray(window, dtype=np.float64) + segments)[()]


def idle_window(window: ArrayLike, idle_s: ArrayLike, round_trip_s: ArrayLike) -> Any:
    """Window in segments after a pause: halved every 0.2 s + T, no lower than the initial one (RFC 2861)."""
    halvings = np.floor(np.asarray(idle_s, dtype=np.float64) / (0.2 + np.asarray(round_trip_s, dtype=np.float64)))
    reached = np.asarray(window, dtype=np.float64)
    return np.maximum(reached * np.exp2(-halvings), np.minimum(reached, INITIAL_WINDOW))[()]


def exchange_s(
    up_bytes: ArrayLike,
    down_bytes: ArrayLike,
    rate_bit_per_s: ArrayLike,
    round_trip_s: ArrayLike,
    up_window: ArrayLike = INITIAL_WINDOW,
    down_window: ArrayLike = INITIAL_WINDOW,
) -> Any:
    """Seconds of one request and its answer on an open TCP connection: T + leg(up) + leg(down).

    Parameters
    ----------
    up_bytes, down_bytes : array_like
        Bytes of payload of request and answer.
    rate_bit_per_s, round_trip_s : array_like
        The link.
    up_window, down_window : array_like
        Windows in segments at the start; the defaults hold for a connection that is new or was idle for long.
    """
    up = tcp_leg_s(up_bytes, rate_bit_per_s, round_trip_s, up_window)
    down = tcp_leg_s(down_bytes, rate_bit_per_s, round_trip_s, down_window)
    return (np.asarray(round_trip_s, dtype=np.float64) + up + down)[()]


def fresh_exchange_s(
    up_bytes: ArrayLike, down_bytes: ArrayLike, rate_bit_per_s: ArrayLike, round_trip_s: ArrayLike
) -> Any:
    """Seconds of one request and its answer, connecting first: one more round trip than `exchange_s`."""
    opened = exchange_s(up_bytes, down_bytes, rate_bit_per_s, round_trip_s)
    return (np.asarray(round_trip_s, dtype=np.float64) + opened)[()]


def warm_exchange_s(
    up_bytes: ArrayLike, down_bytes: ArrayLike, rate_bit_per_s: ArrayLike, round_trip_s: ArrayLike
) -> Any:
    """Seconds of one request and its answer on a connection that has just carried as much.

    T + (up + down)/r: the windows are already as large as slow start would make them.
    """
    return exchange_s(up_bytes, down_bytes, rate_bit_per_s, round_trip_s, np.inf, np.inf)


def relay_leg_s(size_bytes: ArrayLike, rate_bit_per_s: ArrayLike, round_trip_s: ArrayLike) -> Any:
    """Seconds that one message takes through a relay that shapes payload to a rate, beyond its delay: 8 S/rate.

    There is no framing, and no slow start whatever the round trip, since both connections are loopback ones.
    """
    return (8.0 * np.asarray(size_bytes, dtype=np.float64) / np.asarray(rate_bit_per_s, dtype=np.float64))[()]


def relay_exchange_s(
    up_bytes: ArrayLike, down_bytes: ArrayLike, rate_bit_per_s: ArrayLike, round_trip_s: ArrayLike
) -> Any:
    """Seconds of one request and its answer through a relay: T + leg(up) + leg(down)."""
    legs = relay_leg_s(up_bytes, rate_bit_per_s, round_trip_s) + relay_leg_s(down_bytes, rate_bit_per_s, round_trip_s)
    return (np.asarray(round_trip_s, dtype=np.float64) + legs)[()]


def _payload_bytes_per_s(rate_bit_per_s: ArrayLike) -> Any:
    return np.asarray(rate_bit_per_s, dtype=np.float64) / 8.0 / FRAMING
