"""A BFV context of OpenFHE, its plaintexts, and its ciphertexts as they travel.

Ciphertexts travel in OpenFHE's binary serialisation. Its reader trusts what it reads, so an arriving ciphertext is
first held against one made here under the same context: it may differ in its residues, which must be below their
modulus, and nowhere else.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from costmodel.openfhe.contexts import check_plaintext
from costmodel.parameters import Ring
from protocol.meter import Tally
from protocol.openfhe.context import ElementParameters, element_parameters, generate_context
from protocol.openfhe.serialised import Template
from protocol.openfhe_library import check_generator, load_openfhe

IntArray = NDArray[np.int64]

_NO_TAG = "0" * 32


class OpenFHERing:
    """A BFV context of OpenFHE with the ciphertext format that both parties derive from it."""

    def __init__(self, ring: Ring, allow_insecure: bool = False, digit_bits: int = 0) -> None:
        self.check(ring)
        check_generator()
        self.ring = ring
        self.library = load_openfhe()
        self.context = generate_context(ring, allow_insecure, digit_bits)

    @staticmethod
    def check(ring: Ring) -> None:
        """Refuse a ring whose plaintexts cannot be encoded; see :func:`check_plaintext`."""
        check_plaintext(ring)

    @cached_property
    def _zero(self) -> Any:
        fresh = self.context.Encrypt(self.context.KeyGen().secretKey, self.encode(np.zeros(1, dtype=np.int64)))
        zero = self.context.EvalSub(fresh, fresh)
        zero.SetKeyTag(_NO_TAG)
        return zero

    @cached_property
    def elements(self) -> ElementParameters:
        """Moduli and roots of the context's polynomials."""
        return element_parameters(self.context)

    @cached_property
    def _template(self) -> Template:
        return Template("ciphertext", self._raw(self._zero), self.elements)

    @property
    def ciphertext_bytes(self) -> int:
        """Bytes of every serialised ciphertext of this context."""
        return self._template.length

    def _raw(self, ciphertext: Any) -> bytes:
        tag = ciphertext.GetKeyTag()
        ciphertext.SetKeyTag(_NO_TAG)
        serialised: bytes = self.library.Serialize(ciphertext, self.library.BINARY)
        ciphertext.SetKeyTag(tag)
        return serialised

    def write(self, ciphertext: Any) -> bytes:
        """Serialise a ciphertext, its key's tag blanked."""
        serialised = self._raw(ciphertext)
        if len(serialised) != self.ciphertext_bytes:
            raise RuntimeError("OpenFHE serialised a ciphertext to another size than this context's")
        return serialised

    def read(self, serialised: bytes, key_tag: str = _NO_TAG) -> Any:
        """Deserialise a ciphertext after validating every byte of it.

        Raises
        ------
        ProtocolError
            If it differs from this context's format or a residue is not below its modulus.
        """
        self._template.check(serialised)
        read = self.library.DeserializeCiphertextString(serialised, self.library.BINARY)
        # What was read carries a copy of the ring's parameters, which would be written out again with it.
        ciphertext = self.context.EvalAdd(self._zero, read)
        ciphertext.SetKeyTag(key_tag)
        return ciphertext

    def encode(self, polynomial: IntArray) -> Any:
        """A plaintext from coefficients in [0, t)."""
        return self.context.MakeCoefPackedPlaintext(self.centred(polynomial))

    def decode(self, plaintext: Any) -> IntArray:
        """Coefficients in [0, t) of a decrypted plaintext, shape (N,)."""
        return np.asarray(plaintext.GetCoefPackedValue(), dtype=np.int64) % self.ring.plaintext_modulus

    def centred(self, values: IntArray) -> list[int]:
        """Values in [0, t) as OpenFHE takes them, in (-t/2, t/2]."""
        modulus = self.ring.plaintext_modulus
        centred: list[int] = np.where(values > modulus // 2, values - modulus, values).tolist()
        return centred

    def inner_product(self, ciphertexts: Sequence[Any], plaintexts: Sequence[Any], tally: Tally) -> Any:
        """Sum of the products of ciphertexts and plaintexts; the tally is told of each."""
        total = None
        for ciphertext, plaintext in zip(ciphertexts, plaintexts, strict=True):
            product = self.context.EvalMult(ciphertext, plaintext)
            tally.add()
            if total is None:
                total = product
            else:
                self.context.EvalAddInPlace(total, product)
        return total
