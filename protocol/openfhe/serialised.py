"""OpenFHE's binary serialisations: where the residues lie, and what else an arriving one may say: nothing.

A limb of a polynomial is framed as ``u64 N | N x u64 | u64 q``, little endian. Headers between the frames vary in
length, so the blocks are found by their frames. Verified for ciphertexts, keys and key maps of OpenFHE 1.6.1.
"""

from __future__ import annotations

import struct
from typing import Any

import numpy as np

from protocol.errors import ProtocolError
from protocol.openfhe.context import ElementParameters

_WORD = struct.Struct("<Q")


def find_blocks(serialised: bytes, degree: int, moduli: tuple[int, ...]) -> tuple[int, ...]:
    """Return the byte offsets of the residues of every limb, in the order of the serialisation.

    Raises
    ------
    ValueError
        If there is no block, or if the limbs do not follow each other as the ring's do.
    """
    frame, size = _WORD.pack(degree), 8 * degree
    offsets: list[int] = []
    position = serialised.find(frame)
    while position >= 0:
        start, end = position + 8, position + 8 + size
        modulus = _WORD.unpack_from(serialised, end)[0] if end + 8 <= len(serialised) else 0
        if modulus == moduli[len(offsets) % len(moduli)]:
            offsets.append(start)
            position = serialised.find(frame, end + 8)
        elif modulus in moduli:
            raise ValueError(f"limb {len(offsets) % len(moduli)} expected at byte {start}, found modulus {modulus}")
        else:
            position = serialised.find(frame, position + 1)
    if not offsets or len(offsets) % len(moduli):
        raise ValueError(
            f"serialisation of {len(serialised)} bytes: {len(offsets)} blocks of {degree} residues modulo {moduli}, "
            f"need a positive multiple of {len(moduli)}"
        )
    return tuple(offsets)


class Template:
    """What OpenFHE's reader, which trusts what it reads, is given: objects that differ in their residues alone.

    Parameters
    ----------
    name
        Of such an object, for messages.
    serialised
        One that was made here.
    elements
        Of the context that it was made under.
    """

    def __init__(self, name: str, serialised: bytes, elements: ElementParameters) -> None:
        self._name = name
        self._size = 8 * elements.degree
        self._moduli = elements.moduli
        self._offsets = find_blocks(serialised, elements.degree, elements.moduli)
        starts = (0, *(offset + self._size for offset in self._offsets))
        self._between = [
            (start, serialised[start:end]) for start, end in zip(starts, (*self._offsets, None), strict=True)
        ]
        self.length = len(serialised)

    def check(self, serialised: bytes) -> None:
        """Hold an arriving object to the template.

        Raises
        ------
        ProtocolError
            If it differs in more than its residues, or one is not below its modulus.
        """
        if len(serialised) != self.length:
            raise ProtocolError(f"{self._name} has {len(serialised)} bytes, expected {self.length}")
        if any(serialised[start : start + len(part)] != part for start, part in self._between):
            raise ProtocolError(f"{self._name} is not of the agreed context")
        for block, offset in enumerate(self._offsets):
            residues: Any = np.frombuffer(serialised, dtype="<u8", count=self._size // 8, offset=offset)
            if int(residues.max()) >= self._moduli[block % len(self._moduli)]:
                raise ProtocolError(f"{self._name} has a residue that is not below its modulus")
