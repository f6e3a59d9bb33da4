"""PackLWEs on OpenFHE: the answers' constant coefficients gathered through automorphisms of its own.

Plaintexts have the modulus t 2^l for a tree of depth l, which multiplies every result by 2^l; see
:mod:`costmodel.openfhe.packed`. The mask covers every coefficient of the packed answers: those at which no
result lands hold sums of the table's entries.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from costmodel.parameters import Configuration
from protocol.engine import Engine, Progress
from protocol.layout import Layout
from protocol.meter import Meter
from protocol.openfhe.automorphism_keys import AutomorphismKeys
from protocol.openfhe.parties import IntArray, check_executed, client_of, server_of
from protocol.openfhe.products import TilePlan, TileServer, TileSession
from protocol.openfhe.ring import OpenFHERing
from protocol.packing_tree import packed_polynomials, packed_positions, packing_depth, packing_exponents
from protocol.randomness import sample_uniform
from quantize.packing import UnsignedArray


class PackedPlan(TilePlan):
    """One column a polynomial, and the trees that pack their results."""

    def __init__(self, configuration: Configuration, allow_insecure: bool) -> None:
        check_executed(configuration)
        if configuration.wire is None or not configuration.wire.digit_bits:
            raise ValueError("wire.digit_bits is not chosen; packing keys need digits")
        if configuration.packing.tile != "column":
            raise ValueError(f"packing.tile is {configuration.packing.tile}; OpenFHE packs one column a polynomial")
        digit_bits, degree = configuration.wire.digit_bits, configuration.ring.degree
        self.layout = Layout.of(configuration)
        self.modulus = configuration.ring.plaintext_modulus
        self.depth = packing_depth(self.layout.columns, degree)
        widened = replace(configuration.ring, plaintext_modulus=self.modulus << self.depth)
        self.ring = OpenFHERing(widened, allow_insecure, digit_bits)
        self.exponents = packing_exponents(self.layout.columns, degree)
        self.keys = AutomorphismKeys(self.ring, digit_bits, self.exponents)
        self.inputs = self.layout.inputs
        self.answers = packed_polynomials(self.layout.columns, degree)
        self._answer, self._coefficient = packed_positions(self.layout.columns, degree)

    def used(self, answer: int) -> IntArray:
        """Coefficients of a packed answer that hold a result each."""
        used: IntArray = self._coefficient[self._answer == answer]
        return used

    def opened(self, values: IntArray) -> IntArray:
        """What is decrypted, rounded from t 2^l to t."""
        return ((values + ((1 << self.depth) >> 1)) >> self.depth) % self.modulus

    def measured(self) -> IntArray:
        """Coefficients that hold a result."""
        return self.used(0)


class PackedServer(TileServer):
    """The server whose products are packed."""

    plan: PackedPlan

    def __init__(
        self,
        plan: PackedPlan,
        configuration: Configuration,
        coefficients: UnsignedArray,
        meter: Meter,
        progress: Progress,
    ) -> None:
        super().__init__(plan, configuration, coefficients, meter, progress)
        degree = plan.layout.degree
        monomials = np.eye(1, degree, dtype=np.int64)[0]
        self.shifts = [plan.ring.encode(np.roll(monomials, degree >> level)) for level in range(1, plan.depth + 1)]

    def _arranged(self, tile: IntArray) -> IntArray:
        """A tile times X^-(N-1), so that its result is the constant coefficient.

        All but one of its entries w change their sign, and are entered as 2 c - w for the middle c, so that all are
        unsigned and the centred ones are right.
        """
        signed = super()._arranged(tile)
        return np.concatenate([signed[-1:], 2 * self.middle - signed[:-1]])

    def session(self, tokens: int, meter: Meter) -> PackedSession:
        """Kernels for one client that looks so many rows up together."""
        return PackedSession(self, tokens, meter)


class PackedSession(TileSession):
    """One client's keys and queries."""

    def __init__(self, server: PackedServer, tokens: int, meter: Meter) -> None:
        super().__init__(server, server.plan, tokens, meter)
        self._server = server
        self._depth = server.plan.depth
        self._exponents = server.plan.exponents

    def _products(self, frames: Sequence[bytes]) -> Iterator[Any]:
        """Of a token's query with every column, their results at the constant coefficients, packed."""
        return self._pack(super()._products(frames))

    def _pack(self, leaves: Iterator[Any]) -> Iterator[Any]:
        """Trees over contiguous leaves; a node whose sibling is missing is joined with nothing."""
        depth = self._depth
        waiting: dict[int, Any] = {}
        for node in leaves:
            level = 0
            while level < depth and level in waiting:
                node = self._merge(waiting.pop(level), node, level)
                level += 1
            if level == depth:
                yield node
            else:
                waiting[level] = node
        if waiting:
            yield self._finish(waiting)

    def _finish(self, waiting: dict[int, Any]) -> Any:
        node = None
        for level in range(self._depth):
            if level in waiting:
                node = self._merge(waiting[level], node, level)
            elif node is not None:
                node = self._merge(node, None, level)
        return node

    def _merge(self, even: Any, odd: Any, level: int) -> Any:
        """(f + X^(N/2^k) g) + sigma(f - X^(N/2^k) g)."""
        context, exponent = self._plan.ring.context, self._exponents[level]
        with self._meter.work("merge"):
            total = difference = even
            if odd is not None:
                shifted = context.EvalMult(odd, self._server.shifts[level])
                total, difference = context.EvalAdd(even, shifted), context.EvalSub(even, shifted)
            return context.EvalAdd(total, context.EvalAutomorphism(difference, exponent, self._keys[exponent]))

    def _mask(self, used: IntArray) -> tuple[IntArray, IntArray]:
        """Uniform modulo t 2^l where no result lands, and multiples of 2^l, as the results are, where one does."""
        ring = self._plan.ring.ring
        share = sample_uniform(self._plan.modulus, used.size).astype(np.int64)
        mask = sample_uniform(ring.plaintext_modulus, ring.degree).astype(np.int64)
        mask[used] = share << self._depth
        return mask, share


ENGINE = Engine(server_of(PackedPlan, PackedServer), client_of(PackedPlan))
