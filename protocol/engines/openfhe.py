"""The reference engine: every homomorphic operation through OpenFHE's own API, nothing prepared by hand.

Ciphertexts travel in OpenFHE's binary serialisation. Its reader trusts what it reads, so an arriving ciphertext is
first held against one made here under the same context: it may differ in its residues, which must be below their
modulus, and nowhere else.
"""

from __future__ import annotations

import struct
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from costmodel.parameters import Ring
from protocol.errors import ProtocolError
from protocol.meter import Meter
from protocol.openfhe_library import load_openfhe
from protocol.residue.ciphertext import SecretKey, noise, phase
from protocol.residue.context import read_ring, read_secret_key
from protocol.residue.serialised import read_polynomials

IntArray = NDArray[np.int64]

MAX_PLAINTEXT_MODULUS = 2**31
"""OpenFHE 1.6.1 encodes coefficients of at most 32 bits."""

_NO_TAG = "0" * 32


def check_ring(ring: Ring) -> None:
    """Refuse a ring that OpenFHE cannot make.

    Raises
    ------
    ValueError
        Naming field, value and bound.
    """
    if len(set(ring.limb_bits)) != 1:
        raise ValueError(f"ring.q is {ring.limb_bits}; OpenFHE makes limbs of one size, such as 54+54")
    if not 30 <= ring.limb_bits[0] <= 60:
        raise ValueError(f"ring.q has limbs of {ring.limb_bits[0]} bits; OpenFHE makes limbs of 30 to 60 bits")
    if len(ring.limb_bits) > 3:
        raise ValueError(f"ring.q has {len(ring.limb_bits)} limbs; a lookup needs at most 3")
    if ring.plaintext_modulus > MAX_PLAINTEXT_MODULUS:
        raise ValueError(
            f"ring.t is {ring.plaintext_modulus}; OpenFHE's coefficient encoding takes at most {MAX_PLAINTEXT_MODULUS}"
        )


class OpenFHERing:
    """A BFV context of OpenFHE with the ciphertext format that both parties derive from it."""

    def __init__(self, ring: Ring, allow_insecure: bool = False) -> None:
        check_ring(ring)
        self.ring = ring
        self.library = load_openfhe()
        self.context = self._generate(allow_insecure)

    def _generate(self, allow_insecure: bool) -> Any:
        library, ring = self.library, self.ring
        parameters = library.CCParamsBFVRNS()
        parameters.SetPlaintextModulus(ring.plaintext_modulus)
        parameters.SetMultiplicativeDepth(len(ring.limb_bits) - 1)
        parameters.SetScalingModSize(ring.limb_bits[0])
        parameters.SetRingDim(ring.degree)
        parameters.SetStandardDeviation(ring.sigma)
        parameters.SetSecretKeyDist(library.UNIFORM_TERNARY if ring.secret == "ternary" else library.GAUSSIAN)
        parameters.SetKeySwitchTechnique(library.BV)
        parameters.SetSecurityLevel(library.HEStd_NotSet if allow_insecure else library.HEStd_128_classic)
        try:
            context = library.GenCryptoContext(parameters)
        except RuntimeError as error:
            raise ValueError(f"ring is refused by OpenFHE: {str(error).rpartition(': ')[2]}") from None
        for feature in (library.PKE, library.KEYSWITCH, library.LEVELEDSHE):
            context.Enable(feature)
        if context.GetRingDimension() != ring.degree:
            raise ValueError(f"ring.N is {ring.degree}; OpenFHE made {context.GetRingDimension()}")
        return context

    @cached_property
    def _zero(self) -> Any:
        fresh = self.context.Encrypt(self.context.KeyGen().secretKey, self.context.MakeCoefPackedPlaintext([0]))
        zero = self.context.EvalSub(fresh, fresh)
        zero.SetKeyTag(_NO_TAG)
        return zero

    @cached_property
    def _template(self) -> bytes:
        return self._raw(self._zero)

    @cached_property
    def _residue_blocks(self) -> list[tuple[int, int]]:
        return residue_blocks(self._template, self.ring.degree)

    @property
    def ciphertext_bytes(self) -> int:
        """Bytes of every serialised ciphertext of this context."""
        return len(self._template)

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
        template = self._template
        if len(serialised) != len(template):
            raise ProtocolError(f"ciphertext has {len(serialised)} bytes, expected {len(template)}")
        position = 0
        for start, modulus in self._residue_blocks:
            if serialised[position:start] != template[position:start]:
                raise ProtocolError("ciphertext is not of the agreed context")
            residues = np.frombuffer(serialised, dtype="<u8", count=self.ring.degree, offset=start)
            if int(residues.max()) >= modulus:
                raise ProtocolError("ciphertext has a residue that is not below its modulus")
            position = start + 8 * self.ring.degree
        if serialised[position:] != template[position:]:
            raise ProtocolError("ciphertext is not of the agreed context")
        read = self.library.DeserializeCiphertextString(serialised, self.library.BINARY)
        # What was read carries a copy of the ring's parameters, which would be written out again with it.
        ciphertext = self.context.EvalAdd(self._zero, read)
        ciphertext.SetKeyTag(key_tag)
        return ciphertext

    def encode(self, polynomial: IntArray) -> Any:
        """A plaintext from coefficients in [0, t); OpenFHE takes them in (-t/2, t/2]."""
        modulus = self.ring.plaintext_modulus
        centred = np.where(polynomial > modulus // 2, polynomial - modulus, polynomial)
        return self.context.MakeCoefPackedPlaintext(centred.tolist())


def residue_blocks(serialised: bytes, degree: int) -> list[tuple[int, int]]:
    """Offset and modulus of every polynomial limb in a serialised OpenFHE object.

    A limb is ``u64 N | N residues of u64 | u64 q``, little endian; headers around it vary in length, so limbs are
    found by that frame.
    """
    marker = struct.pack("<Q", degree)
    blocks, position = [], serialised.find(marker)
    while position >= 0:
        start = position + 8
        end = start + 8 * degree
        if end + 8 <= len(serialised):
            (modulus,) = struct.unpack_from("<Q", serialised, end)
            residues = np.frombuffer(serialised, dtype="<u8", count=degree, offset=start)
            if 2**13 < modulus < 2**62 and int(residues.max()) < modulus:
                blocks.append((start, modulus))
                position = serialised.find(marker, end)
                continue
        position = serialised.find(marker, position + 1)
    return blocks


class OpenFHEClient:
    """The client's kernels; the secret key lives and dies here."""

    def __init__(self, ring: Ring, meter: Meter, allow_insecure: bool = False) -> None:
        self._ring = OpenFHERing(ring, allow_insecure)
        self._meter = meter
        with meter.work("generate keys"):
            self._key = self._ring.context.KeyGen().secretKey

    @property
    def ciphertext_bytes(self) -> int:
        """Bytes of one ciphertext on the wire, the answer's and the query's alike."""
        return self._ring.ciphertext_bytes

    def encrypt(self, polynomial: IntArray) -> bytes:
        """A fresh secret-key encryption of coefficients modulo t, shape (N,), as it travels."""
        with self._meter.work("encrypt"):
            ciphertext = self._ring.context.Encrypt(self._key, self._ring.encode(polynomial))
        with self._meter.work("write ciphertext"):
            return self._ring.write(ciphertext)

    def decrypt(self, serialised: bytes) -> IntArray:
        """Coefficients in [0, t), shape (N,), of an answer as it travelled."""
        with self._meter.work("read ciphertext"):
            ciphertext = self._ring.read(serialised, self._key.GetKeyTag())
        with self._meter.work("decrypt"):
            plaintext = self._ring.context.Decrypt(self._key, ciphertext)
            plaintext.SetLength(self._ring.ring.degree)
            values = np.asarray(plaintext.GetCoefPackedValue(), dtype=np.int64)
        return values % self._ring.ring.plaintext_modulus

    def relative_errors(self, serialised: bytes, values: IntArray) -> NDArray[np.float64]:
        """Errors of an answer's coefficients as fractions of the decoding interval q/t, shape (N,).

        A measurement beside the protocol, on residues read from the serialised answer and key.
        """
        ring = read_ring(self._ring.context)
        secret = SecretKey(ring, read_secret_key(self._key, ring))
        phases = phase(secret, read_polynomials(serialised, ring))
        modulus = self._ring.ring.plaintext_modulus
        return noise(ring, phases, values.astype(np.uint64), modulus) * modulus / float(ring.modulus)


class OpenFHEServer:
    """The server's kernels; the table lives here, and no secret key ever does."""

    def __init__(self, ring: Ring, meter: Meter, allow_insecure: bool = False) -> None:
        self._ring = OpenFHERing(ring, allow_insecure)
        self._meter = meter

    @property
    def ciphertext_bytes(self) -> int:
        """Bytes of one ciphertext on the wire."""
        return self._ring.ciphertext_bytes

    def encode_table(self, polynomial: IntArray) -> Any:
        """A table polynomial with coefficients in [0, t/2], ready for products."""
        with self._meter.work("encode table"):
            return self._ring.encode(polynomial)

    def read(self, serialised: bytes) -> Any:
        """An arriving query ciphertext, validated."""
        with self._meter.work("read ciphertext"):
            return self._ring.read(serialised)

    def inner_product(self, ciphertexts: list[Any], plaintexts: list[Any]) -> Any:
        """Sum of the products of ciphertexts with plaintexts."""
        context = self._ring.context
        with self._meter.work("multiply-accumulate", len(ciphertexts)):
            total = context.EvalMult(ciphertexts[0], plaintexts[0])
            for ciphertext, plaintext in zip(ciphertexts[1:], plaintexts[1:], strict=True):
                context.EvalAddInPlace(total, context.EvalMult(ciphertext, plaintext))
        return total

    def centre(self, ciphertext: Any, constant: Any) -> Any:
        """The ciphertext less that of a constant table; see :class:`protocol.lookup.LookupServer`."""
        with self._meter.work("centre"):
            return self._ring.context.EvalSub(ciphertext, constant)

    def subtract_mask(self, ciphertext: Any, mask: IntArray) -> Any:
        """The ciphertext less a mask modulo t on every coefficient."""
        with self._meter.work("subtract mask"):
            return self._ring.context.EvalSub(ciphertext, self._ring.encode(mask))

    def write(self, ciphertext: Any) -> bytes:
        """An answer as it travels."""
        with self._meter.work("write ciphertext"):
            return self._ring.write(ciphertext)
