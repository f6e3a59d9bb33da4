"""Who wins, and by how much: the best of every design beside the best of all and beside FastQuery as published."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping

import pandas as pd

from costmodel.alignment.ledger import needs_transfers
from costmodel.estimate import Estimate
from costmodel.parameters import Configuration
from costmodel.systems import system
from costmodel.systems.fastquery import PACKED_OUTPUTS

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
    *lower, _ = moduli = packing.field_moduli
    last = configuration.ring.plaintext_modulus // math.prod(lower)
    if needs_transfers(len(moduli), min(last, 2**62), configuration.align_bits):
        return f"{name}, oblivious transfer"
    return f"{name}, wide plaintext"


def winners_frame(
    best: Mapping[str, Iterable[Estimate]], published: Estimate, cost: Callable[[str, Estimate], float]
) -> pd.DataFrame:
    """A row for every design and objective, the winner of the objective first, FastQuery as published last.

    Parameters
    ----------
    best
        By objective, the best of every design in order; at least one.
    published
        FastQuery as published, over the same link.
    cost
        Value of an objective.

    Returns
    -------
    DataFrame
        Columns ``objective``, ``design``, ``widths_bits``, ``plaintext_modulus``, ``ring_degree``, figures, and
        ``objective_ratio``, ``bytes_ratio`` and ``latency_ratio``: the objective, up and down bytes, and latency, over
        those of the objective's winner.
    """
    rows = []
    for objective, estimates in best.items():
        named = [*((design_of(one.configuration), one) for one in estimates), (PUBLISHED, published)]
        winner = named[0][1]
        for design, one in named:
            configuration = one.configuration
            rows.append(
                {
                    "objective": objective,
                    "design": design,
                    "widths_bits": ",".join(map(str, configuration.packing.widths)),
                    "plaintext_modulus": configuration.ring.plaintext_modulus,
                    "ring_degree": configuration.ring.degree,
                    **{name: one.figures[name] for name in FIGURES},
                    "objective_ratio": _ratio(cost(objective, one), cost(objective, winner)),
                    "bytes_ratio": _bytes(one) / _bytes(winner),
                    "latency_ratio": one.latency_s / winner.latency_s,
                }
            )
    return pd.DataFrame(rows)


def _bytes(one: Estimate) -> float:
    return one.figures["up_bytes"] + one.figures["down_bytes"]


def _ratio(value: float, winner: float) -> float:
    return value / winner if winner else math.nan
