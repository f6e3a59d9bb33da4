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
from costmodel.parameters import Configuration, Table
from costmodel.systems import published
from fastquery.figures.designs import (
    captions,
    described,
    geometric,
    machine_text,
    own_designs,
    published_systems,
    table_text,
)
from fastquery.figures.inputs import Inputs
from fastquery.sweeps import Links


def compared(table: Table) -> dict[str, Configuration]:
    """The configurations of both figures."""
    return {
        **published_systems(table, ("cheetah", "iron")),
        "FastQuery without PackLWEs (paper)": published("fastquery", table, "packing"),
        **published_systems(table, ("fastquery",)),
        **own_designs(table),
    }


def bandwidth_frame(
    table: Table,
    low_bit_per_s: float = 1e6,
    high_bit_per_s: float = 10e9,
    round_trip_s: float = 0.0,
    machine: Machine | None = None,
    points: int = 241,
) -> pd.DataFrame:
    """Latency of every protocol over bandwidths spaced evenly on a logarithmic axis.

    Returns
    -------
    DataFrame
        Columns ``protocol``, ``rate_bit_per_s``, ``latency_s``.
    """
    rates = geometric(low_bit_per_s, high_bit_per_s, points)
    profile, designs = machine or default_machine(), compared(table)
    frames = [
        pd.DataFrame(
            {
                "protocol": name,
                "rate_bit_per_s": rates,
                "latency_s": evaluate(Grid.of(one), Links(rates, np.float64(round_trip_s)), profile)["latency_s"],
            }
        )
        for name, one in designs.items()
    ]
    return described(
        pd.concat(frames, ignore_index=True),
        f"One private lookup in {table_text(table)} by bandwidth, round trip {round_trip_s * 1e3:g} ms",
        captions(designs),
        machine_text(profile),
    )


def bandwidth(inputs: Inputs) -> pd.DataFrame:
    """:func:`bandwidth_frame` of what is named."""
    return bandwidth_frame(inputs.shape(), round_trip_s=inputs.on("wan").round_trip_s, machine=inputs.machine)


def round_trip_frame(
    table: Table,
    rate_bit_per_s: float = 100e6,
    low_s: float = 0.1e-3,
    high_s: float = 0.3,
    machine: Machine | None = None,
    points: int = 121,
) -> pd.DataFrame:
    """Latency of every protocol over round-trip times, on a connection in slow start and on one past it.

    Returns
    -------
    DataFrame
        Columns ``protocol``, ``round_trip_s``, ``latency_s``, ``latency_without_slow_start_s``.
    """
    delays = geometric(low_s, high_s, points)
    profile, designs = machine or default_machine(), compared(table)
    rate = np.float64(rate_bit_per_s)
    frames = []
    for name, one in designs.items():
        grid = Grid.of(one)
        slow = evaluate(grid, Links(rate, delays), profile)["latency_s"]
        frames.append(
            pd.DataFrame(
                {
                    "protocol": name,
                    "round_trip_s": delays,
                    "latency_s": slow,
                    "latency_without_slow_start_s": slow - slow_start_s(grid, rate, delays),
                }
            )
        )
    return described(
        pd.concat(frames, ignore_index=True),
        f"One private lookup in {table_text(table)} by round-trip time at {rate_bit_per_s / 1e6:g} Mbit/s",
        "TCP from a window of ten segments of 1448 bytes, doubled every round trip; thin lines: the window already as "
        "large as the message needs; the shade is what slow start adds.",
        captions(designs),
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
    return round_trip_frame(inputs.shape(), inputs.on("wan").rate_bit_per_s, machine=inputs.machine)
