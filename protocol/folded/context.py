"""OpenFHE's context of the folded query."""

from __future__ import annotations

from typing import Any

from costmodel.folded_parameters import FoldedParameters
from costmodel.parameters import Ring as RingParameters
from protocol.openfhe_context import generate_context

_LARGEST_PLAINTEXT_MODULUS = 1 << 31
"""That OpenFHE encodes; moduli, roots and secrets do not depend on it."""


def openfhe_context(parameters: FoldedParameters) -> Any:
    """Return OpenFHE's context of the query's ring; it refuses what its table holds for insecure."""
    modulus = min(parameters.plaintext_modulus, _LARGEST_PLAINTEXT_MODULUS)
    return generate_context(RingParameters(parameters.degree, parameters.limb_bits, modulus))
