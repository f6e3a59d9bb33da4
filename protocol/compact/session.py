"""One client of the residue engine's server."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from copy import copy

import numpy as np

from costmodel.wire import SEED_BYTES
from protocol.compact.fractions import split
from protocol.compact.messages import Residues, unpack_limbs
from protocol.compact.plan import Plan
from protocol.compact.products import Products
from protocol.compact.table import EncodedTable
from protocol.engine import Frame, Shares
from protocol.errors import ProtocolError
from protocol.meter import Meter, Tally
from protocol.randomness import sample_uniform
from protocol.residue.bits import pack_bits
from protocol.residue.ciphertext import encrypt_zero, expand_many
from protocol.residue.flooding import flooding
from protocol.residue.inner_product import inner_products
from protocol.residue.keyswitch import SwitchingKeys
from protocol.residue.multiply_accumulate import Query
from protocol.residue.rounding import scale_up
from protocol.residue.sampling import expand
from protocol.residue.switch import restore_low_bits, switch_modulus
from protocol.seeds import RecentSeeds, SeedReused


class ResidueSession:
    """One client's keys and queries.

    Parameters
    ----------
    plan
        Where everything lies, for this client's number of tokens.
    table
        What is looked up in.
    together
        Tokens of a batch that are computed on at once.
    seeds
        Those that queries of any client had lately.
    meter
        Counts and times what is done.
    """

    def __init__(self, plan: Plan, table: EncodedTable, together: int, seeds: RecentSeeds, meter: Meter) -> None:
        self._plan = plan
        self._table = table
        self._together = together
        self._seeds = seeds
        self._meter = meter
        self.shapes = plan.shapes
        self._products = Products(plan, table, None, meter)
        self._public_key: Residues | None = None
        self._prepared: Residues | None = None

    def lookup(self, tokens: int, prepared: bool) -> ResidueSession:
        """Kernels for one more lookup."""
        other = copy(self)
        other._plan = self._plan.lookup(tokens, prepared)
        other.shapes = other._plan.shapes
        other._products = self._products.of(other._plan)
        other._prepared = None
        return other

    def accept_keys(self, frames: Sequence[bytes]) -> None:
        """Read and check switching keys and public key; every a comes from the seed."""
        plan, ring = self._plan, self._plan.ring
        if plan.shapes.keys.frames == 0:
            return
        (frame,) = frames
        with self._meter.counting("read keys") as read:
            seed, data = frame[:SEED_BYTES], frame[SEED_BYTES:]
            count = plan.key_rows + plan.floods
            rows = np.empty((count, ring.limbs, ring.ring_degree), dtype=np.uint64)
            for limb, values in enumerate(unpack_limbs(data, count * ring.ring_degree, plan.limb_bits)):
                if int(values.max()) >= ring.moduli[limb]:
                    raise ProtocolError("a key has a residue that is not below its modulus")
                rows[:, limb] = values.reshape(count, -1)
            if plan.key_exponents:
                a = expand_many(ring, seed, "switching key", plan.key_rows)
                each = plan.key_rows // len(plan.key_exponents)
                parts = [slice(k * each, (k + 1) * each) for k in range(len(plan.key_exponents))]
                keys = SwitchingKeys(ring, plan.gadgets, [rows[part] for part in parts], [a[part] for part in parts])
                self._products = Products(plan, self._table, keys, self._meter)
            if plan.floods:
                self._public_key = np.stack([rows[-1], expand(seed, "public key", 0, ring)])
            read.add(count)

    def prepare(self, frames: Sequence[bytes]) -> Iterator[bytes]:
        """Everything on the a of announced queries; the a of their answers is sent."""
        (seed,) = frames
        packed, self._prepared = self._answers(seed, None)
        yield Frame.of(packed, "halves", self._answered(self._prepared))

    def answer(self, frames: Sequence[bytes], shares: Shares) -> Iterator[bytes]:
        """Answers to a batch of queries, one-shot or prepared."""
        (frame,) = frames
        if self._plan.configuration.prepared:
            if self._prepared is None:
                raise ProtocolError("a prepared query was not announced")
            columns, self._prepared = self._prepared, None
            masked = self._share_and_switch(self._add_inner_products(columns, self._read_query(frame)), shares)
            yield Frame.of(masked, "ciphertexts", self._answered(columns))
            return
        packed, columns = self._answers(frame[:SEED_BYTES], self._read_query(frame[SEED_BYTES:]))
        yield Frame.of(packed + self._share_and_switch(columns, shares), "ciphertexts", self._answered(columns))

    def _answered(self, columns: Residues) -> int:
        """Answers whose packed columns, (tokens, limbs, n'), are at hand."""
        answer, _ = self._plan.answer_places
        return len(columns) * int(np.unique(answer).size)

    def _answers(self, seed: bytes, b: Residues | None) -> tuple[bytes, Residues]:
        """The a of all answers as they travel, and b at the packed columns, (tokens, limbs, n'), without masks.

        Where the b of the queries, (tokens, sent, limbs), is not known yet, nothing of it is in them. Some tokens are
        done at a time, so that memory does not grow with the batch.
        """
        plan = self._plan
        try:
            self._seeds.claim(seed)
        except SeedReused as error:
            raise ProtocolError(str(error)) from None
        halves, columns = [], []
        for first in range(0, plan.tokens, self._together):
            tokens = range(first, min(first + self._together, plan.tokens))
            # What goes into an answer is not kept by a name until the answer is done.
            if b is None or plan.scalar_products:
                answers = self._products.answers(Query(plan.ring, self._expand(seed, tokens)), halves=1)
            else:
                whole = b[tokens.start : tokens.stop]
                answers = self._products.answers(self._transform(self._expand(seed, tokens), whole), halves=2)
            half, column = self._finish(answers)
            del answers
            halves.append(half)
            columns.append(column)
        with self._meter.counting("switch a"):
            packed = pack_bits(np.concatenate(halves), plan.wire.answer_a_bits)
        joined = np.concatenate(columns)
        return packed, joined if b is None or not plan.scalar_products else self._add_inner_products(joined, b)

    def _transform(self, a: Residues, b: Residues) -> Query:
        """Whole ciphertexts, from a in evaluation form and the coefficients of b that were sent."""
        plan = self._plan
        with self._meter.counting("transform query") as transformed:
            polynomials = np.zeros(a.shape, dtype=np.uint64)
            block, coefficient = plan.query_places
            polynomials[:, block, :, coefficient] = np.moveaxis(b, 1, 0)
            return Query(plan.ring, np.stack([plan.ring.forward(polynomials, transformed), a], axis=1))

    def _add_inner_products(self, columns: Residues, b: Residues) -> Residues:
        """Add to (tokens, limbs, n') what the b of the queries, (tokens, m, limbs), contributes to every column."""
        plan = self._plan
        with self._meter.counting("inner product") as made:
            in_limbs = Tally()
            products = [
                inner_products(self._table.weights, np.ascontiguousarray(b[..., limb]), q, in_limbs)
                for limb, q in enumerate(plan.ring.moduli)
            ]
            made.add(in_limbs.count, parts=plan.ring.limbs)
            return plan.ring.add(columns, np.stack(products, axis=1))

    def _expand(self, seed: bytes, tokens: range) -> Residues:
        """The a of some queries of a seed, (tokens, inputs, limbs, N) in evaluation form."""
        plan, inputs = self._plan, self._plan.layout.inputs
        with self._meter.counting("expand seed") as expanded:
            a = expand_many(plan.ring, seed, "query", len(tokens) * inputs, tokens.start * inputs, expanded)
        return a.reshape(len(tokens), inputs, plan.ring.limbs, -1)

    def _read_query(self, data: bytes) -> Residues:
        """Coefficients of b that were sent, (tokens, sent, limbs)."""
        plan = self._plan
        count = plan.tokens * plan.query_places[0].size
        out = np.empty((count, plan.ring.limbs), dtype=np.uint64)
        with self._meter.work("unpack bits"):
            for limb, values in enumerate(unpack_limbs(data, count, plan.query_limb_bits)):
                try:
                    out[:, limb] = restore_low_bits(values, plan.ring.moduli[limb], plan.dropped_bits)
                except ValueError:
                    raise ProtocolError("query has a residue that is not below its modulus") from None
        return out.reshape(plan.tokens, count // plan.tokens, -1)

    def _finish(self, answers: Residues) -> tuple[Residues, Residues]:
        """Flood the answers.

        Returns
        -------
        a in few bits, (tokens, answers, N), and b at the packed columns, (tokens, limbs, n')

        Raises
        ------
        ProtocolError
            If they are to be flooded, and the client sent no key for it.
        """
        plan, ring = self._plan, self._plan.ring
        answer, coefficient = plan.answer_places
        if plan.floods:
            if self._public_key is None:
                raise ProtocolError("no public key was sent for flooding")
            with self._meter.counting("flood") as flooded:
                for token in range(len(answers)):
                    for one in range(plan.answers):
                        answers[token, one] = ring.add(answers[token, one], encrypt_zero(ring, self._public_key))
                        flooded.add()
        with self._meter.counting("switch a") as switched:
            a = switch_modulus(ring.inverse(answers[:, :, 1], switched), ring, plan.wire.answer_a_bits)
            b = np.moveaxis(ring.inverse(answers[:, :, 0])[:, answer, :, coefficient], 0, 2)
        if plan.floods:
            with self._meter.counting("flood"):
                tokens, _, columns = b.shape
                b = ring.add(b, flooding(ring, plan.flooding_width_bits, (tokens, columns)))
        return a, b

    def _share_and_switch(self, columns: Residues, shares: Shares) -> bytes:
        """The server's shares of the packed columns, from b less what they are; b as it travels."""
        return self._split(columns, shares) if self._plan.low_bits else self._mask_and_switch(columns, shares)

    def _split(self, columns: Residues, shares: Shares) -> bytes:
        """Take the whole parts of b in cells for the shares; the fractions travel."""
        plan, bits = self._plan, self._plan.wire.answer_b_bits
        with self._meter.counting("switch b") as switched:
            whole, fractions = split(columns, plan.ring, plan.plaintext_modulus, bits)
            shares[:] = (whole.astype(np.int64) + self._table.middle) % plan.plaintext_modulus
            switched.add(self._answered(columns))
            return pack_bits(fractions, bits)

    def _mask_and_switch(self, columns: Residues, shares: Shares) -> bytes:
        """Subtract a fresh mask from b at the packed columns; b as it travels."""
        plan, ring = self._plan, self._plan.ring
        with self._meter.work("draw mask"):
            mask = sample_uniform(plan.plaintext_modulus, shares.size).reshape(shares.shape)
        shares[:] = (mask.astype(np.int64) + self._table.middle) % plan.plaintext_modulus
        with self._meter.counting("switch b") as switched:
            scaled = scale_up(mask, ring, plan.plaintext_modulus)
            b = switch_modulus(ring.subtract(columns, scaled), ring, plan.wire.answer_b_bits)
            switched.add(self._answered(columns))
            return pack_bits(b, plan.wire.answer_b_bits)
