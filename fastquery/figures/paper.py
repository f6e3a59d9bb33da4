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
from costmodel.systems import published
from costmodel.systems.fastquery import ABLATIONS
from fastquery.figures.designs import (
    SYSTEMS,
    captions,
    described,
    flooded_designs,
    link_text,
    machine_text,
    published_systems,
    table_text,
)
from fastquery.figures.inputs import Inputs
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
    designs: dict[str, Configuration] = {}
    for name in names:
        table = table_of(name, tokens)
        n = table.channels
        counted = {"projection": 3.0 * n * n * HALF_BYTES, "embedding": float(tokens * n * HALF_BYTES)}
        model = MODELS.get(name, name)
        rows += [(model, "plaintext\n(weights read)", part, value, "B") for part, value in counted.items()]
        for system in ("cheetah", "iron", "bumblebee", "cham", "fastquery"):
            dense = projection("cheetah" if system == "fastquery" else system, tokens, n, 3 * n)
            query = published(system, table)
            designs[SYSTEMS[system]] = query
            for part, one in (("projection", dense), ("embedding", query)):
                rows.append((model, SYSTEMS[system], part, estimate(one, link, profile).latency_s, "s"))
    return described(
        pd.DataFrame(rows, columns=["model", "system", "part", "value", "unit"]),
        f"Figure 1: embedding query against QKV projection, {tokens} token{'s' if tokens > 1 else ''}",
        f"Link {link_text(link)}. FastQuery's projection is Cheetah's, on which it is built.",
        captions(designs),
        machine_text(profile),
    )


def figure_9_frame(
    names: tuple[str, ...] = tuple(MODELS), link: Link = PRESETS["paper-384"], machine: Machine | None = None
) -> pd.DataFrame:
    """Bytes and latency of every system by table size, with what the paper's Tables 3 and 6 state.

    Returns
    -------
    DataFrame
        Columns ``table``, ``system``, ``bytes``, ``latency_s``, ``published_bytes``, ``published_latency_s``.
    """
    profile, stated = machine or default_machine(), published_numbers()
    rows: list[tuple[Any, ...]] = []
    designs: dict[str, Configuration] = {}
    for name in names:
        table = table_of(name, 1)
        systems = published_systems(table, ("cryptflow2", "iron", "cheetah", "bumblebee", "fastquery"))
        systems |= flooded_designs(table)
        for system, one in systems.items():
            designs.setdefault(system, one)
            result = estimate(one, link, profile)
            total = result.up_bytes + result.down_bytes
            label = f"{MODELS.get(name, name)}\n{table_text(table)}"
            rows.append((label, system, total, result.latency_s, *_stated(stated, name, system)))
    columns = ["table", "system", "bytes", "latency_s", "published_bytes", "published_latency_s"]
    return described(
        pd.DataFrame(rows, columns=columns),
        "Figure 9: bytes and latency of one private lookup by table size",
        f"Link {link_text(link)}. Published: FastQuery's Tables 3 and 6; its Figure 9 states no numbers.",
        captions(designs),
        machine_text(profile),
    )


def _stated(stated: dict[str, float], name: str, system: str) -> tuple[float, float]:
    """Published bytes and seconds, NaN where there are none."""
    row = {SYSTEMS["cheetah"]: "baseline", SYSTEMS["fastquery"]: "packlwes"}.get(system)
    size = stated.get(f"table-6/{row}/communication", np.nan) * MIB if name == "llama-7b" else np.nan
    seconds = stated.get(f"table-6/{row}/latency", np.nan) if name == "llama-7b" else np.nan
    if row == "packlwes" and name != "llama-7b":
        seconds = stated.get(f"table-3/fastquery/latency/{name}", np.nan)
    return size, seconds


def figure_10_frame(
    table: Table,
    links: tuple[str, ...] = ("paper-384", "paper-44", "paper-9", "paper-384MB", "paper-44MB", "paper-9MB"),
    machine: Machine | None = None,
) -> pd.DataFrame:
    """Latency by bandwidth under both readings of the paper's units, and FastQuery's reduction against Cheetah.

    Returns
    -------
    DataFrame
        Columns ``link``, ``system``, ``latency_s``.
    """
    profile = machine or default_machine()
    designs = published_systems(table, ("cryptflow2", "cheetah", "iron", "fastquery"))
    designs |= flooded_designs(table)
    rows = [
        (_rate_text(PRESETS[link]), system, estimate(one, PRESETS[link], profile).latency_s)
        for link in links
        for system, one in designs.items()
    ]
    frame = pd.DataFrame(rows, columns=["link", "system", "latency_s"])
    frame.attrs.update(ratio=(SYSTEMS["cheetah"], SYSTEMS["fastquery"]), published_ratio=(4.7, 6.5))
    return described(
        frame,
        f"Figure 10: one private lookup in {table_text(table)} on the paper's links",
        "The paper writes 384, 44 and 9 Mb/s; Cheetah's links, which it cites, are in MB/s (8 times as much). Round-"
        "trip times are Cheetah's. Published is the reduction against Cheetah, 4.7x to 6.5x; no seconds are stated.",
        captions(designs),
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


def waterfall_frame(table: Table, link: Link = PRESETS["paper-384"], machine: Machine | None = None) -> pd.DataFrame:
    """The rows of Table 6, and the last one with both polynomials of its answer counted.

    Published numbers stand where the table has the paper's shape, 32000 x 4096.

    Returns
    -------
    DataFrame
        Columns ``step``, ``bytes``, ``latency_s``, ``published_bytes``, ``published_latency_s``, ``aside``.
    """
    profile, stated = machine or default_machine(), published_numbers()
    is_papers = (table.rows, table.channels, table.tokens) == (32000, 4096, 1)
    rows = []
    designs: dict[str, Configuration] = {}
    for row in ABLATIONS:
        designs[STEPS[row].partition(":")[0]] = one = published("fastquery", table, row)
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
        captions(designs),
        machine_text(profile),
    )


def _figures(configuration: Configuration, link: Link, machine: Machine) -> tuple[float, float]:
    result = estimate(configuration, link, machine)
    return result.up_bytes + result.down_bytes, result.latency_s


def figure_1(inputs: Inputs) -> pd.DataFrame:
    """:func:`figure_1_frame` of what is named."""
    names = (inputs.table,) if inputs.table else ("llama-7b", "llama-13b")
    return figure_1_frame(names, inputs.on("paper-384"), inputs.machine)


def figure_9(inputs: Inputs) -> pd.DataFrame:
    """:func:`figure_9_frame` of what is named."""
    return figure_9_frame((inputs.table,) if inputs.table else tuple(MODELS), inputs.on("paper-384"), inputs.machine)


def figure_10(inputs: Inputs) -> pd.DataFrame:
    """:func:`figure_10_frame` of what is named; its links are the paper's."""
    return figure_10_frame(inputs.shape(), machine=inputs.machine)


def waterfall(inputs: Inputs) -> pd.DataFrame:
    """:func:`waterfall_frame` of what is named."""
    return waterfall_frame(inputs.shape(), inputs.on("paper-384"), inputs.machine)
