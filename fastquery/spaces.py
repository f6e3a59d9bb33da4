"""What a sweep covers: outer products of axes, one :class:`Space` for whatever is discrete."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass, replace
from functools import cached_property, lru_cache
from itertools import product
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from costmodel.compact.wire import QUERIES_PER_CLIENT, wire_columns
from costmodel.errors import Incompatible
from costmodel.grid import WIRE_COLUMNS, Grid
from costmodel.limits import LOG2_FAILURE
from costmodel.link import Link
from costmodel.packing import fitting_widths, required_plaintext_modulus
from costmodel.parameters import EXECUTING_ENGINES, Configuration, Table
from costmodel.systems import NAMES, completed, configuration, system
from costmodel.workload import Workload

Column: TypeAlias = NDArray[Any]

NAMED_Q_DEGREE = 4096
"""Ring degree where q is named and N is not."""

LINK_COLUMNS = ("rate_bit_per_s", "round_trip_s")
PRICED_FOR = (*LINK_COLUMNS, "threads")
"""Columns of the last axis, and of no configuration: the links and the server's threads that it is priced for."""

DISCRETE = ("tile", "output", "prepared", "secret", "options")
"""Fields of a configuration that a grid has once; of the options, one."""

LARGEST_MODULUS = 2**62
"""That a column holds; a grid has it in the place of the one that is larger, SPU's 2^64."""


@dataclass(frozen=True, eq=False)
class Space:
    """Configurations that share everything but numbers: an outer product of axes.

    Attributes
    ----------
    base
        Gives every field that no axis has.
    labels
        What tells the space from the others of a sweep, by column.
    tables
        Names of the tables along the first axis.
    axes
        Columns of a grid (limbs as ``limb_bits_0``, ...), last those of ``PRICED_FOR``.
        The columns of one axis change together.
    """

    base: Configuration
    labels: Mapping[str, str]
    tables: Sequence[str]
    axes: tuple[Mapping[str, Column], ...]
    queries: float | None = None  # choose the wire's bits, the keys' bytes spread over so many queries
    log2_failure: float = LOG2_FAILURE  # the target that they are chosen for
    workload: Workload | None = None  # of the sessions that are priced in the place of one lookup

    @cached_property
    def shape(self) -> tuple[int, ...]:
        """Lengths of the axes."""
        return tuple(len(next(iter(axis.values()))) for axis in self.axes)

    @property
    def limbs(self) -> int:
        """Number of primes of q."""
        return sum(name.startswith("limb_bits_") for axis in self.axes for name in axis) or len(
            self.base.ring.limb_bits
        )

    @property
    def varied(self) -> list[str]:
        """Fields of the configuration that the base does not say."""
        named = [name for axis in self.axes for name in axis if name not in PRICED_FOR]
        return [*named, *(name for name in WIRE_COLUMNS if self.queries is not None and name not in named)]

    @property
    def searched(self) -> bool:
        """Whether parameters of the design are searched at every point."""
        return self.base.expanded is not None

    @property
    def size(self) -> int:
        """Configurations, impossible ones included."""
        return int(np.prod(self.shape, dtype=np.int64))

    def impossible(self) -> str | None:
        """Why no combination can be, naming the field; None if some can."""
        columns = {name: values for axis in self.axes for name, values in axis.items()}
        widths, moduli = self.base.packing.widths, columns.get("plaintext_modulus")
        required = required_plaintext_modulus(self.base.packing.field_moduli)
        limbs = [columns.get(f"limb_bits_{k}", np.array([bits])) for k, bits in enumerate(self.base.ring.limb_bits)]
        q_bits = sum(int(values.max()) for values in limbs[: self.limbs])
        holding = np.array([self.base.ring.plaintext_modulus]) if moduli is None else moduli[moduli >= required]
        if not len(holding):
            assert moduli is not None
            return (
                f"ring.p is {int(moduli.max()).bit_length() - 1} at most; packing {','.join(map(str, widths))} needs "
                f"{(required - 1).bit_length()} bits or more"
            )
        if int(holding.min()).bit_length() >= q_bits:
            return (
                f"ring.q has {q_bits} bits at most; it must have more than the plaintext modulus, which has "
                f"{int(holding.min()).bit_length()}"
            )
        if "query_bits" in columns and int(columns["query_bits"].min()) > q_bits:
            return f"query_bits is {int(columns['query_bits'].min())}; it must be at most the {q_bits} bits of ring.q"
        return None

    def part(self, slices: Sequence[slice]) -> dict[str, Column]:
        """Columns of a part of the space, shaped to broadcast with each other."""
        columns = self._columns(slices)
        wire = {}
        for name, values in self._wire.items():
            kept = tuple(s if length > 1 else slice(None) for s, length in zip(slices, values.shape, strict=True))
            wire[name] = values[kept]
        return {**wire, **columns}

    def _columns(self, slices: Sequence[slice]) -> dict[str, Column]:
        columns = {}
        for k, (axis, kept) in enumerate(zip(self.axes, slices, strict=True)):
            shape = [1] * len(self.axes)
            shape[k] = -1
            columns.update({name: values[kept].reshape(shape) for name, values in axis.items()})
        return columns

    @cached_property
    def _wire(self) -> dict[str, Column]:
        if self.queries is None:
            return {}
        columns = self._columns([slice(None)] * len(self.axes))
        named = [name for name in columns if name in WIRE_COLUMNS]
        chosen = wire_columns(grid_of(self.base, columns), self.log2_failure, self.queries, "digit_bits" not in named)
        return {name: values for name, values in chosen.items() if name not in named}


def asked_grid(base: Configuration, columns: Mapping[str, Column]) -> Grid:
    """The grid of a space's columns, limbs joined, links and threads left out; a search's parameters are the base's."""
    limbs = tuple(columns[name] for name in sorted(columns) if name.startswith("limb_bits_"))
    other = {k: v for k, v in columns.items() if not k.startswith("limb_bits_") and k not in PRICED_FOR}
    return Grid.of(base, limb_bits=limbs or base.ring.limb_bits, **other)


def grid_of(base: Configuration, columns: Mapping[str, Column]) -> Grid:
    """The grid of a space's columns with parameters searched at every point, where the design has such."""
    grid = asked_grid(base, columns)
    own = Grid.of(base).arrays()
    if base.expanded is None or all(np.all(values == own[name]) for name, values in grid.arrays().items()):
        return grid
    return system(base.protocol).complete(replace(grid, expanded=None), base.log2_failure)


class Choice(NamedTuple):
    """What is discrete; None is left to be chosen for the protocol."""

    protocol: str
    ablation: str | None = None
    widths: tuple[int, ...] | None = None
    engine: str | None = None
    size: str = "native"
    flooding_bits: int | None = None
    fields: tuple[tuple[str, Any], ...] = ()  # of DISCRETE
    queries: int = 1


def choices(protocols: Sequence[str], ablations: Sequence[str | None], *rest: Sequence[Any]) -> Iterator[Choice]:
    """Every choice; ``all`` is every system of the model, and an ablation goes with FastQuery alone."""
    names = list(NAMES) if "all" in protocols else protocols
    for name in names:
        own = ablations if name == "fastquery" or "fastquery" not in names else [None]
        for values in product([name], own, *rest):
            yield Choice(*values)


def spaces(
    choice: Choice,
    ring: Mapping[str, Column],
    numeric: Mapping[str, Column],
    lookups: Sequence[tuple[str, Table]],
    links: Sequence[Link],
    threads: Sequence[int] = (1,),
) -> Iterator[Space | Incompatible]:
    """The spaces of one choice: one for every packing and for every set of lookups that are given the same rest.

    Tables and rings that cannot be had so are answered with the reason in the place of a space.

    Parameters
    ----------
    choice
        What is discrete.
    ring
        Columns of the ring that are named; the rest is chosen for the protocol.
    numeric
        Further columns, one axis each.
    lookups
        Names and tables, tokens included.
    links, threads
        Of the last axis: every link with every number of threads.

    Raises
    ------
    ValueError
        If a value is out of its bounds or the protocol cannot be had so.
    """
    for packed, columns in _packings(choice, ring, lookups[0][1]):
        for fixed, axes in _settled(packed, columns, lookups[0][1]):
            groups: dict[Configuration, list[tuple[str, Table]]] = {}
            first: Configuration | None = None
            bases = _bases(packed, fixed, axes, [table for _, table in lookups])
            for lookup, base in zip(lookups, bases, strict=True):
                if isinstance(base, Incompatible):
                    yield base
                else:
                    first = first or base
                    groups.setdefault(_rest(base, first, axes), []).append(lookup)
            for base, members in groups.items():
                yield _space(packed, base, axes, numeric, members, links, threads)


def _bases(
    choice: Choice, fixed: Mapping[str, int], axes: Mapping[str, Column], tables: Sequence[Table]
) -> Iterator[Configuration | Incompatible]:
    """A configuration of every table, or why it has none.

    Where all of q is an axis, wires and parameters of expanded queries are chosen at the points, and one configuration
    stands for all tables of its packing.
    """

    def stands_for(first: Configuration, table: Table) -> bool:
        at_points = (first.wire or first.expanded) and "limb_bits_0" in axes and "degree" in axes
        whole = min(table.channels, first.table.channels) > len(first.packing.widths)  # of neither a packing was cut
        return bool(at_points) and (whole or table.channels == first.table.channels)

    first: Configuration | None = None
    for table in tables:
        if first is not None and stands_for(first, table):
            yield first.updated(table=table)
            continue
        try:
            base = _configuration(choice, table, fixed, "plaintext_modulus" not in axes)
        except Incompatible as error:
            yield error
            continue
        first = first or base
        yield base


def _rest(base: Configuration, first: Configuration, axes: Mapping[str, Column]) -> Configuration:
    """What neither the lookup nor an axis says: where all of q is an axis, the ring and wire of any other lookup do."""
    if "limb_bits_0" in axes and "degree" in axes and base.ring.plaintext_modulus == first.ring.plaintext_modulus:
        base = base.updated(ring=first.ring, wire=first.wire, expanded=first.expanded)
    return base.updated(table=first.table)


def _settled(
    choice: Choice, ring: Mapping[str, Column], table: Table
) -> Iterator[tuple[dict[str, int], Mapping[str, Column]]]:
    """Fields of the ring that what is left out is chosen for one by one, and those that are axes.

    An executed system whose N or p is named and whose q is not gets the q that fits each of them.
    """
    named = [name for name in ("degree", "plaintext_modulus") if name in ring]
    executed = bool(ring) and _configuration(choice._replace(widths=None), table).engine in EXECUTING_ENGINES
    if executed and "limb_bits_0" in ring:
        yield {}, {"degree": np.array([NAMED_Q_DEGREE]), **ring}
    elif executed and named:
        rest = {name: values for name, values in ring.items() if name not in named}
        for values in product(*(ring[name].tolist() for name in named)):
            yield dict(zip(named, values, strict=True)), rest
    else:
        yield {}, ring


def configuration_at(base: Configuration, values: Mapping[str, Any]) -> Configuration:
    """The configuration of one point: ``base`` with every field that a grid's column is named after replaced.

    The parameters of an expanded query are chosen anew.
    """
    found = _replaced(base, values)
    return found if base.expanded is None or found == base else completed(found)


def _replaced(base: Configuration, values: Mapping[str, Any]) -> Configuration:
    """The fields of one point, without a search."""
    limbs = sorted(name for name in values if name.startswith("limb_bits_"))
    plain = {name: value.item() if hasattr(value, "item") else value for name, value in values.items()}
    if limbs:
        plain["limb_bits"] = tuple(int(plain[name]) for name in limbs)
    changes: dict[str, Any] = {}
    for part in fields(base):
        if part.name == "expanded":
            continue
        section = getattr(base, part.name)
        if is_dataclass(section) and not isinstance(section, type):
            own = {f.name: plain[f.name] for f in fields(section) if f.name in plain}
            changes[part.name] = replace(section, **own)
        elif part.name in plain:
            changes[part.name] = plain[part.name]
    return base.updated(**changes)


def _packings(
    choice: Choice, ring: Mapping[str, Column], table: Table
) -> Iterator[tuple[Choice, Mapping[str, Column]]]:
    """The choice with its packing settled, and the ring's columns that go with it."""
    if choice.widths is not None or "plaintext_modulus" not in ring:
        yield choice, ring
        return
    own = _configuration(choice, table).packing.widths
    moduli: dict[tuple[int, ...], list[int]] = {}
    for modulus in ring["plaintext_modulus"].tolist():
        bits = modulus.bit_length() - 1
        if bits >= 2:
            widths = fitting_widths(own, bits)
            moduli.setdefault(widths, []).append(modulus)
    if not moduli:
        raise ValueError("ring.p is 1; it must have 2 bits or more, one of them for the shares")
    for widths, those in moduli.items():
        yield choice._replace(widths=widths), {**ring, "plaintext_modulus": np.array(those)}


def _configuration(
    choice: Choice, table: Table, ring: Mapping[str, int] | None = None, with_packing: bool = True
) -> Configuration:
    return _cached(choice if with_packing else choice._replace(widths=None), table, tuple((ring or {}).items()))


@lru_cache(maxsize=4096)
def _cached(choice: Choice, table: Table, ring: tuple[tuple[str, int], ...]) -> Configuration:
    options: dict[str, Any] = {"ablation": choice.ablation, "engine": choice.engine, "size": choice.size}
    options["options"] = tuple(value for name, value in choice.fields if name == "options")
    return configuration(
        choice.protocol,
        table,
        ring=dict(ring),
        widths=choice.widths,
        flooding_bits=choice.flooding_bits,
        queries=choice.queries,
        allow_insecure=True,
        **options,
    )


def _space(
    choice: Choice,
    base: Configuration,
    ring: Mapping[str, Column],
    numeric: Mapping[str, Column],
    members: Sequence[tuple[str, Table]],
    links: Sequence[Link],
    threads: Sequence[int],
) -> Space:
    columns = dict(ring)
    carrier, together = base, _limbs_together(ring, base)
    if ring:
        if "limb_bits_0" not in ring:
            columns.update({f"limb_bits_{k}": np.array([bits]) for k, bits in enumerate(base.ring.limb_bits)})
        columns.update(together)
        packing = base.packing
        if choice.widths not in (None, packing.widths):
            packing = replace(packing, widths=choice.widths, levels=())
        # A ring that holds all, so that no point need be valid for the space to be.
        moduli = [base.ring.plaintext_modulus, required_plaintext_modulus(packing.field_moduli)]
        moduli += [int(ring["plaintext_modulus"].max())] if "plaintext_modulus" in ring else []
        limbs = sum(name.startswith("limb_bits_") for name in columns)
        roomy = replace(base.ring, limb_bits=(61,) * max(limbs, 2), plaintext_modulus=max(moduli))
        carrier = base.updated(ring=roomy, packing=packing)
        columns.setdefault("plaintext_modulus", np.array([min(base.ring.plaintext_modulus, LARGEST_MODULUS)]))
    # The configuration has its option already, which decides what else is chosen.
    carrier = configuration_at(carrier, {name: value for name, value in choice.fields if name != "options"})
    for name, values in {**columns, **numeric}.items():
        if name in ring or name in numeric:
            _check(carrier, name, values)
    names, lookup_axes = _lookup_axes(members)
    alone = {name: values for name, values in {**columns, **numeric}.items() if name not in together}
    axes = [*({name: values} for name, values in alone.items()), *([together] if together else [])]
    priced_for = [(link.rate_bit_per_s, link.round_trip_s, count) for link, count in product(links, threads)]
    return Space(
        base=carrier,
        labels=_labels(choice, carrier),
        tables=names,
        axes=(*lookup_axes, *axes, dict(zip(PRICED_FOR, map(np.array, zip(*priced_for, strict=True)), strict=True))),
        queries=QUERIES_PER_CLIENT if base.wire is not None and (ring or numeric) else None,
    )


def _limbs_together(ring: Mapping[str, Column], base: Configuration) -> dict[str, Column]:
    """Limbs that one column of limb sizes stands for: as many as the system's own ring has, all of that size."""
    if "limb_bits_0" not in ring or "limb_bits_1" in ring:
        return {}
    return {f"limb_bits_{k}": ring["limb_bits_0"] for k in range(len(base.ring.limb_bits))}


def _lookup_axes(members: Sequence[tuple[str, Table]]) -> tuple[list[str], list[Mapping[str, Column]]]:
    """Tables and tokens as an axis each where the members are their product, as one axis where they are not."""
    tokens = list(dict.fromkeys(table.tokens for _, table in members))
    tables = list(dict.fromkeys((name, replace(table, tokens=1)) for name, table in members))
    if len(tables) * len(tokens) == len(members):
        split = [{"tokens": np.array(tokens)}]
    else:
        tables, split = [(name, table) for name, table in members], []
    axis = {
        "rows": np.array([table.rows for _, table in tables]),
        "channels": np.array([table.channels for _, table in tables]),
    }
    if not split:
        axis["tokens"] = np.array([table.tokens for _, table in tables])
    return [name for name, _ in tables], [axis, *split]


def _labels(choice: Choice, base: Configuration) -> dict[str, str]:
    return {
        "protocol": choice.protocol,
        "ablation": choice.ablation or "",
        "engine": base.engine,
        "size": base.size,
        "widths_bits": ",".join(str(width) for width in base.packing.widths),
        **{name: str(value) for name, value in choice.fields},
    }


def _check(base: Configuration, name: str, values: Column) -> None:
    """Every value of an axis by itself, with a modulus that holds any plaintext."""
    known = Grid.of(base).arrays()
    if name not in known and not name.startswith("limb_bits_"):
        raise ValueError(f"sweep has no field {name!r}; its fields are {', '.join([*known, *DISCRETE])}")
    roomy = base.updated(
        ring=replace(base.ring, limb_bits=(61, 61)), packing=replace(base.packing, widths=(1,), levels=())
    )
    for value in values.tolist():
        if name.startswith("limb_bits_"):
            replace(roomy.ring, limb_bits=(value, 61), plaintext_modulus=2)
        elif name == "plaintext_modulus":
            replace(roomy.ring, plaintext_modulus=value)
        else:
            _replaced(roomy, {name: value})
