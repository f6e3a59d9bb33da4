"""Automorphisms X -> X^g of Z[X]/(X^N + 1), g odd."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from protocol.residue.ntt import bit_reversal


def check_exponent(exponent: int, ring_degree: int) -> None:
    """Refuse exponents that are even or not in (0, 2N).

    Raises
    ------
    ValueError
        If the exponent is such.
    """
    if not 0 < exponent < 2 * ring_degree or exponent % 2 == 0:
        raise ValueError(f"exponent {exponent}: need an odd one below {2 * ring_degree}")


def evaluation_permutation(exponent: int, ring_degree: int) -> NDArray[np.int64]:
    """Return p with (f(X^g)) in evaluation form = f in evaluation form [..., p].

    Entry k of a transform is the value at psi^(2*brv(k) + 1), which the automorphism takes from
    psi^(g*(2*brv(k) + 1)).

    Raises
    ------
    ValueError
        If g is even or not in (0, 2N).
    """
    check_exponent(exponent, ring_degree)
    reversal = bit_reversal(ring_degree)
    source = (exponent * (2 * reversal + 1)) % (2 * ring_degree)
    return reversal[(source - 1) // 2]


def permute_coefficients(coefficients: NDArray[np.uint64], exponent: int, modulus: int) -> NDArray[np.uint64]:
    """Return the coefficients (..., N) of f(X^g) modulo q, for canonical coefficients of f.

    Raises
    ------
    ValueError
        If g is even or not in (0, 2N).
    """
    degree = coefficients.shape[-1]
    check_exponent(exponent, degree)
    target = np.arange(degree, dtype=np.int64) * exponent % (2 * degree)
    negated = np.where(coefficients == 0, coefficients, np.uint64(modulus) - coefficients)
    out = np.empty_like(coefficients)
    out[..., target % degree] = np.where(target >= degree, negated, coefficients)
    return out
