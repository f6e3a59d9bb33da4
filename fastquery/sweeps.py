"""Sweeps: spaces evaluated block by block; :mod:`fastquery.sweep_files` writes them.

A block is a part of a space small enough for the processor's caches. Formulas see its axes apart, so that a figure that
does not depend on one is computed once along it and spread only at the end.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from costmodel.compact.wire import QUERIES_PER_CLIENT
from costmodel.errors import Incompatible
from costmodel.estimate import evaluate
from costmodel.grid import Grid
from costmodel.limits import LOG2_FAILURE, SECURITY_FLOOR_BITS
from costmodel.link import exchange_s
from costmodel.machine import Machine
from costmodel.packing import required_plaintext_modulus
from costmodel.parameters import ENGINES, SIZES
from costmodel.systems import NAMES
from costmodel.systems.fastquery import ABLATIONS
from costmodel.workload import evaluate_workload
from fastquery.axes import (
    axes_by_name,
    link_axis,
    one_of,
    packing_axis,
    real_axis,
    ring_axis,
    several,
    table_axis,
    threads_axis,
    whole_axis,
)
from fastquery.frames import ROW_GROUP, Label, frame_of_tables, table_of_columns
from fastquery.spaces import DISCRETE, LINK_COLUMNS, Column, Space, asked_grid, choices, grid_of, spaces
from fastquery.words import DEFAULT_TABLE, count, machine_of, workload_of
from fastquery.workers import evaluated_parts

Progress = Callable[[float, float], None]

BLOCK = 1 << 17
"""Configurations evaluated at once: 1 MB a figure."""

SEARCHES = 64
"""Searches of a block, where parameters of a design are searched at every point but the links."""
PART_S = 2.0
"""Seconds that a part takes, roughly: enough to outweigh its way to a worker, and small enough to share out evenly."""
PIECE_S, CLOSED_S, SEARCH_S = 5e-3, 2e-7, 5e-3
"""Seconds of a block, a configuration in closed form, and a search, roughly: they share parts out and state nothing."""

RENAMED = {"degree": "ring_degree", "rows": "table_rows", "channels": "table_channels", "sigma": "encryption_sigma"}
"""Columns whose names in a grid do not stand alone."""


class Links(NamedTuple):
    """Links as arrays that broadcast with a grid."""

    rate_bit_per_s: Any
    round_trip_s: Any


class Skipped(NamedTuple):
    """Why some combinations are not in a sweep; of ``every`` system some may be left out for any reason."""

    every: bool
    reasons: list[str]

    def takes(self, error: ValueError) -> bool:
        """Whether a sweep goes on without what an error refuses."""
        return self.every or isinstance(error, Incompatible)

    def unique(self, more: Iterable[str] = ()) -> list[str]:
        """Every reason once, those of the parts too."""
        return list(dict.fromkeys([*self.reasons, *more]))


class Sample(NamedTuple):
    """So many configurations of those in all, spread evenly over them."""

    taken: int
    total: int

    def takes(self, number: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Whether the configuration of a number, from 0, is among them."""
        return (number + 1) * self.taken // self.total > number * self.taken // self.total

    def before(self, number: int) -> int:
        """How many are among the first so many configurations."""
        return number * self.taken // self.total


@dataclass(frozen=True, eq=False)
class Block:
    """A part of a space with its figures; every array broadcasts to ``shape``."""

    space: Space
    grid: Grid
    links: Links
    threads: Column
    table: Column  # indices into the space's tables
    figures: dict[str, NDArray[np.float64]]
    possible: NDArray[np.bool_]
    shape: tuple[int, ...]

    def columns(self, limbs: int) -> dict[str, Column]:
        """What each configuration is and its figures, by the names of results; so many limbs, of which some are 0."""
        numbers = {RENAMED.get(name, name): values for name, values in self.grid.arrays().items()}
        numbers |= {f"limb_bits_{k}": np.zeros((), np.int64) for k in range(self.grid.limbs, limbs)}
        numbers["threads"] = self.threads
        if self.space.workload is not None:
            done = {name: np.asarray(value) for name, value in asdict(self.space.workload).items()}
            return {**numbers, **done, **self.links._asdict(), **self.figures, "usable": self.usable}
        share = {"time_per_query_s": self.figures["latency_s"] + self.setup_s / QUERIES_PER_CLIENT}
        return {**numbers, **self.links._asdict(), **self.figures, **share, "usable": self.usable}

    @property
    def setup_s(self) -> NDArray[np.float64]:
        """Seconds of the setup's bytes on the line."""
        rate, delay = self.links
        return np.asarray(exchange_s(self.figures["setup_bytes"], 0, rate, delay), dtype=np.float64)

    @property
    def usable(self) -> NDArray[np.bool_]:
        """Where the rings hold the floor of security and answers fail no more often than 2^-40."""
        secure = self.figures["security_bits"] >= SECURITY_FLOOR_BITS
        return np.asarray(secure & (self.figures["log2_failure"] <= LOG2_FAILURE))

    def usable_only(self) -> Block:
        """The same without what is not usable."""
        return replace(self, possible=np.broadcast_to(self.possible, self.shape) & self.usable)

    def count_usable(self) -> int:
        """Possible configurations that are usable."""
        return int(np.count_nonzero(np.broadcast_to(self.possible, self.shape) & self.usable))

    def count(self) -> int:
        """Possible configurations."""
        return int(np.count_nonzero(self.possible)) if self.possible.ndim else math.prod(self.shape)

    def sampled(self, sample: Sample, before: int) -> Block:
        """The configurations that a sample takes, this block's first one being that of number ``before``."""
        possible = np.broadcast_to(self.possible, self.shape)
        number = before + np.cumsum(possible).reshape(self.shape) - 1
        return replace(self, possible=possible & sample.takes(number))

    def fill(self, column: Column, values: Any) -> None:
        """Write an array of the block to a column of :meth:`count` rows."""
        if self.possible.ndim:
            column[...] = np.broadcast_to(values, self.shape)[self.possible]
        else:
            column.reshape(self.shape)[...] = values


def sweep_spaces(
    *,
    table: Any = DEFAULT_TABLE,
    protocol: str | Sequence[str] = "fastquery",
    ablation: str | Sequence[str | None] | None = None,
    ring: Any = "",
    packing: Any = None,
    tokens: Any = 1,
    workload: Any = None,
    link: Any = "lan",
    engine: str | Sequence[str | None] | None = None,
    size: str | Sequence[str] = "native",
    flooding_bits: Any = None,
    threads: Any = 1,
    fields: Mapping[str, Any] | None = None,
) -> tuple[list[Space], Skipped]:
    """The spaces of a sweep; every argument takes one value or several, and texts take the command line's ranges.

    Parameters
    ----------
    table, protocol, ablation, ring, packing, tokens, link, engine, size, flooding_bits, threads
        As the options of ``fastquery sweep``, or the values that :func:`fastquery.estimate` takes; the protocol ``all``
        is every system of the model.
    workload
        Sessions in the place of lookups of ``tokens``, as :func:`fastquery.estimate` takes them: one, or several.
    fields
        Further fields of a configuration by name, such as ``{"digit_bits": "8:20", "tile": ["column", "cheetah"]}``.

    Returns
    -------
    spaces, skipped
        ``skipped`` takes a line for every combination that cannot be had, though each of its values can be.

    Raises
    ------
    ValueError
        If a value cannot be, but for a system of ``all``; or if no combination can be had.
    """
    sessions = [None] if workload is None else [workload_of(one) for one in several(workload)]
    if workload is not None and tokens != 1:
        raise ValueError("workload and tokens are both named; the workload says how many tokens are looked up")
    counts, tables = whole_axis("tokens", tokens), table_axis(table)
    on, rings, packed = link_axis(link), ring_axis(ring), packing_axis(packing)
    shared = threads_axis(threads)
    floods = [None] if flooding_bits is None else whole_axis("flooding_bits", flooding_bits)
    lengths = {
        "table": tables, "tokens": counts, "workload": sessions, "link": on, "ring": rings, "packing": packed,
        "threads": shared,
    }  # fmt: skip
    for name, values in lengths.items():
        if not values:
            raise ValueError(f"{name} has no value; name at least one")
    further = dict(fields or {})
    for value in several(further.get("prepared", [])):
        if not isinstance(value, bool):
            raise ValueError(f"prepared is {value!r}; it must be true or false")
    discrete = [[(name, value) for value in several(further.pop(name))] for name in DISCRETE if name in further]
    numeric = {name: real_axis(name, value) for name, value in further.items()}
    found: list[Space] = []
    asked = one_of("protocol", protocol, [*NAMES, "all"])
    skipped = Skipped("all" in asked, [])
    every = choices(
        asked,
        one_of("ablation", ablation, ABLATIONS),
        packed,
        one_of("engine", engine, ENGINES),
        one_of("size", size, SIZES),
        floods,
        list(product(*discrete)),
    )
    for choice, session in product(every, sessions):
        lookups = [(name, replace(at, tokens=count)) for name, at in tables for count in counts]
        if session is not None:
            lookups = [(name, replace(at, tokens=session.prompt)) for name, at in tables]
            choice = choice._replace(queries=session.queries)
        for columns in rings:
            try:
                for one in spaces(choice, columns, numeric, lookups, on, shared):
                    if isinstance(one, Incompatible):
                        skipped.reasons.append(f"{choice.protocol}: {one}")
                    else:
                        found.append(replace(one, workload=session))
            except ValueError as error:
                if not skipped.takes(error):
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
    for slices in parts(space.shape, block or BLOCK):
        yield evaluated(space, slices, machine)


def evaluated(space: Space, slices: Sequence[slice], machine: Machine) -> Block:
    """A part of a space with its figures.

    Raises
    ------
    ValueError
        As :func:`blocks`.
    """
    columns = space.part(slices)
    links = Links(*(columns[name] for name in LINK_COLUMNS))
    threads = np.asarray(columns.get("threads", machine.threads))
    if np.all(threads == threads.flat[0]):
        threads = threads.reshape(-1)[0]  # one number of threads is no axis of the latency
    machine = replace(machine, threads=threads)
    grid = grid_of(space.base, columns)
    if space.workload is None:
        figures = evaluate(grid, links, machine)
    else:
        figures = evaluate_workload(grid, space.workload, links, machine)
    shape = figures["latency_s"].shape
    fits = _fits(space, grid)
    possible = np.True_ if fits.all() else np.broadcast_to(fits, shape)
    tables = np.arange(*slices[0].indices(space.shape[0]), dtype=np.int32).reshape(-1, *[1] * (len(shape) - 1))
    return Block(space, grid, links, threads, tables, figures, np.asarray(possible), shape)


def _fits(space: Space, grid: Grid) -> NDArray[np.bool_]:
    """Where the plaintext modulus holds the packing and lies below q, and no more bits are sent than there are."""
    required, modulus = required_plaintext_modulus(space.base.packing.field_moduli), grid.plaintext_modulus
    fits = (modulus >= required) & (np.frexp(modulus.astype(np.float64))[1] < grid.log2_q)
    return np.asarray(fits & (grid.query_bits <= grid.log2_q))


def possible_count(space: Space, slices: Sequence[slice]) -> int:
    """Possible configurations of a part of a space, found without their figures."""
    shape = tuple(len(range(*one.indices(length))) for one, length in zip(slices, space.shape, strict=True))
    fits = _fits(space, asked_grid(space.base, space.part(slices)))
    return int(np.count_nonzero(np.broadcast_to(fits, shape)))


@dataclass(frozen=True)
class Plan:
    """A sweep before it is evaluated: its blocks in order, and which of their configurations are taken.

    Attributes
    ----------
    spaces, skipped
        As :func:`sweep_spaces` gives them.
    machine
        Unit costs.
    sample
        The configurations that are taken of all possible ones.
    pieces
        Space, part of it, and possible configurations before the part and in it, block by block.
    parts
        Runs of pieces, each of much the same cost and of at most a row group; they depend on nothing but the axes.
    usable_only
        Whether unusable configurations are left out.
    """

    spaces: list[Space]
    skipped: Skipped
    machine: Machine
    sample: Sample
    pieces: list[Piece]
    parts: list[range]
    usable_only: bool

    @classmethod
    def of(cls, axes: Mapping[str, Any], machine: Machine, limit: int | None, usable_only: bool = False) -> Plan:
        """The plan of a sweep's axes.

        Raises
        ------
        ValueError
            If a value cannot be.
        """
        most = None if limit is None else count("limit", limit)
        found, skipped = sweep_spaces(**axes_by_name(axes))
        pieces: list[Piece] = []
        total = 0
        for space in found:
            for slices in parts(space.shape, min(BLOCK, SEARCHES * space.shape[-1]) if space.searched else BLOCK):
                pieces.append(Piece(space, slices, total, possible_count(space, slices)))
                total += pieces[-1].possible
        taken = total if most is None else min(most, total)
        sample = Sample(taken, max(1, total))
        return cls(found, skipped, machine, sample, pieces, _runs(pieces, sample), usable_only)

    def block(self, number: int) -> Block | str:
        """The block of a piece, of what the sample takes; or why it cannot be had.

        Raises
        ------
        ValueError
            If it cannot be had, its values are not merely incompatible, and its system was named, not one of ``all``.
        """
        piece = self.pieces[number]
        try:
            block = evaluated(piece.space, piece.slices, self.machine).sampled(self.sample, piece.before)
        except ValueError as error:
            if not self.skipped.takes(error):
                raise
            return f"{piece.space.labels['protocol']}: {error}"
        return block.usable_only() if self.usable_only else block

    def numbers(self, part: range) -> list[int]:
        """Pieces of a part that the sample takes anything of."""
        return [number for number in part if self.pieces[number].taken(self.sample)]

    def evaluated(self, number: int) -> Part:
        """A part with its figures.

        Raises
        ------
        ValueError
            As :meth:`block`.
        """
        numbers = self.numbers(self.parts[number])
        columns = Columns(self.spaces, sum(self.pieces[one].taken(self.sample) for one in numbers))
        reasons, spent, usable = [], {}, 0
        for one in numbers:
            since = time.perf_counter()
            block = self.block(one)
            if isinstance(block, str):
                reasons.append(block)
            else:
                columns.append(block)
                usable += block.count_usable()
            spent[one] = time.perf_counter() - since
        return Part(table_of_columns(columns.arrays()), columns.rows, usable, reasons, spent)


class Part(NamedTuple):
    """A part of a plan with its figures.

    Attributes
    ----------
    content
        Its rows: a table of pyarrow, or the bytes of a Parquet file.
    rows, usable
        Numbers of them.
    skipped
        Why pieces of it could not be had.
    spent_s
        Seconds by number of a piece.
    """

    content: Any
    rows: int
    usable: int
    skipped: list[str]
    spent_s: dict[int, float]


def _runs(pieces: Sequence[Piece], sample: Sample) -> list[range]:
    """Pieces in runs that fit a row group and take seconds at most."""
    found, first, rows, cost_s = [], 0, 0, 0.0
    for number, piece in enumerate(pieces):
        more = piece.taken(sample)
        if number > first and (rows + more > ROW_GROUP or cost_s + piece.cost_s > PART_S):
            found.append(range(first, number))
            first, rows, cost_s = number, 0, 0.0
        rows, cost_s = rows + more, cost_s + (piece.cost_s if more else 0.0)
    return [*found, range(first, len(pieces))]


class Piece(NamedTuple):
    """A part of a space, and the possible configurations before it and in it."""

    space: Space
    slices: tuple[slice, ...]
    before: int
    possible: int

    @property
    def kind(self) -> tuple[str, str]:
        """Pieces of one kind cost much the same a configuration."""
        return self.space.base.protocol, self.space.base.engine

    @property
    def cost_s(self) -> float:
        """Seconds that the piece takes, roughly: a search for every point but the links, or closed forms."""
        lengths = [len(range(*one.indices(n))) for one, n in zip(self.slices, self.space.shape, strict=True)]
        searches = math.prod(lengths[:-1]) if self.space.searched else 0
        return PIECE_S + SEARCH_S * searches + CLOSED_S * math.prod(lengths)

    def taken(self, sample: Sample) -> int:
        """Configurations that a sample takes."""
        return sample.before(self.before + self.possible) - sample.before(self.before)


PROBE_S = 0.02
"""A configuration that takes longer is not evaluated vectorised; a shorter one mostly waits for calls."""
PROBED = 256


class Expected:
    """Seconds that pieces are expected to take: measured on a probe of every kind, then on the pieces themselves."""

    def __init__(self, pieces: Sequence[Piece], machine: Machine) -> None:
        self.pieces = pieces
        firsts = {piece.kind: piece for piece in reversed(pieces)}
        self.rates = {kind: _probed(piece.space, machine) for kind, piece in firsts.items()}
        self.done_s = 0.0
        self.measured = dict.fromkeys(firsts, (0.0, 0))
        self.left = dict.fromkeys(firsts, 0)
        for piece in pieces:
            self.left[piece.kind] += max(1, piece.possible)

    def without(self, numbers: Iterable[int]) -> None:
        """Leave pieces out that are done already or that nothing is taken of."""
        for number in numbers:
            self.left[self.pieces[number].kind] -= max(1, self.pieces[number].possible)

    def after(self, spent_s: Mapping[int, float]) -> tuple[float, float]:
        """Seconds done and seconds in all, once pieces have taken so long."""
        self.without(spent_s)
        for number, took_s in spent_s.items():
            piece = self.pieces[number]
            seconds, count = self.measured[piece.kind]
            self.measured[piece.kind] = seconds + took_s, count + max(1, piece.possible)
            self.rates[piece.kind] = (seconds + took_s) / (count + max(1, piece.possible))
            self.done_s += took_s
        return self.done_s, self.done_s + sum(self.rates[kind] * left for kind, left in self.left.items())


def _probed(space: Space, machine: Machine) -> float:
    """Seconds a configuration, of one alone where it takes long, and else of a few hundred."""
    spent = math.inf
    for size in (1, PROBED):
        slices = next(parts(space.shape, size))
        count = math.prod(len(range(*one.indices(length))) for one, length in zip(slices, space.shape, strict=True))
        since = time.perf_counter()
        try:
            evaluated(space, slices, machine)
        except ValueError:
            return 0.0  # it will be skipped, or be an error
        spent = time.perf_counter() - since
        if spent > PROBE_S:
            break
    return spent / count


def sweep(
    *,
    machine: Machine | str | Path | None = None,
    limit: int | None = None,
    usable_only: bool = False,
    progress: Progress | None = None,
    jobs: int = 1,
    scheduler: str | None = None,
    **axes: Any,
) -> pd.DataFrame:
    """Evaluate every combination of what several values are given for.

    Parameters
    ----------
    machine
        Unit costs, or the path of a calibration file; the built-in profile if left out.
    limit
        Largest number of configurations, spread evenly over all; before the unusable ones are left out.
    usable_only
        Leave out what has less than 128 bits of security or fails more often than 2^-40.
    progress
        Called with the work done and the work in all, in estimated seconds.
    jobs
        Processes that share the work; a program of your own then guards its main part by
        ``if __name__ == "__main__":``, since each process imports the program.
    scheduler
        Address of a Dask scheduler whose workers share the work, such as ``"tcp://10.0.0.1:8786"``.
    axes
        As :func:`sweep_spaces` takes them: ``table``, ``protocol``, ``ring``, ``link``, ...

    Returns
    -------
    DataFrame
        A row a configuration: what it is, then its figures, units in the names; ``time_per_query_s`` is the latency
        with a 32nd of the setup's time, ``usable`` whether security and failure hold. ``attrs["left_out"]`` has a
        line for every combination that cannot be had.

    Examples
    --------
    >>> import fastquery as fq
    >>> frame = fq.sweep(ring="N=4096,p=13,q=38:41", ablation="packing", table="gpt2")
    >>> len(frame), int(frame["usable"].sum())
    (4, 4)
    """
    plan = Plan.of(axes, machine_of(machine), limit, usable_only)
    done = dict(plan_parts(Plan.evaluated, plan, progress, jobs=jobs, scheduler=scheduler))
    found = [done[number] for number in sorted(done)]
    frame = frame_of_tables([part.content for part in found])
    frame.attrs["left_out"] = plan.skipped.unique(reason for part in found for reason in part.skipped)
    return frame


def plan_parts(
    function: Callable[[Plan, int], Part],
    plan: Plan,
    progress: Progress | None = None,
    done: Collection[int] = (),
    jobs: int = 1,
    scheduler: str | None = None,
) -> Iterator[tuple[int, Part]]:
    """Numbers and figures of the parts of a plan that are not done, as they come.

    Parameters
    ----------
    function
        :meth:`Plan.evaluated`, or a module's function that does more with a part where it is evaluated.
    plan, progress, jobs, scheduler
        As :func:`sweep`.
    done
        Numbers of parts to leave out.

    Raises
    ------
    ValueError
        As :meth:`Plan.block` and :func:`fastquery.workers.evaluated_parts`.
    """
    expected = Expected(plan.pieces, plan.machine) if progress else None
    if expected:
        there = {one for number in done for one in plan.parts[number]}
        untaken = {one for one, piece in enumerate(plan.pieces) if not piece.taken(plan.sample)}
        expected.without(there | untaken)
    numbers = [number for number in range(len(plan.parts)) if number not in done]
    if jobs > 1 or scheduler:
        numbers.sort(key=lambda number: -sum(plan.pieces[one].cost_s for one in plan.parts[number]))
    for number, part in evaluated_parts(function, plan, numbers, count("jobs", jobs), scheduler):
        if progress and expected:
            progress(*expected.after(part.spent_s))
        yield number, part


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

    def names(self) -> list[str]:
        """Columns of the rows so far."""
        return list(self._columns)

    def append(self, block: Block) -> int:
        """Take a block that fits; returns its rows."""
        numbers = block.columns(self._limbs)
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


def parts(shape: tuple[int, ...], block: int) -> Iterator[tuple[slice, ...]]:
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
