"""OpenFHE's automorphism keys as they travel: one a frame, with noise of the full width, validated when they arrive.

OpenFHE makes its switching keys with too little noise (:mod:`protocol.residue.openfhe_keys`); they are made anew before
they leave. Its reader trusts what it reads: an arriving key is held against one made here for the same automorphism,
from which it may differ in its residues, which must be below their modulus, and nowhere else. Keys are passed to every
operation and not looked up in OpenFHE's process-wide map, so that sessions do not see each other's.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from protocol.engines.openfhe import OpenFHERing, residue_blocks
from protocol.errors import ProtocolError
from protocol.meter import Meter
from protocol.residue.ciphertext import SecretKey
from protocol.residue.openfhe_keys import renewed_automorphism_keys

NO_TAG = b"0" * 32


class AutomorphismKeys:
    """The format of the keys of some automorphisms X -> X^g.

    Parameters
    ----------
    ring : whose context switches by digits of ``digit_bits``
    digit_bits : not zero
    exponents : g, in the order in which the keys travel
    """

    def __init__(self, ring: OpenFHERing, digit_bits: int, exponents: Sequence[int]) -> None:
        self._ring = ring
        self._digit_bits = digit_bits
        self.exponents = tuple(exponents)
        self._templates = [self._template(exponent) for exponent in self.exponents]

    @property
    def length(self) -> int:
        """Bytes of a key."""
        return len(self._templates[0]) if self._templates else 0

    def generate(self, key: Any, secret: SecretKey, meter: Meter) -> Iterator[bytes]:
        """Fresh keys of a secret key, given as OpenFHE's and as residues."""
        context = self._ring.context
        for exponent in self.exponents:
            with meter.work("generate switching key"):
                made = context.EvalAutomorphismKeyGen(key, [exponent])
                renewed = renewed_automorphism_keys(secret, made, [exponent], self._digit_bits)
            yield _untagged(renewed, key)

    def read(self, frames: Sequence[bytes]) -> dict[int, Any]:
        """Arriving keys by exponent, each a map of its own as OpenFHE's operations take them.

        Raises
        ------
        ProtocolError
            If one differs from this context's format or a residue is not below its modulus.
        """
        pairs = zip(self.exponents, self._templates, frames, strict=True)
        return {exponent: self._read(template, frame) for exponent, template, frame in pairs}

    def _read(self, template: bytes, frame: bytes) -> Any:
        if len(frame) != len(template):
            raise ProtocolError(f"key has {len(frame)} bytes, expected {len(template)}")
        position, size = 0, 8 * self._ring.ring.degree
        for start, modulus in residue_blocks(template, self._ring.ring.degree):
            if frame[position:start] != template[position:start]:
                raise ProtocolError("key is not of the agreed context")
            if int(np.frombuffer(frame, dtype="<u8", count=size // 8, offset=start).max()) >= modulus:
                raise ProtocolError("key has a residue that is not below its modulus")
            position = start + size
        if frame[position:] != template[position:]:
            raise ProtocolError("key is not of the agreed context")
        return self._ring.library.DeserializeEvalKeyMapString(frame, self._ring.library.BINARY)

    def _template(self, exponent: int) -> bytes:
        key = self._ring.context.KeyGen().secretKey
        made = self._ring.context.EvalAutomorphismKeyGen(key, [exponent])
        return _untagged(self._ring.library.Serialize(made, self._ring.library.BINARY), key)


def _untagged(serialised: bytes, key: Any) -> bytes:
    return serialised.replace(key.GetKeyTag().encode(), NO_TAG)
