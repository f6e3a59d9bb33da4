"""Who wins, and by how much: the best of every design beside the best of all and beside FastQuery as published."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

import pandas as pd

from costmodel.alignment.ledger import aligns_by_transfers
from costmodel.machine import Machine
from costmodel.parameters import Configuration
from costmodel.systems import system
from costmodel.systems.fastquery import PACKED_OUTPUTS
from fastquery.goals import Goal

PUBLISHED = "fastquery as published"
FIGURES = ("up_bytes", "down_bytes", "setup_bytes", "server_s", "latency_s", "log2_failure", "flooding_bits")


def design_of(configuration: Configuration) -> str:
    """Name of a design: its protocol, what it does otherwise than the protocol's paper, and how its shares are aligned.

    FastQuery without PackLWEs is the last but one row of its paper's Table 6.
    """
    packing, name = configuration.packing, configuration.protocol
    own = system(name)
    if own.library and configuration.engine in own.engines:
        papers = own.published(configuration.table).packing
        if papers.output in PACKED_OUTPUTS and packing.output not in PACKED_OUTPUTS:
            name += ", answers not packed"
        elif len(papers.widths) == 1 < len(packing.widths):
            name += ", packed channels"
    if not configuration.align_bits:
        return name
    return f"{name}, oblivious transfer" if aligns_by_transfers(configuration) else f"{name}, wide plaintext"


def winners_frame(
    best: Mapping[str, Iterable[Configuration]], published: Configuration, goal: Goal, machine: Machine
) -> pd.DataFrame:
    """A row for every design and objective, the winner of the objective first, FastQuery as published last.

    Parameters
    ----------
    best
        By objective, the best of every design in order; at least one.
    published
        FastQuery as published.
    goal, machine
        What they are compared by, at which unit costs.

    Returns
    -------
    DataFrame
        Columns ``objective``, ``design``, ``widths_bits``, ``plaintext_modulus``, ``ring_degree``, figures (with a
        workload the session's, and the latency of a generated token), and ``objective_ratio``, ``bytes_ratio`` and
        ``latency_ratio``: the objective, up and down bytes, and latency, over those of the objective's winner.
    """
    rows = []
    for objective, configurations in best.items():
        named = [*((design_of(one), one) for one in configurations), (PUBLISHED, published)]
        winner: dict[str, float] = {}
        for design, one in named:
            figures = goal.priced(one, machine)
            found = {name: float(figures[name]) for name in FIGURES}
            found["cost"] = float(goal.cost(objective, figures, one.packing.widths))
            winner = winner or found
            rows.append(
                {
                    "objective": objective,
                    "design": design,
                    "widths_bits": ",".join(map(str, one.packing.widths)),
                    "plaintext_modulus": one.ring.plaintext_modulus,
                    "ring_degree": one.ring.degree,
                    **{name: found[name] for name in FIGURES},
                    "objective_ratio": found["cost"] / winner["cost"] if winner["cost"] else math.nan,
                    "bytes_ratio": _bytes(found) / _bytes(winner),
                    "latency_ratio": found["latency_s"] / winner["latency_s"],
                }
            )
    return pd.DataFrame(rows)


def _bytes(figures: Mapping[str, float]) -> float:
    return figures["up_bytes"] + figures["down_bytes"]
