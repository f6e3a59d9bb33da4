"""Cost over the tokens of a session: its set-up once, then lookups one after the other."""

from __future__ import annotations

import numpy as np
import pandas as pd

from costmodel.estimate import evaluate
from costmodel.grid import Grid
from costmodel.link import Link
from costmodel.machine import Machine, default_machine
from costmodel.parameters import Table
from costmodel.workload import session_s
from fastquery.figures.designs import (
    FLOODED,
    PUBLISHED,
    described,
    designs,
    identity,
    link_text,
    machine_text,
    table_text,
)
from fastquery.figures.inputs import EVERYTHING, Chosen, Inputs
from fastquery.figures.named import NamedFigure

MOST_TOKENS = 2**20
VERSIONS = (PUBLISHED, FLOODED)


def session_frame(
    table: Table,
    link: Link,
    machine: Machine | None = None,
    most_tokens: int = MOST_TOKENS,
    chosen: Chosen = EVERYTHING,
) -> pd.DataFrame:
    """Bytes in all and seconds of every design's session over its tokens, which are looked up one by one.

    Returns
    -------
    DataFrame
        Columns of :func:`fastquery.figures.designs.identity` without the tokens of a lookup, ``session_tokens``,
        ``total_bytes``, and ``session_s``, the wall seconds of the set-up and of all lookups without those between.

    Raises
    ------
    ValueError
        If there are fewer than two tokens.
    """
    if most_tokens < 2:
        raise ValueError(f"most_tokens is {most_tokens}; it must be 2 or more")
    profile = machine or default_machine()
    tokens = np.unique(np.rint(np.geomspace(1, most_tokens, 121)).astype(np.int64))
    frames = []
    for one in designs(chosen, table, VERSIONS):
        grid = Grid.of(one)
        figures = evaluate(grid, link, profile)
        costs = {
            "session_tokens": tokens,
            "total_bytes": figures["setup_bytes"] + tokens * (figures["up_bytes"] + figures["down_bytes"]),
            "session_s": session_s(grid, "setup", link, profile) + tokens * figures["latency_s"],
        }
        frames.append(pd.DataFrame({**identity(one), **costs}).drop(columns="tokens"))
    return described(
        pd.concat(frames, ignore_index=True),
        f"A session of private lookups in {table_text(table)}, token by token",
        f"Link {link_text(link)}. The set-up of published systems is their keys' alone; this project floods 40 bits.",
        machine_text(profile),
    )


def session(inputs: Inputs) -> pd.DataFrame:
    """:func:`session_frame` of what is named."""
    return session_frame(inputs.shape(), inputs.on("44Mbit/s,40ms"), inputs.machine, chosen=inputs.chosen)


FIGURES = (
    NamedFigure(
        "session",
        "Bytes and seconds of a session over the tokens that it looks up one by one, its set-up included. Circles are "
        "where the cheapest design changes: keys pay after so many tokens.",
        session,
        "session",
    ),
)
