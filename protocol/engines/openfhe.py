"""The reference engine: every homomorphic operation through OpenFHE's own API, nothing prepared by hand.

Ciphertexts travel in OpenFHE's binary serialisation. Its reader trusts what it reads, so an arriving ciphertext is
first held against one made here under the same context: it may differ in its residues, which must be below their
modulus, and nowhere else.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from costmodel.parameters import Configuration, Ring
from protocol.elements import middle_element
from protocol.engines.base import NOTHING, Progress, Shape, Shapes, Shares
from protocol.errors import ProtocolError
from protocol.layout import Layout
from protocol.meter import Meter
from protocol.openfhe_context import generate_context
from protocol.openfhe_library import load_openfhe
from protocol.randomness import uniform
from quantize.packing import UnsignedArray

if TYPE_CHECKING:
    from protocol.residue.ciphertext import SecretKey
    from protocol.residue.ring import Ring as ResidueRing

IntArray = NDArray[np.int64]

MAX_PLAINTEXT_MODULUS = 2**31
"""OpenFHE 1.6.1 encodes coefficients of at most 32 bits."""

NOISE_SAMPLE_ANSWERS = 8
"""Answers of a session whose noise the client measures afterwards."""

_NO_TAG = "0" * 32


def check_plaintext(ring: Ring) -> None:
    """Refuse a plaintext modulus that OpenFHE cannot encode.

    Raises
    ------
    ValueError
        Naming field, value and bound.
    """
    if ring.plaintext_modulus > MAX_PLAINTEXT_MODULUS:
        raise ValueError(
            f"ring.t is {ring.plaintext_modulus}; OpenFHE's coefficient encoding takes at most {MAX_PLAINTEXT_MODULUS}"
        )


def check_executed(configuration: Configuration) -> None:
    """Refuse what this engine would leave out without a word.

    Raises
    ------
    ValueError
        If answers are to be flooded, or queries prepared.
    """
    if configuration.flooding_bits:
        raise ValueError(f"flooding_bits is {configuration.flooding_bits}; the openfhe engine floods nothing: 0")
    if configuration.prepared:
        raise ValueError("prepared is true; the openfhe engine has no seeds to prepare queries from")


class OpenFHERing:
    """A BFV context of OpenFHE with the ciphertext format that both parties derive from it."""

    def __init__(self, ring: Ring, allow_insecure: bool = False, digit_bits: int = 0) -> None:
        self.check(ring)
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

    def inner_product(self, ciphertexts: Sequence[Any], plaintexts: Sequence[Any]) -> Any:
        """Sum of the products of ciphertexts and plaintexts."""
        total = self.context.EvalMult(ciphertexts[0], plaintexts[0])
        for ciphertext, plaintext in zip(ciphertexts[1:], plaintexts[1:], strict=True):
            self.context.EvalAddInPlace(total, self.context.EvalMult(ciphertext, plaintext))
        return total


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


class KeyHolder:
    """A secret key and what is done with it; it lives and dies here."""

    def __init__(self, ring: OpenFHERing, meter: Meter) -> None:
        self._ring = ring
        self._meter = meter
        self._sample: list[bytes] = []
        with meter.work("generate keys"):
            self._key = ring.context.KeyGen().secretKey

    def announce(self) -> Iterator[bytes]:
        """None: OpenFHE's ciphertexts have no seeds, so that nothing can be prepared."""
        return iter(())

    def accept_first_halves(self, frames: Iterable[bytes]) -> None:
        """Nothing comes."""

    def encrypt_polynomial(self, polynomial: IntArray) -> bytes:
        """A fresh secret-key encryption of what is encoded of values modulo t, shape (N,), as it travels."""
        with self._meter.work("encrypt"):
            ciphertext = self._ring.context.Encrypt(self._key, self._ring.encode(polynomial))
        with self._meter.work("write ciphertext"):
            return self._ring.write(ciphertext)

    def decrypt_polynomial(self, serialised: bytes) -> IntArray:
        """Values in [0, t), shape (N,), of an answer as it travelled."""
        with self._meter.work("read ciphertext"):
            ciphertext = self._ring.read(serialised, self._key.GetKeyTag())
        with self._meter.work("decrypt"):
            plaintext = self._ring.context.Decrypt(self._key, ciphertext)
            plaintext.SetLength(self._ring.ring.degree)
            values = self._ring.decode(plaintext)
        if len(self._sample) < NOISE_SAMPLE_ANSWERS:
            self._sample.append(serialised)
        return values

    def noise_bits(self) -> float:
        """log2 of the root mean square error of some answers over the decoding interval q/t.

        A measurement beside the protocol, on residues read from the serialised answers and key. Every coefficient of a
        product adds up as many table entries, used or not, so whole polynomials are pooled.
        """
        return self._noise_bits(self._ring.ring.plaintext_modulus, slice(None))

    def _noise_bits(self, modulus: int, used: slice | IntArray) -> float:
        from protocol.residue.ciphertext import noise, phase
        from protocol.residue.rounding import scale_down
        from protocol.residue.serialised import read_polynomials

        ring, secret = self.residues()
        phases = np.stack([phase(secret, read_polynomials(one, ring))[..., used] for one in self._sample])
        errors = noise(ring, phases, scale_down(phases, ring, modulus), modulus)
        return float(np.log2(np.sqrt(np.mean(np.square(errors))) * modulus / float(ring.modulus)))

    def residues(self) -> tuple[ResidueRing, SecretKey]:
        """Ring and secret as residues."""
        # Compiled kernels and their compiler take 60 MB, which a server on OpenFHE alone has better use for.
        from protocol.residue.ciphertext import SecretKey
        from protocol.residue.context import read_ring, read_secret_key

        ring = read_ring(self._ring.context)
        return ring, SecretKey(ring, read_secret_key(self._key, ring))


class OpenFHEClient(KeyHolder):
    """The client's kernels."""

    def __init__(self, configuration: Configuration, tokens: int, meter: Meter, allow_insecure: bool) -> None:
        check_executed(configuration)
        super().__init__(OpenFHERing(configuration.ring, allow_insecure), meter)
        self._layout = Layout.of(configuration)
        self.shapes = _shapes(self._layout, tokens, self._ring.ciphertext_bytes)

    def keys(self) -> Iterator[bytes]:
        """None: products with plaintexts take no keys."""
        return iter(())

    def encrypt(self, tokens: Sequence[int]) -> Iterator[bytes]:
        """Secret-key encryptions of the one-hot polynomials, one a frame."""
        for token in tokens:
            yield from map(self.encrypt_polynomial, self._layout.query(token))

    def encrypt_vectors(self, vectors: IntArray) -> Iterator[bytes]:
        """The same for any vectors modulo t, (tokens, m)."""
        for vector in vectors:
            yield from map(self.encrypt_polynomial, self._layout.vector(vector))

    def decrypt(self, frames: Iterable[bytes]) -> Shares:
        """The client's shares, an answer polynomial a frame."""
        arriving, layout = iter(frames), self._layout
        rows = []
        for _ in range(self.shapes.answer.frames // layout.outputs):
            columns = [self.decrypt_polynomial(next(arriving))[layout.used(output)] for output in range(layout.outputs)]
            rows.append(np.concatenate(columns))
        return np.stack(rows)


class OpenFHEServer:
    """The server's kernels; the table lives here, and no secret key ever does.

    OpenFHE multiplies by a negative plaintext coefficient w as by t - |w|, so that a signed table would cost bits of
    noise, and an unsigned one has a mean, which costs one and makes the errors of all answers alike. The table is
    therefore encoded unsigned, and the product of the query with a table of nothing but the middle value, which is
    the same for every answer, is subtracted from each: the noise is that of the centred table. The middle value
    itself comes back in the server's share.
    """

    def __init__(
        self,
        configuration: Configuration,
        coefficients: UnsignedArray,
        meter: Meter,
        progress: Progress,
        allow_insecure: bool,
    ) -> None:
        check_executed(configuration)
        self.ring = OpenFHERing(configuration.ring, allow_insecure)
        self.layout = layout = Layout.of(configuration)
        self.middle = middle_element(configuration.packing.field_moduli)
        self.polynomials: list[list[Any]] = []
        with meter.work("encode table"):
            self.constant = self.ring.encode(layout.constant_polynomial(self.middle))
        for output in range(layout.outputs):
            with meter.work("encode table", layout.inputs):
                column = [
                    self.ring.encode(layout.table_polynomial(coefficients, block, output, self.middle))
                    for block in range(layout.inputs)
                ]
            self.polynomials.append(column)
            progress("encoding table", output + 1, layout.outputs)

    def session(self, tokens: int, meter: Meter) -> OpenFHESession:
        """Kernels for one client that looks so many rows up together."""
        return OpenFHESession(self, tokens, meter)


class OpenFHESession:
    """One client's queries."""

    def __init__(self, server: OpenFHEServer, tokens: int, meter: Meter) -> None:
        self._server = server
        self._meter = meter
        self.shapes = _shapes(server.layout, tokens, server.ring.ciphertext_bytes)

    def accept_keys(self, frames: Sequence[bytes]) -> None:
        """None come."""

    def prepare(self, frames: Sequence[bytes]) -> Iterator[bytes]:
        """Nothing can be prepared."""
        return iter(())

    def answer(self, frames: Sequence[bytes], shares: Shares) -> Iterator[bytes]:
        """One answer polynomial a frame, token by token."""
        server, layout = self._server, self._server.layout
        modulus = server.ring.ring.plaintext_modulus
        for token, row in enumerate(shares):
            query = [self.read(frame) for frame in frames[token * layout.inputs : (token + 1) * layout.inputs]]
            constant = self._inner_product(query, [server.constant] * layout.inputs)
            column = 0
            for polynomials in server.polynomials:
                product = self._inner_product(query, polynomials)
                with self._meter.work("centre"):
                    product = server.ring.context.EvalSub(product, constant)
                with self._meter.work("draw mask"):
                    mask = uniform(modulus, layout.degree)
                with self._meter.work("subtract mask"):
                    product = server.ring.context.EvalSub(product, server.ring.encode(mask))
                with self._meter.work("write ciphertext"):
                    written = server.ring.write(product)
                used = layout.used(column // layout.tile_columns)
                row[column : column + used.size] = (mask[used] + server.middle) % modulus
                column += used.size
                yield written

    def read(self, serialised: bytes) -> Any:
        """An arriving query ciphertext, validated."""
        with self._meter.work("read ciphertext"):
            return self._server.ring.read(serialised)

    def _inner_product(self, ciphertexts: list[Any], plaintexts: list[Any]) -> Any:
        with self._meter.work("multiply-accumulate", len(ciphertexts)):
            return self._server.ring.inner_product(ciphertexts, plaintexts)


def _shapes(layout: Layout, tokens: int, ciphertext_bytes: int) -> Shapes:
    return Shapes(
        keys=NOTHING,
        announcement=NOTHING,
        first_halves=NOTHING,
        query=Shape(tokens * layout.inputs, ciphertext_bytes),
        answer=Shape(tokens * layout.outputs, ciphertext_bytes),
    )
