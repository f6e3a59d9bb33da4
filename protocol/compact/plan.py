"""What both parties derive from a configuration: where everything lies and how long every message is."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from costmodel.compact import ledger as compact
from costmodel.compact import noise as compact_noise
from costmodel.grid import Grid
from costmodel.parameters import Configuration, Wire
from costmodel.wire import SEED_BYTES
from protocol.engine import NOTHING, Shape, Shapes
from protocol.layout import Layout
from protocol.packing_tree import packed_positions, packing_exponents
from protocol.residue.bits import packed_bytes
from protocol.residue.keyswitch import Gadget
from protocol.residue.ring import Ring
from protocol.residue.sampling import check_noise


@dataclass(frozen=True)
class Plan:
    """A configuration in a ring, for so many tokens looked up together."""

    configuration: Configuration
    ring: Ring
    tokens: int

    def __post_init__(self) -> None:
        if self.configuration.wire is None:
            raise ValueError("wire is not chosen; the residue engine needs the bits of queries and answers")
        check_noise(self.configuration.ring.sigma)
        if self.configuration.packing.output not in ("extracted", "packlwes"):
            raise ValueError(
                f"packing.output is {self.configuration.packing.output!r}; the residue engine sends extracted or "
                "packlwes"
            )
        if self.packs and self.configuration.packing.tile == "cheetah":
            raise ValueError("packing.tile is cheetah; output packing takes tile column or spu")
        if self.configuration.prepared and not (self.packs and self.scalar_products):
            raise ValueError("prepared queries go with packing.output packlwes and a plaintext of at most 16 bits")

    def lookup(self, tokens: int, prepared: bool) -> Plan:
        """The plan of another number of tokens, prepared or not."""
        if (tokens, prepared) == (self.tokens, self.configuration.prepared):
            return self
        return replace(self, tokens=tokens, configuration=replace(self.configuration, prepared=prepared))

    @cached_property
    def layout(self) -> Layout:
        """Tiles of the table."""
        return Layout.of(self.configuration)

    @property
    def wire(self) -> Wire:
        """Bits that travel."""
        assert self.configuration.wire is not None
        return self.configuration.wire

    @property
    def packs(self) -> bool:
        """Whether answers are packed by PackLWEs."""
        return self.configuration.packing.output == "packlwes"

    @property
    def whole_columns(self) -> bool:
        """Whether a polynomial of the table is N entries of one column, laid out for a result at its constant one."""
        return self.layout.tile_columns == 1 and self.layout.tile_rows == self.ring.ring_degree

    @cached_property
    def trees(self) -> compact.Trees:
        """How answers are packed."""
        return compact.trees(Grid.of(self.configuration))

    @property
    def leaves(self) -> int:
        """Leaves of the packing trees of a token."""
        return int(self.trees.leaves)

    @property
    def gap(self) -> int:
        """Distance of the coefficients that are used of a leaf."""
        return int(self.trees.gap)

    @property
    def extracts(self) -> bool:
        """Whether a leaf is made for each used coefficient of an answer."""
        return int(self.trees.extracted) > 0

    @cached_property
    def scalar_products(self) -> bool:
        """Whether b meets the table in inner products instead of polynomial ones."""
        return bool(compact.scalar_products(Grid.of(self.configuration)))

    @property
    def floods(self) -> bool:
        """Whether answers are flooded."""
        return self.configuration.flooding_bits > 0

    @cached_property
    def low_bits(self) -> bool:
        """Whether the server's share is the whole part of b in cells, and bits of the fraction are sent."""
        return compact.sends_low_bits(Grid.of(self.configuration))

    @cached_property
    def flooding_width_bits(self) -> int:
        """K of flooding uniform in [-2^(k-1), 2^(k-1))."""
        return int(compact_noise.flooding_width_bits(Grid.of(self.configuration)))

    @property
    def plaintext_modulus(self) -> int:
        """Modulus t of the shares."""
        return self.configuration.ring.plaintext_modulus

    @property
    def dropped_bits(self) -> int:
        """Low bits of a query's b that are not sent."""
        return self.ring.moduli[0].bit_length() - self.wire.query_bits if self.ring.limbs == 1 else 0

    @property
    def limb_bits(self) -> tuple[int, ...]:
        """Bits of a residue of each limb as it travels in keys."""
        return tuple(q.bit_length() for q in self.ring.moduli)

    @property
    def query_limb_bits(self) -> tuple[int, ...]:
        """Bits of a residue of each limb as it travels in a query."""
        return (self.wire.query_bits,) if self.ring.limbs == 1 else self.limb_bits

    @cached_property
    def answer_places(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Answer polynomial and coefficient of every packed column."""
        if self.packs:
            answer, coefficient = packed_positions(self.leaves, self.gap)
            leaf, place = np.divmod(np.arange(self.layout.columns), 1 if self.extracts else self.layout.tile_columns)
            return answer[leaf], coefficient[leaf] + place * self.gap
        if self.whole_columns:
            return np.arange(self.layout.columns), np.zeros(self.layout.columns, dtype=np.int64)
        used = [self.layout.used(output) for output in range(self.layout.outputs)]
        return np.repeat(np.arange(len(used)), [u.size for u in used]), np.concatenate(used)

    @property
    def answers(self) -> int:
        """Answer polynomials of a token."""
        return int(self.answer_places[0][-1]) + 1

    @cached_property
    def query_places(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Query polynomial and coefficient of everything of b that an answer's used coefficients depend on.

        With one column a polynomial these are the coefficients that meet a row of the table; the columns of a tile
        lie next to each other, so that every coefficient meets one.
        """
        layout = self.layout
        if layout.tile_columns == 1:
            block, coefficient = np.divmod(np.arange(layout.rows), layout.tile_rows)
        else:
            block, coefficient = np.divmod(np.arange(layout.inputs * self.ring.ring_degree), self.ring.ring_degree)
        return block, coefficient

    @property
    def key_exponents(self) -> tuple[int, ...]:
        """Automorphisms for which keys are needed."""
        return packing_exponents(self.leaves, self.ring.ring_degree, self.gap) if self.packs else ()

    @property
    def key_rows(self) -> int:
        """Rows of all switching keys."""
        return sum(len(gadget.rows(self.ring)) for gadget in self.gadgets)

    @property
    def gadgets(self) -> list[Gadget]:
        """Decomposition of every key."""
        return [Gadget(self.wire.digit_bits, self.wire.digit_dropped_bits)] * len(self.key_exponents)

    @cached_property
    def shapes(self) -> Shapes:
        """Lengths of every message."""
        degree, count = self.ring.ring_degree, self.tokens * self.query_places[0].size
        rows = self.key_rows + self.floods
        keys = SEED_BYTES + rows * sum(packed_bytes(degree, bits) for bits in self.limb_bits)
        query = sum(packed_bytes(count, bits) for bits in self.query_limb_bits)
        halves = packed_bytes(self.tokens * self.answers * degree, self.wire.answer_a_bits)
        columns = packed_bytes(self.tokens * self.layout.columns, self.wire.answer_b_bits)
        prepared = self.configuration.prepared
        # Both halves of every row with their quotients, and b of the prepared answers.
        ready = 4 * 8 * self.key_rows * self.ring.limbs * degree
        waiting = 8 * self.tokens * self.ring.limbs * self.layout.columns * prepared
        return Shapes(
            keys=Shape(1, keys) if rows else NOTHING,
            announcement=Shape(1, SEED_BYTES) if prepared else NOTHING,
            first_halves=Shape(1, halves) if prepared else NOTHING,
            query=Shape(1, query if prepared else SEED_BYTES + query),
            answer=Shape(1, columns if prepared else halves + columns),
            kept_bytes=ready,
            prepared_bytes=waiting,
        )
