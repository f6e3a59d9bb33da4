"""The paper's Figures 1, 9 and 10 and its Table 6 from the model, beside what was published."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from costmodel.estimate import estimate
from costmodel.link import PRESETS, Link
from costmodel.machine import Machine, default_machine
from costmodel.parameters import Configuration, Table
from costmodel.projection import projection
from costmodel.system import RingFields
from costmodel.systems import SYSTEMS, configuration, published, system
from costmodel.systems.fastquery import ABLATIONS
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
from fastquery.tables import table_of
from validate.published import load_claims

MODELS = {"llama-7b": "LLaMA-7B", "llama-13b": "LLaMA-13B", "llama-30b": "LLaMA-30B"}
MIB = 2.0**20
HALF_BYTES = 2
"""Of a weight in half precision."""


def published_numbers() -> dict[str, float]:
    """Single published numbers by the id of their claim."""
    return {one.id: one.published for one in load_claims() if not isinstance(one.published, tuple)}


def figure_1_frame(
    names: tuple[str, ...] = ("llama-7b", "llama-13b"),
    link: Link = PRESETS["paper-384"],
    machine: Machine | None = None,
    tokens: int = 1,
) -> pd.DataFrame:
    """QKV projection and embedding query of systems that compute both.

    Plaintext is counted in bytes of weights read in half precision, which is what both cost on a processor that waits
    for its memory. FastQuery is built on Cheetah and takes its projection.

    Returns
    -------
    DataFrame
        Columns ``model``, ``system``, ``part``, ``value``, ``unit`` (``s`` or ``B``).
    """
    profile = machine or default_machine()
    rows: list[tuple[str, str, str, float, str]] = []
    dense_systems = [one.name for one in SYSTEMS if one.projects]
    for name in names:
        table = table_of(name, tokens)
        n = table.channels
        counted = {"projection": 3.0 * n * n * HALF_BYTES, "embedding": float(tokens * n * HALF_BYTES)}
        model = MODELS.get(name, name)
        rows += [(model, "plaintext\n(weights read)", part, value, "B") for part, value in counted.items()]
        for own in (*dense_systems, "fastquery"):
            dense = projection("cheetah" if own == "fastquery" else own, tokens, n, 3 * n)
            for part, one in (("projection", dense), ("embedding", published(own, table))):
                legend = system(own).legend.replace(" (", "\n(")
                rows.append((model, legend, part, estimate(one, link, profile).latency_s, "s"))
    return described(
        pd.DataFrame(rows, columns=["model", "system", "part", "value", "unit"]),
        f"Figure 1: embedding query against QKV projection, {tokens} token{'s' if tokens > 1 else ''}",
        f"Link {link_text(link)}. All as published; FastQuery's projection is Cheetah's, on which it is built.",
        machine_text(profile),
    )


def figure_9_frame(
    names: tuple[str, ...] = tuple(MODELS),
    link: Link = PRESETS["paper-384"],
    machine: Machine | None = None,
    chosen: Chosen = EVERYTHING,
) -> pd.DataFrame:
    """Bytes and latency of every design by table size, with what the paper's Tables 3 and 6 state.

    Returns
    -------
    DataFrame
        Columns of :func:`fastquery.figures.designs.identity`, ``table``, ``bytes``, ``latency_s``,
        ``published_bytes``, ``published_latency_s``.
    """
    profile, stated = machine or default_machine(), published_numbers()
    rows: list[dict[str, Any]] = []
    for name in names:
        table = table_of(name, 1)
        label = f"{MODELS.get(name, name)}\n{table_text(table)}"
        for one in designs(chosen, table, (PUBLISHED, FLOODED)):
            size, latency = _figures(one, link, profile)
            known = dict(zip(("published_bytes", "published_latency_s"), _stated(stated, name, one), strict=True))
            rows.append({**_kind(one), "table": label, "bytes": size, "latency_s": latency, **known})
    return described(
        pd.DataFrame(rows),
        "Figure 9: bytes and latency of one private lookup by table size",
        f"Link {link_text(link)}. Published: FastQuery's Tables 3 and 6; its Figure 9 states no numbers.",
        machine_text(profile),
    )


def _kind(one: Configuration) -> dict[str, Any]:
    """What a design is on every table: a ring that is chosen for the table does not tell it from itself."""
    known = identity(one)
    return {name: known[name] for name in ("protocol", "engine", "flooding_bits", "prepared", "widths_bits")}


def _stated(stated: dict[str, float], name: str, one: Configuration) -> tuple[float, float]:
    """Published bytes and seconds, NaN where there are none."""
    row = {"cheetah": "baseline", "fastquery": "packlwes"}.get(one.protocol) if one.engine == "seal" else None
    size = stated.get(f"table-6/{row}/communication", np.nan) * MIB if name == "llama-7b" else np.nan
    seconds = stated.get(f"table-6/{row}/latency", np.nan) if name == "llama-7b" else np.nan
    if row == "packlwes" and name != "llama-7b":
        seconds = stated.get(f"table-3/fastquery/latency/{name}", np.nan)
    return size, seconds


def figure_10_frame(
    table: Table,
    links: tuple[str, ...] = ("paper-384", "paper-44", "paper-9", "paper-384MB", "paper-44MB", "paper-9MB"),
    machine: Machine | None = None,
    chosen: Chosen = EVERYTHING,
) -> pd.DataFrame:
    """Latency by bandwidth under both readings of the paper's units, and FastQuery's reduction against Cheetah.

    Returns
    -------
    DataFrame
        Columns of :func:`fastquery.figures.designs.identity`, ``link``, ``latency_s``.
    """
    profile = machine or default_machine()
    rows = [
        {**identity(one), "link": _rate_text(PRESETS[link]), "latency_s": _figures(one, PRESETS[link], profile)[1]}
        for one in designs(chosen, table, (PUBLISHED, FLOODED))
        for link in links
    ]
    frame = pd.DataFrame(rows)
    frame.attrs.update(ratio=("cheetah", "fastquery"), published_ratio=(4.7, 6.5))
    return described(
        frame,
        f"Figure 10: one private lookup in {table_text(table)} on the paper's links",
        "The paper writes 384, 44 and 9 Mb/s; Cheetah's links, which it cites, are in MB/s (8 times as much). Round-"
        "trip times are Cheetah's. Published is the reduction against Cheetah, 4.7x to 6.5x; no seconds are stated.",
        machine_text(profile),
    )


def _rate_text(link: Link) -> str:
    rate = link.rate_bit_per_s
    spelt = f"{rate / 8e6:g} MB/s" if link.name.endswith("MB") else f"{rate / 1e6:g} Mbit/s"
    return f"{spelt}\n{link.round_trip_s * 1e3:g} ms"


STEPS = {
    "baseline": "baseline: Cheetah",
    "quant": "+ quantised: table, 4 bits",
    "accumulation": "+ accumulation: t=2^13, one prime",
    "packing": "+ packing: 3 channels a coefficient",
    "packlwes": "+ PackLWEs: one polynomial counted",
}
TRUE_COUNT = "PackLWEs: both polynomials counted"


def waterfall_frame(
    table: Table,
    link: Link = PRESETS["paper-384"],
    machine: Machine | None = None,
    ring: RingFields | None = None,
    widths: tuple[int, ...] | None = None,
) -> pd.DataFrame:
    """The rows of Table 6, and the last one with both polynomials of its answer counted.

    A ring or channel widths that are named take the place of the last two rows' own. Published numbers stand where the
    table has the paper's shape, 32000 x 4096, and nothing is named.

    Returns
    -------
    DataFrame
        Columns ``step``, ``bytes``, ``latency_s``, ``published_bytes``, ``published_latency_s``, ``aside``.
    """
    profile, stated = machine or default_machine(), published_numbers()
    is_papers = (table.rows, table.channels, table.tokens) == (32000, 4096, 1) and not ring and widths is None
    rows = []
    for row in ABLATIONS:
        one = _step(table, row, ring, widths)
        rows.append((STEPS[row], *_figures(one, link, profile), row, False))
    both = one.updated(packing=replace(one.packing, output="packlwes"))
    rows.append((TRUE_COUNT, *_figures(both, link, profile), "", True))
    frame = pd.DataFrame(rows, columns=["step", "bytes", "latency_s", "row", "aside"])
    for column, name, factor in (("published_bytes", "communication", MIB), ("published_latency_s", "latency", 1.0)):
        known = [stated.get(f"table-6/{row}/{name}", np.nan) if is_papers else np.nan for row in frame["row"]]
        frame[column] = np.array(known) * factor
    return described(
        frame.drop(columns="row"),
        f"Table 6: what each step saves of one private lookup in {table_text(table)}",
        f"Link {link_text(link)}; sizes are SEAL's after zstd. The paper's MB are MiB, and its last row counts one "
        "polynomial of the two of its answer.",
        machine_text(profile),
    )


def _step(table: Table, row: str, ring: RingFields | None, widths: tuple[int, ...] | None) -> Configuration:
    """A row of Table 6; those that pack channels take what is named."""
    if row not in ABLATIONS[-2:]:
        return published("fastquery", table, row)
    return configuration("fastquery", table, ablation=row, ring=ring or {}, widths=widths)


def _figures(one: Configuration, link: Link, machine: Machine) -> tuple[float, float]:
    result = estimate(one, link, machine)
    return result.up_bytes + result.down_bytes, result.latency_s


def figure_1(inputs: Inputs) -> pd.DataFrame:
    """:func:`figure_1_frame` of what is named."""
    names = (inputs.table,) if inputs.table else ("llama-7b", "llama-13b")
    return figure_1_frame(names, inputs.on("paper-384"), inputs.machine)


def figure_9(inputs: Inputs) -> pd.DataFrame:
    """:func:`figure_9_frame` of what is named."""
    names = (inputs.table,) if inputs.table else tuple(MODELS)
    return figure_9_frame(names, inputs.on("paper-384"), inputs.machine, inputs.chosen)


def figure_10(inputs: Inputs) -> pd.DataFrame:
    """:func:`figure_10_frame` of what is named; its links are the paper's."""
    return figure_10_frame(inputs.shape(), machine=inputs.machine, chosen=inputs.chosen)


def waterfall(inputs: Inputs) -> pd.DataFrame:
    """:func:`waterfall_frame` of what is named.

    Raises
    ------
    ValueError
        If another protocol, or several rings or packings are named: a waterfall is one sequence of steps.
    """
    if inputs.chosen.protocols not in ((), ("fastquery",)):
        raise ValueError(f"protocol is {', '.join(inputs.chosen.protocols)}; a waterfall's steps are fastquery's")
    for name, values in (("ring", inputs.chosen.rings), ("packing", inputs.chosen.packings)):
        if len(values) > 1:
            raise ValueError(f"{name} is named {len(values)} times; a waterfall is one sequence of steps and takes one")
    ring, widths = next(iter(inputs.chosen.rings), None), next(iter(inputs.chosen.packings), None)
    return waterfall_frame(inputs.shape(), inputs.on("paper-384"), inputs.machine, ring, widths)


FIGURES = (
    NamedFigure(
        "figure-1",
        "The paper's Figure 1: what the embedding query costs beside the QKV projection of the first layer, system by "
        "system. In plaintext a lookup is next to nothing; under encryption it costs more than the projection unless "
        "its one-hot query and its few bits are made use of.",
        figure_1,
        "bars",
    ),
    NamedFigure(
        "figure-9",
        "The paper's Figure 9: bytes and latency of every system for the tables of LLaMA-7B, 13B and 30B. Diamonds "
        "are the numbers that the paper states.",
        figure_9,
        "bars",
    ),
    NamedFigure(
        "figure-10",
        "The paper's Figure 10: latency on its three links under both readings of its units, and FastQuery's "
        "reduction against Cheetah beside the published range.",
        figure_10,
        "bars",
    ),
    NamedFigure(
        "waterfall",
        "Table 6 as a waterfall: what each of the paper's steps saves in bytes and in latency, beside the published "
        "numbers, and the last row with both polynomials of its answer counted.",
        waterfall,
        "waterfall",
    ),
)
