"""Data behind the named figures: the model evaluated, as data frames that :mod:`plots` draws."""

from __future__ import annotations

import numpy as np
import pandas as pd

from costmodel.estimate import evaluate
from costmodel.grid import Grid
from costmodel.link import Link
from costmodel.machine import Machine, default_machine
from costmodel.parameters import Configuration, Table
from costmodel.presets import executable
from costmodel.published import published


def protocols_for(table: Table) -> dict[str, Configuration]:
    """The configurations that comparisons draw, by what a legend calls them."""
    return {
        "Cheetah (published)": published("cheetah", table),
        "FastQuery + accumulation (published)": published("fastquery", table, "accumulation"),
        "FastQuery + packing (published)": published("fastquery", table, "packing"),
        "FastQuery (published)": published("fastquery", table),
        "FastQuery (this project, no flooding)": executable("fastquery", table, flooding_bits=0),
        "FastQuery (this project, 40 bits of flooding)": executable("fastquery", table),
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
        Columns ``protocol``, ``rate_bit_per_s``, ``latency_s``, ``up_bytes``, ``down_bytes``.
    """
    rates = np.geomspace(low_bit_per_s, high_bit_per_s, points)
    profile = machine or default_machine()
    frames = []
    for name, configuration in protocols_for(table).items():
        grid = Grid.of(configuration)
        latencies = [
            float(evaluate(grid, Link(rate, round_trip_s, "axis"), profile)["latency_s"]) for rate in rates.tolist()
        ]
        frames.append(pd.DataFrame({"protocol": name, "rate_bit_per_s": rates, "latency_s": latencies}))
    return pd.concat(frames, ignore_index=True)
