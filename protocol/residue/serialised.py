"""Residue blocks inside OpenFHE's binary serialisations.

A limb of a polynomial is framed as ``u64 N | N x u64 | u64 q``, little endian. Headers between the frames vary in
length, so the blocks are found by their frames. Verified for ciphertexts, keys and key maps of OpenFHE 1.6.1.
"""

from __future__ import annotations

import struct

import numpy as np
from numpy.typing import NDArray

from protocol.residue.modular import check_residues
from protocol.residue.ring import Ring

_WORD = struct.Struct("<Q")


def find_blocks(serialised: bytes, ring: Ring) -> tuple[int, ...]:
    """Return the byte offsets of the residues of every limb, in the order of the serialisation.

    Raises
    ------
    ValueError
        If there is no block, or if the limbs do not follow each other as the ring's do.
    """
    frame, size = _WORD.pack(ring.ring_degree), 8 * ring.ring_degree
    offsets: list[int] = []
    position = serialised.find(frame)
    while position >= 0:
        start, end = position + 8, position + 8 + size
        modulus = _WORD.unpack_from(serialised, end)[0] if end + 8 <= len(serialised) else 0
        if modulus == ring.moduli[len(offsets) % ring.limbs]:
            offsets.append(start)
            position = serialised.find(frame, end + 8)
        elif modulus in ring.moduli:
            raise ValueError(f"limb {len(offsets) % ring.limbs} expected at byte {start}, found modulus {modulus}")
        else:
            position = serialised.find(frame, position + 1)
    if not offsets or len(offsets) % ring.limbs:
        raise ValueError(
            f"serialisation of {len(serialised)} bytes: {len(offsets)} blocks of {ring.ring_degree} residues modulo "
            f"{ring.moduli}, need a positive multiple of {ring.limbs}"
        )
    return tuple(offsets)


def read_polynomials(serialised: bytes, ring: Ring) -> NDArray[np.uint64]:
    """Return the polynomials (count, limbs, N) of a serialised object, in evaluation form and in file order.

    Raises
    ------
    ValueError
        If no polynomials of the ring are found or a residue is not below its modulus.
    """
    blocks = [np.frombuffer(serialised, "<u8", ring.ring_degree, offset) for offset in find_blocks(serialised, ring)]
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
    offsets = find_blocks(serialised, ring)
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
