"""Ring, keys and ciphertexts taken from an OpenFHE BFV context, and handed back to it.

OpenFHE chooses the moduli and roots, checks the security level and makes the secret and the public key; everything
is read once from its serialisations. Polynomials are exchanged in evaluation form, ciphertexts as (2, limbs, N)
with element b first: phase = b + a*s.
"""

from __future__ import annotations

import json
from typing import Any

import numpy as np
from numpy.typing import NDArray

from protocol.openfhe_library import load_openfhe
from protocol.residue.ring import Ring
from protocol.residue.serialised import read_polynomials, replace_polynomials

openfhe = load_openfhe()


def create_context(
    ring_degree: int, plaintext_modulus: int, limb_bits: int, limbs: int = 1, digit_bits: int = 0
) -> Any:
    """Return an OpenFHE BFV context with 128-bit classical security, ternary secrets and BV key switching.

    Parameters
    ----------
    limb_bits, limbs : Q is a product of one or two primes of so many bits
    digit_bits : digit size of OpenFHE's own key switching; 0, its default, does not decompose limbs

    Raises
    ------
    ValueError
        If there are not one or two limbs, or if OpenFHE refuses the parameters, for instance as insecure.
    """
    if limbs not in (1, 2):
        raise ValueError(f"limbs {limbs}: need 1 (multiplicative depth 0) or 2 (depth 1)")
    parameters = openfhe.CCParamsBFVRNS()
    parameters.SetPlaintextModulus(plaintext_modulus)
    parameters.SetMultiplicativeDepth(limbs - 1)
    parameters.SetScalingModSize(limb_bits)
    parameters.SetRingDim(ring_degree)
    parameters.SetSecurityLevel(openfhe.HEStd_128_classic)
    parameters.SetSecretKeyDist(openfhe.UNIFORM_TERNARY)
    parameters.SetKeySwitchTechnique(openfhe.BV)
    parameters.SetDigitSize(digit_bits)
    try:
        context = openfhe.GenCryptoContext(parameters)
    except RuntimeError as error:
        raise ValueError(
            f"ring_degree {ring_degree} with {limbs} x {limb_bits} bits is refused by OpenFHE: {error}"
        ) from error
    for feature in (openfhe.PKE, openfhe.KEYSWITCH, openfhe.LEVELEDSHE):
        context.Enable(feature)
    return context


def read_ring(context: Any) -> Ring:
    """Return ring degree, limb moduli and roots of unity from the JSON form of a context.

    Raises
    ------
    ValueError
        If the form is not the expected one, or contradicts what the context itself reports.
    """
    document = json.loads(openfhe.Serialize(context, openfhe.JSON))
    elements = _find(document, "elp")
    limbs = _find(elements, "p")
    degree = _find(elements, "rd")
    if not isinstance(limbs, list) or not isinstance(degree, int):
        raise ValueError("the context's JSON form lacks its element parameters (elp, p, rd)")
    moduli = tuple(_integer(limb, "cm") for limb in limbs)
    roots = tuple(_integer(limb, "ru") for limb in limbs)
    ring = Ring(degree, moduli, roots)
    if degree != context.GetRingDimension() or not np.isclose(float(ring.modulus), context.GetModulus(), rtol=1e-12):
        raise ValueError(
            f"the context's JSON form has ring degree {degree} and modulus {ring.modulus}, the context itself "
            f"{context.GetRingDimension()} and {context.GetModulus()}"
        )
    return ring


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


def _find(document: Any, key: str) -> Any:
    """Return the value of the first occurrence of a key, depth first, or None."""
    if isinstance(document, dict):
        if key in document:
            return document[key]
        children: list[Any] = list(document.values())
    else:
        children = document if isinstance(document, list) else []
    for child in children:
        found = _find(child, key)
        if found is not None:
            return found
    return None


def _integer(limb: Any, key: str) -> int:
    value = _find(_find(limb, key), "v")
    if not isinstance(value, int):
        raise ValueError(f"the context's JSON form lacks {key} of a limb")
    return value
