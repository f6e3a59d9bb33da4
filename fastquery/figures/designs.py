"""The configurations that figures compare, derived from the list of systems, and the columns that say what they are."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from itertools import product
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from costmodel.grid import Grid
from costmodel.link import Link
from costmodel.machine import Machine
from costmodel.parameters import Configuration, Table
from costmodel.system import RingFields, System
from costmodel.systems import NAMES, configuration, design_of, system
from fastquery.figures.inputs import Chosen

PUBLISHED, FLOODED, BARE, PREPARED = "published", "flooded", "bare", "prepared"
"""Versions of a system: as published; as this project executes it with flooding, without, and prepared besides."""


def designs(chosen: Chosen, table: Table, versions: Iterable[str]) -> list[Configuration]:
    """Every system, or those that are named, in the versions that it has, on every ring and packing that is named.

    Versions that cannot hold the table or do not take the ring or packing are left out.

    Raises
    ------
    ValueError
        If none is left.
    """
    found: dict[Configuration, None] = {}
    reasons: list[str] = []
    asked = list(product(versions, chosen.rings or (RingFields(),), chosen.packings or (None,)))
    for name in chosen.protocols or NAMES:
        for choice in asked:
            try:
                found.update(dict.fromkeys(_version(system(name), table, *choice)))
            except ValueError as error:
                reasons.append(f"{name}: {error}")
    if not found:
        raise ValueError(
            reasons[0] if reasons else f"protocol is {', '.join(chosen.protocols)}; none has such a version"
        )
    return list(found)


def _version(
    one: System, table: Table, version: str, ring: RingFields, widths: tuple[int, ...] | None
) -> Iterator[Configuration]:
    """The system in a version, if it has it."""
    versions: dict[str, dict[str, Any]] = {
        PUBLISHED: {"engine": one.library},
        FLOODED: {"engine": own_engine(one)},
        BARE: {"engine": own_engine(one), "flooding_bits": 0},
        PREPARED: {"engine": own_engine(one), "prepared": True},
    }
    options = versions[version]
    if options["engine"]:
        yield configuration(one.name, table, ring=ring, widths=widths, **options)


def own_engine(one: System) -> str | None:
    """The engine of the residue kernels where it executes a system, its fastest here; None otherwise."""
    return "residue" if "residue" in one.engines else None


def identity(one: Configuration) -> dict[str, Any]:
    """The columns that say what a configuration is, by the names of a sweep's."""
    ring, packing, grid = one.ring, one.packing, Grid.of(one)
    return {
        "protocol": one.protocol,
        "engine": one.engine,
        "output": packing.output,
        "widths_bits": ",".join(map(str, packing.widths)),
        "plaintext_modulus": float(ring.plaintext_modulus),
        "ring_degree": ring.degree,
        "limb_bits": "+".join(map(str, ring.limb_bits)),
        "flooding_bits": float(np.asarray(design_of(grid).flooding(grid).bits)),
        "prepared": one.prepared,
        "tokens": one.table.tokens,
    }


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
