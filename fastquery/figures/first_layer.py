"""Frames about a lookup of the first layer: what it costs beside the embedding alone and a private projection."""

from __future__ import annotations

import numpy as np
import pandas as pd

from costmodel.estimate import evaluate
from costmodel.grid import Grid
from costmodel.machine import Machine, default_machine
from costmodel.parameters import Configuration, Table
from costmodel.projection import projection
from costmodel.systems import configuration, system
from fastquery.figures.designs import described, geometric, machine_text
from fastquery.figures.inputs import Inputs
from fastquery.figures.named import NamedFigure
from fastquery.sweeps import Links
from quantize.tables import FIRST_LAYER, table_shape

PROJECTIONS = ("cheetah", "iron", "bumblebee", "cham")
EMBEDDING_LEVELS = {"fastquery": (10, 10, 10), "folded": (16, 8, 8), "compressed": (16, 8, 8)}
ROW_LEVELS = (64,)
"""Packings that keep SmolLM2's perplexity close to the float model's: of the embedding alone, and of rows of the first
layer, whose queries and keys need more bits."""


def first_layer_frame(
    name: str = "smollm2",
    tokens: int = 1,
    round_trip_s: float = 0.04,
    machine: Machine | None = None,
    protocol: str = "folded",
    low_bit_per_s: float = 1e6,
    high_bit_per_s: float = 10e9,
    points: int = 121,
) -> pd.DataFrame:
    """Latency of both ways to the first layer's queries, keys and values, by bandwidth.

    One way looks up rows (embedding, q, k, v). The other looks up the embedding and multiplies it with the projections
    by a published system; the private normalisation between the two is not counted, so that the second way is priced
    too low.

    Parameters
    ----------
    name
        Of a table with a table of its first layer, NAME-qkv.
    tokens
        Of the lookup.
    protocol
        Of the lookups, one of this project's.
    round_trip_s, machine, low_bit_per_s, high_bit_per_s, points
        The links, and the unit costs.

    Returns
    -------
    DataFrame
        Columns ``protocol``, ``way``, ``rate_bit_per_s``, ``latency_s``, ``bytes``.
    """
    (rows, channels), (_, width) = table_shape(name), table_shape(name + FIRST_LAYER)
    profile, rates = machine or default_machine(), geometric(low_bit_per_s, high_bit_per_s, points)
    links = Links(rates, np.float64(round_trip_s))
    row = configuration(protocol, Table(rows, width, tokens), levels=ROW_LEVELS)
    embedding = configuration(protocol, Table(rows, channels, tokens), levels=EMBEDDING_LEVELS[protocol])
    designs: dict[tuple[str, str], tuple[Configuration, ...]] = {(protocol, ROW): (row,)}
    for name_of in PROJECTIONS:
        dense = projection(name_of, tokens, channels, width - channels)
        designs[name_of, f"embedding, then {system(name_of).legend}"] = (embedding, dense)
    frames = []
    for (looked_like, way), parts in designs.items():
        figures = [evaluate(Grid.of(one), links, profile) for one in parts]
        total = {key: sum(np.asarray(part[key], float) for part in figures) for key in ("latency_s", *_BYTES)}
        frames.append(
            pd.DataFrame(
                {
                    "protocol": looked_like,
                    "way": way,
                    "rate_bit_per_s": rates,
                    "latency_s": total["latency_s"],
                    "bytes": sum(total[key] for key in _BYTES),
                }
            )
        )
    return described(
        pd.concat(frames, ignore_index=True),
        f"To the first layer's queries, keys and values: {name}, {rows} x {channels}, {tokens} "
        f"token{'s' if tokens > 1 else ''}, round trip {round_trip_s * 1e3:g} ms",
        f"Row: {width} channels at 6 bits. Embedding: {channels} channels, three a coefficient, then a projection to "
        f"{width - channels} by the system that the line is named after; the private normalisation between them is "
        "not counted.",
        machine_text(profile),
    )


ROW = "row of the first layer"
_BYTES = ("up_bytes", "down_bytes")


def faster_below(frame: pd.DataFrame, way: str) -> float:
    """Bandwidth in bit/s up to which the row's lookup is faster than the other way; NaN if it nowhere is.

    Parameters
    ----------
    frame
        Of :func:`first_layer_frame`.
    way
        The other way, of its column.

    Returns
    -------
    float
        The highest bandwidth of the frame's at which it is; infinite if it is at all of them.
    """
    wide = frame.pivot(index="rate_bit_per_s", columns="way", values="latency_s")
    faster = wide.index[wide[ROW] < wide[way]]
    if not len(faster):
        return float("nan")
    return float("inf") if len(faster) == len(wide) else float(faster.max())


def first_layer(inputs: Inputs) -> pd.DataFrame:
    """:func:`first_layer_frame` of what is named."""
    return first_layer_frame(
        inputs.table or "smollm2", round_trip_s=inputs.on("wan").round_trip_s, machine=inputs.machine
    )


FIGURES = (
    NamedFigure(
        "first-layer",
        "A lookup of rows that hold the first layer's queries, keys and values, against a lookup of the embedding and "
        "a private projection after it, by bandwidth.",
        first_layer,
        "first_layer",
    ),
)
