"""Wire bits with the fewest bytes a query, for one configuration or for many at once.

For every number of bits of the query near the fewest that hold the target, the fewest bits of the answer follow in
closed form from what the noise leaves of the decoding interval; the fewest bytes a query win.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from costmodel.answers import MOST_SEARCHED_LOW_BITS, share_limit
from costmodel.compact import ledger as compact
from costmodel.compact import noise as compact_noise
from costmodel.errors import Incompatible
from costmodel.grid import WIRE_COLUMNS, Grid
from costmodel.ledger import Number
from costmodel.limits import LOG2_FAILURE
from costmodel.noise import TERNARY_VARIANCE, key_switch_variance, required_ratio
from costmodel.parameters import Configuration, Wire

IntArray = NDArray[np.int64]
Floats = NDArray[np.float64]

QUERIES_PER_CLIENT = 32
"""Queries over which a client's keys are spread when bytes are weighed: it decides how many digits keys have."""

SLACK = 0.01
"""Bytes that fewer digits, and so faster key switching, may cost."""

MAX_DIGITS = 8

FEWEST_BITS = 2
"""Of an answer's coefficient."""

QUERY_CANDIDATES = 9
"""Bits of the query above the fewest that hold: the dropped bits' share of the noise falls by 4 with each."""

_LOW_BITS = np.arange(1, MOST_SEARCHED_LOW_BITS + 1)
"""Bits of b that may travel where the server's share is the rest of it."""

DIGIT_COLUMNS = ("digit_bits", "digit_dropped_bits")
_ALL_BITS = np.asarray(1000)
_ROWS = 512  # points at once, so that their candidates stay in the caches


def compact_wire(configuration: Configuration, log2_target: float = LOG2_FAILURE) -> Wire:
    """Bits of the compact format of one configuration, the keys spread over 32 queries; see :func:`wire_columns`.

    Raises
    ------
    ValueError
        If the ring's q is too small for the target with all bits kept.
    """
    grid = Grid.of(configuration.updated(engine="residue", size="native"))
    found, holds = columns_that_hold(grid, log2_target)
    if not holds:
        ring = configuration.ring
        raise Incompatible(
            f"ring.q has {ring.log2_q} bits; t={ring.plaintext_modulus} over {configuration.table.rows} rows with "
            f"flooding_bits {configuration.flooding_bits} needs more for a failure of 2^{log2_target:g}"
        )
    return Wire(**{name: int(values) for name, values in found.items()})


def wire_columns(
    grid: Grid, log2_target: float = LOG2_FAILURE, queries: float = QUERIES_PER_CLIENT, digits: bool = True
) -> dict[str, IntArray]:
    """Bits of query and answer, and of the keys' digits, with the fewest bytes a query for a target failure.

    Of the numbers of digits whose bytes are within 1 % of the fewest, the smallest is taken.

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
    return _wires(grid, log2_target, queries, digits)[0]


def columns_that_hold(grid: Grid, log2_target: float = LOG2_FAILURE) -> tuple[dict[str, IntArray], NDArray[np.bool_]]:
    """Bits as :func:`wire_columns` chooses them, digits included, and at which points they hold the target."""
    found, size = _wires(grid, log2_target, QUERIES_PER_CLIENT, True)
    return found, np.isfinite(size)


def bytes_a_query(grid: Grid, queries: float = QUERIES_PER_CLIENT) -> Number:
    """Query, answer, and the share of the keys."""
    online = compact.query_bytes(grid) + compact.answer_a_bytes(grid) + compact.answer_b_bytes(grid)
    return online + compact.keys_bytes(grid) / queries


def _wires(grid: Grid, log2_target: float, queries: float, digits: bool) -> tuple[dict[str, IntArray], Floats]:
    """The chosen bits, and their bytes a query; infinite where no bits hold the target."""
    grid = grid.of_worst_table()
    choices = list(_digit_choices(grid)) if digits else [(grid.digit_bits, grid.digit_dropped_bits)]
    width, dropped = (np.stack([np.broadcast_to(one[k], grid.shape) for one in choices]) for k in (0, 1))
    found, size = _by_parts(replace(grid, digit_bits=width, digit_dropped_bits=dropped), log2_target, queries)
    size = np.where(width >= 0, size, np.inf)
    best = size.min(axis=0)
    taken = np.where(np.isfinite(best), np.argmax(size <= (1 + SLACK) * best, axis=0), len(choices) - 1)[None]
    return {name: np.take_along_axis(values, taken, axis=0)[0] for name, values in found.items()}, best


def _digit_choices(grid: Grid) -> Iterator[tuple[IntArray, IntArray]]:
    """Width and dropped bits with the least noise for every number of digits; no width, -1, where none fits."""
    if grid.output != "packlwes":
        yield np.zeros((), np.int64), np.zeros((), np.int64)
        return
    *limbs, _ = np.broadcast_arrays(*grid.limb_bits, grid.sigma)
    bits, most = np.maximum.reduce(limbs)[..., None], np.minimum.reduce(limbs)[..., None] - 2
    drops = np.arange(int(bits.max()) // 2 if grid.limbs == 1 else 1)
    for count in range(1, MAX_DIGITS + 1):
        widths = -(-(bits - drops) // count)
        noise = key_switch_variance(1, bits, np.maximum(widths, 1), grid.sigma[..., None], drops)
        fits = (widths <= most) & ((drops < bits // 2) | (drops == 0))
        least = np.argmin(np.where(fits, noise, np.inf), axis=-1)[..., None]
        width, found = (np.take_along_axis(values, least, axis=-1)[..., 0] for values in (widths, fits))
        yield np.where(found, width, -1), drops[least[..., 0]]


def _by_parts(grid: Grid, log2_target: float, queries: float) -> tuple[dict[str, IntArray], Floats]:
    shape, rows = grid.shape, int(np.prod(grid.shape, dtype=np.int64))
    flat = {name: np.broadcast_to(values, shape).reshape(-1) for name, values in grid.arrays().items()}
    columns = {name: np.empty(rows, np.int64) for name in WIRE_COLUMNS}
    size = np.empty(rows, np.float64)
    for start in range(0, rows, _ROWS):
        part = slice(start, start + _ROWS)
        points = _points(grid, {name: values[part] for name, values in flat.items()})
        chosen, size[part] = _fewest_bytes(points, log2_target, queries)
        for name in WIRE_COLUMNS:
            columns[name][part] = chosen[name]
    return {name: values.reshape(shape) for name, values in columns.items()}, size.reshape(shape)


def _points(grid: Grid, flat: dict[str, NDArray[Any]]) -> Grid:
    """A grid of single points along a first axis, two more kept for candidates."""
    columns: dict[str, Any] = {name: values[:, None, None] for name, values in flat.items()}
    limbs = tuple(columns.pop(f"limb_bits_{k}") for k in range(grid.limbs))
    return replace(grid, limb_bits=limbs, **columns)


def _fewest_bytes(grid: Grid, log2_target: float, queries: float) -> tuple[dict[str, IntArray], Floats]:
    """The best of all candidates of every point, and its bytes a query."""
    most = np.minimum.reduce(grid.limb_bits) - 2
    ratio = required_ratio(log2_target, grid.tokens * grid.coefficients)
    budget = np.square(0.5 / ratio)
    query_bits, variance = _query_candidates(grid, budget)
    if compact.sends_low_bits(grid):
        a, b = _low_bits_candidates(grid, np.square(share_limit(_LOW_BITS) / ratio) - variance)
        possible = (a <= most) & (grid.log2_plaintext_modulus + b <= most)
    else:
        a, b = _answer_candidates(grid, budget - variance)
        possible = (a <= most) & (b <= most)
    a_bits, b_bits = (np.where(possible, values, FEWEST_BITS).astype(np.int64) for values in (a, b))
    sized = replace(grid, query_bits=query_bits, answer_a_bits=a_bits, answer_b_bits=b_bits)
    size = np.where(possible, bytes_a_query(sized, queries), np.inf)
    flat = size.reshape(len(size), -1)
    smallest = flat.min(axis=1, keepdims=True)
    # Of equal sizes the fewest bits of a, then of b, then of the query.
    order = ((a_bits << 20) + (b_bits << 10) + query_bits).reshape(len(size), -1)
    at = np.argmin(np.where(flat == smallest, order, np.iinfo(np.int64).max), axis=1)[:, None]
    found = np.isfinite(smallest[:, 0])

    def taken(values: IntArray, otherwise: IntArray) -> IntArray:
        spread = np.broadcast_to(values, size.shape).reshape(len(size), -1)
        return np.where(found, np.take_along_axis(spread, at, axis=1)[:, 0], otherwise[:, 0, 0])

    wire = {
        "query_bits": taken(query_bits, grid.log2_q),
        "answer_a_bits": taken(a_bits, most),
        "answer_b_bits": taken(b_bits, most),
        **{name: getattr(grid, name)[:, 0, 0] for name in DIGIT_COLUMNS},
    }
    return wire, smallest[:, 0]


def _query_candidates(grid: Grid, budget: Floats) -> tuple[IntArray, Floats]:
    """Bits of the query along the second axis, and the answer's variance before its modulus is switched."""
    bits, unswitched = grid.log2_q, replace(grid, answer_a_bits=_ALL_BITS, answer_b_bits=_ALL_BITS)
    if grid.limbs > 1:  # all bits of a query travel
        return bits, compact_noise.noise(replace(unswitched, query_bits=bits))
    every = np.arange(1, int(bits.max()) + 1)[None, :, None]
    noise = np.broadcast_to(compact_noise.noise(replace(unswitched, query_bits=every)), (len(bits), every.size, 1))
    fewest = np.argmax((noise < budget) & (every <= bits), axis=1)[:, :, None] + 1
    query_bits = np.minimum(fewest + np.arange(QUERY_CANDIDATES)[None, :, None], bits)
    return query_bits, np.take_along_axis(noise, query_bits - 1, axis=1)


def _low_bits_candidates(grid: Grid, room: Floats) -> tuple[Floats, Floats]:
    """Fewest bits of a beside every number of low bits of b, along the third axis; inf where none do."""
    per_a = np.square(grid.plaintext_modulus.astype(np.float64)) * grid.degree * TERNARY_VARIANCE / 12.0
    with np.errstate(divide="ignore", invalid="ignore"):
        a = np.maximum(np.ceil(0.5 * np.log2(per_a / room)), FEWEST_BITS)
    return np.where(room > 0, a, np.inf), np.broadcast_to(_LOW_BITS.astype(np.float64), room.shape)


def _answer_candidates(grid: Grid, room: Floats) -> tuple[Floats, Floats]:
    """Bits of a and of b along the third axis whose switch takes no more than ``room`` of (t/q)^2; inf where none do.

    With A 4^-a + B 4^-b <= room, one bit more than the fewest of a leaves b 3/4 of the room, which is within a bit of
    all of it. A bit of a is no fewer bytes than one of b, so that more bits of a than that pay only where b would
    otherwise have too many: the last candidate is the fewest of a with the fewest of b.
    """
    fields = np.square(grid.plaintext_modulus.astype(np.float64))  # an error of 1 at the modulus t, in units of t
    per_a, per_b = fields * grid.degree * TERNARY_VARIANCE / 12.0, fields / 12.0
    with np.errstate(divide="ignore", invalid="ignore"):
        fewest_b = np.maximum(np.ceil(0.5 * np.log2(per_b / room)), FEWEST_BITS)
        beside_it = np.ceil(0.5 * np.log2(per_a / (room - per_b * np.exp2(-2.0 * fewest_b))))
        fewest_a = np.floor(0.5 * np.log2(per_a / room)) + 1.0
        a = np.maximum(np.concatenate([fewest_a, fewest_a + 1.0, beside_it], axis=2), FEWEST_BITS)
        left = room - per_a * np.exp2(-2.0 * a)
        b = np.maximum(np.ceil(0.5 * np.log2(per_b / left)), FEWEST_BITS)
    possible = (room > 0) & (left > 0)
    return np.where(possible, a, np.inf), np.where(possible, b, np.inf)
