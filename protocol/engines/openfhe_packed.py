"""PackLWEs on OpenFHE: the answers' constant coefficients gathered through automorphisms of its own.

Plaintexts have the modulus t 2^l for a tree of depth l, which multiplies every result by 2^l; see
:mod:`costmodel.protocols.openfhe_packed`. The mask covers every coefficient of the packed answers: those at which no
result lands hold sums of the table's entries.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from costmodel.parameters import Configuration
from protocol.elements import middle_element
from protocol.engines.automorphism_keys import AutomorphismKeys
from protocol.engines.base import NOTHING, Progress, Shape, Shapes, Shares
from protocol.engines.openfhe import KeyHolder, OpenFHERing, check_executed
from protocol.layout import Layout
from protocol.meter import Meter
from protocol.randomness import uniform
from protocol.residue.packlwes import (
    packed_polynomials,
    packed_positions,
    packing_depth,
    packing_exponents,
    packing_merges,
)
from quantize.packing import UnsignedArray

IntArray = NDArray[np.int64]


class PackedPlan:
    """What both parties derive from a configuration."""

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
        self.answers = packed_polynomials(self.layout.columns, degree)
        self.merges = packing_merges(self.layout.columns, degree)
        self.places = packed_positions(self.layout.columns, degree)

    def shapes(self, tokens: int) -> Shapes:
        """Lengths of every message."""
        length = self.ring.ciphertext_bytes
        return Shapes(
            keys=Shape(len(self.exponents), self.keys.length),
            announcement=NOTHING,
            first_halves=NOTHING,
            query=Shape(tokens * self.layout.inputs, length),
            answer=Shape(tokens * self.answers, length),
        )


class PackedClient(KeyHolder):
    """The client's kernels."""

    def __init__(self, configuration: Configuration, tokens: int, meter: Meter, allow_insecure: bool) -> None:
        self._plan = PackedPlan(configuration, allow_insecure)
        super().__init__(self._plan.ring, meter)
        self.shapes = self._plan.shapes(tokens)

    def keys(self) -> Iterator[bytes]:
        """A key for every level of the tree, one a frame."""
        _, secret = self.residues()
        return self._plan.keys.generate(self._key, secret, self._meter)

    def encrypt(self, tokens: Sequence[int]) -> Iterator[bytes]:
        """Secret-key encryptions of the one-hot polynomials, one a frame."""
        for token in tokens:
            yield from map(self.encrypt_polynomial, self._plan.layout.query(token))

    def encrypt_vectors(self, vectors: IntArray) -> Iterator[bytes]:
        """The same for any vectors modulo t, (tokens, m)."""
        for vector in vectors:
            yield from map(self.encrypt_polynomial, self._plan.layout.vector(vector))

    def decrypt(self, frames: Iterable[bytes]) -> Shares:
        """The client's shares, a packed answer a frame: what is at the results' coefficients, rounded to t."""
        plan, arriving = self._plan, iter(frames)
        answer, coefficient = plan.places
        half = (1 << plan.depth) >> 1
        rows = []
        for _ in range(self.shapes.answer.frames // plan.answers):
            answers = np.stack([self.decrypt_polynomial(next(arriving)) for _ in range(plan.answers)])
            rows.append(((answers[answer, coefficient] + half) >> plan.depth) % plan.modulus)
        return np.stack(rows)

    def noise_bits(self) -> float:
        """log2 of the root mean square error at the coefficients that hold a result, over the interval q/t."""
        answer, coefficient = self._plan.places
        return self._noise_bits(self._plan.modulus, coefficient[answer == 0])


class PackedServer:
    """The server's kernels; the table is encoded as by :class:`protocol.engines.openfhe.OpenFHEServer`."""

    def __init__(
        self,
        configuration: Configuration,
        coefficients: UnsignedArray,
        meter: Meter,
        progress: Progress,
        allow_insecure: bool,
    ) -> None:
        self.plan = plan = PackedPlan(configuration, allow_insecure)
        layout = plan.layout
        self.middle = middle_element(configuration.packing.field_moduli)
        self.polynomials: list[list[Any]] = []
        with meter.work("encode table"):
            self.constant = self._encode(layout.constant_polynomial(self.middle))
        for output in range(layout.outputs):
            with meter.work("encode table", layout.inputs):
                tiles = (
                    layout.table_polynomial(coefficients, block, output, self.middle) for block in range(layout.inputs)
                )
                self.polynomials.append([self._encode(tile) for tile in tiles])
            progress("encoding table", output + 1, layout.outputs)
        monomials = np.eye(1, layout.degree, dtype=np.int64)[0]
        self.shifts = [
            plan.ring.encode(np.roll(monomials, layout.degree >> level)) for level in range(1, plan.depth + 1)
        ]

    def _encode(self, polynomial: IntArray) -> Any:
        """A tile times X^-(N-1), so that its result is the constant coefficient.

        All but one of its entries w change their sign, and are entered as 2 c - w for the middle c, so that all are
        unsigned and the centred ones are right.
        """
        return self.plan.ring.encode(np.concatenate([polynomial[-1:], 2 * self.middle - polynomial[:-1]]))

    def session(self, tokens: int, meter: Meter) -> PackedSession:
        """Kernels for one client that looks so many rows up together."""
        return PackedSession(self, tokens, meter)


class PackedSession:
    """One client's keys and queries."""

    def __init__(self, server: PackedServer, tokens: int, meter: Meter) -> None:
        self._server = server
        self._plan = server.plan
        self._meter = meter
        self._keys: dict[int, Any] = {}
        self.shapes = server.plan.shapes(tokens)

    def accept_keys(self, frames: Sequence[bytes]) -> None:
        """Read and check the keys of all levels."""
        self._keys = self._plan.keys.read(frames)

    def prepare(self, frames: Sequence[bytes]) -> Iterator[bytes]:
        """Nothing can be prepared."""
        return iter(())

    def answer(self, frames: Sequence[bytes], shares: Shares) -> Iterator[bytes]:
        """One packed answer a frame, token by token."""
        plan, inputs = self._plan, self._plan.layout.inputs
        for token, row in enumerate(shares):
            leaves = self._leaves(frames[token * inputs : (token + 1) * inputs])
            answer, coefficient = plan.places
            for one, packed in enumerate(self._pack(leaves)):
                written, row[answer == one] = self._mask(packed, coefficient[answer == one])
                yield written

    def _leaves(self, frames: Sequence[bytes]) -> Iterator[Any]:
        """Products of the query with every column of the centred table, results at the constant coefficients."""
        ring, server = self._plan.ring, self._server
        query = []
        for frame in frames:
            with self._meter.work("read ciphertext"):
                query.append(ring.read(frame))
        with self._meter.work("multiply-accumulate", len(query)):
            constant = ring.inner_product(query, [server.constant] * len(query))
        for polynomials in server.polynomials:
            with self._meter.work("multiply-accumulate", len(query)):
                product = ring.inner_product(query, polynomials)
            with self._meter.work("centre"):
                product = ring.context.EvalSub(product, constant)
            yield product

    def _pack(self, leaves: Iterator[Any]) -> Iterator[Any]:
        """Trees over contiguous leaves; a node whose sibling is missing is joined with nothing."""
        depth = self._plan.depth
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
        for level in range(self._plan.depth):
            if level in waiting:
                node = self._merge(waiting[level], node, level)
            elif node is not None:
                node = self._merge(node, None, level)
        return node

    def _merge(self, even: Any, odd: Any, level: int) -> Any:
        """(f + X^(N/2^k) g) + sigma(f - X^(N/2^k) g)."""
        context, exponent = self._plan.ring.context, self._plan.exponents[level]
        with self._meter.work("merge"):
            total = difference = even
            if odd is not None:
                shifted = context.EvalMult(odd, self._server.shifts[level])
                total, difference = context.EvalAdd(even, shifted), context.EvalSub(even, shifted)
            return context.EvalAdd(total, context.EvalAutomorphism(difference, exponent, self._keys[exponent]))

    def _mask(self, packed: Any, used: IntArray) -> tuple[bytes, IntArray]:
        """Subtract a fresh mask from a packed answer; what is sent, and the server's share."""
        plan = self._plan
        with self._meter.work("draw mask"):
            mask = uniform(plan.modulus, plan.layout.degree)
        with self._meter.work("subtract mask"):
            widened = uniform(plan.ring.ring.plaintext_modulus, plan.layout.degree)
            widened[used] = mask[used] << plan.depth
            packed = plan.ring.context.EvalSub(packed, plan.ring.encode(widened))
        with self._meter.work("write ciphertext"):
            return plan.ring.write(packed), (mask[used] + self._server.middle) % plan.modulus
