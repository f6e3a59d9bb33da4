"""Search for the parameters of expanded queries, of many tasks at once.

A design names its *shapes*, discrete choices with a bound that no other choice undercuts, and for some shapes at a time
the cheapest choices of everything else, as arrays. The search visits shapes only where their bound lies below the
cheapest choice that a task has, and holds the cheapest choices alone to the exact failure model.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, Generic, NamedTuple, TypeVar

import numpy as np
from numpy.typing import ArrayLike

from costmodel.answers import AnswerKinds, Answers, AnswerTable
from costmodel.errors import Incompatible
from costmodel.expanded.flooding import Widths, bits_over_deviation
from costmodel.expanded.gadgets import SwitchTables, smallest_limb
from costmodel.expanded.noise import Floats
from costmodel.expanded.parameters import (
    MOST_LIMBS,
    Array,
    Columns,
    ExpandedFormulas,
    GadgetColumns,
    check_flooded_modulus,
)
from costmodel.noise import required_ratio
from costmodel.packing import field_moduli, field_weights, packed_coefficients, required_plaintext_modulus
from costmodel.security import security_bits

# What a choice costs is counted in constants and not at a machine's speed, so that the same task has the same
# parameters everywhere. The ledger prices the chosen parameters at a machine's measured units.
TRANSFORM_S = 2.9e-9  # of a transform, a residue (`python -m benchmarks.folded`)
PRODUCT_S = 2.2e-10  # of a residue of the pass over the table for many tokens (`python -m benchmarks.folded`)
BYTE_S = 1.5e-5  # of a byte on the link, unless told: bytes before seconds, where they are cheap to save
KEY_BYTE_S = 7e-9  # of a byte of the keys, which are sent once: some two thousand weigh as much as one of a query
SHARES = np.exp2(-np.arange(1.0, 9.0))
"""Of the noise budget that the key switches of the expansion may take."""
ROUNDED = np.exp2(-np.array([1.0, 2.0, 3.0, 4.0, 6.0, 8.0]))
"""Of the noise budget that the rounding of the query may take."""
MOST_MARGIN_BITS = 8
"""Over the target where few external products make the tail heavier than a Gaussian's."""
FIRST_VISITS = 3
"""Shapes that are looked at before a task has any choice."""
SLACK = 1.02
"""Factor over the cheapest untested choice up to which choices are kept for the case that the cheapest one fails."""
MOST_SHAPES = 48
"""Shapes whose choices are evaluated together: as many as stay in the cache."""


K = TypeVar("K", bound=Columns)


class RingChoice(NamedTuple):
    """Ring of the query."""

    degree: int
    limb_bits: tuple[int, ...]


@dataclass(frozen=True)
class Rings:
    """Rings that the tasks of a search may take, (tasks or 1, choices); limbs that a ring does not have are 0."""

    degree: Array
    limb_bits: tuple[Array, ...]

    @classmethod
    def of(cls, rings: Sequence[RingChoice]) -> Rings:
        """The same rings for every task."""
        for ring in rings:
            check_limbs(ring.limb_bits)
        limbs = [(*ring.limb_bits, *(0,) * (MOST_LIMBS - len(ring.limb_bits))) for ring in rings]
        return cls(
            np.array([[ring.degree for ring in rings]]),
            tuple(np.array([[bits[limb] for bits in limbs]]) for limb in range(MOST_LIMBS)),
        )

    @classmethod
    def each(cls, degree: Array, limb_bits: Sequence[Array]) -> Rings:
        """One ring a task, of arrays (tasks,), one a limb."""
        check_limbs(limb_bits)
        padded = [*limb_bits, *(np.zeros_like(degree),) * (MOST_LIMBS - len(limb_bits))]
        return cls(degree[:, None], tuple(bits[:, None] for bits in padded))

    def taken(self, index: Array) -> Rings:
        """The rings of some tasks."""
        limbs = tuple(bits[index] for bits in self.limb_bits)
        return Rings(self.degree[index], limbs)

    def kinds(self, task: Task) -> tuple[Array, tuple[Array, ...], Array]:
        """Degree, limbs and noise of every choice of every task, (tasks, choices)."""
        degree, *limbs, sigma = np.broadcast_arrays(self.degree, *self.limb_bits, task.sigma[:, None])
        return degree, tuple(limbs), sigma

    def shapes(self, kind: Callable[..., K], task: Task, row: Array, ring: Array, **choices: Any) -> Shapes[K]:
        """Shapes of rows of tasks and of choices of rings, with the fields that a design adds; the others are open."""
        zero = np.zeros(len(row), dtype=np.int64)
        levels = np.zeros((int(np.max(self.degree)).bit_length() - 1, len(row)), dtype=np.int64)
        tables, kinds = SwitchTables.of(*self.kinds(task))
        line = np.minimum(row, len(self.degree) - 1)
        columns = kind(
            **{name: getattr(task, name)[row] for name in TABLE_FIELDS},
            degree=self.degree[line, ring],
            limb_bits=tuple(bits[line, ring] for bits in self.limb_bits),
            answer_degree=self.degree[line, ring],
            answer_modulus_bits=zero,
            answer_together=zero + 1,
            expansion=GadgetColumns(levels, levels),
            square=GadgetColumns(zero, zero),
            ring_switch=GadgetColumns(zero, zero),
            answer_half_bits=zero,
            answer_low_bits=zero,
            flooding_log2_width=zero,
            holds=np.ones(len(row), dtype=bool),
            **choices,
        )
        return Shapes(
            columns, row, task.log2_failure[row], task.byte_s[row], task.tokens[row], tables, kinds[row, ring]
        )


def check_limbs(limb_bits: Sequence[ArrayLike]) -> None:
    """Hold the number of limbs to its bound.

    Raises
    ------
    ValueError
        If there are none or more than three.
    """
    if not 1 <= len(limb_bits) <= MOST_LIMBS:
        raise ValueError(f"limb_bits has {len(limb_bits)} limbs; it must have one to {MOST_LIMBS}")


TABLE_FIELDS = (
    "rows", "row_coefficients", "element_bound", "plaintext_modulus", "flooding_bits", "log2_distance", "queries",
    "log2_failure", "sigma",
)  # fmt: skip
"""Fields that a task and its parameters share."""


@dataclass(frozen=True)
class Task:
    """Tasks of a search, arrays of one axis by the names that parameters have."""

    rows: Array
    row_coefficients: Array
    element_bound: Array
    plaintext_modulus: Array
    flooding_bits: Array
    log2_distance: Array
    queries: Array
    log2_failure: Array
    sigma: Array
    byte_s: Array
    tokens: Array

    @classmethod
    def of(
        cls,
        rows: ArrayLike,
        channels: ArrayLike,
        widths: Sequence[int],
        flooding_bits: ArrayLike,
        log2_failure: ArrayLike,
        plaintext_modulus: ArrayLike | None,
        sigma: ArrayLike,
        byte_s: ArrayLike,
        log2_distance: ArrayLike = 0.0,
        queries: ArrayLike = 1,
        tokens: ArrayLike = 1,
    ) -> Task:
        """The tasks of tables, with the smallest plaintext modulus that holds the packing if none is named.

        Raises
        ------
        ValueError
            If a plaintext modulus does not hold the packing, or flooding does not hide the table with it.
        """
        required = required_plaintext_modulus(field_moduli(widths))
        modulus = np.asarray(required if plaintext_modulus is None else plaintext_modulus, dtype=np.int64)
        if np.any(modulus < required):
            raise ValueError(f"plaintext_modulus is {modulus.min()}; packing {widths} needs at least {required}")
        check_flooded_modulus(modulus, (np.asarray(flooding_bits) > 0) | (np.asarray(log2_distance) < 0))
        whole = (
            rows,
            packed_coefficients(channels, widths),
            element_bound(widths),
            modulus,
            flooding_bits,
            queries,
            tokens,
        )
        real = (log2_distance, log2_failure, sigma, byte_s)
        arrays = [*(np.asarray(one, dtype=np.int64) for one in whole), *(np.asarray(one, dtype=float) for one in real)]
        names = (*TABLE_FIELDS[:5], "queries", "tokens", "log2_distance", "log2_failure", "sigma", "byte_s")
        flat = (array.reshape(-1) for array in np.broadcast_arrays(*arrays))
        return cls(**dict(zip(names, flat, strict=True)))

    def __len__(self) -> int:
        return len(self.rows)

    def taken(self, index: Array) -> Task:
        """The tasks at an index."""
        return Task(*(getattr(self, field.name)[index] for field in fields(self)))


def refused(task: Task, rings: Sequence[RingChoice]) -> Incompatible:
    """Return the error that says that none of the rings holds a single task."""
    asked = f"flooding_bits {task.flooding_bits[0]}"
    if task.log2_distance[0] < 0:
        asked = f"a distance of 2^{task.log2_distance[0]:g} after {task.queries[0]} queries"
    return Incompatible(
        f"no ring of {', '.join(f'N={r.degree}, q={r.limb_bits}' for r in rings)} holds plaintext_modulus "
        f"{task.plaintext_modulus[0]} with {asked} at a failure probability of 2^{task.log2_failure[0]:g}; "
        "ask for less flooding or a smaller plaintext modulus"
    )


def element_bound(widths: Sequence[int]) -> int:
    """Largest magnitude of a packed element about the middle of its levels: sum of P_i 2^(w_i - 1)."""
    places = field_weights(field_moduli(widths))
    return sum(place << (width - 1) for place, width in zip(places, widths, strict=True))


def least_security_bits(parameters: ExpandedFormulas[int]) -> int:
    """Return the level of the weakest ring of a query: of queries and keys, or of the ring switch's key."""
    p = parameters
    bits = int(security_bits(p.degree, p.log2_q))
    return min(bits, int(security_bits(p.answer_degree, p.answer_modulus_bits))) if p.switches_ring else bits


@dataclass(frozen=True, eq=False)
class Shapes(Generic[K]):
    """Discrete choices of some tasks, one row each.

    Attributes
    ----------
    columns
        Their parameters; choices that are still open are 0.
    task
        Row of the task.
    log2_failure
        Target that the choices are made for: the task's, or a stricter one.
    byte_s
        Cost of a byte of query and answer.
    tokens
        Rows that are looked up together.
    tables
        Key switches of all rings.
    ring
        Row of the shape's ring in them.
    answers
        Answers of all kinds, and the row of the shape's kind in them, once they are known (:meth:`answered`).
    """

    columns: K
    task: Array
    log2_failure: Floats
    byte_s: Floats
    tokens: Array
    tables: SwitchTables
    ring: Array
    answers: tuple[AnswerTable, Array] | None = None

    def answered(self) -> Shapes[K]:
        """The same with the answers of all kinds, of shapes whose results and spacing are settled."""
        p = self.columns
        most = np.minimum(smallest_limb(p) - 1, 53)
        share = KEY_BYTE_S / self.byte_s
        kinds, kind = AnswerKinds.distinct(
            p.plaintext_modulus, p.degree, p.spacing, p.results, self.tokens, most, p.sigma, share
        )
        return replace(self, answers=(_table(kinds), kind))

    def taken(self, index: Array) -> Shapes[K]:
        """The shapes at an index."""
        return Shapes(
            self.columns.taken(index),
            self.task[index],
            self.log2_failure[index],
            self.byte_s[index],
            self.tokens[index],
            self.tables,
            self.ring[index],
            None if self.answers is None else (self.answers[0], self.answers[1][index]),
        )

    def stricter(self, bits: int) -> Shapes[K]:
        """The same for a target that is so many bits lower."""
        return replace(self, log2_failure=self.log2_failure - bits)

    @property
    def limit(self) -> Floats:
        """Error over Q at which decryption fails."""
        found: Floats = 0.5 / self.columns.plaintext_modulus
        return found

    @property
    def ratio(self) -> Floats:
        """Standard deviations that the limit must be away for a Gaussian error to hold the target."""
        found: Floats = required_ratio(self.log2_failure, self.columns.row_coefficients)
        return found


class Answering(NamedTuple):
    """Sizes of shapes that answers are chosen by, all of one axis.

    Attributes
    ----------
    columns
        The shapes' parameters.
    widths
        Of the flooding.
    ratio
        Standard deviations that the limit must be away.
    table, kind
        Answers of all kinds, and the row of the shape's kind in them.
    """

    columns: Columns
    widths: Widths
    ratio: Floats
    table: AnswerTable
    kind: Array

    @classmethod
    def of(cls, shapes: Shapes[Any]) -> Answering:
        """Sizes of shapes that are answered."""
        assert shapes.answers is not None
        widths = Widths.of(shapes.columns, shapes.log2_failure)
        return cls(shapes.columns, widths, shapes.ratio, *shapes.answers)

    def choose(self, hidden: Floats, place: Any = slice(None)) -> tuple[Floats, Answers]:
        """log2 of the width of the flooding that hides a variance over Q^2, and the smallest answers with it.

        Parameters
        ----------
        hidden
            The variance.
        place
            Of the shapes that it is given for.
        """
        p = self.columns
        t = p.plaintext_modulus[place].astype(float)
        width, flooding = np.zeros(np.shape(hidden)), np.zeros(np.shape(hidden))
        before = hidden
        if np.any(p.flooded):
            flooded = p.flooded[place] > 0
            width = np.where(flooded, self.widths.at(place).log2_width(hidden), 0.0)
            flooding = np.where(flooded, 3.0 * np.exp2(width - p.result_log2_q[place]) * t, 0.0)
            before = hidden + self.widths.zero[place]
        coefficients = p.row_coefficients[place]
        found = self.table.smallest(self.kind[place], before * np.square(t), flooding, self.ratio[place], coefficients)
        return width, found

    def settled(self, columns: K, hidden: Floats) -> K:
        """Columns with the flooding and the answer for a variance over Q^2 before them."""
        width, answer = self.choose(hidden)
        return replace(
            columns,
            answer_degree=answer.degree,
            answer_modulus_bits=answer.modulus_bits,
            answer_together=answer.ciphertexts,
            ring_switch=GadgetColumns(answer.digits, answer.digit_bits),
            answer_half_bits=answer.a_half_bits,
            answer_low_bits=answer.low_bits,
            flooding_log2_width=width.astype(np.int64),
        )


_TABLES: OrderedDict[bytes, AnswerTable] = OrderedDict()
_MOST_TABLES = 32


def _table(kinds: AnswerKinds) -> AnswerTable:
    """The table of kinds, kept for the next time that they are asked for."""
    key = b"".join(np.asarray(array, dtype=np.float64).tobytes() for array in kinds)
    if key not in _TABLES:
        _TABLES[key] = AnswerTable(kinds)
        while len(_TABLES) > _MOST_TABLES:
            _TABLES.popitem(last=False)
    return _TABLES[key]


def log2_over_limit(shapes: Shapes[Any]) -> Floats:
    """Bits that the deviation of what is hidden must lie below the limit over the ratio; 0 without flooding."""
    p = shapes.columns
    if not np.any(p.flooded):
        return np.zeros(len(shapes.task))
    over = bits_over_deviation(p, shapes.log2_failure) - np.log2(shapes.ratio)
    return np.where(p.flooded > 0, over, 0.0)


class Priced(NamedTuple):
    """Choices of shapes, as arrays that broadcast with them.

    Attributes
    ----------
    width
        Bits of the digits of encrypted bits.
    cost
        Of all but the answer.
    hidden
        Gives the variances over Q^2 that the flooding hides, to be added up.
    """

    width: Floats
    cost: Floats
    hidden: Callable[[], tuple[Floats, ...]]


class Model(ABC):
    """The noise and cost of shapes, which lie along the first axis, for any choice of the rest."""

    @abstractmethod
    def widest(self) -> Array:
        """Most bits of the digits of encrypted bits."""

    @abstractmethod
    def least_hidden(self) -> Floats:
        """Variance over Q^2 that no choice undercuts."""

    @abstractmethod
    def cheapest_query(self) -> Priced:
        """A choice with the fewest digits and bits of any, whether or not its noise leaves room to the answer."""

    @abstractmethod
    def every(self) -> Priced:
        """All choices."""


class Choices(NamedTuple):
    """The cheapest choice of every group of a shape: its cost and its place among all, (shapes, groups)."""

    cost: Floats
    place: Array


class Search(ABC, Generic[K]):
    """The part of a search that a design brings.

    Attributes
    ----------
    groups
        Groups of a shape's choices, along the first axis after the shapes'.
    axes
        Of choices, the shapes' included.
    """

    groups: int
    axes: int

    @abstractmethod
    def shapes(self, task: Task, rings: Rings) -> Shapes[K]:
        """Shapes of all tasks, sorted by task."""

    @abstractmethod
    def model(self, shapes: Shapes[K], axes: int) -> Model:
        """Noise and cost of shapes for choices of so many axes."""

    @abstractmethod
    def parameters(self, shapes: Shapes[K], group: Array, place: Array) -> K:
        """Parameters of one choice of every shape."""

    @abstractmethod
    def failure(self, columns: K) -> Floats:
        """log2 of the failure probability by the exact model."""

    def answering(self, shapes: Shapes[K]) -> Answering:
        """Sizes of shapes that answers are chosen by."""
        return Answering.of(shapes)

    def bound(self, shapes: Shapes[K]) -> Floats:
        """Cost that no choice of a shape undercuts: of the cheapest query, and of an answer to the least noise."""
        model = self.model(shapes, 1)
        query = model.cheapest_query()
        answer = self.answering(shapes).choose(model.least_hidden())[1].size
        cost = (query.cost + shapes.byte_s * answer) * (1 - 1e-12)
        found: Floats = np.where(query.width <= model.widest(), cost, np.inf)
        return found

    def quietest(self, shapes: Shapes[K]) -> Floats:
        """Variance over Q^2 that no choice of a shape undercuts, as close to the least as it is cheap to tell."""
        return self.model(shapes, 1).least_hidden()

    def cheapest(self, shapes: Shapes[K], below: Floats) -> Choices:
        """The cheapest choices of shapes, infinite where none costs less than ``below``."""
        answering = self.answering(shapes)
        least = shapes.byte_s * answering.choose(self.quietest(shapes))[1].size
        live = np.flatnonzero(least < below)
        count = len(below)
        lowest, place = np.full((count, self.groups), np.inf), np.zeros((count, self.groups), dtype=np.int64)
        if live.size:
            limit = below[live] - least[live] * (1 - 1e-12)
            lowest[live], place[live] = self._cheapest(shapes.taken(live), answering, live, limit)
        return Choices(np.where(lowest < below[:, None], lowest, np.inf), place)

    def _cheapest(self, shapes: Shapes[K], answering: Answering, live: Array, limit: Floats) -> Choices:
        """The cheapest choices of shapes, at places of ``answering``, whose queries cost less than a limit."""
        model = self.model(shapes, self.axes)
        every = model.every()
        worth = (every.cost < limit.reshape(-1, *(1,) * (self.axes - 1))) & (every.width <= model.widest())
        place = np.nonzero(worth)
        row, whole = place[0], np.full(worth.shape, np.inf)
        hidden = np.asarray(sum(_picked(variance, place) for variance in every.hidden()))
        whole[place] = every.cost[place] + shapes.byte_s[row] * answering.choose(hidden, live[row])[1].size
        by_group = whole.reshape(len(whole), self.groups, -1)
        best = np.argmin(by_group, axis=2)
        return Choices(np.take_along_axis(by_group, best[..., None], axis=2)[..., 0], best)

    def run(self, task: Task, rings: Rings) -> tuple[K, Array]:
        """The cheapest parameters of every task that hold its target.

        The choices are made for Gaussian noise. A shape of which a cheaper choice than the best fails by the exact
        model, and no dearer choice holds either, is looked at again for stricter targets, until a choice holds or none
        is cheaper than the best.

        Returns
        -------
        columns
            Of those tasks for which any parameters hold.
        found
            Rows of these tasks.
        """
        shapes = self.shapes(task, rings).answered()
        best: _Best[K] = _Best.none(len(task))
        failed = self._settle(shapes, task.log2_failure, best)
        below = best.cost.copy()
        for margin in range(1, MOST_MARGIN_BITS + 1):
            if not failed.size:
                break
            some = shapes.taken(failed).stricter(margin)
            tested = self._tested(some, task.log2_failure, np.nextafter(below[some.task], np.inf))
            holds = np.flatnonzero(np.isfinite(tested.cost))
            if holds.size:
                columns = self.parameters(some.taken(holds), tested.group[holds], tested.place[holds])
                best.offer(columns, some.task[holds], tested.cost[holds], failed[holds])
            failed = failed[tested.tried & ~np.isfinite(tested.cost)]
        found = np.flatnonzero(np.isfinite(best.cost))
        return best.chosen(found) if found.size else shapes.columns.taken(found), found

    def single(self, task: Task, rings: Sequence[RingChoice]) -> K:
        """The cheapest parameters of a single task on any of the rings.

        Raises
        ------
        ValueError
            If no ring holds the target.
        """
        columns, found = self.run(task, Rings.of(rings))
        if not found.size:
            raise refused(task, rings)
        return columns.taken(0)

    def _settle(self, shapes: Shapes[K], target: Floats, best: _Best[K]) -> Array:
        """Find the best of every task; return the shapes of which a cheaper choice failed and no choice holds."""
        bound = self.bound(shapes)
        order = np.lexsort((bound, shapes.task))
        shapes, bound, count = shapes.taken(order), bound[order], len(order)
        tasks, first = np.unique(shapes.task, return_index=True)
        owner = np.repeat(np.arange(len(tasks)), np.diff([*first, count]))
        rank = np.arange(count) - first[owner]
        cost = np.full((count, self.groups), np.inf)
        place = np.zeros((count, self.groups), dtype=np.int64)
        tested, failed = np.zeros(cost.shape, dtype=bool), np.zeros(count, dtype=bool)
        open_tasks, visits = np.ones(len(tasks), dtype=bool), 0
        while True:
            cheapest = cost.min(axis=1)
            front = np.minimum.reduceat(cheapest, first)
            beaten = np.minimum(front, best.cost[tasks])[owner]
            visit = (bound < beaten) & open_tasks[owner]
            if visit.any():
                some = visit & (np.isfinite(beaten) | (rank < FIRST_VISITS << visits))
                visits += 1
                for rows in np.array_split(np.flatnonzero(some), -(-np.count_nonzero(some) // MOST_SHAPES) or 1):
                    below = np.minimum(SLACK * beaten[rows], best.cost[shapes.task[rows]])
                    cost[rows], place[rows] = self.cheapest(shapes.taken(rows), below)
                    cost[rows] = np.where(tested[rows], np.inf, cost[rows])
                    bound[rows] = np.maximum(bound[rows], below)
                continue
            open_tasks &= front < best.cost[tasks]
            if not open_tasks.any():
                break
            tried = np.flatnonzero(open_tasks)
            hits = np.flatnonzero((cheapest == front[owner]) & open_tasks[owner])
            row = hits[np.unique(owner[hits], return_index=True)[1]]
            group = np.argmin(cost[row], axis=1)
            columns = self.parameters(shapes.taken(row), group, place[row, group])
            holds = self.failure(columns) <= target[tasks[tried]]
            best.offer(columns.taken(holds), tasks[tried[holds]], cost[row[holds], group[holds]], order[row[holds]])
            cost[row, group], tested[row, group] = np.inf, True
            failed[row[~holds]] = True
            failed[row[holds]] = False
            open_tasks[tried[holds]] = False
        rows = np.flatnonzero(failed)
        if not rows.size:
            return rows
        held = np.isfinite(self._tested(shapes.taken(rows), target, np.full(len(rows), np.inf)).cost)
        return np.sort(order[rows[~held]])

    def _tested(self, shapes: Shapes[K], target: Floats, below: Floats) -> _Tested:
        """The cheapest choice of every shape that holds the target by the exact model."""
        cost, place = self.cheapest(shapes, below)
        row, group = np.nonzero(np.isfinite(cost))
        tried: Array = np.asarray(np.isfinite(cost).any(axis=1))
        fails = self.failure(self.parameters(shapes.taken(row), group, place[row, group])) > target[shapes.task[row]]
        cost[row[fails], group[fails]] = np.inf
        best = np.argmin(cost, axis=1)
        every = np.arange(len(cost))
        return _Tested(cost[every, best], best, place[every, best], tried)


def _picked(array: Floats, place: tuple[Array, ...]) -> Floats:
    """Elements of an array at places of the arrays that it broadcasts with."""
    found: Floats = array[tuple(axis if size > 1 else 0 for axis, size in zip(place, array.shape, strict=True))]
    return found


class _Tested(NamedTuple):
    """The cheapest choice of every shape that holds: cost, infinite if none holds, and place; whether any was tried."""

    cost: Floats
    group: Array
    place: Array
    tried: Array


@dataclass
class _Best(Generic[K]):
    """The best of every task so far: its cost, its shape, and its row among all columns that were taken."""

    cost: Floats
    shape: Array
    row: Array
    columns: list[K]
    count: int = 0

    @classmethod
    def none(cls, tasks: int) -> _Best[K]:
        """No best of any task."""
        return cls(np.full(tasks, np.inf), np.zeros(tasks, dtype=np.int64), np.zeros(tasks, dtype=np.int64), [])

    def offer(self, columns: K, tasks: Array, cost: Floats, shape: Array) -> None:
        """Take columns where they are cheaper than the best of their task, or as cheap and of an earlier shape."""
        order = np.lexsort((shape, cost, tasks))
        order = order[np.unique(tasks[order], return_index=True)[1]]
        tasks, cost, shape = tasks[order], cost[order], shape[order]
        better = (cost < self.cost[tasks]) | ((cost == self.cost[tasks]) & (shape < self.shape[tasks]))
        order, tasks = order[better], tasks[better]
        if order.size:
            self.cost[tasks], self.shape[tasks] = cost[better], shape[better]
            self.row[tasks] = self.count + np.arange(len(tasks))
            self.columns.append(columns.taken(order))
            self.count += len(tasks)

    def chosen(self, tasks: Array) -> K:
        """Columns of the best of some tasks."""
        joined = self.columns[0]
        for more in self.columns[1:]:
            joined = joined.joined(more)
        return joined.taken(self.row[tasks])
