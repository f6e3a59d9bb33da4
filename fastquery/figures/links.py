"""Latency over bandwidth and over round-trip times, each a single evaluation of the model over an array of links."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from costmodel.estimate import evaluate, terms
from costmodel.grid import Grid
from costmodel.ledger import Transfer
from costmodel.link import tcp_leg_s
from costmodel.machine import Machine, default_machine
from costmodel.parameters import Table
from fastquery.figures.designs import (
    FLOODED,
    PREPARED,
    PUBLISHED,
    described,
    designs,
    geometric,
    identity,
    machine_text,
    table_text,
)
from fastquery.figures.inputs import EVERYTHING, Chosen, Inputs
from fastquery.figures.named import NamedFigure
from fastquery.sweeps import Links

VERSIONS = (PUBLISHED, FLOODED, PREPARED)


def bandwidth_frame(
    table: Table,
    low_bit_per_s: float = 1e6,
    high_bit_per_s: float = 10e9,
    round_trip_s: float = 0.0,
    machine: Machine | None = None,
    points: int = 241,
    chosen: Chosen = EVERYTHING,
) -> pd.DataFrame:
    """Latency of every design over bandwidths spaced evenly on a logarithmic axis.

    Returns
    -------
    DataFrame
        Columns of :func:`fastquery.figures.designs.identity`, ``rate_bit_per_s``, ``latency_s``.
    """
    rates = geometric(low_bit_per_s, high_bit_per_s, points)
    profile = machine or default_machine()
    on = Links(rates, np.float64(round_trip_s))
    frames = [
        pd.DataFrame(
            {
                **identity(one),
                "rate_bit_per_s": rates,
                "latency_s": evaluate(Grid.of(one), on, profile)["latency_s"],
            }
        )
        for one in designs(chosen, table, VERSIONS)
    ]
    return described(
        pd.concat(frames, ignore_index=True),
        f"One private lookup in {table_text(table)} by bandwidth, round trip {round_trip_s * 1e3:g} ms",
        machine_text(profile),
    )


def bandwidth(inputs: Inputs) -> pd.DataFrame:
    """:func:`bandwidth_frame` of what is named."""
    delay = inputs.on("wan").round_trip_s
    return bandwidth_frame(inputs.shape(), round_trip_s=delay, machine=inputs.machine, chosen=inputs.chosen)


def round_trip_frame(
    table: Table,
    rate_bit_per_s: float = 100e6,
    low_s: float = 0.1e-3,
    high_s: float = 0.3,
    machine: Machine | None = None,
    points: int = 121,
    chosen: Chosen = EVERYTHING,
) -> pd.DataFrame:
    """Latency of every design over round-trip times, on a connection in slow start and on one past it.

    Returns
    -------
    DataFrame
        Columns of :func:`fastquery.figures.designs.identity`, ``round_trip_s``, ``latency_s``,
        ``latency_without_slow_start_s``.
    """
    delays = geometric(low_s, high_s, points)
    profile, rate = machine or default_machine(), np.float64(rate_bit_per_s)
    frames = []
    for one in designs(chosen, table, VERSIONS):
        grid = Grid.of(one)
        slow = evaluate(grid, Links(rate, delays), profile)["latency_s"]
        columns = {
            "round_trip_s": delays,
            "latency_s": slow,
            "latency_without_slow_start_s": slow - slow_start_s(grid, rate, delays),
        }
        frames.append(pd.DataFrame({**identity(one), **columns}))
    return described(
        pd.concat(frames, ignore_index=True),
        f"One private lookup in {table_text(table)} by round-trip time at {rate_bit_per_s / 1e6:g} Mbit/s",
        "TCP from a window of ten segments of 1448 bytes, doubled every round trip; the shade is what slow start adds.",
        machine_text(profile),
    )


def slow_start_s(grid: Grid, rate_bit_per_s: float, round_trip_s: NDArray[np.float64]) -> NDArray[np.float64]:
    """Seconds that a query's messages wait for acknowledgements: those of a small window less those of a wide one."""
    sizes: dict[tuple[str, int], float] = {}
    for term in terms(grid):
        if isinstance(term, Transfer) and term.phase == "online":
            key = term.party, term.exchange
            sizes[key] = sizes.get(key, 0.0) + float(term.size_bytes)
    waits = np.zeros_like(round_trip_s)
    for size in sizes.values():
        waits = waits + tcp_leg_s(size, rate_bit_per_s, round_trip_s)
        waits = waits - tcp_leg_s(size, rate_bit_per_s, round_trip_s, np.inf)
    return waits


def round_trip(inputs: Inputs) -> pd.DataFrame:
    """:func:`round_trip_frame` of what is named."""
    rate = inputs.on("wan").rate_bit_per_s
    return round_trip_frame(inputs.shape(), rate, machine=inputs.machine, chosen=inputs.chosen)


FIGURES = (
    NamedFigure(
        "bandwidth",
        "Latency over a continuous bandwidth axis. Circles are the bandwidths at which the fastest design changes; the "
        "caption spells them out.",
        bandwidth,
        "bandwidth",
    ),
    NamedFigure(
        "round-trip",
        "Latency over the round-trip time. The shade is what TCP's slow start adds on a fresh connection: a message of "
        "a few windows hardly pays it, megabytes pay many round trips.",
        round_trip,
        "round_trip",
    ),
)
