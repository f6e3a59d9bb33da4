"""Sweeps: spaces evaluated block by block, to a data frame or to a file.

A block is a part of a space small enough for the processor's caches. Formulas see its axes apart, so that a figure that
does not depend on one is computed once along it and spread only at the end.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from costmodel.estimate import evaluate
from costmodel.grid import Grid
from costmodel.link import Link
from costmodel.machine import Machine, default_machine
from costmodel.packing import required_plaintext_modulus
from costmodel.parameters import Table
from fastquery import ranges
from fastquery.frames import ROW_GROUP, WRITERS, Label
from fastquery.provenance import provenance
from fastquery.spaces import DISCRETE, LINK_COLUMNS, Column, Space, choices, grid_of, spaces
from fastquery.tables import table_of

Progress = Callable[[int, int], None]

BLOCK = 1 << 17
"""Configurations evaluated at once: 1 MB a figure."""

RENAMED = {"degree": "ring_degree", "rows": "table_rows", "channels": "table_channels", "sigma": "encryption_sigma"}
"""Columns whose names in a grid do not stand alone."""


class Links(NamedTuple):
    """Links as arrays that broadcast with a grid."""

    rate_bit_per_s: Any
    round_trip_s: Any


class Skipped(NamedTuple):
    """Why some of ``all`` systems are not in a sweep."""

    allowed: bool
    reasons: list[str]

    def unique(self) -> list[str]:
        """Every reason once."""
        return list(dict.fromkeys(self.reasons))


@dataclass(frozen=True, eq=False)
class Block:
    """A part of a space with its figures; every array broadcasts to ``shape``."""

    space: Space
    grid: Grid
    links: Links
    table: Column  # indices into the space's tables
    figures: dict[str, NDArray[np.float64]]
    possible: NDArray[np.bool_]
    shape: tuple[int, ...]

    def columns(self) -> dict[str, Column]:
        """What each configuration is and its figures, by the names of results."""
        numbers = {RENAMED.get(name, name): values for name, values in self.grid.arrays().items()}
        return {**numbers, **self.links._asdict(), **self.figures}

    def count(self) -> int:
        """Possible configurations."""
        return int(np.count_nonzero(self.possible)) if self.possible.ndim else math.prod(self.shape)

    def head(self, count: int) -> Block:
        """The first so many possible configurations."""
        possible = np.broadcast_to(self.possible, self.shape)
        return replace(self, possible=possible & (np.cumsum(possible).reshape(self.shape) <= count))

    def fill(self, column: Column, values: Any) -> None:
        """Write an array of the block to a column of :meth:`count` rows."""
        if self.possible.ndim:
            column[...] = np.broadcast_to(values, self.shape)[self.possible]
        else:
            column.reshape(self.shape)[...] = values


def sweep_spaces(
    *,
    table: str | Table | Sequence[str | Table] = "llama-7b",
    protocol: str | Sequence[str] = "fastquery",
    ablation: str | Sequence[str | None] | None = None,
    ring: str | Sequence[str] = "",
    packing: tuple[int, ...] | Sequence[tuple[int, ...] | None] | None = None,
    tokens: str | int | Sequence[str | int] = 1,
    link: str | Link | Sequence[str | Link] = "lan",
    engine: str | Sequence[str | None] | None = None,
    size: str | Sequence[str] = "native",
    flooding_bits: str | int | Sequence[str | int | None] | None = None,
    fields: Mapping[str, Any] | None = None,
) -> tuple[list[Space], Skipped]:
    """The spaces of a sweep; every argument takes one value or several, and texts take the command line's ranges.

    Parameters
    ----------
    table, protocol, ablation, ring, packing, tokens, link, engine, size, flooding_bits
        As the options of ``fastquery sweep``; the protocol ``all`` is every system of the model.
    fields
        Further fields of a configuration by name, such as ``{"digit_bits": "8:20", "tile": ["column", "cheetah"]}``.

    Returns
    -------
    spaces, skipped
        ``skipped`` takes a line for every system of ``all`` that cannot be had with these options.

    Raises
    ------
    ValueError
        If a value cannot be; with ``all`` only if no system can be had.
    """
    counts = [one for value in several(tokens) for one in _integers("tokens", value)]
    names = [one for value in several(table) for one in (ranges.tables(value) if isinstance(value, str) else [value])]
    shapes = [(one, table_of(one, 1)) if isinstance(one, str) else (f"{one.rows}x{one.channels}", one) for one in names]
    lookups = [(name, Table(at.rows, at.channels, count, at.spread)) for name, at in shapes for count in counts]
    on = [one for value in several(link) for one in (ranges.links(value) if isinstance(value, str) else [value])]
    rings = [ranges.ring_columns(text) if text else {} for text in several(ring)]
    packings = [packing] if _is_packing(packing) else several(packing)
    floods = [
        one
        for value in several(flooding_bits)
        for one in (_integers("flooding_bits", value) if isinstance(value, str) else [value])
    ]
    further = dict(fields or {})
    for value in several(further.get("prepared", [])):
        if not isinstance(value, bool):
            raise ValueError(f"prepared is {value!r}; it must be true or false")
    discrete = [[(name, value) for value in several(further.pop(name))] for name in DISCRETE if name in further]
    numeric = {
        name: np.array([v for part in several(value) for v in _numbers(name, part)]) for name, value in further.items()
    }
    found: list[Space] = []
    asked = several(protocol)
    skipped = Skipped("all" in asked, [])
    every = choices(
        asked,
        several(ablation),
        packings,
        several(engine),
        several(size),
        floods,
        list(product(*discrete)),
    )
    for choice in every:
        for columns in rings:
            try:
                found += spaces(choice, columns, numeric, lookups, on)
            except ValueError as error:
                if not skipped.allowed:
                    raise
                skipped.reasons.append(f"{choice.protocol}: {error}")
    possible = []
    for space in found:
        reason = space.impossible()
        if reason is None:
            possible.append(space)
        else:
            skipped.reasons.append(f"{space.base.protocol}: {reason}")
    if not possible:
        raise ValueError(skipped.reasons[0] if skipped.reasons else "every option must have a value, and one has none")
    return possible, skipped


def blocks(space: Space, machine: Machine, block: int | None = None) -> Iterator[Block]:
    """Evaluate a space, part by part.

    Raises
    ------
    ValueError
        If the machine lacks a unit cost or a format has no size for a value.
    """
    required = required_plaintext_modulus(space.base.packing.field_moduli)
    for slices in _parts(space.shape, block or BLOCK):
        columns = space.part(slices)
        links = Links(*(columns[name] for name in LINK_COLUMNS))
        grid = grid_of(space.base, columns)
        figures = evaluate(grid, links, machine)
        modulus = grid.plaintext_modulus
        fits = (modulus >= required) & (np.frexp(modulus.astype(np.float64))[1] < grid.log2_q)
        fits = fits & (grid.query_bits <= grid.log2_q)
        shape = figures["latency_s"].shape
        possible = np.True_ if fits.all() else np.broadcast_to(fits, shape)
        tables = np.arange(*slices[0].indices(space.shape[0]), dtype=np.int32).reshape(-1, *[1] * (len(shape) - 1))
        yield Block(space, grid, links, tables, figures, np.asarray(possible), shape)


def sweep(
    *, machine: Machine | None = None, limit: int | None = None, progress: Progress | None = None, **axes: Any
) -> pd.DataFrame:
    """Evaluate every combination of what several values are given for.

    Parameters
    ----------
    machine
        Unit costs; the built-in profile if left out.
    limit
        Largest number of configurations.
    progress
        Called with the configurations done and those in all.
    axes
        As :func:`sweep_spaces` takes them: ``table``, ``protocol``, ``ring``, ``link``, ...

    Returns
    -------
    DataFrame
        A row a configuration: what it is, then its figures, units in the names.

    Examples
    --------
    >>> import fastquery as fq
    >>> fq.sweep(ring="N=4096,p=13,q=38:54", table=["llama-7b", "gpt2"])  # doctest: +SKIP
    """
    found, skipped = sweep_spaces(**axes)
    total = _limited(found, limit)
    whole = Columns(found, total)
    for block in _blocks(found, machine or default_machine(), total, progress, skipped):
        whole.append(block)
    return whole.frame()


class Columns:
    """Room for so many rows of a sweep, filled block by block.

    Parameters
    ----------
    found
        The spaces to come: they say what columns there are.
    capacity
        Rows.
    """

    def __init__(self, found: Sequence[Space], capacity: int) -> None:
        self.capacity, self.rows = capacity, 0
        texts = {name: [space.labels[name] for space in found] for name in found[0].labels}
        texts["table"] = [name for space in found for name in space.tables]
        self._books = {name: {text: k for k, text in enumerate(dict.fromkeys(all_))} for name, all_ in texts.items()}
        self._limbs = max(space.limbs for space in found)
        self._columns: dict[str, Column] = {}
        self._same: dict[str, tuple[Any, int]] = {}  # columns whose first rows all have one value

    def room(self) -> int:
        """Rows that still fit."""
        return self.capacity - self.rows

    def append(self, block: Block) -> int:
        """Take a block that fits; returns its rows."""
        numbers = block.columns()
        numbers.update({f"limb_bits_{k}": np.zeros((), np.int64) for k in range(block.grid.limbs, self._limbs)})
        if not self._columns:
            self._columns = {name: np.empty(self.capacity, np.int32) for name in self._books}
            self._columns |= {name: np.empty(self.capacity, values.dtype) for name, values in numbers.items()}
        stop = self.rows + block.count()
        space = block.space
        for name, book in self._books.items():
            codes = np.array([book[text] for text in space.tables], np.int32)[block.table] if name == "table" else None
            self._put(name, stop, block, np.int32(book[space.labels[name]]) if codes is None else codes)
        for name, values in numbers.items():
            self._put(name, stop, block, values)
        added, self.rows = stop - self.rows, stop
        return added

    def _put(self, name: str, stop: int, block: Block, values: Any) -> None:
        """Write a block's values; what is the same in every row and stands there from an earlier block is left."""
        column = self._columns[name]
        if np.ndim(values) and values.strides != (0,) * values.ndim and values.size > 1:
            self._same.pop(name, None)
            block.fill(column[self.rows : stop], values)
            return
        value = values.flat[0] if np.ndim(values) else values
        known, until = self._same.get(name, (None, 0))
        if value != known:
            until = self.rows
        if stop > until:
            column[until:stop] = value
        if value == known or self.rows == 0:
            self._same[name] = value, max(until, stop)
        else:
            self._same.pop(name, None)

    def clear(self) -> None:
        """Forget the rows, keep the room."""
        self.rows = 0

    def arrays(self) -> dict[str, Column | Label]:
        """The rows so far."""
        columns = {name: values[: self.rows] for name, values in self._columns.items()}
        return {
            name: Label(values, list(self._books[name])) if name in self._books else values
            for name, values in columns.items()
        }

    def frame(self) -> pd.DataFrame:
        """The rows so far as a data frame, texts as categories."""
        columns = {
            name: pd.Categorical.from_codes(values.codes, pd.Index(list(values.values)))  # type: ignore[arg-type]
            if isinstance(values, Label)
            else values
            for name, values in self.arrays().items()
        }
        return pd.DataFrame(columns, copy=False)


@dataclass(frozen=True)
class SweepFile:
    """A sweep in a file, and what it took."""

    path: Path
    configurations: int
    seconds: float  # evaluating
    write_s: float
    skipped: tuple[str, ...] = ()  # systems of `all` that could not be had, and why

    def document(self) -> dict[str, Any]:
        """Everything as plain values."""
        return {**asdict(self), "path": str(self.path), "configurations_per_s": self.configurations / self.seconds}


def write_sweep(
    path: Path,
    *,
    machine: Machine | None = None,
    limit: int | None = None,
    progress: Progress | None = None,
    **axes: Any,
) -> SweepFile:
    """Sweep to a Parquet or CSV file, block by block, with a JSON file of its provenance beside it.

    Parameters
    ----------
    path
        Ends in ``.parquet`` or ``.csv``; the provenance's path has ``.json`` after that.
    machine, limit, progress, axes
        As :func:`sweep`.

    Raises
    ------
    ValueError
        If the path ends otherwise or cannot be written, or a value cannot be.
    """
    if path.suffix not in WRITERS:
        raise ValueError(f"output is {str(path)!r}; it must end in {' or '.join(WRITERS)}")
    profile = machine or default_machine()
    found, skipped = sweep_spaces(**axes)
    total = _limited(found, limit)
    waiting = Columns(found, min(total, ROW_GROUP))
    clock = _Clock()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with WRITERS[path.suffix](path) as writer:
            for block in _blocks(found, profile, total, progress, skipped):
                if block.count() > waiting.room():
                    clock.lap("evaluate")
                    writer.write(waiting.arrays())
                    waiting.clear()
                    clock.lap("write")
                waiting.append(block)
            clock.lap("evaluate")
            writer.write(waiting.arrays())
        clock.lap("write")
        about = {
            "configurations": writer.rows,
            "columns": list(waiting.arrays()),
            "axes": {name: _plain(value) for name, value in axes.items()},
            "limit": limit,
            "skipped": skipped.unique(),
            "machine": {"name": profile.name, "provenance": dict(profile.provenance)},
            "provenance": provenance(),
        }
        path.with_name(path.name + ".json").write_text(json.dumps(about, indent=2) + "\n", encoding="utf-8")
    except OSError as error:
        raise ValueError(f"output is {str(path)!r}, which cannot be written: {error.strerror}") from None
    return SweepFile(path, writer.rows, clock.spent["evaluate"], clock.spent["write"], tuple(skipped.unique()))


class _Clock:
    """Seconds by what they were spent on."""

    def __init__(self) -> None:
        self.spent: dict[str, float] = {}
        self._since = time.perf_counter()

    def lap(self, what: str) -> None:
        now = time.perf_counter()
        self.spent[what] = self.spent.get(what, 0.0) + now - self._since
        self._since = now


def _limited(found: Sequence[Space], limit: int | None) -> int:
    if limit is not None and limit < 1:
        raise ValueError(f"limit is {limit}; it must be 1 or more")
    total = sum(space.size for space in found)
    return total if limit is None else min(limit, total)


def _blocks(
    found: Sequence[Space], machine: Machine, total: int, progress: Progress | None, skipped: Skipped
) -> Iterator[Block]:
    """Blocks of all spaces, cut off after so many rows.

    A space that cannot be evaluated is skipped if it is one of ``all``, and an error if it was named.
    """
    done = seen = 0
    whole = sum(space.size for space in found)
    for space in found:
        evaluated = blocks(space, machine)
        while True:
            try:
                block = next(evaluated, None)
            except ValueError as error:
                if not skipped.allowed:
                    raise
                skipped.reasons.append(f"{space.labels['protocol']}: {error}")
                break
            if block is None:
                break
            seen += math.prod(block.shape)
            if progress:
                progress(min(seen, total), min(whole, total))
            kept = block if done + block.count() <= total else block.head(total - done)
            done += kept.count()
            yield kept
            if done == total:
                return


def several(value: Any) -> list[Any]:
    """One value or a sequence of them as a list."""
    return list(value) if isinstance(value, (list, tuple, range, np.ndarray)) else [value]


def _is_packing(value: Any) -> bool:
    return isinstance(value, tuple) and all(isinstance(width, int) for width in value)


def _numbers(name: str, value: Any) -> list[float]:
    return ranges.numbers(name, value).tolist() if isinstance(value, str) else [value]


def _integers(name: str, value: Any) -> list[int]:
    return ranges.integers(name, value).tolist() if isinstance(value, str) else [int(value)]


def _plain(value: Any) -> Any:
    if isinstance(value, (str, int, float)) or value is None:
        return value
    if isinstance(value, Mapping):
        return {name: _plain(one) for name, one in value.items()}
    return (
        [_plain(one) for one in several(value)] if isinstance(value, (list, tuple, range, np.ndarray)) else str(value)
    )


def _parts(shape: tuple[int, ...], block: int) -> Iterator[tuple[slice, ...]]:
    """Slices that cover an array in parts of at most ``block`` elements, each contiguous in it."""
    inner, axis = 1, len(shape) - 1
    while axis > 0 and inner * shape[axis] <= block:
        inner *= shape[axis]
        axis -= 1
    step = max(1, block // inner)
    whole = tuple(slice(None) for _ in shape[axis + 1 :])
    for outer in np.ndindex(*shape[:axis]):
        for start in range(0, shape[axis], step):
            yield (*(slice(k, k + 1) for k in outer), slice(start, start + step), *whole)
