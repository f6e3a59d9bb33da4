"""Negacyclic number-theoretic transform in the order OpenFHE keeps polynomials in.

Entry k of the transform of f in Z_q[X]/(X^N + 1) is f(psi^(2*brv(k) + 1)), brv reversing the log2(N) bits of k and
psi a primitive 2N-th root of unity. Butterflies are Harvey's [1]_ with lazy residues in [0, 8q), hence q < 2^61;
the three stages of the shortest strides are done together in registers, so that every loop vectorises.

References
----------
.. [1] D. Harvey, "Faster arithmetic for number-theoretic transforms", J. Symb. Comput. 60 (2014), section 3.
.. [2] P. Longa, M. Naehrig, "Speeding up the number theoretic transform for faster ideal lattice-based
   cryptography", CANS 2016, algorithms 1 and 2.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from protocol.residue.compiled import inlined, kernel
from protocol.residue.modular import check_modulus, multiply_lazy, multiply_shoup, reduce_8q, shoup_quotients

SMALLEST_RING_DEGREE = 16


@inlined
def _butterfly(
    x: np.uint64, y: np.uint64, w: np.uint64, quotient: np.uint64, q: np.uint64, q4: np.uint64
) -> tuple[np.uint64, np.uint64]:
    """Return (x + w*y, x - w*y), lazy, from lazy x and y."""
    x = min(x, x - q4)
    y = multiply_lazy(y, w, quotient, q)
    return x + y, x - y + q4


@inlined
def _inverse_butterfly(
    x: np.uint64, y: np.uint64, w: np.uint64, quotient: np.uint64, q: np.uint64, q4: np.uint64
) -> tuple[np.uint64, np.uint64]:
    """Return (x + y, w*(x - y)), both in [0, 4q), from x and y in [0, 4q)."""
    total = x + y
    return min(total, total - q4), multiply_lazy(x - y + q4, w, quotient, q)


@kernel
def forward_lazy(a: NDArray[np.uint64], roots: NDArray[np.uint64], quotients: NDArray[np.uint64], q: np.uint64) -> None:
    """Transform one polynomial of lazy residues in place; the result is lazy."""
    n = a.size
    q4 = np.uint64(4) * q
    blocks = 1
    stride = n
    while stride > 8:
        stride >>= 1
        for i in range(blocks):
            w, quotient = roots[blocks + i], quotients[blocks + i]
            start = 2 * i * stride
            x, y = a[start : start + stride], a[start + stride : start + 2 * stride]
            for j in range(stride):
                x[j], y[j] = _butterfly(x[j], y[j], w, quotient, q, q4)
        blocks <<= 1
    blocks = n >> 3  # as it is already: this lets the compiler see that the indices below are in range
    w1, p1 = roots[blocks : 2 * blocks], quotients[blocks : 2 * blocks]
    w2, p2 = roots[2 * blocks : 4 * blocks], quotients[2 * blocks : 4 * blocks]
    w3, p3 = roots[4 * blocks :], quotients[4 * blocks :]
    for i in range(blocks):
        k = 8 * i
        x0, x4 = _butterfly(a[k], a[k + 4], w1[i], p1[i], q, q4)
        x1, x5 = _butterfly(a[k + 1], a[k + 5], w1[i], p1[i], q, q4)
        x2, x6 = _butterfly(a[k + 2], a[k + 6], w1[i], p1[i], q, q4)
        x3, x7 = _butterfly(a[k + 3], a[k + 7], w1[i], p1[i], q, q4)
        x0, x2 = _butterfly(x0, x2, w2[2 * i], p2[2 * i], q, q4)
        x1, x3 = _butterfly(x1, x3, w2[2 * i], p2[2 * i], q, q4)
        x4, x6 = _butterfly(x4, x6, w2[2 * i + 1], p2[2 * i + 1], q, q4)
        x5, x7 = _butterfly(x5, x7, w2[2 * i + 1], p2[2 * i + 1], q, q4)
        x0, x1 = _butterfly(x0, x1, w3[4 * i], p3[4 * i], q, q4)
        x2, x3 = _butterfly(x2, x3, w3[4 * i + 1], p3[4 * i + 1], q, q4)
        x4, x5 = _butterfly(x4, x5, w3[4 * i + 2], p3[4 * i + 2], q, q4)
        x6, x7 = _butterfly(x6, x7, w3[4 * i + 3], p3[4 * i + 3], q, q4)
        a[k], a[k + 1], a[k + 2], a[k + 3] = x0, x1, x2, x3
        a[k + 4], a[k + 5], a[k + 6], a[k + 7] = x4, x5, x6, x7


@kernel
def inverse_lazy(a: NDArray[np.uint64], roots: NDArray[np.uint64], quotients: NDArray[np.uint64], q: np.uint64) -> None:
    """Transform one polynomial of residues in [0, 4q) back in place, to N times its coefficients in [0, 4q)."""
    n = a.size
    q4 = np.uint64(4) * q
    blocks = n >> 3
    w1, p1 = roots[4 * blocks :], quotients[4 * blocks :]
    w2, p2 = roots[2 * blocks : 4 * blocks], quotients[2 * blocks : 4 * blocks]
    w3, p3 = roots[blocks : 2 * blocks], quotients[blocks : 2 * blocks]
    for i in range(blocks):
        k = 8 * i
        x0, x1 = _inverse_butterfly(a[k], a[k + 1], w1[4 * i], p1[4 * i], q, q4)
        x2, x3 = _inverse_butterfly(a[k + 2], a[k + 3], w1[4 * i + 1], p1[4 * i + 1], q, q4)
        x4, x5 = _inverse_butterfly(a[k + 4], a[k + 5], w1[4 * i + 2], p1[4 * i + 2], q, q4)
        x6, x7 = _inverse_butterfly(a[k + 6], a[k + 7], w1[4 * i + 3], p1[4 * i + 3], q, q4)
        x0, x2 = _inverse_butterfly(x0, x2, w2[2 * i], p2[2 * i], q, q4)
        x1, x3 = _inverse_butterfly(x1, x3, w2[2 * i], p2[2 * i], q, q4)
        x4, x6 = _inverse_butterfly(x4, x6, w2[2 * i + 1], p2[2 * i + 1], q, q4)
        x5, x7 = _inverse_butterfly(x5, x7, w2[2 * i + 1], p2[2 * i + 1], q, q4)
        x0, x4 = _inverse_butterfly(x0, x4, w3[i], p3[i], q, q4)
        x1, x5 = _inverse_butterfly(x1, x5, w3[i], p3[i], q, q4)
        x2, x6 = _inverse_butterfly(x2, x6, w3[i], p3[i], q, q4)
        x3, x7 = _inverse_butterfly(x3, x7, w3[i], p3[i], q, q4)
        a[k], a[k + 1], a[k + 2], a[k + 3] = x0, x1, x2, x3
        a[k + 4], a[k + 5], a[k + 6], a[k + 7] = x4, x5, x6, x7
    stride = 8
    while stride < n:
        blocks >>= 1
        for i in range(blocks):
            w, quotient = roots[blocks + i], quotients[blocks + i]
            start = 2 * i * stride
            x, y = a[start : start + stride], a[start + stride : start + 2 * stride]
            for j in range(stride):
                x[j], y[j] = _inverse_butterfly(x[j], y[j], w, quotient, q, q4)
        stride <<= 1


@kernel
def forward_canonical(
    a: NDArray[np.uint64], roots: NDArray[np.uint64], quotients: NDArray[np.uint64], q: np.uint64
) -> None:
    """Transform one polynomial of lazy residues in place; the result is canonical."""
    forward_lazy(a, roots, quotients, q)
    for i in range(a.size):
        a[i] = reduce_8q(a[i], q)


@kernel
def inverse_canonical(
    a: NDArray[np.uint64],
    roots: NDArray[np.uint64],
    quotients: NDArray[np.uint64],
    degree_inverse: np.uint64,
    degree_inverse_quotient: np.uint64,
    q: np.uint64,
) -> None:
    """Transform one polynomial of residues in [0, 4q) back in place, to canonical coefficients."""
    inverse_lazy(a, roots, quotients, q)
    for i in range(a.size):
        a[i] = multiply_shoup(a[i], degree_inverse, degree_inverse_quotient, q)


@kernel
def _forward(rows: NDArray[np.uint64], roots: NDArray[np.uint64], quotients: NDArray[np.uint64], q: np.uint64) -> None:
    for row in range(rows.shape[0]):
        forward_canonical(rows[row], roots, quotients, q)


@kernel
def _inverse(
    rows: NDArray[np.uint64],
    roots: NDArray[np.uint64],
    quotients: NDArray[np.uint64],
    degree_inverse: np.uint64,
    degree_inverse_quotient: np.uint64,
    q: np.uint64,
) -> None:
    for row in range(rows.shape[0]):
        inverse_canonical(rows[row], roots, quotients, degree_inverse, degree_inverse_quotient, q)


def bit_reversal(size: int) -> NDArray[np.int64]:
    """Return brv(0..size-1) for a power of two size."""
    indices: NDArray[np.int64] = np.zeros(1, dtype=np.int64)
    while indices.size < size:
        indices = np.concatenate([2 * indices, 2 * indices + 1])
    return indices


def _powers(base: int, modulus: int, count: int) -> NDArray[np.uint64]:
    powers = [1]
    for _ in range(count - 1):
        powers.append(powers[-1] * base % modulus)
    return np.array(powers, dtype=np.uint64)


class Transform:
    """The transform of one limb: its modulus, root and precomputed twiddle factors.

    Parameters
    ----------
    ring_degree : a power of two N >= 16
    modulus : a prime q = 1 mod 2N below 2^61
    root : a primitive 2N-th root of unity modulo q; OpenFHE's, where ciphertexts are exchanged with it

    Raises
    ------
    ValueError
        If the degree, the modulus or the root is none.
    """

    def __init__(self, ring_degree: int, modulus: int, root: int) -> None:
        if ring_degree < SMALLEST_RING_DEGREE or ring_degree & (ring_degree - 1):
            raise ValueError(f"ring_degree {ring_degree}: need a power of two of at least {SMALLEST_RING_DEGREE}")
        check_modulus(modulus)
        if not 0 < root < modulus or pow(root, ring_degree, modulus) != modulus - 1:
            raise ValueError(f"root {root}: no primitive root of unity of order {2 * ring_degree} modulo {modulus}")
        self.ring_degree = ring_degree
        self.modulus = modulus
        self.root = root
        self.q = np.uint64(modulus)
        order = bit_reversal(ring_degree)
        self.roots = _powers(root, modulus, ring_degree)[order]
        self.inverse_roots = _powers(pow(root, -1, modulus), modulus, ring_degree)[order]
        self.quotients = shoup_quotients(self.roots, modulus)
        self.inverse_quotients = shoup_quotients(self.inverse_roots, modulus)
        degree_inverse = pow(ring_degree, -1, modulus)
        self.degree_inverse = np.uint64(degree_inverse)
        self.degree_inverse_quotient = np.uint64((degree_inverse << 64) // modulus)

    def forward(self, coefficients: NDArray[np.uint64]) -> NDArray[np.uint64]:
        """Return the transforms of canonical coefficients along the last axis, canonical."""
        rows = self._rows(coefficients)
        _forward(rows, self.roots, self.quotients, self.q)
        return rows.reshape(coefficients.shape)

    def inverse(self, values: NDArray[np.uint64]) -> NDArray[np.uint64]:
        """Return the canonical coefficients of canonical transforms along the last axis."""
        rows = self._rows(values)
        _inverse(
            rows,
            self.inverse_roots,
            self.inverse_quotients,
            self.degree_inverse,
            self.degree_inverse_quotient,
            self.q,
        )
        return rows.reshape(values.shape)

    def _rows(self, polynomials: NDArray[np.uint64]) -> NDArray[np.uint64]:
        if polynomials.shape[-1:] != (self.ring_degree,):
            raise ValueError(f"polynomials of shape {polynomials.shape}: the last axis must be {self.ring_degree}")
        return np.array(polynomials, dtype=np.uint64, order="C").reshape(-1, self.ring_degree)
