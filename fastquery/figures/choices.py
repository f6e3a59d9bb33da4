"""Frames for choosing parameters: rings, Pareto front, sensitivity, noise budget."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields, replace
from typing import Any

import numpy as np
import pandas as pd

from costmodel.compact import noise as compact_noise
from costmodel.compact.wire import wire_columns
from costmodel.estimate import evaluate
from costmodel.grid import Grid
from costmodel.limits import LOG2_FAILURE
from costmodel.link import Link
from costmodel.machine import Machine, default_machine
from costmodel.noise import modulus_switch_variance, public_key_encryption_variance, required_ratio
from costmodel.parameters import Configuration, Table
from costmodel.systems import executed
from fastquery.figures.designs import (
    FOLDED,
    OWN,
    OWN_BARE,
    OWN_FLOODED,
    captions,
    configuration_text,
    described,
    link_text,
    machine_text,
    own_designs,
    published_systems,
    table_text,
)
from fastquery.figures.inputs import Inputs
from fastquery.optimizer import optimize
from fastquery.sweeps import Links

Figures = Mapping[str, Any]
CHANGE = 0.1
DEGREES = (1024, 2048, 4096, 8192, 16384)
ONE_LIMB_BITS, TWO_LIMB_BITS = range(24, 61), range(61, 121)


def ring_map_frame(
    table: Table, link: Link, machine: Machine | None = None, flooding_bits: Sequence[int] = (0, 40)
) -> pd.DataFrame:
    """FastQuery as this project runs it on every ring of a power-of-two degree and a modulus of one or two limbs.

    The bits on the wire are chosen anew for every ring, for a failure probability of 2^-40; where none reach it all
    bits are kept, and ``log2_failure`` says so.

    Returns
    -------
    DataFrame
        Columns ``design``, ``ring_degree``, ``log2_q``, ``bytes``, ``latency_s``, ``security_bits``, ``log2_failure``.
    """
    profile = machine or default_machine()
    degree = np.array(DEGREES)[:, None]
    frames = []
    for flooding in flooding_bits:
        base = executed("fastquery", table, flooding_bits=flooding)
        for bits, limbs in ((np.array(ONE_LIMB_BITS), 1), (np.array(TWO_LIMB_BITS), 2)):
            limb_bits = (bits,) if limbs == 1 else ((bits + 1) // 2, bits // 2)
            grid = Grid.of(base, degree=degree, limb_bits=limb_bits)
            wire: dict[str, Any] = dict(wire_columns(grid, LOG2_FAILURE))
            figures = evaluate(replace(grid, **wire), link, profile)
            columns = {
                "ring_degree": degree,
                "log2_q": bits,
                "bytes": figures["up_bytes"] + figures["down_bytes"],
                **{name: figures[name] for name in ("latency_s", "security_bits", "log2_failure")},
            }
            flat = {name: np.broadcast_to(values, grid.shape).reshape(-1) for name, values in columns.items()}
            frames.append(pd.DataFrame({"design": flooding_text(flooding), **flat}))
    frame = pd.concat(frames, ignore_index=True)
    frame.attrs.update(security_floor_bits=128, log2_failure_target=LOG2_FAILURE)
    return described(
        frame,
        f"Rings for one private lookup in {table_text(table)}",
        f"{OWN}: t=2^{base.ring.plaintext_modulus.bit_length() - 1}, channels of "
        f"{','.join(map(str, base.packing.widths))} bits, PackLWEs; one limb up to 60 bits, two above; bits on the "
        "wire chosen for every ring for the fewest bytes with a 32nd of the keys; security by the stricter of the 2018 "
        f"and 2024 tables; link {link_text(link)}.",
        machine_text(profile),
    )


def flooding_text(bits: int) -> str:
    """What panels and legends call a width of flooding."""
    return f"{bits} bits of flooding" if bits else "no flooding"


def pareto_frame(table: Table, link: Link, machine: Machine | None = None, queries: int = 32) -> pd.DataFrame:
    """Bytes and latency of published systems, and the fronts of what this project runs with flooding and without.

    Parameters
    ----------
    table, link, machine
        What is looked up, over what.
    queries
        Of one client, over which its keys are spread.

    Returns
    -------
    DataFrame
        Columns ``protocol``, ``label``, ``bytes``, ``latency_s``.
    """
    profile = machine or default_machine()
    rows = []
    for system, one in published_systems(table, ("cryptflow2", "cheetah", "iron", "bumblebee", "fastquery")).items():
        figures = evaluate(Grid.of(one), link, profile)
        size = float(_total(figures) + figures["setup_bytes"] / queries)
        rows.append((system, configuration_text(one), size, float(figures["latency_s"])))
    for name, protocol in ((OWN, "fastquery"), (FOLDED, "folded")):
        for flooding in (0, 40):
            best = optimize(
                table, protocol=protocol, link=link, machine=machine, queries=queries, flooding_bits=flooding
            )
            points = zip(best.configurations, best.pareto["bytes_per_query"], best.pareto["latency_s"], strict=True)
            rows += [(f"{name}: {flooding_text(flooding)}", _short(one), *point) for one, *point in points]
    return described(
        pd.DataFrame(rows, columns=["protocol", "label", "bytes", "latency_s"]),
        f"Bytes against latency of one private lookup in {table_text(table)}",
        f"Link {link_text(link)}. Bytes with a share of the keys: {queries} queries a client. This project: the fronts "
        "over rings, packings, digits and wires with 128 bits of security and a failure of 2^-40.",
        machine_text(profile),
    )


def _short(configuration: Configuration) -> str:
    ring = configuration.ring
    widths = ",".join(map(str, configuration.packing.widths))
    return f"({widths}) N={ring.degree} q={'+'.join(map(str, ring.limb_bits))}"


def sensitivity_frame(
    table: Table, link: Link, machine: Machine | None = None, configuration: Configuration | None = None
) -> pd.DataFrame:
    """Relative change of latency and bytes when one parameter is 10 % lower or higher and all others stay.

    What counts in whole numbers is rounded. What changes nothing is left out. Unit costs are scaled where
    they take more than a hundredth of the latency.

    Returns
    -------
    DataFrame
        Columns ``parameter``, ``text_low``, ``text_high``, ``latency_low``, ``latency_high``, ``bytes_low``,
        ``bytes_high``, ``misses_low``, ``misses_high``.
    """
    profile = machine or default_machine()
    base = configuration or executed("fastquery", table)
    still = evaluate(Grid.of(base), link, profile)
    rows = []
    for name, texts, low, high in _changed(base, link, profile):
        row: dict[str, Any] = {"parameter": name, "text_low": texts[0], "text_high": texts[1]}
        for side, figures in (("low", low), ("high", high)):
            row[f"latency_{side}"] = float(figures["latency_s"] / still["latency_s"]) - 1
            row[f"bytes_{side}"] = float(_total(figures) / _total(still)) - 1
            row[f"misses_{side}"] = bool(figures["log2_failure"] > max(LOG2_FAILURE, float(still["log2_failure"])))
        if any(value for column, value in row.items() if column.endswith(("_low", "_high")) and "text" not in column):
            rows.append(row)
    return described(
        pd.DataFrame(rows),
        f"What 10 % of each parameter does to one private lookup in {table_text(table)}",
        f"In brackets: the values taken. Link {link_text(link)}. Base: {configuration_text(base)}; "
        f"{float(_total(still)):,.0f} bytes, {float(still['latency_s']):.3g} s. 'fails': more often than 2^-40. "
        "N, a power of two, has no 10 %.",
        machine_text(profile),
    )


def _total(figures: Figures) -> Any:
    return figures["up_bytes"] + figures["down_bytes"]


def _changed(
    base: Configuration, link: Link, machine: Machine
) -> Iterator[tuple[str, tuple[str, str], Figures, Figures]]:
    """Name, values and figures of every parameter that can be 10 % lower and higher."""
    grid = Grid.of(base)
    factors = np.array([1 - CHANGE, 1 + CHANGE])
    for name, column in COLUMNS.items():
        value = int(getattr(grid, column))
        changed = np.rint(value * factors).astype(np.int64)
        if value and changed[0] < value < changed[1]:
            yield name, _texts(changed), *_sides(evaluate(Grid.of(base, **{column: changed}), link, machine))
    limbs = tuple(np.rint(np.asarray(bits) * factors).astype(np.int64) for bits in base.ring.limb_bits)
    yield "modulus, log2 q (bits)", _texts(sum(limbs)), *_sides(evaluate(Grid.of(base, limb_bits=limbs), link, machine))
    rates, delays = link.rate_bit_per_s * factors, link.round_trip_s * factors
    on_rates = evaluate(grid, Links(rates, np.float64(link.round_trip_s)), machine)
    yield "bandwidth (Mbit/s)", _texts(rates / 1e6), *_sides(on_rates)
    if link.round_trip_s:
        on_delays = evaluate(grid, Links(np.float64(link.rate_bit_per_s), delays), machine)
        yield "round-trip time (ms)", _texts(delays * 1e3), *_sides(on_delays)
    latency = float(evaluate(grid, link, machine)["latency_s"])
    for engine, operation in machine.units:
        if engine == base.engine:
            low, high = (evaluate(grid, link, _scaled(machine, engine, operation, f)) for f in factors)
            if float(high["latency_s"]) > latency * (1 + CHANGE / 100):
                yield f"seconds of '{operation}'", ("-10 %", "+10 %"), low, high


COLUMNS = {
    "rows m": "rows",
    "channels n": "channels",
    "tokens": "tokens",
    "flooding (bits)": "flooding_bits",
    "query coefficient (bits)": "query_bits",
    "answer's a (bits)": "answer_a_bits",
    "answer's b (bits)": "answer_b_bits",
    "digits of the keys (bits)": "digit_bits",
}
"""Whole numbers of a configuration, by what the figure calls them."""


def _texts(values: Any) -> tuple[str, str]:
    return f"{values[0]:g}", f"{values[1]:g}"


def _sides(figures: Figures) -> tuple[Figures, Figures]:
    low, high = ({name: values[k] for name, values in figures.items()} for k in (0, 1))
    return low, high


def _scaled(machine: Machine, engine: str, operation: str, factor: float) -> Machine:
    unit = machine.units[engine, operation]
    names = [one.name for one in fields(unit) if one.name.endswith("_s")]
    costs: dict[str, Any] = {name: float(getattr(unit, name) * factor) for name in names}
    changed = replace(unit, **costs)
    return replace(machine, units={**machine.units, (engine, operation): changed})


def noise_frame(table: Table) -> pd.DataFrame:
    """Noise of this project's answers by step, for the worst table, with flooding and without.

    Returns
    -------
    DataFrame
        Columns ``design``, ``step``, ``noise_bits`` (log2 of the standard deviation over q/t), ``target_bits``.
    """
    designs = {name: one for name, one in own_designs(table).items() if name in (OWN_BARE, OWN_FLOODED)}
    rows = []
    for name, one in designs.items():
        grid = Grid.of(one).of_worst_table()
        scale = np.exp2(2.0 * (grid.log2_plaintext_modulus - grid.log2_q))
        target = np.log2(0.5 / required_ratio(LOG2_FAILURE, grid.tokens * grid.coefficients))
        for step, variance in noise_steps(grid).items():
            if variance > 0:
                rows.append((name, step, 0.5 * np.log2(float(variance * scale)), float(target)))
        rows.append((name, "sum", 0.5 * np.log2(float(compact_noise.noise(grid))), float(target)))
    frame = pd.DataFrame(rows, columns=["design", "step", "noise_bits", "target_bits"])
    frame["step"] = pd.Categorical(frame["step"], [*noise_steps(grid), "sum"], ordered=True)
    return described(
        frame,
        f"Noise of an answer by step, {table_text(table)}, worst table",
        captions(designs),
        f"Target: the whole answer fails with at most 2^{LOG2_FAILURE:g}.",
    )


def noise_steps(grid: Grid) -> dict[str, Any]:
    """Variances of an answer coefficient's error by the step that they come from, in units of 1 at q; they add up."""
    square = grid.element_mean_square
    packing = compact_noise.product_variance(grid, 0.0)
    encryption = compact_noise.product_variance(replace(grid, query_bits=grid.log2_q), square) - packing
    flooded = grid.flooding_bits > 0
    return {
        "encryption x table": encryption,
        "dropped query bits x table": compact_noise.product_variance(grid, square) - packing - encryption,
        "key switches of PackLWEs": packing,
        "flooding": np.where(flooded, np.exp2(2.0 * compact_noise.flooding_width_bits(grid)) / 12, 0.0),
        "encryption of zero": np.where(flooded, public_key_encryption_variance(grid.sigma, grid.degree), 0.0),
        "rounding of the answer's a": modulus_switch_variance(grid.log2_q, grid.degree, grid.answer_a_bits, np.inf),
        "rounding of the answer's b": modulus_switch_variance(grid.log2_q, grid.degree, np.inf, grid.answer_b_bits),
    }


def ring_map(inputs: Inputs) -> pd.DataFrame:
    """:func:`ring_map_frame` of what is named."""
    return ring_map_frame(inputs.shape(), inputs.on("wan"), inputs.machine)


def pareto(inputs: Inputs) -> pd.DataFrame:
    """:func:`pareto_frame` of what is named."""
    return pareto_frame(inputs.shape(), inputs.on("wan"), inputs.machine)


def sensitivity(inputs: Inputs) -> pd.DataFrame:
    """:func:`sensitivity_frame` of what is named."""
    return sensitivity_frame(inputs.shape(), inputs.on("wan"), inputs.machine)


def noise(inputs: Inputs) -> pd.DataFrame:
    """:func:`noise_frame` of what is named."""
    return noise_frame(inputs.shape())
