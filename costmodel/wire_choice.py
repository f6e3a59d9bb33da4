"""Wire bits for many configurations at once: the columnar form of :func:`costmodel.tuning.compact_wire`.

For every number of bits of the query near the fewest that hold the target, the fewest bits of the answer follow in
closed form from what the noise leaves of the decoding interval; the fewest bytes a query win.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from costmodel.grid import WIRE_COLUMNS, Grid
from costmodel.noise import TERNARY_VARIANCE, key_switch_variance, required_ratio
from costmodel.protocols import compact
from costmodel.tuning import LOG2_FAILURE, MAX_DIGITS, QUERIES_PER_CLIENT

IntArray = NDArray[np.int64]

FEWEST_BITS = 2
"""Of an answer's coefficient."""

QUERY_CANDIDATES = 9
"""Bits of the query above the fewest that hold: the dropped bits' share of the noise falls by 4 with each."""

ANSWER_CANDIDATES = 12
"""Bits of a above the fewest; each further one shortens b ever less."""

DIGIT_COLUMNS = ("digit_bits", "digit_dropped_bits")
_ALL_BITS = np.asarray(1000)
_ROWS = 512  # points at once, so that their candidates stay in the caches


def wire_columns(
    grid: Grid, log2_target: float = LOG2_FAILURE, queries: float = QUERIES_PER_CLIENT, digits: bool = True
) -> dict[str, IntArray]:
    """Bits of query and answer, and of the keys' digits, with the fewest bytes a query for a target failure.

    Parameters
    ----------
    grid
        On the residue engine; its own wire columns are not read, but for those of the digits where they are not chosen.
    log2_target
        log2 of the failure probability of all answers of a query, over the worst table.
    queries
        Over which the keys' bytes are spread.
    digits
        Choose the digits as well.

    Returns
    -------
    dict of int64 arrays of the grid's shape
        By ``WIRE_COLUMNS``. Where no bits hold the target all are kept.
    """
    grid = grid.of_worst_table()
    choices = list(_digit_choices(grid)) if digits else [(grid.digit_bits, grid.digit_dropped_bits)]
    width, dropped = (np.stack([np.broadcast_to(one[k], grid.shape) for one in choices]) for k in (0, 1))
    found, size = _chosen(replace(grid, digit_bits=width, digit_dropped_bits=dropped), log2_target, queries)
    size = np.where(width >= 0, size, np.inf)
    fewest = np.where(np.isfinite(size).any(axis=0), np.argmin(size, axis=0), len(choices) - 1)[None]
    return {name: np.take_along_axis(values, fewest, axis=0)[0] for name, values in found.items()}


def _digit_choices(grid: Grid) -> Iterator[tuple[IntArray, IntArray]]:
    """Width and dropped bits with the least noise for every number of digits; no width, -1, where none fits."""
    if grid.output != "packlwes":
        yield np.zeros((), np.int64), np.zeros((), np.int64)
        return
    limbs = np.broadcast_arrays(*grid.limb_bits)
    bits, most = np.maximum.reduce(limbs)[..., None], np.minimum.reduce(limbs)[..., None] - 2
    drops = np.arange(int(bits.max()) // 2 if grid.limbs == 1 else 1)
    for count in range(1, MAX_DIGITS + 1):
        widths = -(-(bits - drops) // count)
        noise = key_switch_variance(1, bits, np.maximum(widths, 1), grid.sigma[..., None], drops)
        fits = (widths <= most) & ((drops < bits // 2) | (drops == 0))
        least = np.argmin(np.where(fits, noise, np.inf), axis=-1)[..., None]
        width, found = (np.take_along_axis(values, least, axis=-1)[..., 0] for values in (widths, fits))
        yield np.where(found, width, -1), drops[least[..., 0]]


def _chosen(grid: Grid, log2_target: float, queries: float) -> tuple[dict[str, IntArray], NDArray[np.float64]]:
    shape, rows = grid.shape, int(np.prod(grid.shape, dtype=np.int64))
    flat = {name: np.broadcast_to(values, shape).reshape(-1) for name, values in grid.arrays().items()}
    columns = {name: np.empty(rows, np.int64) for name in WIRE_COLUMNS}
    size = np.empty(rows, np.float64)
    for start in range(0, rows, _ROWS):
        part = slice(start, start + _ROWS)
        chosen, size[part] = _for_points(
            _points(grid, {name: values[part] for name, values in flat.items()}), log2_target, queries
        )
        for name in WIRE_COLUMNS:
            columns[name][part] = chosen[name]
    return {name: values.reshape(shape) for name, values in columns.items()}, size.reshape(shape)


def _points(grid: Grid, flat: dict[str, NDArray[Any]]) -> Grid:
    """A grid of single points along a first axis, two more kept for candidates."""
    columns: dict[str, Any] = {name: values[:, None, None] for name, values in flat.items()}
    limbs = tuple(columns.pop(f"limb_bits_{k}") for k in range(grid.limbs))
    return replace(grid, limb_bits=limbs, **columns)


def _for_points(grid: Grid, log2_target: float, queries: float) -> tuple[dict[str, IntArray], NDArray[np.float64]]:
    bits, most = grid.log2_q, np.minimum.reduce(grid.limb_bits) - 2
    budget = np.square(0.5 / required_ratio(log2_target, grid.tokens * grid.coefficients))
    whole = replace(grid, query_bits=bits, answer_a_bits=_ALL_BITS, answer_b_bits=_ALL_BITS)
    holds = np.broadcast_to(compact.noise(whole) < budget, bits.shape)[:, 0, 0]
    chosen = {
        "query_bits": bits[:, 0, 0].copy(),
        "answer_a_bits": most[:, 0, 0].copy(),
        "answer_b_bits": most[:, 0, 0].copy(),
        **{name: np.broadcast_to(getattr(grid, name), bits.shape)[:, 0, 0].copy() for name in DIGIT_COLUMNS},
    }
    size = np.full(len(bits), np.inf)
    if holds.any():
        kept = {name: np.broadcast_to(values, bits.shape)[holds][:, 0, 0] for name, values in grid.arrays().items()}
        wire, bytes_each = _fewest_bytes(_points(grid, kept), budget[holds], log2_target, queries)
        size[holds] = bytes_each
        for name, values in wire.items():
            chosen[name][holds] = np.where(np.isfinite(bytes_each), values, chosen[name][holds])
    return chosen, size


def _fewest_bytes(
    grid: Grid, budget: NDArray[np.float64], log2_target: float, queries: float
) -> tuple[dict[str, IntArray], NDArray[np.float64]]:
    bits, most = grid.log2_q, np.minimum.reduce(grid.limb_bits) - 2
    unswitched = replace(grid, answer_a_bits=_ALL_BITS, answer_b_bits=_ALL_BITS)
    query_bits, variance = bits, compact.noise(replace(unswitched, query_bits=bits))
    if grid.limbs == 1:  # with two limbs all bits of a query travel
        every = np.arange(1, int(bits.max()) + 1)[None, :, None]
        noise = np.broadcast_to(compact.noise(replace(unswitched, query_bits=every)), (len(bits), every.size, 1))
        fewest = np.argmax((noise < budget) & (every <= bits), axis=1)[:, :, None] + 1
        query_bits = np.minimum(fewest + np.arange(QUERY_CANDIDATES)[None, :, None], bits)
        variance = np.take_along_axis(noise, query_bits - 1, axis=1)
    room = budget - variance
    fields = np.square(grid.plaintext_modulus.astype(np.float64))  # an error of 1 at the modulus t, in units of t
    per_a, per_b = fields * grid.degree * TERNARY_VARIANCE / 12.0, fields / 12.0
    with np.errstate(divide="ignore", invalid="ignore"):
        fewest_a = np.floor(0.5 * np.log2(per_a / room)) + 1.0
        a = np.maximum(fewest_a + np.arange(ANSWER_CANDIDATES), FEWEST_BITS)
        left = room - per_a * np.exp2(-2.0 * a)
        b = np.maximum(np.ceil(0.5 * np.log2(per_b / left)), FEWEST_BITS)
    possible = (room > 0) & (left > 0) & (a <= most) & (b <= most)
    a_bits, b_bits = (np.where(possible, values, FEWEST_BITS).astype(np.int64) for values in (a, b))
    sized = replace(grid, query_bits=query_bits, answer_a_bits=a_bits, answer_b_bits=b_bits)
    online = compact.query_bytes(sized) + compact.answer_a_bytes(sized) + compact.answer_b_bytes(sized)
    size = np.where(possible, online + compact.keys_bytes(sized) / queries, np.inf)
    flat = size.reshape(len(size), -1)
    # Of equal sizes the fewest bits of a, then of b, then of the query.
    order = ((a_bits << 20) + (b_bits << 10) + query_bits).reshape(len(size), -1)
    smallest = flat.min(axis=1, keepdims=True)
    at = np.argmin(np.where(flat == smallest, order, np.iinfo(np.int64).max), axis=1)[:, None]

    def taken(values: IntArray) -> IntArray:
        spread = np.broadcast_to(values, size.shape).reshape(len(size), -1)
        return np.take_along_axis(spread, at, axis=1)[:, 0]

    wire = {
        "query_bits": taken(query_bits),
        "answer_a_bits": taken(a_bits),
        "answer_b_bits": taken(b_bits),
        **{name: taken(np.broadcast_to(getattr(grid, name), bits.shape)) for name in DIGIT_COLUMNS},
    }
    return wire, smallest[:, 0]
