"""OpenFHE's context of the folded query."""

from __future__ import annotations

from typing import Any

from costmodel.expanded.folded.parameters import FoldedParameters
from costmodel.parameters import Ring as RingParameters
from protocol.openfhe_context import residue_context


def openfhe_context(parameters: FoldedParameters) -> Any:
    """Return OpenFHE's context of the query's ring; it refuses what its table holds for insecure."""
    return residue_context(RingParameters(parameters.degree, parameters.limb_bits, parameters.plaintext_modulus))
