"""Ring and secret key taken from an OpenFHE BFV context.

OpenFHE chooses the moduli and roots, checks the security level and makes the secret; everything is read once from its
serialisations.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from protocol.openfhe.context import element_parameters
from protocol.openfhe_library import load_openfhe
from protocol.residue.ring import Ring
from protocol.residue.serialised import read_polynomials

openfhe = load_openfhe()


def read_ring(context: Any) -> Ring:
    """Return ring degree, limb moduli and roots of unity from the JSON form of a context.

    Raises
    ------
    ValueError
        If the form is not the expected one, or contradicts what the context itself reports.
    """
    return Ring(*element_parameters(context))


def read_secret_key(private_key: Any, ring: Ring) -> NDArray[np.uint64]:
    """Return the ternary secret s, (limbs, N) in evaluation form.

    Raises
    ------
    ValueError
        If the key is not of this ring or not the same ternary polynomial in every limb.
    """
    polynomials = read_polynomials(openfhe.Serialize(private_key, openfhe.BINARY), ring)
    if len(polynomials) != 1:
        raise ValueError(f"{type(private_key).__name__} of {len(polynomials)} polynomials: need 1")
    secret: NDArray[np.uint64] = polynomials[0]
    integers = ring.to_integers(ring.inverse(secret))
    if not np.isin(integers, (-1, 0, 1)).all():
        raise ValueError("the secret key is not ternary")
    return secret
