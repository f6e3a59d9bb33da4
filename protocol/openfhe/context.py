"""BFV contexts of OpenFHE: the rings that it makes, under its own security check."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from typing import Any, NamedTuple

from costmodel.limits import SIGMA
from costmodel.openfhe.contexts import check_limbs
from costmodel.parameters import Ring
from protocol.openfhe_library import load_openfhe


def generate_context(ring: Ring, allow_insecure: bool = False, digit_bits: int = 0) -> Any:
    """An OpenFHE context of exactly this ring, with BV key switching by digits of so many bits, or of whole limbs.

    Raises
    ------
    ValueError
        If OpenFHE cannot make it, or puts it below 128 bits and that is not allowed.
    protocol.openfhe_library.OpenFHEUnavailable
        If OpenFHE does not load.
    """
    check_limbs(ring)
    if ring.sigma < SIGMA and not allow_insecure:
        raise ValueError(f"ring.sigma is {ring.sigma}; the security tables are made for at least {SIGMA}")
    library = load_openfhe()
    parameters = library.CCParamsBFVRNS()
    parameters.SetPlaintextModulus(ring.plaintext_modulus)
    parameters.SetMultiplicativeDepth(len(ring.limb_bits) - 1)
    parameters.SetScalingModSize(ring.limb_bits[0])
    parameters.SetRingDim(ring.degree)
    parameters.SetStandardDeviation(ring.sigma)
    parameters.SetSecretKeyDist(library.UNIFORM_TERNARY if ring.secret == "ternary" else library.GAUSSIAN)
    parameters.SetKeySwitchTechnique(library.BV)
    parameters.SetDigitSize(digit_bits)
    parameters.SetSecurityLevel(library.HEStd_NotSet if allow_insecure else library.HEStd_128_classic)
    try:
        context = library.GenCryptoContext(parameters)
    except RuntimeError as error:
        raise ValueError(f"ring is refused by OpenFHE: {str(error).rpartition(': ')[2]}") from None
    for feature in (library.PKE, library.KEYSWITCH, library.LEVELEDSHE):
        context.Enable(feature)
    if context.GetRingDimension() != ring.degree:
        raise ValueError(f"ring.N is {ring.degree}; OpenFHE made {context.GetRingDimension()}")
    made_bits = math.log2(context.GetModulus())
    if abs(made_bits - ring.log2_q) > 1:
        raise ValueError(
            f"ring.q has {ring.log2_q} bits; OpenFHE made {made_bits:.0f} for t={ring.plaintext_modulus}, "
            "by its own bound on the noise"
        )
    return context


PLAINTEXT_MODULI = (1 << 9, 1 << 13, 1 << 17, 1 << 20)
"""With one of which OpenFHE makes as many limbs as are asked for; moduli and secrets do not depend on it."""


def residue_context(ring: Ring, allow_insecure: bool = False) -> Any:
    """A context for its ring, keys and security check alone.

    OpenFHE adds limbs for plaintext moduli that it thinks too large for q and leaves out some for small ones; what is
    encoded elsewhere is none of its business, so that it is told of another where the ring's own does not do.

    Raises
    ------
    ValueError
        As :func:`generate_context`.
    """
    first: ValueError | None = None
    for modulus in (min(ring.plaintext_modulus, 1 << 31), *PLAINTEXT_MODULI):
        try:
            return generate_context(replace(ring, plaintext_modulus=modulus), allow_insecure)
        except ValueError as error:
            first = first or error
    assert first is not None
    raise first


class ElementParameters(NamedTuple):
    """Of the polynomials of a context: ring degree, and modulus and primitive 2N-th root of unity of every limb."""

    degree: int
    moduli: tuple[int, ...]
    roots: tuple[int, ...]


def element_parameters(context: Any) -> ElementParameters:
    """Read them from the JSON form of a context.

    Raises
    ------
    ValueError
        If the form is not the expected one, or contradicts what the context itself reports.
    """
    library = load_openfhe()
    elements = _find(json.loads(library.Serialize(context, library.JSON)), "elp")
    limbs, degree = _find(elements, "p"), _find(elements, "rd")
    if not isinstance(limbs, list) or not isinstance(degree, int):
        raise ValueError("the context's JSON form lacks its element parameters (elp, p, rd)")
    moduli = tuple(_integer(limb, "cm") for limb in limbs)
    modulus, reported = math.prod(moduli), context.GetModulus()
    if degree != context.GetRingDimension() or not math.isclose(modulus, reported, rel_tol=1e-12):
        raise ValueError(
            f"the context's JSON form has ring degree {degree} and modulus {modulus}, the context itself "
            f"{context.GetRingDimension()} and {reported}"
        )
    return ElementParameters(degree, moduli, tuple(_integer(limb, "ru") for limb in limbs))


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
