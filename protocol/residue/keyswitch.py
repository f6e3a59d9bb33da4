"""Key switching by digits of base 2^w in every limb (OpenFHE's BV), with noise of the full width.

A key from s' to s holds for every limb i and digit j an encryption of 2^(wj) * s' that is nonzero in limb i only:
b_ij + a_ij * s = e_ij + 2^(wj) * s' modulo q_i, = e_ij modulo the other limb. With the digits d_ij of a polynomial
a, taken from [-2^(w-1), 2^(w-1)], the sums of d_ij * b_ij and d_ij * a_ij then have the phase
a * s' + sum d_ij * e_ij.

References
----------
.. [1] Z. Brakerski, V. Vaikuntanathan, "Efficient fully homomorphic encryption from (standard) LWE", FOCS 2011.
.. [2] A. Kim, Y. Polyakov, V. Zucca, "Revisiting homomorphic encryption schemes for finite fields",
   ASIACRYPT 2021, appendix B.1.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from protocol.residue.automorphism import evaluation_permutation
from protocol.residue.ciphertext import SecretKey, expand_many, sample_noise
from protocol.residue.compiled import inlined, kernel
from protocol.residue.modular import multiply_lazy, multiply_shoup, reduce_4q, shoup_quotients
from protocol.residue.ntt import forward_lazy, inverse_lazy
from protocol.residue.ring import Ring, Tables
from protocol.residue.sampling import STANDARD_DEVIATION


class KeyTables(NamedTuple):
    """Switching keys one after the other, in the form that compiled kernels take.

    Attributes
    ----------
    factors, quotients : (rows, 2, limbs, N): b and a of every digit in evaluation form, with Shoup's quotients
    first : the first row of every key
    digits : digits of every key in every limb, (keys, limbs)
    bits, dropped : the digit width and the dropped bits of every key
    """

    factors: NDArray[np.uint64]
    quotients: NDArray[np.uint64]
    first: NDArray[np.int64]
    digits: NDArray[np.int64]
    bits: NDArray[np.int64]
    dropped: NDArray[np.int64]


@dataclass(frozen=True)
class Gadget:
    """How polynomials are decomposed: digits of base 2^digit_bits, in every limb, above the dropped_bits lowest bits.

    Dropping bits costs (2/3) * 4^dropped_bits/12 a digit of the polynomial times a ternary secret, less than the
    digit that it saves when this would have been of full width. It takes a single limb: an error in one limb of
    two is large modulo Q.
    """

    digit_bits: int
    dropped_bits: int = 0

    def counts(self, ring: Ring) -> tuple[int, ...]:
        """Return how many digits every limb has.

        Raises
        ------
        ValueError
            If digits are not of 1 to two bits less than the smallest limb's, or bits are dropped of two limbs or
            all of one.
        """
        smallest = min(q.bit_length() for q in ring.moduli)
        if not 1 <= self.digit_bits <= smallest - 2:
            raise ValueError(f"digit_bits {self.digit_bits}: need 1 to {smallest - 2}, digits must be below every limb")
        most = smallest - 1 if ring.limbs == 1 else 0
        if not 0 <= self.dropped_bits <= most:
            raise ValueError(f"dropped_bits {self.dropped_bits}: need 0 to {most} with {ring.limbs} limbs")
        return tuple(-(-(q.bit_length() - self.dropped_bits) // self.digit_bits) for q in ring.moduli)

    def rows(self, ring: Ring) -> list[tuple[int, int]]:
        """Return limb i and factor 2^(dropped_bits + digit_bits*j) of every digit, in the order of a key's rows."""
        return [
            (limb, 1 << (self.dropped_bits + self.digit_bits * j))
            for limb, count in enumerate(self.counts(ring))
            for j in range(count)
        ]


def generate_key(
    secret: SecretKey,
    source: NDArray[np.uint64],
    gadget: Gadget,
    a: NDArray[np.uint64],
    standard_deviation: float = STANDARD_DEVIATION,
) -> NDArray[np.uint64]:
    """Return the b of a fresh key that switches from ``source`` to ``secret``.

    Parameters
    ----------
    source : s' in evaluation form, (limbs, N)
    a : uniform, in evaluation form, (rows, limbs, N), rows those of the gadget, for instance from
        :func:`protocol.residue.ciphertext.expand_many`; each may be used once only

    Returns
    -------
    b in evaluation form, (rows, limbs, N)

    Raises
    ------
    ValueError
        If the width is out of range or the number of rows another.
    """
    ring = secret.ring
    rows = gadget.rows(ring)
    if a.shape != (len(rows), ring.limbs, ring.ring_degree):
        raise ValueError(f"a of shape {a.shape}: need {(len(rows), ring.limbs, ring.ring_degree)}")
    noise = ring.forward(sample_noise(ring, (len(rows),), standard_deviation))
    return ring.add(ring.subtract(noise, secret.multiply(a)), _gadget_multiples(ring, source, gadget))


def apply_automorphism(polynomials: NDArray[np.uint64], exponent: int) -> NDArray[np.uint64]:
    """Return f(X^g) of polynomials (..., N) in evaluation form.

    Raises
    ------
    ValueError
        If g is even or not in (0, 2N).
    """
    return polynomials[..., evaluation_permutation(exponent, polynomials.shape[-1])]


class SwitchingKeys:
    """Keys to one secret, ready to be applied.

    Parameters
    ----------
    ring : the ring
    gadgets : the decomposition of every key
    b, a : of every key, (rows, limbs, N) in evaluation form
    """

    def __init__(
        self,
        ring: Ring,
        gadgets: Sequence[Gadget],
        b: Sequence[NDArray[np.uint64]],
        a: Sequence[NDArray[np.uint64]],
    ) -> None:
        if not len(gadgets) == len(b) == len(a) > 0:
            raise ValueError(f"{len(gadgets)} gadgets, {len(b)} b and {len(a)} a: need one of each a key")
        counts = [gadget.counts(ring) for gadget in gadgets]
        for count, *halves in zip(counts, b, a, strict=True):
            for half in halves:
                if half.shape != (sum(count), ring.limbs, ring.ring_degree):
                    raise ValueError(f"key of shape {half.shape}: need {(sum(count), ring.limbs, ring.ring_degree)}")
        factors = np.stack([np.concatenate(list(b)), np.concatenate(list(a))], axis=1)
        self.ring = ring
        self.gadgets = tuple(gadgets)
        self.tables = KeyTables(
            factors,
            np.stack([shoup_quotients(factors[:, :, i], q) for i, q in enumerate(ring.moduli)], axis=2),
            np.cumsum([0] + [sum(count) for count in counts])[:-1],
            np.array(counts, dtype=np.int64),
            np.array([gadget.digit_bits for gadget in gadgets], dtype=np.int64),
            np.array([gadget.dropped_bits for gadget in gadgets], dtype=np.int64),
        )

    @classmethod
    def generate(
        cls,
        secret: SecretKey,
        sources: Sequence[NDArray[np.uint64]],
        gadgets: Sequence[Gadget],
        seed: bytes,
        label: str,
    ) -> SwitchingKeys:
        """Return fresh keys from several secrets s' (limbs, N).

        The a of all rows are expanded from the seed, row i of all keys together with index i.
        """
        ring = secret.ring
        b, a = [], []
        index = 0
        for source, gadget in zip(sources, gadgets, strict=True):
            rows = len(gadget.rows(ring))
            a.append(expand_many(ring, seed, label, rows, index))
            b.append(generate_key(secret, source, gadget, a[-1]))
            index += rows
        return cls(ring, gadgets, b, a)

    @property
    def b(self) -> NDArray[np.uint64]:
        """The b of all rows, (rows, limbs, N) in evaluation form: with the seed, what is sent of the keys."""
        return self.tables.factors[:, 0]

    def switch(self, polynomials: NDArray[np.uint64], key: int = 0) -> NDArray[np.uint64]:
        """Return ciphertexts of polynomial * s'.

        Parameters
        ----------
        polynomials : a under s', in evaluation form, (..., limbs, N)
        key : which of the keys

        Returns
        -------
        (..., 2, limbs, N) in evaluation form, with phase a*s' + noise under s
        """
        ring = self.ring
        rows = np.ascontiguousarray(polynomials).reshape(-1, ring.limbs, ring.ring_degree)
        out = np.zeros((len(rows), 2, ring.limbs, ring.ring_degree), dtype=np.uint64)
        _switch_rows(rows, ring.tables, self.tables, key, out)
        return out.reshape(*polynomials.shape[:-2], 2, ring.limbs, ring.ring_degree)

    def rotate(self, ciphertexts: NDArray[np.uint64], exponent: int, key: int = 0) -> NDArray[np.uint64]:
        """Return ciphertexts (..., 2, limbs, N) of f(X^g) under s, by a key whose source is s(X^g)."""
        permuted = apply_automorphism(ciphertexts, exponent)
        switched = self.switch(permuted[..., 1, :, :], key)
        switched[..., 0, :, :] = self.ring.add(switched[..., 0, :, :], permuted[..., 0, :, :])
        return switched


def automorphism_keys(
    secret: SecretKey, exponents: Sequence[int], gadgets: Sequence[Gadget], seed: bytes, label: str
) -> SwitchingKeys:
    """Return fresh keys for automorphisms X -> X^g, for :meth:`SwitchingKeys.rotate`."""
    sources = [apply_automorphism(secret.residues, exponent) for exponent in exponents]
    return SwitchingKeys.generate(secret, sources, gadgets, seed, label)


def _gadget_multiples(ring: Ring, source: NDArray[np.uint64], gadget: Gadget) -> NDArray[np.uint64]:
    """Return the rows 2^(wj) * s' in limb i, zero in the other, in evaluation form."""
    rows = gadget.rows(ring)
    out = np.zeros((len(rows), ring.limbs, ring.ring_degree), dtype=np.uint64)
    for row, (limb, factor) in zip(out, rows, strict=True):
        row[limb] = ring.scale(source, factor)[limb]
    return out


@inlined
def _add_product(
    total: NDArray[np.uint64],
    x: NDArray[np.uint64],
    w: NDArray[np.uint64],
    quotients: NDArray[np.uint64],
    q: np.uint64,
) -> None:
    """Add x * w to sums in [0, 2q)."""
    q2 = q + q
    for i in range(total.size):
        product = multiply_lazy(x[i], w[i], quotients[i], q)
        lazy = total[i] + min(product, product - q2)
        total[i] = min(lazy, lazy - q2)


@kernel
def add_switched(
    polynomial: NDArray[np.uint64],
    ring: Tables,
    keys: KeyTables,
    key: int,
    digit: NDArray[np.uint64],
    rest: NDArray[np.int64],
    out: NDArray[np.uint64],
) -> None:
    """Add the switched form of a polynomial (limbs, N) to a ciphertext (2, limbs, N) of canonical residues.

    The polynomial is left as coefficients; ``digit`` and ``rest`` are scratch of N entries.
    """
    limbs, n = polynomial.shape
    row = keys.first[key]
    bits = keys.bits[key]
    half = np.int64(1) << (bits - 1)
    dropped = keys.dropped[key]
    half_dropped = (np.int64(1) << dropped) >> 1
    mask = (np.int64(1) << bits) - np.int64(1)
    for limb in range(limbs):
        q = ring.moduli[limb]
        centre = q >> np.uint64(1)
        a = polynomial[limb]
        inverse_lazy(a, ring.inverse_roots[limb], ring.inverse_quotients[limb], q)
        scale, scale_quotient = ring.degree_inverse[limb], ring.degree_inverse_quotient[limb]
        for i in range(n):
            residue = multiply_shoup(a[i], scale, scale_quotient, q)
            centred = np.int64(residue - q) if residue > centre else np.int64(residue)
            rest[i] = (centred + half_dropped) >> dropped
        for j in range(keys.digits[key, limb]):
            last = j == keys.digits[key, limb] - 1
            for other in range(limbs):
                p = ring.moduli[other]
                if last:
                    for i in range(n):
                        digit[i] = min(np.uint64(rest[i]), np.uint64(rest[i]) + p)
                else:
                    for i in range(n):
                        low = np.uint64(((rest[i] + half) & mask) - half)
                        digit[i] = min(low, low + p)
                forward_lazy(digit, ring.roots[other], ring.quotients[other], p)
                _add_product(out[0, other], digit, keys.factors[row, 0, other], keys.quotients[row, 0, other], p)
                _add_product(out[1, other], digit, keys.factors[row, 1, other], keys.quotients[row, 1, other], p)
            if not last:
                for i in range(n):
                    rest[i] = (rest[i] + half) >> bits
            row += 1
    for element in range(2):
        for limb in range(limbs):
            total, q = out[element, limb], ring.moduli[limb]
            for i in range(n):
                total[i] = reduce_4q(total[i], q)


@kernel
def _switch_rows(rows: NDArray[np.uint64], ring: Tables, keys: KeyTables, key: int, out: NDArray[np.uint64]) -> None:
    work = np.empty_like(rows[0])
    digit = np.empty(rows.shape[2], np.uint64)
    rest = np.empty(rows.shape[2], np.int64)
    for row in range(rows.shape[0]):
        work[:] = rows[row]
        add_switched(work, ring, keys, key, digit, rest, out[row])
