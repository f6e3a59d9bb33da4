"""A system: one object says everything that anyone asks of it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, TypedDict

from costmodel.alignment.ledger import check_alignment
from costmodel.checks import real_between, whole_between
from costmodel.delphi import Delphi
from costmodel.design import Design
from costmodel.errors import Incompatible
from costmodel.expanded.parameters import LEAST_LOG2_DISTANCE, MOST_QUERIES
from costmodel.grid import Grid
from costmodel.limits import LEAST_LOG2_FAILURE, LOG2_FAILURE, MOST_FLOODING_BITS, MOST_LOG2_FAILURE, SIGMA
from costmodel.openfhe.contexts import check_drawn, check_made
from costmodel.packing import check_packing, fitting_widths
from costmodel.parameters import (
    BLOCK_BITS,
    ENGINES,
    EXECUTED_OPTIONS,
    LOW_BITS_OPTIONS,
    OPTIONS,
    SIRNN_OPTIONS,
    SIZES,
    Configuration,
    Packing,
    Ring,
    Table,
)
from costmodel.security import Secret, require_security

SMALLEST_PLAINTEXT = 4
"""A channel has a bit, and its share another."""


class RingFields(TypedDict, total=False):
    """Fields of a ring that a user names; the rest is chosen."""

    degree: int
    limb_bits: tuple[int, ...]
    plaintext_modulus: int
    sigma: float
    secret: Secret


@dataclass(frozen=True)
class Wishes:
    """The choices that a user makes; the rest is chosen for the system.

    Attributes
    ----------
    ablation
        A row of FastQuery's Table 6 in the place of the whole of FastQuery.
    ring
        Fields of the ring.
    widths, levels
        Channel widths of a coefficient, or levels of its channels, which need not be powers of two.
    engine
        The engine that executes the lookup, or the library of a published system.
    size
        The format that bytes are counted in: ``native``, ``ideal``, ``wire`` or ``openfhe``.
    flooding_bits
        Width of the flooding of the answers.
    distance
        log2 of the statistical distance that the flooding may leave after all planned queries; 0 asks for none.
    queries
        Planned number of rows that are looked up in all by those who may pool them.
    prepared
        Do the work that depends on no token before the token is known.
    align_bits
        Extend every channel's share to so many bits; 0 leaves the packed shares.
    block_bits
        Of the oblivious transfers of an alignment: k of SoftSpokenOT.
    log2_failure
        Target of the failure probability of a lookup.
    options
        Of :data:`costmodel.parameters.OPTIONS`.
    allow_insecure
        Accept rings below the floor of security.
    """

    ablation: str | None = None
    ring: RingFields = field(default_factory=lambda: RingFields())
    widths: tuple[int, ...] | None = None
    levels: tuple[int, ...] | None = None
    engine: str | None = None
    size: str = "native"
    flooding_bits: int | None = None
    distance: float = 0.0
    queries: int = 1
    prepared: bool = False
    align_bits: int = 0
    block_bits: int = BLOCK_BITS
    log2_failure: float = LOG2_FAILURE
    options: tuple[str, ...] = ()
    allow_insecure: bool = False

    def __post_init__(self) -> None:
        if not self.log2_failure < 0:
            raise ValueError(f"failure is {self.log2_failure:g}; it must be a log2 below 0, such as -40")
        real_between("failure", self.log2_failure, LEAST_LOG2_FAILURE, MOST_LOG2_FAILURE)
        real_between("distance", self.distance, LEAST_LOG2_DISTANCE, 0.0)
        whole_between("queries", self.queries, 1, MOST_QUERIES)
        if self.flooding_bits is not None:
            whole_between("flooding_bits", self.flooding_bits, 0, MOST_FLOODING_BITS)
        if self.distance and self.flooding_bits is not None:
            raise ValueError(
                f"distance is {self.distance:g} and flooding_bits is {self.flooding_bits}; the distance sets the "
                "width: name one of them"
            )
        if set(self.options) >= SIRNN_OPTIONS:
            raise ValueError(f"options has {' and '.join(sorted(SIRNN_OPTIONS))}; an extension is one of them")
        for name, value, choices in (("engine", self.engine or ENGINES[0], ENGINES), ("size", self.size, SIZES)):
            if value not in choices:
                raise ValueError(f"{name} is {value!r}; it must be one of {', '.join(choices)}")
        for option in self.options:
            if option not in OPTIONS:
                raise ValueError(f"options has {option!r}; it must be one of {', '.join(OPTIONS)}")

    def packing(self, default: Packing, channels: int) -> Packing:
        """The default packing with the widths or levels that are named, or as many channels as a named p holds.

        No more fields than the table has channels.

        Raises
        ------
        ValueError
            If a packing is named with more fields than that.
        """
        named = len(self.levels or self.widths or ())
        if named > channels:
            raise Incompatible(f"packing has {named} channels a coefficient; the table has {channels} in all")
        if self.levels:
            return default.with_levels(self.levels)
        widths, modulus = self.widths or default.widths, self.ring.get("plaintext_modulus", 0)
        if not self.widths and modulus:
            if modulus < SMALLEST_PLAINTEXT:
                raise ValueError("ring.p is 1; it must have 2 bits or more, one of them for the shares")
            widths = fitting_widths(default.widths, modulus.bit_length() - 1)
        return replace(default, widths=widths[:channels], levels=())

    def ring_from(self, default: Ring) -> Ring:
        """The default ring with the fields that are named."""
        return replace(default, **self.ring)


@dataclass(frozen=True)
class Look:
    """How figures draw a system, the same in all of them."""

    colour: str
    line: str | tuple[float, tuple[float, ...]]
    mark: str
    fill: str
    hatch: str


class System(ABC):
    """A way to look rows up privately, as published or as this project executes it.

    Attributes
    ----------
    name
        As commands and results spell it.
    legend
        As figures spell it.
    source
        Where its figures come from.
    look
        Colour, line, mark, fill and hatch in every figure.
    engines
        Engines that execute it, the default first; empty for a system that is priced alone.
    library
        The engine that prices the published system; None for a system that this project alone has.
    accepts
        Options of a configuration that mean something to it.
    projects
        Whether its product takes dense inputs, so that a projection can be priced as well.
    """

    name: ClassVar[str]
    legend: ClassVar[str]
    source: ClassVar[str]
    look: ClassVar[Look]
    engines: ClassVar[tuple[str, ...]] = ()
    library: ClassVar[str | None] = None
    accepts: ClassVar[frozenset[str]] = frozenset()
    projects: ClassVar[bool] = False

    @abstractmethod
    def published(self, table: Table, ablation: str | None = None) -> Configuration:
        """The system as published: its ring, its packing, its own library's sizes.

        Raises
        ------
        ValueError
            If it has no published form for the table.
        """

    @abstractmethod
    def executed(self, table: Table, wishes: Wishes, engine: str) -> Configuration:
        """The configuration that an engine of :attr:`engines` executes for the wishes.

        Raises
        ------
        ValueError
            If two wishes do not go together, or no ring holds the failure target.
        """

    @abstractmethod
    def base_design(self, grid: Grid) -> Design:
        """The formulas of a grid's engine, format and packing."""

    def design(self, grid: Grid) -> Design:
        """The formulas of a grid, Delphi's split around them where it is asked for.

        Raises
        ------
        ValueError
            If an option means nothing to the system on the grid's engine, or goes with no preparation.
        """
        self._check_options(grid.options, grid.engine)
        base = self.base_design(grid)
        if "delphi" not in grid.options:
            return base
        if grid.prepared:
            raise Incompatible("prepared is True; with option delphi the whole product is offline already")
        return Delphi(base)

    def complete(self, grid: Grid, log2_failure: float) -> Grid:
        """The grid with everything that the system chooses for each of its points; a system may choose nothing."""
        return grid

    def default_engine(self, wishes: Wishes) -> str:
        """The engine where none is named: the published library's, or the first that executes."""
        return self.library or self.engines[0]

    def configure(self, table: Table, wishes: Wishes) -> Configuration:
        """A configuration from the wishes of a user, everything else chosen.

        Every refusal of a system is here: :func:`costmodel.estimate.estimate` prices and an engine executes whatever
        this returns.

        Raises
        ------
        ValueError
            If a value is out of its bounds, two do not go together, or a ring is below the floor of security; the
            message names field, value and bound.
        """
        engine = wishes.engine or self.default_engine(wishes)
        known = (*self.engines, *((self.library,) if self.library else ()))
        if engine not in known:
            raise Incompatible(f"engine is {engine!r}; protocol {self.name} has {' and '.join(known)}")
        self._check_ablation(wishes)
        self._check_options(wishes.options, engine)
        if engine in self.engines:
            base = self._executed(table, wishes, engine)
        else:
            base = self._priced(table, wishes)
        found = base.updated(
            size=wishes.size,
            align_bits=wishes.align_bits,
            block_bits=wishes.block_bits,
            options=wishes.options,
            queries=wishes.queries,
        )
        if engine in self.engines or not self._is_published_ring(found, wishes):
            grid = Grid.of(found)
            require_security(self.design(grid).rings(grid), found.ring.secret, wishes.allow_insecure)
        return found

    def _is_published_ring(self, found: Configuration, wishes: Wishes) -> bool:
        """Whether a priced system keeps its published degree and modulus, whose security is stated and not refused."""
        ring = self.published(found.table, wishes.ablation).ring
        return (ring.degree, ring.limb_bits) == (found.ring.degree, found.ring.limb_bits)

    def _check_options(self, options: tuple[str, ...], engine: str) -> None:
        executed = engine in self.engines
        accepted = self.accepts & EXECUTED_OPTIONS[engine] if executed else self.accepts - LOW_BITS_OPTIONS
        for option in options:
            if option not in accepted:
                known = ", ".join(sorted(accepted)) or "no options"
                raise Incompatible(f"options has {option!r}; protocol {self.name} on engine {engine} takes {known}")

    def _check_ablation(self, wishes: Wishes) -> None:
        if wishes.ablation is not None:
            raise Incompatible(f"ablation is {wishes.ablation!r}; it goes with protocol fastquery, not {self.name}")

    def _executed(self, table: Table, wishes: Wishes, engine: str) -> Configuration:
        """The configuration that an engine executes, flooded by default where a named q has room for it."""
        check_drawn(wishes.ring.get("sigma", SIGMA), wishes.ring.get("secret", "ternary"))
        try:
            found = self.executed(table, wishes, engine)
        except ValueError:
            if wishes.flooding_bits is not None or wishes.distance or "limb_bits" not in wishes.ring:
                raise
            found = self.executed(table, replace(wishes, flooding_bits=0), engine)
        check_made(found.ring)
        check_alignment(found.packing.field_moduli, found.ring.plaintext_modulus, wishes.align_bits)
        return found.updated(prepared=wishes.prepared, log2_failure=wishes.log2_failure)

    def _priced(self, table: Table, wishes: Wishes) -> Configuration:
        if wishes.distance:
            raise Incompatible(f"distance is {wishes.distance:g}; protocol {self.name} as published floods for none")
        if wishes.flooding_bits or wishes.prepared:
            named = f"flooding_bits {wishes.flooding_bits}" if wishes.flooding_bits else "prepared"
            advice = f"name an engine to add it: {' or '.join(self.engines)}" if self.engines else "leave it out"
            raise Incompatible(f"protocol {self.name} as published has no {named}; {advice}")
        base = self.published(table, wishes.ablation)
        ring, packing = wishes.ring_from(base.ring), wishes.packing(base.packing, table.channels)
        check_packing(packing.widths, ring.plaintext_modulus, packing.levels)
        return base.updated(ring=ring, packing=packing)


def wishes_of(wishes: Mapping[str, Any]) -> Wishes:
    """Wishes by keyword; an unknown one is refused by its name.

    Raises
    ------
    ValueError
        If there is no such wish, or a value is out of its bounds.
    """
    try:
        return Wishes(**{name: value for name, value in wishes.items() if not (name == "ring" and value is None)})
    except TypeError:
        unknown = sorted(set(wishes) - set(Wishes.__dataclass_fields__))
        raise ValueError(
            f"there is no option {unknown[0]!r}; options are {', '.join(Wishes.__dataclass_fields__)}"
        ) from None
