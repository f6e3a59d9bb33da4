"""Polynomial rings Z_Q[X]/(X^N + 1) with Q a product of one to three limbs.

Polynomials are uint64 arrays of shape (..., limbs, N) of canonical residues, either coefficients or, in *evaluation
form*, their transforms; functions say which.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from protocol.meter import Tally
from protocol.residue import modular
from protocol.residue.compiled import kernel
from protocol.residue.ntt import Transform, forward_canonical, inverse_canonical
from protocol.threads import ALONE, Threads


class Tables(NamedTuple):
    """The transforms' constants with the limb as first axis, in the form that compiled kernels take."""

    moduli: NDArray[np.uint64]
    roots: NDArray[np.uint64]
    quotients: NDArray[np.uint64]
    inverse_roots: NDArray[np.uint64]
    inverse_quotients: NDArray[np.uint64]
    degree_inverse: NDArray[np.uint64]
    degree_inverse_quotient: NDArray[np.uint64]


@dataclass(frozen=True)
class Ring:
    """A ring by its degree and, for every limb, modulus and primitive 2N-th root of unity.

    Raises
    ------
    ValueError
        If there are not one to three limbs, if they are not coprime, or if a limb has no such transform.
    """

    ring_degree: int
    moduli: tuple[int, ...]
    roots: tuple[int, ...]

    def __post_init__(self) -> None:
        if not 1 <= len(self.moduli) <= 3 or len(self.roots) != len(self.moduli):
            raise ValueError(f"moduli {self.moduli} with roots {self.roots}: need one to three limbs, a root for each")
        if len(set(self.moduli)) != len(self.moduli):
            raise ValueError(f"moduli {self.moduli}: limbs must be coprime")
        _ = self.transforms

    @cached_property
    def transforms(self) -> tuple[Transform, ...]:
        """The transform of every limb."""
        return tuple(Transform(self.ring_degree, q, psi) for q, psi in zip(self.moduli, self.roots, strict=True))

    @cached_property
    def tables(self) -> Tables:
        """The constants of all limbs, for compiled kernels."""
        limbs = self.transforms
        return Tables(
            np.array(self.moduli, dtype=np.uint64),
            np.stack([t.roots for t in limbs]),
            np.stack([t.quotients for t in limbs]),
            np.stack([t.inverse_roots for t in limbs]),
            np.stack([t.inverse_quotients for t in limbs]),
            np.array([t.degree_inverse for t in limbs]),
            np.array([t.degree_inverse_quotient for t in limbs]),
        )

    @cached_property
    def modulus(self) -> int:
        """Q, the product of the limbs."""
        return int(np.prod(np.array(self.moduli, dtype=object)))

    @property
    def limbs(self) -> int:
        """The number of limbs."""
        return len(self.moduli)

    def limb(self, index: int) -> Ring:
        """Return the ring of one limb."""
        return Ring(self.ring_degree, (self.moduli[index],), (self.roots[index],))

    def first(self, limbs: int) -> Ring:
        """Return the ring of the first so many limbs: this one, with its constants, if these are all."""
        return self if limbs == self.limbs else Ring(self.ring_degree, self.moduli[:limbs], self.roots[:limbs])

    def forward(
        self, coefficients: NDArray[np.uint64], tally: Tally | None = None, threads: Threads = ALONE
    ) -> NDArray[np.uint64]:
        """Return the evaluation form of polynomials (..., limbs, N) of coefficients; the tally is told of each."""
        out = np.array(coefficients, dtype=np.uint64, order="C")
        polynomials = self._polynomials(out)
        transformed = threads.share(
            lambda first, last: _forward(polynomials[first:last], self.tables), len(polynomials)
        )
        (tally or Tally()).add(transformed)
        return out

    def inverse(
        self, values: NDArray[np.uint64], tally: Tally | None = None, threads: Threads = ALONE
    ) -> NDArray[np.uint64]:
        """Return the coefficients of polynomials (..., limbs, N) in evaluation form; the tally is told of each."""
        out = np.array(values, dtype=np.uint64, order="C")
        (tally or Tally()).add(self.invert(out, threads))
        return out

    def invert(self, values: NDArray[np.uint64], threads: Threads = ALONE) -> int:
        """Replace polynomials (..., limbs, N) in evaluation form by their coefficients; return how many.

        Parameters
        ----------
        values : contiguous in memory
        threads : share the polynomials
        """
        polynomials = self._polynomials(values)
        return threads.share(lambda first, last: _inverse(polynomials[first:last], self.tables), len(polynomials))

    def _polynomials(self, array: NDArray[np.uint64]) -> NDArray[np.uint64]:
        """Return a view (count, limbs, N) of a contiguous array (..., limbs, N)."""
        if array.shape[-2:] != (self.limbs, self.ring_degree) or not array.flags.c_contiguous:
            raise ValueError(
                f"polynomials of shape {array.shape}: need contiguous (..., {self.limbs}, {self.ring_degree})"
            )
        return array.reshape(-1, self.limbs, self.ring_degree)

    def add(self, x: NDArray[np.uint64], y: NDArray[np.uint64]) -> NDArray[np.uint64]:
        """Return x + y, in either form."""
        return self._by_limb([modular.add(x[..., i, :], y[..., i, :], q) for i, q in enumerate(self.moduli)])

    def subtract(self, x: NDArray[np.uint64], y: NDArray[np.uint64]) -> NDArray[np.uint64]:
        """Return x - y, in either form."""
        return self._by_limb([modular.subtract(x[..., i, :], y[..., i, :], q) for i, q in enumerate(self.moduli)])

    def multiply(self, x: NDArray[np.uint64], y: NDArray[np.uint64]) -> NDArray[np.uint64]:
        """Return the product x * y of polynomials in evaluation form."""
        return self._by_limb([modular.multiply(x[..., i, :], y[..., i, :], q) for i, q in enumerate(self.moduli)])

    def scale(self, x: NDArray[np.uint64], factor: int) -> NDArray[np.uint64]:
        """Return the product of polynomials, in either form, and an integer."""
        return self._by_limb(
            [
                modular.multiply(x[..., i, :], np.array(factor % q, dtype=np.uint64), q)
                for i, q in enumerate(self.moduli)
            ]
        )

    def from_signed(self, coefficients: NDArray[np.int64]) -> NDArray[np.uint64]:
        """Return the residues (..., limbs, N) of signed coefficients (..., N)."""
        return self._by_limb([modular.from_signed(coefficients, q) for q in self.moduli])

    def to_integers(self, coefficients: NDArray[np.uint64]) -> NDArray[np.object_]:
        """Return the exact representatives in [-Q/2, Q/2) of residues (..., limbs, N), as Python integers (..., N).

        Chinese remaindering in Python integers: for diagnosis, not for speed.
        """
        modulus = self.modulus
        total = np.zeros(coefficients.shape[:-2] + coefficients.shape[-1:], dtype=object)
        for i, q in enumerate(self.moduli):
            complement = modulus // q
            total += coefficients[..., i, :].astype(object) * (complement * pow(complement, -1, q))
        total %= modulus
        return np.where(total > modulus // 2, total - modulus, total)

    @staticmethod
    def _by_limb(limbs: list[NDArray[np.uint64]]) -> NDArray[np.uint64]:
        return np.stack(limbs, axis=-2)


@kernel
def _forward(polynomials: NDArray[np.uint64], tables: Tables) -> int:
    """Return the polynomials transformed."""
    transformed = 0
    for polynomial in range(polynomials.shape[0]):
        for limb in range(polynomials.shape[1]):
            a, q = polynomials[polynomial, limb], tables.moduli[limb]
            forward_canonical(a, tables.roots[limb], tables.quotients[limb], q)
        transformed += 1
    return transformed


@kernel
def invert_polynomial(polynomial: NDArray[np.uint64], tables: Tables) -> None:
    """Replace a polynomial (limbs, N) in evaluation form by its coefficients."""
    for limb in range(polynomial.shape[0]):
        inverse_canonical(
            polynomial[limb],
            tables.inverse_roots[limb],
            tables.inverse_quotients[limb],
            tables.degree_inverse[limb],
            tables.degree_inverse_quotient[limb],
            tables.moduli[limb],
        )


@kernel
def _inverse(polynomials: NDArray[np.uint64], tables: Tables) -> int:
    """Return the polynomials transformed."""
    transformed = 0
    for polynomial in range(polynomials.shape[0]):
        invert_polynomial(polynomials[polynomial], tables)
        transformed += 1
    return transformed
