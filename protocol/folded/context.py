"""OpenFHE's rings and secrets for the folded query."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from costmodel.folded_parameters import FoldedParameters
from protocol.residue.ciphertext import SecretKey
from protocol.residue.context import create_context, read_ring, read_secret_key
from protocol.residue.ring import Ring

Word = TypeVar("Word", np.int64, np.uint64)

_LARGEST_PLAINTEXT_MODULUS = 1 << 31
"""That OpenFHE encodes; moduli, roots and secrets do not depend on it."""


def openfhe_context(parameters: FoldedParameters) -> Any:
    """Return OpenFHE's context of the query's ring; it refuses what its table holds for insecure."""
    p = parameters
    if len(set(p.limb_bits)) != 1:
        raise ValueError(f"limb_bits is {p.limb_bits}; OpenFHE makes limbs of one size")
    modulus = min(p.plaintext_modulus, _LARGEST_PLAINTEXT_MODULUS)
    return create_context(p.degree, modulus, p.limb_bits[0], p.limbs)


@lru_cache(maxsize=8)
def _ring(degree: int, limb_bits: int, limbs: int) -> Ring:
    return read_ring(create_context(degree, 2, limb_bits, limbs))


def query_ring(parameters: FoldedParameters) -> Ring:
    """Return the ring of queries and keys, the same for both parties."""
    if len(set(parameters.limb_bits)) != 1:
        raise ValueError(f"limb_bits is {parameters.limb_bits}; OpenFHE makes limbs of one size")
    return _ring(parameters.degree, parameters.limb_bits[0], parameters.limbs)


def answer_secret(parameters: FoldedParameters, ring: Ring) -> SecretKey:
    """Return a fresh secret s'(X^2) of the first limb's ring, s' a secret of OpenFHE's in the ring of half the degree.

    OpenFHE refuses that ring if it is not secure with a modulus of the limb's size.
    """
    p = parameters
    context = create_context(p.answer_degree, 2, p.limb_bits[0])
    small = read_ring(context)
    residues = read_secret_key(context.KeyGen().secretKey, small)
    signed = small.to_integers(small.inverse(residues)).astype(np.int64)
    limb = ring.limb(0)
    return SecretKey(limb, limb.forward(limb.from_signed(interleaved(signed, p.degree))))


def interleaved(coefficients: NDArray[Word], degree: int) -> NDArray[Word]:
    """Return f(X^2) of coefficients of f."""
    out: NDArray[Word] = np.zeros((*coefficients.shape[:-1], degree), dtype=coefficients.dtype)
    out[..., ::2] = coefficients
    return out
