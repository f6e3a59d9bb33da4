"""Ring, keys and ciphertexts taken from an OpenFHE BFV context, and handed back to it.

OpenFHE chooses the moduli and roots, checks the security level and makes the secret and the public key; everything
is read once from its serialisations. Polynomials are exchanged in evaluation form, ciphertexts as (2, limbs, N)
with element b first: phase = b + a*s.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from protocol.openfhe.context import element_parameters
from protocol.openfhe_library import load_openfhe
from protocol.residue.ring import Ring
from protocol.residue.serialised import read_polynomials, replace_polynomials

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
    secret: NDArray[np.uint64] = _read(private_key, ring, 1)[0]
    integers = ring.to_integers(ring.inverse(secret))
    if not np.isin(integers, (-1, 0, 1)).all():
        raise ValueError("the secret key is not ternary")
    return secret


def read_public_key(public_key: Any, ring: Ring) -> NDArray[np.uint64]:
    """Return the encryption of zero (b, a) that a public key is, (2, limbs, N) in evaluation form.

    Raises
    ------
    ValueError
        If the key is not of this ring.
    """
    return _read(public_key, ring, 2)


def read_ciphertext(ciphertext: Any, ring: Ring) -> NDArray[np.uint64]:
    """Return the elements (b, a) of an OpenFHE ciphertext, (2, limbs, N) in evaluation form.

    Raises
    ------
    ValueError
        If the ciphertext is not of this ring or has other than two elements.
    """
    return _read(ciphertext, ring, 2)


class CiphertextWriter:
    """Turns residues into OpenFHE ciphertexts, through a template serialised once.

    Parameters
    ----------
    context, key : an OpenFHE context and a public or private key of it; written ciphertexts carry that key's tag
    """

    def __init__(self, context: Any, key: Any) -> None:
        self.ring = read_ring(context)
        zero = context.MakeCoefPackedPlaintext([0])
        self._template: bytes = openfhe.Serialize(context.Encrypt(key, zero), openfhe.BINARY)

    def write(self, ciphertext: NDArray[np.uint64]) -> Any:
        """Return the OpenFHE ciphertext of residues (2, limbs, N) in evaluation form.

        Raises
        ------
        ValueError
            If the shape is another or a residue is not below its modulus (OpenFHE itself would not notice).
        """
        serialised = replace_polynomials(self._template, self.ring, ciphertext)
        return openfhe.DeserializeCiphertextString(serialised, openfhe.BINARY)


def _read(item: Any, ring: Ring, count: int) -> NDArray[np.uint64]:
    polynomials = read_polynomials(openfhe.Serialize(item, openfhe.BINARY), ring)
    if len(polynomials) != count:
        raise ValueError(f"{type(item).__name__} of {len(polynomials)} polynomials: need {count}")
    return polynomials
