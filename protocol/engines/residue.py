"""The fast engine: ring, roots and security check from OpenFHE, everything else on residues with compiled kernels.

Fresh ciphertexts are seeded, and everything travels in as many bits as the noise model asks for; see
:mod:`costmodel.protocols.compact` for what is sent and why it decrypts.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from costmodel.grid import Grid
from costmodel.parameters import Configuration, Wire
from costmodel.protocols import compact
from costmodel.wire import SEED_BYTES
from protocol.elements import middle_element
from protocol.engines.base import NOTHING, Progress, Shape, Shapes, Shares
from protocol.engines.extraction import Extractor, shifted_down
from protocol.errors import ProtocolError
from protocol.layout import Layout
from protocol.meter import Meter
from protocol.openfhe_context import residue_context
from protocol.randomness import uniform
from protocol.residue.bits import pack_bits, packed_bytes, unpack_bits
from protocol.residue.ciphertext import SecretKey, encrypt_seeded, encrypt_symmetric, encrypt_zero, expand_many, noise
from protocol.residue.context import read_ring, read_secret_key
from protocol.residue.inner_product import convolution_order, inner_products
from protocol.residue.keyswitch import Gadget, SwitchingKeys, automorphism_keys
from protocol.residue.multiply_accumulate import Query, multiply_accumulate, transform_table
from protocol.residue.packlwes import Packer, packed_positions, packing_exponents, packing_factors, packing_merges
from protocol.residue.ring import Ring as ResidueRing
from protocol.residue.rounding import scale_down, scale_up
from protocol.residue.sampling import STANDARD_DEVIATION, expand, new_seed, sample_uniform
from protocol.residue.switch import drop_low_bits, lift_modulus, restore_low_bits, switch_modulus
from protocol.seeds import RecentSeeds, SeedRecord, SeedReused
from quantize.packing import UnsignedArray

Residues = NDArray[np.uint64]

COLUMN_CHUNK = 32
"""Packed columns that are transformed, multiplied and packed together."""

PRODUCT_BYTES = 64 * 2**20
"""Most that the products of a chunk of columns take, over all tokens of a batch."""

TOKENS_TOGETHER = 32
"""Rows of a batch that share a pass over the table: more would take memory and save little."""

FLOODING_WORD_BITS = 48

NOISE_SAMPLE_TOKENS = 16
"""Rows of a session whose noise the client can measure afterwards."""


@dataclass(frozen=True)
class Plan:
    """What both parties derive from a configuration: where everything lies and how long every message is."""

    configuration: Configuration
    ring: ResidueRing
    tokens: int

    def __post_init__(self) -> None:
        if self.configuration.wire is None:
            raise ValueError("wire is not chosen; the residue engine needs the bits of queries and answers")
        if self.configuration.ring.sigma != STANDARD_DEVIATION:
            # Flooding is sized by the ring's sigma, and noise drawn with this one.
            raise ValueError(
                f"ring.sigma is {self.configuration.ring.sigma}; the residue engine draws noise of {STANDARD_DEVIATION}"
            )
        if self.configuration.packing.output not in ("extracted", "packlwes"):
            raise ValueError(
                f"packing.output is {self.configuration.packing.output!r}; the residue engine sends extracted or "
                "packlwes"
            )
        if self.packs and self.configuration.packing.tile == "cheetah":
            raise ValueError("packing.tile is cheetah; output packing takes tile column or spu")
        if self.configuration.prepared and not (self.packs and self.scalar_products):
            raise ValueError("prepared queries go with packing.output packlwes and a plaintext of at most 16 bits")

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

    @property
    def scalar_products(self) -> bool:
        """Whether b meets the table in inner products instead of polynomial ones."""
        return bool(compact.scalar_products(Grid.of(self.configuration)))

    @property
    def floods(self) -> bool:
        """Whether answers are flooded."""
        return self.configuration.flooding_bits > 0

    @property
    def flooding_width_bits(self) -> int:
        """K of flooding uniform in [-2^(k-1), 2^(k-1))."""
        return int(compact.flooding_width_bits(Grid.of(self.configuration)))

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
        return Shapes(
            keys=Shape(1, keys) if rows else NOTHING,
            announcement=Shape(1, SEED_BYTES) if prepared else NOTHING,
            first_halves=Shape(1, halves) if prepared else NOTHING,
            query=Shape(1, query if prepared else SEED_BYTES + query),
            answer=Shape(1, columns if prepared else halves + columns),
        )


class ResidueClient:
    """The client's kernels; the secret key lives and dies here.

    Parameters
    ----------
    configuration
        What is looked up.
    tokens
        How many rows are looked up together.
    meter
        Counts and times operations.
    allow_insecure
        Let OpenFHE make a ring below its security table.
    seeds
        Record of the seeds used; durable in a client that keeps running.
    """

    def __init__(
        self, configuration: Configuration, tokens: int, meter: Meter, allow_insecure: bool, seeds: SeedRecord
    ) -> None:
        context = residue_context(configuration.ring, allow_insecure)
        ring = read_ring(context)
        self._plan = Plan(configuration, ring, tokens)
        self.shapes = self._plan.shapes
        self._meter = meter
        self._seeds = seeds
        self._seed: bytes | None = None
        self._first_halves: Residues | None = None
        self._sample: list[tuple[Residues, Residues]] = []
        with meter.work("generate keys"):
            self._secret = SecretKey(ring, read_secret_key(context.KeyGen().secretKey, ring))

    def keys(self) -> Iterator[bytes]:
        """A seed and the b of every switching key and of the public key, each limb in as many bits as its prime."""
        plan, ring = self._plan, self._plan.ring
        if plan.shapes.keys.frames == 0:
            return
        seed = new_seed()
        rows: Residues = np.empty((0, ring.limbs, ring.ring_degree), dtype=np.uint64)
        if plan.key_exponents:
            rows = automorphism_keys(self._secret, plan.key_exponents, plan.gadgets, seed, "switching key").b
        if plan.floods:
            nothing = np.zeros((1, ring.limbs, ring.ring_degree), dtype=np.uint64)
            a = expand(seed, "public key", 0, ring)[None]
            rows = np.concatenate([rows, ring.forward(encrypt_symmetric(self._secret, nothing, a))])
        limbs = [pack_bits(rows[:, limb], bits) for limb, bits in enumerate(plan.limb_bits)]
        yield seed + b"".join(limbs)

    def announce(self) -> Iterator[bytes]:
        """The seed of the next query."""
        self._seed = self._fresh_seed()
        yield self._seed

    def accept_first_halves(self, frames: Iterable[bytes]) -> None:
        """Keep the a of the answers to come."""
        (frame,) = frames
        self._first_halves = self._read_first_halves(frame)

    def encrypt(self, tokens: Sequence[int]) -> Iterator[bytes]:
        """A seed, unless it was announced, and the coefficients of b that answers depend on."""
        return self._encrypt([self._plan.layout.query(token) for token in tokens])

    def encrypt_vectors(self, vectors: NDArray[np.int64]) -> Iterator[bytes]:
        """The same for any vectors modulo t, (tokens, m)."""
        return self._encrypt([self._plan.layout.vector(vector) for vector in vectors])

    def _encrypt(self, polynomials: Sequence[NDArray[np.int64]]) -> Iterator[bytes]:
        plan, tokens = self._plan, len(polynomials)
        seed, announced = self._seed or self._fresh_seed(), self._seed is not None
        self._seed = None
        with self._meter.work("encrypt", tokens * plan.layout.inputs):
            messages = np.concatenate(polynomials).astype(np.uint64)
            b = encrypt_seeded(self._secret, messages, plan.plaintext_modulus, seed, "query")
        with self._meter.work("pack bits"):
            block, coefficient = plan.query_places
            b = b.reshape(tokens, plan.layout.inputs, plan.ring.limbs, -1)[:, block, :, coefficient]
            packed = b"".join(
                pack_bits(drop_low_bits(b[..., limb].T, q, plan.dropped_bits), bits)
                for limb, (q, bits) in enumerate(zip(plan.ring.moduli, plan.query_limb_bits, strict=True))
            )
        yield packed if announced else seed + packed

    def decrypt(self, frames: Iterable[bytes]) -> Shares:
        """The client's shares, from the a and the b of the answers."""
        plan = self._plan
        (frame,) = frames
        with self._meter.work("decrypt", plan.tokens * plan.answers):
            a, self._first_halves = self._first_halves, None
            if a is None:
                split = packed_bytes(plan.tokens * plan.answers * plan.ring.ring_degree, plan.wire.answer_a_bits)
                a, frame = self._read_first_halves(frame[:split]), frame[split:]
            count = plan.tokens * plan.layout.columns
            b = _unpack(frame, count, plan.wire.answer_b_bits).reshape(plan.tokens, -1)
            answer, coefficient = plan.answer_places
            phases = plan.ring.add(
                np.moveaxis(a[:, answer, :, coefficient], 0, 2), lift_modulus(b, plan.ring, plan.wire.answer_b_bits)
            )
            values = scale_down(phases, plan.ring, plan.plaintext_modulus)
        if len(self._sample) < NOISE_SAMPLE_TOKENS:
            self._sample.extend(zip(phases, values, strict=True))
        return values.astype(np.int64)

    def noise_bits(self) -> float:
        """log2 of the root mean square error over the used coefficients of the answers decrypted, over q/t."""
        plan = self._plan
        phases, values = (np.stack(part) for part in zip(*self._sample[:NOISE_SAMPLE_TOKENS], strict=True))
        errors = noise(plan.ring, phases, values, plan.plaintext_modulus)
        return float(np.log2(np.sqrt(np.mean(np.square(errors))) * plan.plaintext_modulus / float(plan.ring.modulus)))

    def _fresh_seed(self) -> bytes:
        seed = new_seed()
        self._seeds.claim(seed)
        return seed

    def _read_first_halves(self, frame: bytes) -> Residues:
        """a*s of every answer in coefficient form, (tokens, answers, limbs, N)."""
        plan, ring = self._plan, self._plan.ring
        shape = (plan.tokens, plan.answers, ring.ring_degree)
        values = _unpack(frame, int(np.prod(shape)), plan.wire.answer_a_bits).reshape(shape)
        lifted = ring.forward(lift_modulus(values, ring, plan.wire.answer_a_bits))
        return ring.inverse(self._secret.multiply(lifted))


class ResidueServer:
    """The server's kernels; the table lives here, and no secret key ever does.

    Parameters
    ----------
    configuration
        What is served.
    coefficients
        The packed table, shape (m, n').
    meter
        Counts and times its encoding.
    progress
        Called with what is being done, how much is done, and of how much.
    """

    def __init__(
        self,
        configuration: Configuration,
        coefficients: UnsignedArray,
        meter: Meter,
        progress: Progress,
        allow_insecure: bool,
    ) -> None:
        self.configuration = configuration
        self.middle = middle_element(configuration.packing.field_moduli)
        self.ring = read_ring(residue_context(configuration.ring, allow_insecure))
        plan = Plan(configuration, self.ring, 1)
        layout = plan.layout
        signed = np.int16 if configuration.ring.plaintext_modulus <= compact.SHORT_PLAINTEXT_MODULUS else np.int64
        self.weights = _centred_columns(coefficients, self.middle, np.dtype(signed))
        extracted = (self.ring, layout.tile_rows, layout.tile_columns)
        self.extractor = Extractor(*extracted) if plan.packs and plan.extracts else None
        factors = packing_factors(plan.leaves, self.ring, plan.gap) if plan.packs else None
        shape = (self.ring.limbs, layout.outputs, layout.inputs, self.ring.ring_degree)
        self.table = np.empty(shape, dtype=np.uint64)
        for first in range(0, layout.outputs, COLUMN_CHUNK):
            chunk = range(first, min(first + COLUMN_CHUNK, layout.outputs))
            with meter.work("encode table", len(chunk) * layout.inputs):
                self.table[:, first : chunk.stop] = transform_table(self._polynomials(plan, chunk), self.ring, factors)
            progress("encoding table", chunk.stop, layout.outputs)
        self.seeds = RecentSeeds()

    def _polynomials(self, plan: Plan, outputs: range) -> NDArray[np.signedinteger]:
        layout = plan.layout
        if plan.whole_columns:
            return convolution_order(self.weights[outputs.start : outputs.stop], self.ring.ring_degree)
        rows = self.weights.T
        polynomials = np.stack(
            [
                np.stack([layout.table_polynomial(rows, block, output, 0) for block in range(layout.inputs)])
                for output in outputs
            ]
        )
        return shifted_down(polynomials, layout.tile_rows - 1) if plan.packs else polynomials

    def session(self, tokens: int, meter: Meter) -> ResidueSession:
        """Kernels for one client that looks so many rows up together."""
        return ResidueSession(self, Plan(self.configuration, self.ring, tokens), meter)


class ResidueSession:
    """One client's keys and queries."""

    def __init__(self, server: ResidueServer, plan: Plan, meter: Meter) -> None:
        self._server = server
        self._plan = plan
        self._meter = meter
        self.shapes = plan.shapes
        self._keys: SwitchingKeys | None = None
        self._public_key: Residues | None = None
        self._prepared: Residues | None = None
        self._extractor = server.extractor

    def accept_keys(self, frames: Sequence[bytes]) -> None:
        """Read and check switching keys and public key; every a comes from the seed."""
        plan, ring = self._plan, self._plan.ring
        if plan.shapes.keys.frames == 0:
            return
        (frame,) = frames
        seed, data = frame[:SEED_BYTES], frame[SEED_BYTES:]
        count = plan.key_rows + plan.floods
        rows = np.empty((count, ring.limbs, ring.ring_degree), dtype=np.uint64)
        for limb, (q, bits) in enumerate(zip(ring.moduli, plan.limb_bits, strict=True)):
            length = packed_bytes(count * ring.ring_degree, bits)
            values = _unpack(data[:length], count * ring.ring_degree, bits)
            if int(values.max()) >= q:
                raise ProtocolError("a key has a residue that is not below its modulus")
            rows[:, limb], data = values.reshape(count, -1), data[length:]
        if plan.key_exponents:
            a = expand_many(ring, seed, "switching key", plan.key_rows)
            each = plan.key_rows // len(plan.key_exponents)
            parts = [slice(k * each, (k + 1) * each) for k in range(len(plan.key_exponents))]
            self._keys = SwitchingKeys(ring, plan.gadgets, [rows[part] for part in parts], [a[part] for part in parts])
        if plan.floods:
            self._public_key = np.stack([rows[-1], expand(seed, "public key", 0, ring)])

    def prepare(self, frames: Sequence[bytes]) -> Iterator[bytes]:
        """Everything on the a of announced queries; the a of their answers is sent."""
        (seed,) = frames
        packed, self._prepared = self._answers(seed, None)
        yield packed

    def answer(self, frames: Sequence[bytes], shares: Shares) -> Iterator[bytes]:
        """Answers to a batch of queries, one-shot or prepared."""
        (frame,) = frames
        if self._plan.configuration.prepared:
            if self._prepared is None:
                raise ProtocolError("a prepared query was not announced")
            columns, self._prepared = self._prepared, None
            yield self._mask_and_switch(self._add_inner_products(columns, self._read_query(frame)), shares)
            return
        packed, columns = self._answers(frame[:SEED_BYTES], self._read_query(frame[SEED_BYTES:]))
        yield packed + self._mask_and_switch(columns, shares)

    def _answers(self, seed: bytes, b: Residues | None) -> tuple[bytes, Residues]:
        """The a of all answers as they travel, and b at the packed columns, (tokens, limbs, n'), without masks.

        Where the b of the queries, (tokens, sent, limbs), is not known yet, nothing of it is in them. Some tokens are
        done at a time, so that memory does not grow with the batch.
        """
        plan = self._plan
        try:
            self._server.seeds.claim(seed)
        except SeedReused as error:
            raise ProtocolError(str(error)) from None
        halves, columns = [], []
        for first in range(0, plan.tokens, TOKENS_TOGETHER):
            tokens = range(first, min(first + TOKENS_TOGETHER, plan.tokens))
            a = self._expand(seed, tokens)
            if b is None or plan.scalar_products:
                half, column = self._finish(self._products(Query(plan.ring, a), halves=1))
            else:
                whole = self._transform(a, b[tokens.start : tokens.stop])
                half, column = self._finish(self._products(whole, halves=2))
            halves.append(half)
            columns.append(column)
        with self._meter.work("switch a", 0):
            packed = pack_bits(np.concatenate(halves), plan.wire.answer_a_bits)
        joined = np.concatenate(columns)
        return packed, joined if b is None or not plan.scalar_products else self._add_inner_products(joined, b)

    def _transform(self, a: Residues, b: Residues) -> Query:
        """Whole ciphertexts, from a in evaluation form and the coefficients of b that were sent."""
        plan = self._plan
        with self._meter.work("transform query", len(a) * plan.layout.inputs):
            polynomials = np.zeros(a.shape, dtype=np.uint64)
            block, coefficient = plan.query_places
            polynomials[:, block, :, coefficient] = np.moveaxis(b, 1, 0)
            return Query(plan.ring, np.stack([plan.ring.forward(polynomials), a], axis=1))

    def _add_inner_products(self, columns: Residues, b: Residues) -> Residues:
        """Add to (tokens, limbs, n') what the b of the queries, (tokens, m, limbs), contributes to every column."""
        plan = self._plan
        with self._meter.work("inner product", plan.tokens * plan.layout.columns):
            products = [
                inner_products(self._server.weights, np.ascontiguousarray(b[..., limb]), q)
                for limb, q in enumerate(plan.ring.moduli)
            ]
            return plan.ring.add(columns, np.stack(products, axis=1))

    def _expand(self, seed: bytes, tokens: range) -> Residues:
        """The a of some queries of a seed, (tokens, inputs, limbs, N) in evaluation form."""
        plan, inputs = self._plan, self._plan.layout.inputs
        with self._meter.work("expand seed", len(tokens) * inputs):
            a = expand_many(plan.ring, seed, "query", len(tokens) * inputs, tokens.start * inputs)
        return a.reshape(len(tokens), inputs, plan.ring.limbs, -1)

    def _read_query(self, data: bytes) -> Residues:
        """Coefficients of b that were sent, (tokens, sent, limbs)."""
        plan = self._plan
        count = plan.tokens * plan.query_places[0].size
        out = np.empty((count, plan.ring.limbs), dtype=np.uint64)
        with self._meter.work("unpack bits"):
            for limb, (q, bits) in enumerate(zip(plan.ring.moduli, plan.query_limb_bits, strict=True)):
                length = packed_bytes(count, bits)
                values = _unpack(data[:length], count, bits)
                try:
                    out[:, limb] = restore_low_bits(values, q, plan.dropped_bits)
                except ValueError:
                    raise ProtocolError("query has a residue that is not below its modulus") from None
                data = data[length:]
        return out.reshape(plan.tokens, count // plan.tokens, -1)

    def _products(self, query: Query, halves: int) -> Residues:
        """Answers in evaluation form, (tokens, answers, 2, limbs, N); of one half, a, their b owes nothing to a b."""
        plan, ring = self._plan, self._plan.ring
        tokens = query.shape[0]
        size = tokens * halves * ring.limbs * ring.ring_degree * 8
        chunk = max(1, min(COLUMN_CHUNK, PRODUCT_BYTES // size))
        shape = (tokens, plan.answers, 2, ring.limbs, ring.ring_degree)
        answers = np.zeros(shape, dtype=np.uint64)
        packers = [self._packer() for _ in range(tokens)] if plan.key_exponents else []
        for first in range(0, plan.layout.outputs, chunk):
            table = self._server.table[:, first : first + chunk]
            with self._meter.work("multiply-accumulate", tokens * halves * table.shape[1] * table.shape[2]):
                products = multiply_accumulate(table, query)
            if halves == 1:
                products = np.stack([np.zeros_like(products), products], axis=2)
            if not packers:
                answers[:, first : first + chunk] = np.moveaxis(products, 0, 1)
                continue
            for token, packer in enumerate(packers):
                self._push(packer, products[:, token], first)
        if packers:
            with self._meter.work("merge", tokens * packing_merges(plan.leaves, plan.gap)):
                for token, packer in enumerate(packers):
                    answers[token] = packer.finish()
        return answers

    def _packer(self) -> Packer:
        if self._keys is None:
            raise ProtocolError("no keys were sent for packing")
        return Packer(self._keys, self._plan.leaves, self._plan.gap)

    def _push(self, packer: Packer, products: Residues, first: int) -> None:
        """Pack answers (count, 2, limbs, N), of which the first is the ``first`` of all."""
        if self._extractor is None:
            with self._meter.work("merge", 0):
                packer.push(products)
            return
        for output, product in enumerate(products, start=first):
            columns = self._plan.layout.used(output).size
            with self._meter.work("extract", columns - 1):
                leaves = self._extractor.leaves(product, columns)
            with self._meter.work("merge", 0):
                packer.push(leaves)

    def _finish(self, answers: Residues) -> tuple[Residues, Residues]:
        """Flood the answers.

        Returns
        -------
        a in few bits, (tokens, answers, N), and b at the packed columns, (tokens, limbs, n')
        """
        plan, ring = self._plan, self._plan.ring
        answer, coefficient = plan.answer_places
        if self._public_key is not None:
            with self._meter.work("flood", len(answers) * plan.answers):
                for token in range(len(answers)):
                    for one in range(plan.answers):
                        answers[token, one] = ring.add(answers[token, one], encrypt_zero(ring, self._public_key))
        with self._meter.work("switch a", len(answers) * plan.answers):
            a = switch_modulus(ring.inverse(answers[:, :, 1]), ring, plan.wire.answer_a_bits)
        with self._meter.work("flood", 0):
            b = np.moveaxis(ring.inverse(answers[:, :, 0])[:, answer, :, coefficient], 0, 2)
            return a, ring.add(b, self._flooding(b.shape)) if plan.floods else b

    def _flooding(self, shape: tuple[int, ...]) -> Residues:
        """Residues of integers uniform in [-2^(k-1), 2^(k-1)), of shape (tokens, limbs, n')."""
        ring, width = self._plan.ring, self._plan.flooding_width_bits
        tokens, _, columns = shape
        total = ring.scale(ring.from_signed(np.ones((tokens, columns), dtype=np.int64)), -(1 << (width - 1)))
        for low in range(0, width, FLOODING_WORD_BITS):
            word = sample_uniform(1 << min(FLOODING_WORD_BITS, width - low), tokens * columns).reshape(tokens, columns)
            total = ring.add(total, ring.scale(ring.from_signed(word.astype(np.int64)), 1 << low))
        return total

    def _mask_and_switch(self, columns: Residues, shares: Shares) -> bytes:
        """Subtract a fresh mask from b at the packed columns; b as it travels."""
        plan, ring = self._plan, self._plan.ring
        with self._meter.work("draw mask"):
            mask = uniform(plan.plaintext_modulus, shares.size).reshape(shares.shape)
        shares[:] = (mask + self._server.middle) % plan.plaintext_modulus
        with self._meter.work("switch b", plan.tokens * plan.answers):
            scaled = scale_up(mask.astype(np.uint64), ring, plan.plaintext_modulus)
            b = switch_modulus(ring.subtract(columns, scaled), ring, plan.wire.answer_b_bits)
            return pack_bits(b, plan.wire.answer_b_bits)


def _unpack(data: bytes, count: int, bits: int) -> Residues:
    try:
        return unpack_bits(data, count, bits)
    except ValueError as error:
        raise ProtocolError(f"message is not in its only encoding: {error}") from None


def _centred_columns(
    coefficients: UnsignedArray, middle: int, dtype: np.dtype[np.signedinteger]
) -> NDArray[np.signedinteger]:
    """The packed table less its middle element, columns first, shape (n', m)."""
    columns = np.empty(coefficients.shape[::-1], dtype=dtype)
    for first in range(0, columns.shape[0], COLUMN_CHUNK):
        chunk = slice(first, first + COLUMN_CHUNK)
        columns[chunk] = coefficients[:, chunk].T.astype(np.int64) - middle
    return columns


def warm_up(configuration: Configuration, allow_insecure: bool) -> None:
    """Compile or load every kernel that a configuration uses, by a lookup in a small table.

    It has as many rows as a polynomial has coefficients. With five columns every tile rule gives more than one
    answer, so that where answers are packed there is packing.
    """
    meter, fields, shape = Meter("client"), len(configuration.packing.widths), (configuration.ring.degree, 5)
    table = replace(configuration.table, rows=shape[0], channels=shape[1] * fields, tokens=1)
    small = configuration.updated(table=table)
    server = ResidueServer(small, np.zeros(shape, dtype=np.uint16), meter, lambda *_: None, allow_insecure)
    client = ResidueClient(small, 1, meter, allow_insecure, SeedRecord())
    session = server.session(1, meter)
    keys = list(client.keys())
    if keys:
        session.accept_keys(keys)
    if small.prepared:
        client.accept_first_halves(session.prepare(list(client.announce())))
    client.decrypt(session.answer(list(client.encrypt([1])), np.empty((1, 5), dtype=np.int64)))
