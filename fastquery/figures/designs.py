"""The configurations that figures compare, and how captions spell them."""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from costmodel.link import Link
from costmodel.machine import Machine
from costmodel.parameters import Configuration, Table
from costmodel.systems import executed, published

SYSTEMS = {
    "cryptflow2": "CrypTFlow2",
    "cheetah": "Cheetah",
    "iron": "Iron",
    "bumblebee": "BumbleBee",
    "cham": "CHAM",
    "spu-fm32": "SPU (FM32)",
    "fastquery": "FastQuery (paper)",
}
"""What legends call published systems."""

OWN = "FastQuery, this project"
OWN_FLOODED = f"{OWN}: 40 bits of flooding"
OWN_BARE = f"{OWN}: no flooding"
OWN_PREPARED = f"{OWN}: 40 bits, prepared"
FOLDED = "Folded query, this project"
FOLDED_FLOODED = f"{FOLDED}: 40 bits of flooding"
FOLDED_PREPARED = f"{FOLDED}: 40 bits, prepared"


def published_systems(table: Table, protocols: Iterable[str]) -> dict[str, Configuration]:
    """Published systems by what a legend calls them, without those that cannot hold the table."""
    found = {}
    for protocol in protocols:
        try:
            found[SYSTEMS[protocol]] = published(protocol, table)
        except ValueError:
            continue
    return found


def own_designs(table: Table) -> dict[str, Configuration]:
    """What this project executes, by what a legend calls it."""
    flooded, folded = executed("fastquery", table), executed("folded", table)
    return {
        OWN_BARE: executed("fastquery", table, flooding_bits=0),
        OWN_FLOODED: flooded,
        OWN_PREPARED: flooded.updated(prepared=True),
        FOLDED_FLOODED: folded,
        FOLDED_PREPARED: folded.updated(prepared=True),
    }


def flooded_designs(table: Table) -> dict[str, Configuration]:
    """Those that do everything once the token is known and hide the table."""
    return {name: one for name, one in own_designs(table).items() if name in (OWN_FLOODED, FOLDED_FLOODED)}


def described(frame: pd.DataFrame, title: str, *source: str) -> pd.DataFrame:
    """The frame with its heading, and the lines of its caption."""
    frame.attrs.update(title=title, source="\n".join(source))
    return frame


def table_text(table: Table) -> str:
    """A table's shape, and its tokens if there are several."""
    looked_up = "" if table.tokens == 1 else f", {table.tokens} tokens"
    return f"{table.rows} x {table.channels}{looked_up}"


def link_text(link: Link) -> str:
    """Rate and round-trip time."""
    return f"{link.rate_bit_per_s / 1e6:g} Mbit/s, {link.round_trip_s * 1e3:g} ms"


def machine_text(machine: Machine) -> str:
    """Where seconds come from."""
    return f"Seconds: published systems at their papers' speed or SPU's, this project's at machine {machine.name!r}."


def configuration_text(configuration: Configuration) -> str:
    """A configuration in a line: N=4096, q=47+47, t=2^13, channels of 4,3,3 bits, 40 bits of flooding."""
    ring, packing = configuration.ring, configuration.packing
    modulus = ring.plaintext_modulus
    parts = [
        f"N={ring.degree}",
        f"q={'+'.join(map(str, ring.limb_bits))}",
        f"t=2^{modulus.bit_length() - 1}" if math.log2(modulus).is_integer() else f"t={modulus}",
        f"channels of {','.join(map(str, packing.widths))} bits",
    ]
    if configuration.engine == "residue":
        parts.append(f"{configuration.flooding_bits} bits of flooding")
    if configuration.prepared:
        parts.append("prepared before the token is known")
    return ", ".join(parts)


def captions(designs: dict[str, Configuration]) -> str:
    """All configurations of a figure."""
    return "; ".join(f"{name}: {configuration_text(one)}" for name, one in designs.items()) + "."


def geometric(low: float, high: float, points: int) -> NDArray[np.float64]:
    """Values spaced evenly on a logarithmic axis.

    Raises
    ------
    ValueError
        If the range is empty or not above 0, or has fewer than two points.
    """
    if not 0 < low < high or points < 2:
        raise ValueError(f"axis is {low:g} to {high:g} in {points} points; it must rise from above 0, in 2 or more")
    return np.geomspace(low, high, points, dtype=np.float64)
