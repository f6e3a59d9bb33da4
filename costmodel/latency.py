"""Latency: which of the parties' seconds and the link's come one after the other, and which overlap.

A conversation has places in the order of exchanges: (0, client), (0, server), (1, client) and so on. At its place a
party does the work that a ledger has there and sends what it has there, if anything; it starts once everything that it
had to do before is done. A message of k equal pieces, for which the sender works a seconds and the line b, and whose
receiver works c seconds on it, goes through three stages:

    until the last piece is there      (a + b)/k + (k - 1)/k max(a, b) + R/2
    until the receiver is done         (a + b + c)/k + (k - 1)/k max(a, b, c) + R/2

with R the round-trip time. A party that answers waits for the last piece, one that has nothing to send works on each
piece as it comes. A second message in the same direction leaves when it is made and the line is free, and is made while
the first one travels and is decrypted: so the server's message that extends oblivious transfers.

The latency ends when both parties have their shares.

It is a homogeneous function of five kinds of seconds x: each party's work, each party's bytes on the line, and round
trips. By Euler's theorem it is the sum of x dL/dx, which is the time of each kind that nothing else hides.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from costmodel.ledger import Number, Party, Phase, Term, Transfer, Work

Leg = Callable[[Any], Any]
"""Seconds that a message of so many bytes takes on the line, beyond its delay."""


@dataclass
class _Place:
    """What a party does and sends at its place."""

    work_s: Number = 0.0
    size_bytes: Number = 0.0
    frames: Number = 0
    pieces: Number = 1


class LatencySplit(NamedTuple):
    """Seconds of a latency by where they go; they add up to it.

    Attributes
    ----------
    client_s, server_s
        Work of each party.
    up_s, down_s
        Bytes of the client and of the server on the line.
    rounds_s
        Round trips.
    """

    client_s: float
    up_s: float
    server_s: float
    down_s: float
    rounds_s: float

    @property
    def dominant(self) -> str:
        """The largest part: ``client``, ``up``, ``server``, ``down`` or ``rounds``."""
        name = max(self._fields, key=lambda name: float(getattr(self, name)))
        return name.removesuffix("_s")


STEP = 2.0**-20
"""Relative change of a part whose effect on a latency is taken."""

Places: TypeAlias = Sequence[tuple[tuple[int, Party], _Place]]
"""In the order of the conversation."""


class _Message(NamedTuple):
    start: Number  # of the sender's work
    work_s: Number  # the sender's
    line_s: Number
    pieces: Number
    arrival: Number  # of the last piece
    sent: Any  # whether there is one, elementwise

    def then(self, seconds: Number) -> Number:
        """These seconds where there is a message, 0 elsewhere."""
        return seconds if np.all(self.sent) else np.where(self.sent, seconds, 0.0)


@dataclass
class _Side:
    """A party on its way through the conversation."""

    free: Number = 0.0  # when it has done everything so far
    burst_bytes: Number = 0.0  # sent since it last received
    line_free: Number | None = None  # when the last of that has arrived
    inbox: list[_Message] = field(default_factory=list)


def latency_s(
    ledger: Iterable[Term],
    seconds: Callable[[Work], Number],
    leg_s: Leg,
    round_trip_s: Number,
    phase: Phase = "online",
) -> Number:
    """Wall seconds of a phase; of the online one from the token to both parties' shares.

    Parameters
    ----------
    ledger
        Predicted entries, of which those of the phase count.
    seconds
        CPU seconds of a work entry.
    leg_s
        Seconds of a message on the line by its bytes.
    round_trip_s
        R.
    phase
        The conversation that is followed.

    Returns
    -------
    float64 or array
        Of the shape that the entries and the link broadcast to.
    """
    places = sorted(_places(ledger, seconds, phase).items())
    return _conversation_s(places, {"client": leg_s, "server": leg_s}, round_trip_s)


def latency_split(
    ledger: Iterable[Term], seconds: Callable[[Work], float], leg_s: Leg, round_trip_s: float
) -> LatencySplit:
    """The online latency by where it goes: x dL/dx of each kind of seconds x, by central differences.

    Where two things end at the same instant, each has a part of the time that both take.

    Parameters
    ----------
    ledger, seconds, leg_s, round_trip_s
        As :func:`latency_s`, of one configuration.

    Examples
    --------
    An answer of 2 s is on the line while the client, in 1 s, decrypts; the last of 4 pieces hides nothing.

    >>> from costmodel.ledger import Transfer, Work
    >>> ledger = [Transfer("online", "server", "answer", 4, 2.0, "", "", 0, 4)]
    >>> ledger += [Work("online", "client", "decrypt", 1, 1.0, "", "", 1)]
    >>> latency_split(ledger, lambda one: one.size, lambda size: size, 0.5)
    LatencySplit(client_s=0.25, up_s=0.0, server_s=0.0, down_s=2.0, rounds_s=0.25)
    """
    places = sorted(_places(ledger, seconds, "online").items())

    def stretched_s(part: str, factor: float) -> float:
        factors = {name: factor if name == part else 1.0 for name in LatencySplit._fields}
        worked = [(key, replace(place, work_s=place.work_s * factors[f"{key[1]}_s"])) for key, place in places]

        def on_line(name: str) -> Leg:
            return lambda size: leg_s(size) * factors[name]

        legs: Mapping[Party, Leg] = {"client": on_line("up_s"), "server": on_line("down_s")}
        return float(_conversation_s(worked, legs, round_trip_s * factors["rounds_s"]))

    parts = [
        max(0.0, stretched_s(part, 1 + STEP) - stretched_s(part, 1 - STEP)) / (2 * STEP)
        for part in LatencySplit._fields
    ]
    whole_s = stretched_s("", 1.0)
    total_s = sum(parts) or 1.0
    return LatencySplit(*(part * whole_s / total_s for part in parts))


def _conversation_s(places: Places, legs: Mapping[Party, Leg], round_trip_s: Number) -> Number:
    """Seconds of a conversation, each party's bytes on the line by its leg."""
    whole = _adds_up(places)
    if not np.any(whole):
        return _overlapping_s(places, legs, round_trip_s)
    on_line = sum(legs[party](place.size_bytes) for (_, party), place in places[:-1])
    added = sum(place.work_s for _, place in places) + (on_line + (len(places) - 1) * (round_trip_s / 2))
    return added if np.all(whole) else np.where(whole, added, _overlapping_s(places, legs, round_trip_s))


def stages_s(pieces: Number, *seconds: Number) -> Number:
    """Seconds of equal pieces through stages that work side by side: sum/k + (k - 1)/k times the slowest stage's."""
    slowest: Number = seconds[0]
    for one in seconds[1:]:
        slowest = np.maximum(slowest, one)
    return sum(seconds) / pieces + (pieces - 1) / pieces * slowest


def _places(ledger: Iterable[Term], seconds: Callable[[Work], Number], phase: Phase) -> dict[tuple[int, Party], _Place]:
    places: dict[tuple[int, Party], _Place] = {}
    for term in ledger:
        if term.phase != phase:
            continue
        place = places.setdefault((term.exchange, term.party), _Place())
        if isinstance(term, Transfer):
            place.size_bytes = place.size_bytes + term.size_bytes
            place.frames = place.frames + term.count
            place.pieces = np.maximum(place.pieces, term.pieces)
        else:
            place.work_s = place.work_s + seconds(term)
    return places


def _adds_up(places: Places) -> Any:
    """Whether every place but the last hands a whole message on to the next, so that nothing overlaps; elementwise."""
    whole = np.asarray(places[-1][1].frames) == 0 if places else np.asarray(False)
    for ((_, party), place), ((_, taker), _) in pairwise(places):
        whole = whole & (party != taker) & (np.asarray(place.frames) > 0) & (np.asarray(place.pieces) == 1)
    return whole


def _overlapping_s(places: Places, legs: Mapping[Party, Leg], round_trip_s: Number) -> Number:
    """Follow the conversation, place by place."""
    sides: dict[Party, _Side] = {"client": _Side(), "server": _Side()}
    for (_, party), place in places:
        own, peer = sides[party], sides["server" if party == "client" else "client"]
        received, own.inbox = own.inbox, []
        if received:
            own.burst_bytes, own.line_free = 0.0, None
        if np.any(np.asarray(place.frames) > 0):
            for message in received:
                own.free = np.maximum(own.free, message.then(message.arrival))
            peer.inbox.append(_send(own, place, legs[party], round_trip_s / 2))
        else:
            own.free = _finish(own.free, received, place.work_s, round_trip_s / 2)
    for side in sides.values():  # a last message is waited for, though its receiver has no work on it
        side.free = _finish(side.free, side.inbox, 0.0, round_trip_s / 2)
    return np.maximum(sides["client"].free, sides["server"].free)


def _send(own: _Side, place: _Place, leg_s: Leg, delay_s: Number) -> _Message:
    """Put what is sent on the line, behind what the same party has sent since it last received."""
    start, total = own.free, own.burst_bytes + place.size_bytes
    line_s = leg_s(total) if own.line_free is None else leg_s(total) - leg_s(own.burst_bytes)
    arrival = start + stages_s(place.pieces, place.work_s, line_s) + delay_s
    if own.line_free is not None:
        arrival = np.maximum(arrival, own.line_free + line_s)
    own.free, own.burst_bytes, own.line_free = start + place.work_s, total, arrival
    return _Message(start, place.work_s, line_s, place.pieces, arrival, np.asarray(place.frames) > 0)


def _finish(free: Number, received: list[_Message], work_s: Number, delay_s: Number) -> Number:
    """When a party has worked on what it received, piece by piece, and on what it had to do before."""
    done = free + work_s
    for message in received:
        streamed = message.start + stages_s(message.pieces, message.work_s, message.line_s, work_s) + delay_s
        after_last = np.maximum(streamed, message.arrival + work_s / message.pieces)
        done = np.maximum(done, message.then(after_last))
    return done
