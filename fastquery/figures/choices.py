"""Frames for choosing parameters: rings, Pareto front, sensitivity, noise budget."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import fields, replace
from typing import Any

import numpy as np
import pandas as pd

from costmodel.compact import noise as compact_noise
from costmodel.compact.wire import wire_columns
from costmodel.estimate import evaluate
from costmodel.grid import Grid
from costmodel.limits import LOG2_FAILURE, SECURITY_FLOOR_BITS
from costmodel.link import Link
from costmodel.machine import Machine, default_machine
from costmodel.noise import modulus_switch_variance, public_key_encryption_variance, required_ratio
from costmodel.packing import widths_of_plaintext
from costmodel.parameters import Configuration, Table
from costmodel.system import RingFields
from costmodel.systems import NAMES, executed, system
from fastquery.figures.designs import (
    BARE,
    FLOODED,
    PUBLISHED,
    configuration_text,
    described,
    designs,
    identity,
    link_text,
    machine_text,
    own_engine,
    table_text,
)
from fastquery.figures.inputs import EVERYTHING, Chosen, Inputs
from fastquery.figures.named import NamedFigure
from fastquery.optimizer import optimize
from fastquery.sweeps import Links

Figures = Mapping[str, Any]
CHANGE = 0.1
DEGREES = (1024, 2048, 4096, 8192, 16384)
ONE_LIMB_BITS, TWO_LIMB_BITS = range(24, 61), range(61, 121)


def ring_map_frame(
    table: Table, link: Link, machine: Machine | None = None, chosen: Chosen = EVERYTHING
) -> pd.DataFrame:
    """Designs of this project on every ring of a power-of-two degree and a modulus of one or two limbs.

    The bits on the wire are chosen anew for every ring, for a failure probability of 2^-40; where none reach it all
    bits are kept, and ``log2_failure`` says so.

    Returns
    -------
    DataFrame
        Columns of :func:`fastquery.figures.designs.identity` without the ring, ``ring_degree``, ``log2_q``, ``bytes``,
        ``latency_s``, ``security_bits``, ``log2_failure``.

    Raises
    ------
    ValueError
        If a design chooses its ring by a search of its own.
    """
    profile = machine or default_machine()
    frames = []
    for base in designs(chosen.of("fastquery"), table, (BARE, FLOODED)):
        if base.wire is None:
            raise ValueError(f"protocol is {base.protocol!r}; a map of rings is of fastquery, whose wire fits any ring")
        known = identity(base)
        about = {name: known[name] for name in known if name not in ("ring_degree", "limb_bits")}
        rings = rings_frame(base, link, profile)
        frames.append(rings.assign(**about)[[*about, *rings]])
    frame = pd.concat(frames, ignore_index=True)
    frame.attrs.update(security_floor_bits=SECURITY_FLOOR_BITS, log2_failure_target=LOG2_FAILURE)
    return described(
        frame,
        f"Rings for one private lookup in {table_text(table)}",
        "One limb up to 60 bits, two above; bits on the wire chosen for every ring for the fewest bytes with a 32nd of "
        f"the keys; security by the stricter of the 2018 and 2024 tables; link {link_text(link)}.",
        machine_text(profile),
    )


def rings_frame(base: Configuration, link: Link, machine: Machine) -> pd.DataFrame:
    """A configuration on every ring of the map, the bits on the wire chosen anew for each.

    Parameters
    ----------
    base
        FastQuery on the residue engine; its degree and q are replaced.
    link, machine
        Where it is priced.

    Returns
    -------
    DataFrame
        Columns ``ring_degree``, ``log2_q``, ``bytes``, ``latency_s``, ``security_bits``, ``log2_failure``.
    """
    degree = np.array(DEGREES)[:, None]
    frames = []
    for bits, limbs in ((np.array(ONE_LIMB_BITS), 1), (np.array(TWO_LIMB_BITS), 2)):
        limb_bits = (bits,) if limbs == 1 else ((bits + 1) // 2, bits // 2)
        grid = Grid.of(base, degree=degree, limb_bits=limb_bits)
        wire: dict[str, Any] = dict(wire_columns(grid, base.log2_failure))
        figures = evaluate(replace(grid, **wire), link, machine)
        columns = {
            "ring_degree": degree,
            "log2_q": bits,
            "bytes": figures["up_bytes"] + figures["down_bytes"],
            **{name: figures[name] for name in ("latency_s", "security_bits", "log2_failure")},
        }
        flat = {name: np.broadcast_to(values, grid.shape).reshape(-1) for name, values in columns.items()}
        frames.append(pd.DataFrame(flat))
    return pd.concat(frames, ignore_index=True)


def pareto_frame(
    table: Table, link: Link, machine: Machine | None = None, queries: int = 32, chosen: Chosen = EVERYTHING
) -> pd.DataFrame:
    """Bytes and latency of published systems, and the fronts of what this project runs with flooding and without.

    Parameters
    ----------
    table, link, machine
        What is looked up, over what.
    queries
        Of one client, over which its keys are spread.
    inputs
        Systems, rings and packings, if they are named.

    Returns
    -------
    DataFrame
        Columns of :func:`fastquery.figures.designs.identity`, ``label``, ``bytes``, ``latency_s``.
    """
    profile = machine or default_machine()
    own = (FLOODED, BARE) if chosen.rings else ()  # on a ring that is named nothing is searched
    fixed = _possible(chosen, table, (PUBLISHED, *own))
    rows = [{**identity(one), "label": _short(one), **_costs(one, link, profile, queries)} for one in fixed]
    searched = [name for name in chosen.protocols or NAMES if own_engine(system(name))]
    for protocol in () if chosen.rings else searched:
        for flooding in (0, 40):
            try:
                best = optimize(
                    table,
                    protocol=protocol,
                    link=link,
                    machine=machine,
                    queries=queries,
                    flooding_bits=flooding,
                    packing=chosen.packings or None,
                    max_error=math.inf if chosen.packings else None,
                )
            except ValueError:  # nothing of the system holds the constraints
                continue
            points = zip(best.configurations, best.pareto["bytes_per_query"], best.pareto["latency_s"], strict=True)
            rows += [
                {**identity(one), "label": _short(one), "bytes": size, "latency_s": latency}
                for one, size, latency in points
            ]
    return described(
        pd.DataFrame(rows),
        f"Bytes against latency of one private lookup in {table_text(table)}",
        f"Link {link_text(link)}. Bytes with a share of the keys: {queries} queries a client. This project: the fronts "
        "over rings, packings, digits and wires with 128 bits of security and a failure of 2^-40.",
        machine_text(profile),
    )


def _possible(chosen: Chosen, table: Table, versions: tuple[str, ...]) -> list[Configuration]:
    """The designs that are there, which may be none."""
    try:
        return designs(chosen, table, versions)
    except ValueError:
        return []


def _costs(one: Configuration, link: Link, machine: Machine, queries: float) -> dict[str, float]:
    figures = evaluate(Grid.of(one), link, machine)
    size = float(_total(figures) + figures["setup_bytes"] / queries)
    return {"bytes": size, "latency_s": float(figures["latency_s"])}


CHANNEL_BITS = (2, 3, 4)
MOST_CHANNELS = 6
PLAINTEXT_BITS = range(4, 32)


def channels_frame(
    table: Table, link: Link, machine: Machine | None = None, chosen: Chosen = EVERYTHING
) -> pd.DataFrame:
    """Bytes and latency over the channels of a coefficient, each of 2, 3 or 4 bits, or of the named packings.

    Returns
    -------
    DataFrame
        Columns of :func:`fastquery.figures.designs.identity`, ``channels_per_coefficient``, ``variant`` (bits of a
        channel), ``bytes``, ``latency_s``.
    """
    packings = chosen.packings or tuple(
        (bits,) * count for bits in CHANNEL_BITS for count in range(1, MOST_CHANNELS + 1)
    )
    rows = []
    for widths in packings:
        bits = f"{sum(widths) / len(widths):.2g} bits a channel"
        for one, costs in _packed(table, link, machine, chosen, widths):
            rows.append({**identity(one), **costs, "channels_per_coefficient": len(widths), "variant": bits})
    return described(
        _rows(rows),
        f"One private lookup in {table_text(table)} by channels a coefficient",
        f"Link {link_text(link)}. Ring and wire chosen for every packing, the published designs' ring kept.",
        machine_text(machine or default_machine()),
    )


def plaintext_bits_frame(
    table: Table, link: Link, machine: Machine | None = None, chosen: Chosen = EVERYTHING
) -> pd.DataFrame:
    """Bytes and latency over the bits of the plaintext modulus, packed with as many channels as have 3 bits each.

    Returns
    -------
    DataFrame
        Columns of :func:`fastquery.figures.designs.identity`, ``plaintext_bits``, ``bytes``, ``latency_s``.
    """
    rows = []
    for bits in PLAINTEXT_BITS:
        for one, costs in _packed(table, link, machine, chosen, widths_of_plaintext(bits), 2**bits):
            rows.append({**identity(one), **costs, "plaintext_bits": bits})
    return described(
        _rows(rows),
        f"One private lookup in {table_text(table)} by the bits of the plaintext modulus",
        f"Link {link_text(link)}. Ring and wire chosen for every modulus; (4,3,3) bits share 13.",
        machine_text(machine or default_machine()),
    )


def _packed(
    table: Table,
    link: Link,
    machine: Machine | None,
    chosen: Chosen,
    widths: tuple[int, ...],
    modulus: int | None = None,
) -> Iterator[tuple[Configuration, dict[str, float]]]:
    """Own designs with a packing, and their costs; none where no ring holds it."""
    profile = machine or default_machine()
    named: RingFields = {} if modulus is None else {"plaintext_modulus": modulus}
    rings: tuple[RingFields, ...] = tuple({**ring, **named} for ring in chosen.rings or (RingFields(),))
    for one in _possible(replace(chosen, packings=(widths,), rings=rings), table, (FLOODED,)):
        if one.packing.widths == widths:
            yield one, _costs(one, link, profile, math.inf)


def _rows(rows: list[dict[str, Any]]) -> pd.DataFrame:
    if not rows:
        raise ValueError("no ring holds any packing for the systems that are named")
    return pd.DataFrame(rows)


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
    """Noise of FastQuery's answers here by step, for the worst table, with flooding and without.

    Returns
    -------
    DataFrame
        Columns of :func:`fastquery.figures.designs.identity`, ``step``, ``noise_bits`` (log2 of the standard deviation
        over q/t), ``target_bits``.
    """
    rows: list[dict[str, Any]] = []
    for one in designs(Chosen(protocols=("fastquery",)), table, (BARE, FLOODED)):
        grid = Grid.of(one).of_worst_table()
        scale = np.exp2(2.0 * (grid.log2_plaintext_modulus - grid.log2_q))
        target = float(np.log2(0.5 / required_ratio(LOG2_FAILURE, grid.tokens * grid.coefficients)))
        found = {step: float(variance * scale) for step, variance in noise_steps(grid).items() if variance > 0}
        for step, variance in (*found.items(), ("sum", float(compact_noise.noise(grid)))):
            known = {"step": step, "noise_bits": 0.5 * math.log2(variance), "target_bits": target}
            rows.append({**identity(one), **known})
    frame = pd.DataFrame(rows)
    frame["step"] = pd.Categorical(frame["step"], [*noise_steps(grid), "sum"], ordered=True)
    return described(
        frame,
        f"Noise of an answer by step, {table_text(table)}, worst table",
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
        "rounding of the answer's b": modulus_switch_variance(
            grid.log2_q, grid.degree, np.inf, compact_noise.rounded_b_bits(grid)
        ),
    }


def ring_map(inputs: Inputs) -> pd.DataFrame:
    """:func:`ring_map_frame` of what is named."""
    return ring_map_frame(inputs.shape(), inputs.on("wan"), inputs.machine, inputs.chosen)


def pareto(inputs: Inputs) -> pd.DataFrame:
    """:func:`pareto_frame` of what is named."""
    return pareto_frame(inputs.shape(), inputs.on("wan"), inputs.machine, chosen=inputs.chosen)


def sensitivity(inputs: Inputs) -> pd.DataFrame:
    """:func:`sensitivity_frame` of the one design that is named."""
    chosen = inputs.chosen.of("fastquery")
    version = FLOODED if own_engine(system(chosen.protocols[0])) else PUBLISHED
    found = designs(chosen, inputs.shape(), (version,))
    if len(found) > 1:
        raise ValueError(f"{len(found)} designs are named; sensitivity is that of one protocol, ring and packing")
    return sensitivity_frame(inputs.shape(), inputs.on("wan"), inputs.machine, found[0])


def noise(inputs: Inputs) -> pd.DataFrame:
    """:func:`noise_frame` of what is named."""
    return noise_frame(inputs.shape())


def plaintext_bits(inputs: Inputs) -> pd.DataFrame:
    """:func:`plaintext_bits_frame` of what is named."""
    return plaintext_bits_frame(inputs.shape(), inputs.on("wan"), inputs.machine, inputs.chosen)


def channels(inputs: Inputs) -> pd.DataFrame:
    """:func:`channels_frame` of what is named."""
    return channels_frame(inputs.shape(), inputs.on("wan"), inputs.machine, inputs.chosen)


FIGURES = (
    NamedFigure(
        "ring-map",
        "Bytes and latency of this project's lookup over ring degree and modulus, without flooding and with it. "
        "Hatched are rings below 128 bits of security and those on which answers fail too often; the star is the best "
        "of what is left.",
        ring_map,
        "ring_map",
    ),
    NamedFigure(
        "pareto",
        "Bytes against latency: published systems, and the front of what this project can run with flooding and "
        "without. No other configuration beats a filled mark in both.",
        pareto,
        "pareto",
    ),
    NamedFigure(
        "plaintext-bits",
        "Bytes and latency over the bits p of the plaintext modulus, as many channels in a coefficient as have 3 bits "
        "each: a wider plaintext carries more channels and needs a larger modulus q.",
        plaintext_bits,
        "packing",
    ),
    NamedFigure(
        "channels",
        "Bytes and latency over the channels that share a coefficient: what packing saves, until the modulus that "
        " it needs costs more.",
        channels,
        "packing",
    ),
    NamedFigure(
        "sensitivity",
        "How latency and bytes answer when one parameter is 10 % lower or higher: what is worth measuring or tuning is "
        "on top. A change that makes decryption unreliable is marked.",
        sensitivity,
        "sensitivity",
    ),
    NamedFigure(
        "noise",
        "Where an answer's noise comes from, step by step, against what decryption bears. The steps that come near the "
        "dashed line decide modulus and wire.",
        noise,
        "noise",
    ),
)
