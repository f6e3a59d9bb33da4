"""The client of the residue engine."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from copy import copy

import numpy as np
from numpy.typing import NDArray

from costmodel.parameters import Configuration
from protocol.compact.fractions import lifted
from protocol.compact.messages import Residues, pack_limbs, unpack
from protocol.compact.plan import Plan
from protocol.engine import Frame, Shares, root_mean_square_bits
from protocol.meter import Meter
from protocol.openfhe.context import residue_context
from protocol.residue.bits import packed_bytes
from protocol.residue.ciphertext import SecretKey, encrypt_seeded, encrypt_symmetric, noise
from protocol.residue.context import read_ring
from protocol.residue.keyswitch import automorphism_keys
from protocol.residue.rounding import scale_down
from protocol.residue.sampling import expand, new_seed
from protocol.residue.switch import drop_low_bits, lift_modulus
from protocol.seeds import SeedRecord

NOISE_SAMPLE_TOKENS = 16
"""Rows of a session whose noise the client can measure afterwards."""


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
        ring = read_ring(residue_context(configuration.ring, allow_insecure))
        self._plan = Plan(configuration, ring, tokens)
        self.shapes = self._plan.shapes
        self._meter = meter
        self._seeds = seeds
        self._seed: bytes | None = None
        self._first_halves: Residues | None = None
        self._sample: list[tuple[Residues, Residues]] = []
        with meter.work("generate keys"):
            self._secret = SecretKey.generate(ring)

    def lookup(self, tokens: int, prepared: bool) -> ResidueClient:
        """Kernels for one more lookup; every one has a seed of its own."""
        other = copy(self)
        other._plan = self._plan.lookup(tokens, prepared)
        other.shapes = other._plan.shapes
        other._seed = other._first_halves = None
        return other

    def keys(self) -> Iterator[bytes]:
        """A seed and the b of every switching key and of the public key, each limb in as many bits as its prime."""
        plan, ring = self._plan, self._plan.ring
        if plan.shapes.keys.frames == 0:
            return
        seed = self._fresh_seed()
        rows: Residues = np.empty((0, ring.limbs, ring.ring_degree), dtype=np.uint64)
        with self._meter.counting("generate switching key") as generated:
            if plan.key_exponents:
                rows = automorphism_keys(self._secret, plan.key_exponents, plan.gadgets, seed, "switching key").b
            if plan.floods:
                nothing = np.zeros((1, ring.limbs, ring.ring_degree), dtype=np.uint64)
                a = expand(seed, "public key", 0, ring)[None]
                rows = np.concatenate([rows, ring.forward(encrypt_symmetric(self._secret, nothing, a))])
            packed = pack_limbs(np.moveaxis(rows, 1, 0), plan.limb_bits)
            generated.add(len(rows))
        yield Frame.of(seed + packed, "keys", len(plan.key_exponents) + plan.floods)

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
        with self._meter.counting("encrypt") as encrypted:
            messages = np.concatenate(polynomials).astype(np.uint64)
            b = encrypt_seeded(self._secret, messages, plan.plaintext_modulus, seed, "query", tally=encrypted)
        with self._meter.work("pack bits"):
            block, coefficient = plan.query_places
            b = b.reshape(tokens, plan.layout.inputs, plan.ring.limbs, -1)[:, block, :, coefficient]
            kept = [drop_low_bits(b[..., limb].T, q, plan.dropped_bits) for limb, q in enumerate(plan.ring.moduli)]
            packed = pack_limbs(kept, plan.query_limb_bits)
        yield Frame.of(packed if announced else seed + packed, "ciphertexts", int(encrypted.count))

    def decrypt(self, frames: Iterable[bytes]) -> Shares:
        """The client's shares, from the a and the b of the answers."""
        plan = self._plan
        (frame,) = frames
        with self._meter.counting("decrypt") as decrypted:
            a, self._first_halves = self._first_halves, None
            if a is None:
                split = packed_bytes(plan.tokens * plan.answers * plan.ring.ring_degree, plan.wire.answer_a_bits)
                a, frame = self._read_first_halves(frame[:split]), frame[split:]
            count = plan.tokens * plan.layout.columns
            b = unpack(frame, count, plan.wire.answer_b_bits).reshape(plan.tokens, -1)
            answer, coefficient = plan.answer_places
            if plan.low_bits:
                known = lifted(b, plan.ring, plan.plaintext_modulus, plan.wire.answer_b_bits)
            else:
                known = lift_modulus(b, plan.ring, plan.wire.answer_b_bits)
            phases = plan.ring.add(np.moveaxis(a[:, answer, :, coefficient], 0, 2), known)
            values = scale_down(phases, plan.ring, plan.plaintext_modulus)
            decrypted.add(a.shape[0] * a.shape[1])
        if len(self._sample) < NOISE_SAMPLE_TOKENS:
            self._sample.extend(zip(phases, values, strict=True))
        return values.astype(np.int64)

    def noise_bits(self) -> float:
        """log2 of the root mean square error over the used coefficients of the answers decrypted, over q/t."""
        plan = self._plan
        phases, values = (np.stack(part) for part in zip(*self._sample[:NOISE_SAMPLE_TOKENS], strict=True))
        errors = noise(plan.ring, phases, values, plan.plaintext_modulus)
        return root_mean_square_bits(errors * (plan.plaintext_modulus / float(plan.ring.modulus)))

    def _fresh_seed(self) -> bytes:
        seed = new_seed()
        self._seeds.claim(seed)
        return seed

    def _read_first_halves(self, frame: bytes) -> Residues:
        """a*s of every answer in coefficient form, (tokens, answers, limbs, N)."""
        plan, ring = self._plan, self._plan.ring
        shape = (plan.tokens, plan.answers, ring.ring_degree)
        values = unpack(frame, int(np.prod(shape)), plan.wire.answer_a_bits).reshape(shape)
        lifted = ring.forward(lift_modulus(values, ring, plan.wire.answer_a_bits))
        return ring.inverse(self._secret.multiply(lifted))
