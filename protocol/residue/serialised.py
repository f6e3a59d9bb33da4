"""Polynomials in OpenFHE's binary serialisations, read and replaced as residues."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from protocol.openfhe.serialised import find_blocks
from protocol.residue.modular import check_residues
from protocol.residue.ring import Ring


def read_polynomials(serialised: bytes, ring: Ring) -> NDArray[np.uint64]:
    """Return the polynomials (count, limbs, N) of a serialised object, in evaluation form and in file order.

    Raises
    ------
    ValueError
        If no polynomials of the ring are found or a residue is not below its modulus.
    """
    offsets = find_blocks(serialised, ring.ring_degree, ring.moduli)
    blocks = [np.frombuffer(serialised, "<u8", ring.ring_degree, offset) for offset in offsets]
    polynomials = np.array(blocks, dtype=np.uint64).reshape(-1, ring.limbs, ring.ring_degree)
    check_residues(polynomials, ring.moduli)
    return polynomials


def replace_polynomials(serialised: bytes, ring: Ring, polynomials: NDArray[np.uint64]) -> bytes:
    """Return the serialisation with its polynomials replaced, evaluation form, in file order.

    Raises
    ------
    ValueError
        If the number of polynomials differs or a residue is not below its modulus.
    """
    check_residues(polynomials, ring.moduli)
    offsets = find_blocks(serialised, ring.ring_degree, ring.moduli)
    rows = polynomials.reshape(-1, polynomials.shape[-1])
    if rows.shape != (len(offsets), ring.ring_degree):
        raise ValueError(
            f"polynomials of shape {polynomials.shape}: the serialisation holds {len(offsets)} limbs "
            f"of {ring.ring_degree} residues"
        )
    out = bytearray(serialised)
    for offset, row in zip(offsets, rows, strict=True):
        out[offset : offset + 8 * ring.ring_degree] = row.astype("<u8").tobytes()
    return bytes(out)
