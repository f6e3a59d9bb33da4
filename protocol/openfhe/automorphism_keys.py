"""OpenFHE's automorphism keys as they travel: one a frame, with noise of the full width, validated when they arrive.

OpenFHE makes its switching keys with too little noise (:mod:`protocol.residue.openfhe_keys`); they are made anew before
they leave. Its reader trusts what it reads: an arriving key is held against one made here for the same automorphism,
from which it may differ in its residues, which must be below their modulus, and nowhere else. Keys are passed to every
operation and not looked up in OpenFHE's process-wide map, so that sessions do not see each other's.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

from protocol.engine import Frame
from protocol.meter import Meter
from protocol.openfhe.ring import OpenFHERing
from protocol.openfhe.serialised import Template

if TYPE_CHECKING:
    from protocol.residue.ciphertext import SecretKey

NO_TAG = b"0" * 32


class AutomorphismKeys:
    """The format of the keys of some automorphisms X -> X^g.

    Parameters
    ----------
    ring : whose context switches by digits of ``digit_bits``
    digit_bits : not zero
    exponents : g, in the order in which the keys travel

    Attributes
    ----------
    length : bytes of a key
    """

    def __init__(self, ring: OpenFHERing, digit_bits: int, exponents: Sequence[int]) -> None:
        self._ring = ring
        self._digit_bits = digit_bits
        self.exponents = tuple(exponents)
        self.length = self._template(self.exponents[0]).length if self.exponents else 0

    def expect(self) -> None:
        """Make the keys that arriving ones are held against before any arrives; a party that reads none needs none."""
        assert len(self._templates) == len(self.exponents)

    @cached_property
    def _templates(self) -> list[Template]:
        return [self._template(exponent) for exponent in self.exponents]

    def generate(self, key: Any, secret: SecretKey, meter: Meter) -> Iterator[bytes]:
        """Fresh keys of a secret key, given as OpenFHE's and as residues."""
        # Here, since it brings the kernels' compiler, which a server does without.
        from protocol.residue.openfhe_keys import renewed_automorphism_keys

        for exponent in self.exponents:
            with meter.work("generate switching key"):
                made = self._made(key, exponent)
                renewed = renewed_automorphism_keys(secret, made, [exponent], self._digit_bits)
            yield Frame.of(_untagged(renewed, key), "keys", 1)

    def read(self, frames: Sequence[bytes], meter: Meter) -> dict[int, Any]:
        """Arriving keys by exponent, each a map of its own as OpenFHE's operations take them.

        Raises
        ------
        ProtocolError
            If one differs from this context's format or a residue is not below its modulus.
        """
        keys = {}
        for exponent, template, frame in zip(self.exponents, self._templates, frames, strict=True):
            with meter.work("read keys"):
                template.check(frame)
                keys[exponent] = self._ring.library.DeserializeEvalKeyMapString(frame, self._ring.library.BINARY)
        return keys

    def _template(self, exponent: int) -> Template:
        key = self._ring.context.KeyGen().secretKey
        serialised = self._ring.library.Serialize(self._made(key, exponent), self._ring.library.BINARY)
        return Template("key", _untagged(serialised, key), self._ring.elements)

    def _made(self, key: Any, exponent: int) -> Any:
        """A key of OpenFHE's making, of which its process-wide map keeps none."""
        made = self._ring.context.EvalAutomorphismKeyGen(key, [exponent])
        self._ring.library.CryptoContext.ClearEvalAutomorphismKeys()
        return made


def _untagged(serialised: bytes, key: Any) -> bytes:
    return serialised.replace(key.GetKeyTag().encode(), NO_TAG)
