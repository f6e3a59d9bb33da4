"""What the engines on OpenFHE share: a client, and a session that masks what a query's products come to.

An engine is a plan, which both parties derive from a configuration, a server that encodes the table, and a session
that multiplies by it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from copy import copy
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from costmodel.parameters import Configuration
from protocol.engine import NOTHING, Frame, Progress, Shape, Shapes, Shares, root_mean_square_bits
from protocol.meter import Meter
from protocol.openfhe.ring import OpenFHERing
from protocol.openfhe_library import check_generator
from protocol.randomness import sample_uniform
from protocol.seeds import SeedRecord
from quantize.packing import UnsignedArray

if TYPE_CHECKING:
    from protocol.openfhe.automorphism_keys import AutomorphismKeys
    from protocol.residue.ciphertext import SecretKey
    from protocol.residue.ring import Ring as ResidueRing

IntArray = NDArray[np.int64]

SPARE_CIPHERTEXTS = 24
"""Between a query and its answers: sums, nodes of trees, and what OpenFHE makes of them on the way."""

NOISE_SAMPLE_ANSWERS = 8
"""Answers of a session whose noise the client measures afterwards."""


class OpenFHEPlan(ABC):
    """What both parties derive from a configuration.

    Attributes
    ----------
    ring : under which queries and answers are encrypted
    keys : of the automorphisms that the server applies; None where it multiplies only
    modulus : t, of the shares
    inputs, answers : ciphertexts of a token's query and of its answer
    """

    ring: OpenFHERing
    keys: AutomorphismKeys | None = None
    modulus: int
    inputs: int
    answers: int

    @abstractmethod
    def query(self, token: int) -> IntArray:
        """What is encrypted of a token, (inputs, N)."""

    @abstractmethod
    def vector(self, values: IntArray) -> IntArray:
        """What is encrypted of any vector (m,) modulo t, (inputs, N)."""

    @abstractmethod
    def used(self, answer: int) -> IntArray:
        """Places of an answer, coefficients or slots, that hold a packed column each, in column order."""

    def opened(self, values: IntArray) -> IntArray:
        """Shares modulo t, from what is decrypted at the used places."""
        return values

    def measured(self) -> slice | IntArray:
        """Coefficients of an answer whose errors are those of results: of a product all, used or not."""
        return slice(None)

    def shapes(self, tokens: int) -> Shapes:
        """Lengths of every message."""
        length = self.ring.ciphertext_bytes
        return Shapes(
            keys=NOTHING if self.keys is None else Shape(len(self.keys.exponents), self.keys.length),
            announcement=NOTHING,
            first_halves=NOTHING,
            query=Shape(tokens * self.inputs, length),
            answer=Shape(tokens * self.answers, length),
            # OpenFHE's keys are residues of 8 bytes as they travel and as they lie in memory.
            kept_bytes=0 if self.keys is None else len(self.keys.exponents) * self.keys.length,
        )


def check_executed(configuration: Configuration) -> None:
    """Refuse what these engines would leave out without a word.

    Raises
    ------
    ValueError
        If answers are to be flooded, queries prepared, or secrets Gaussian.
    """
    if configuration.ring.secret != "ternary":
        raise ValueError(f"ring.secret is {configuration.ring.secret!r}; keys are made for ternary ones")
    if configuration.flooding_bits:
        raise ValueError(f"flooding_bits is {configuration.flooding_bits}; the openfhe engine floods nothing: 0")
    if configuration.prepared:
        raise ValueError("prepared is true; the openfhe engine has no seeds to prepare queries from")


class OpenFHEClient:
    """The client's kernels; the secret key lives and dies here."""

    def __init__(self, plan: OpenFHEPlan, tokens: int, meter: Meter) -> None:
        self.shapes = plan.shapes(tokens)
        self._plan = plan
        self._ring = plan.ring
        self._tokens = tokens
        self._meter = meter
        self._sample: list[bytes] = []
        with meter.work("generate keys"):
            self._key = self._ring.context.KeyGen().secretKey

    def lookup(self, tokens: int, prepared: bool) -> OpenFHEClient:
        """Kernels for one more lookup."""
        other = copy(self)
        other.shapes, other._tokens = self._plan.shapes(tokens), tokens
        return other

    def keys(self) -> Iterator[bytes]:
        """A key for every automorphism, one a frame; none where products with plaintexts are all."""
        if self._plan.keys is None:
            return iter(())
        _, secret = self.residues()
        return self._plan.keys.generate(self._key, secret, self._meter)

    def announce(self) -> Iterator[bytes]:
        """None: OpenFHE's ciphertexts have no seeds, so that nothing can be prepared."""
        return iter(())

    def accept_first_halves(self, frames: Iterable[bytes]) -> None:
        """Nothing comes."""

    def encrypt(self, tokens: Sequence[int]) -> Iterator[bytes]:
        """Secret-key encryptions of the one-hot rows, one a frame."""
        for token in tokens:
            yield from map(self.encrypt_polynomial, self._plan.query(token))

    def encrypt_vectors(self, vectors: IntArray) -> Iterator[bytes]:
        """The same for any vectors modulo t, (tokens, m)."""
        for vector in vectors:
            yield from map(self.encrypt_polynomial, self._plan.vector(vector))

    def decrypt(self, frames: Iterable[bytes]) -> Shares:
        """The client's shares, an answer a frame."""
        plan, arriving = self._plan, iter(frames)
        rows = []
        for _ in range(self._tokens):
            columns = [self.decrypt_polynomial(next(arriving))[plan.used(one)] for one in range(plan.answers)]
            rows.append(plan.opened(np.concatenate(columns)))
        return np.stack(rows)

    def encrypt_polynomial(self, polynomial: IntArray) -> bytes:
        """A fresh secret-key encryption of what is encoded of values modulo t, shape (N,), as it travels."""
        # Parent and child of a fork would encrypt with the same randomness.
        check_generator()
        with self._meter.work("encrypt"):
            ciphertext = self._ring.context.Encrypt(self._key, self._ring.encode(polynomial))
        with self._meter.work("write ciphertext"):
            return Frame.of(self._ring.write(ciphertext), "ciphertexts", 1)

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

        A measurement beside the protocol, on residues read from the serialised answers and key.
        """
        from protocol.residue.ciphertext import noise, phase
        from protocol.residue.rounding import scale_down
        from protocol.residue.serialised import read_polynomials

        plan = self._plan
        (ring, secret), modulus, used = self.residues(), plan.modulus, plan.measured()
        phases = np.stack([phase(secret, read_polynomials(one, ring))[..., used] for one in self._sample])
        errors = noise(ring, phases, scale_down(phases, ring, modulus), modulus)
        return root_mean_square_bits(errors * (modulus / float(ring.modulus)))

    def residues(self) -> tuple[ResidueRing, SecretKey]:
        """Ring and secret as residues."""
        # Compiled kernels and their compiler take 60 MB, which a server on OpenFHE alone has better use for.
        from protocol.residue.ciphertext import SecretKey
        from protocol.residue.context import read_ring, read_secret_key

        ring = read_ring(self._ring.context)
        return ring, SecretKey(ring, read_secret_key(self._key, ring))


def client_of(
    plan: Callable[[Configuration, bool], OpenFHEPlan],
) -> Callable[[Configuration, int, Meter, bool, SeedRecord], OpenFHEClient]:
    """How the client of an engine is made.

    OpenFHE's generator has no seed to record; the secret key, which a copy of its state draws again, stands for it.
    """

    def client(
        configuration: Configuration, tokens: int, meter: Meter, allow_insecure: bool, seeds: SeedRecord
    ) -> OpenFHEClient:
        made = OpenFHEClient(plan(configuration, allow_insecure), tokens, meter)
        _, secret = made.residues()
        seeds.claim(secret.residues.tobytes())
        return made

    return client


Plan = TypeVar("Plan", bound=OpenFHEPlan)
Server = TypeVar("Server")


def server_of(
    plan: Callable[[Configuration, bool], Plan],
    server: Callable[[Plan, Configuration, UnsignedArray, Meter, Progress], Server],
) -> Callable[[Configuration, UnsignedArray, Meter, Progress, bool], Server]:
    """How the server of an engine is made: from a plan, and the table that it encodes."""

    def made(
        configuration: Configuration,
        coefficients: UnsignedArray,
        meter: Meter,
        progress: Progress,
        allow_insecure: bool,
    ) -> Server:
        own = plan(configuration, allow_insecure)
        if own.keys is not None:
            own.keys.expect()
        return server(own, configuration, coefficients, meter, progress)

    return made


class OpenFHEServer:
    """What servers on OpenFHE have in common: the rows of a lookup are computed one after the other.

    Attributes
    ----------
    plan : of the engine
    """

    plan: OpenFHEPlan
    tokens_together = 1

    def working_bytes(self, tokens: int, threads: int) -> int:
        """Memory of a row's query, of its answers, and of some ciphertexts between them."""
        plan = self.plan
        return plan.ring.ciphertext_bytes * (plan.inputs + plan.answers + SPARE_CIPHERTEXTS)


class OpenFHESession(ABC):
    """One client's keys and queries.

    Parameters
    ----------
    plan
        Of the engine.
    middle
        What the encoded table is short of in every entry.
    tokens
        How many rows are looked up together.
    meter
        Counts and times what is done.
    """

    def __init__(self, plan: OpenFHEPlan, middle: int, tokens: int, meter: Meter) -> None:
        self.shapes = plan.shapes(tokens)
        self._plan = plan
        self._middle = middle
        self._meter = meter
        self._keys: dict[int, Any] = {}

    def lookup(self, tokens: int, prepared: bool) -> OpenFHESession:
        """Kernels for one more lookup."""
        other = copy(self)
        other.shapes = self._plan.shapes(tokens)
        return other

    def accept_keys(self, frames: Sequence[bytes]) -> None:
        """Read and check the keys of all automorphisms."""
        if self._plan.keys is not None:
            self._keys = self._plan.keys.read(frames, self._meter)

    def prepare(self, frames: Sequence[bytes]) -> Iterator[bytes]:
        """Nothing can be prepared."""
        return iter(())

    def answer(self, frames: Sequence[bytes], shares: Shares) -> Iterator[bytes]:
        """One answer a frame, token by token; a mask covers every place of it, used or not."""
        plan, context = self._plan, self._plan.ring.context
        for token, row in enumerate(shares):
            query = frames[token * plan.inputs : (token + 1) * plan.inputs]
            column = 0
            for answer, product in enumerate(self._products(query)):
                used = plan.used(answer)
                with self._meter.work("draw mask"):
                    mask, share = self._mask(used)
                with self._meter.work("subtract mask"):
                    masked = context.EvalSub(product, plan.ring.encode(mask))
                with self._meter.work("write ciphertext"):
                    written = plan.ring.write(masked)
                row[column : column + used.size] = (share + self._middle) % plan.modulus
                column += used.size
                yield Frame.of(written, "ciphertexts", 1)

    @abstractmethod
    def _products(self, frames: Sequence[bytes]) -> Iterator[Any]:
        """The answers to a token's query before they are masked, in order."""

    def _mask(self, used: IntArray) -> tuple[IntArray, IntArray]:
        """A fresh mask of every place of an answer, (N,), and what it is modulo t at the used ones."""
        mask = sample_uniform(self._plan.modulus, self._plan.ring.ring.degree).astype(np.int64)
        return mask, mask[used]

    def _read(self, frames: Sequence[bytes]) -> list[Any]:
        """Arriving ciphertexts, validated."""
        query = []
        for frame in frames:
            with self._meter.work("read ciphertext"):
                query.append(self._plan.ring.read(frame))
        return query

    def _inner_product(self, ciphertexts: Sequence[Any], plaintexts: Sequence[Any]) -> Any:
        with self._meter.counting("multiply-accumulate") as made:
            return self._plan.ring.inner_product(ciphertexts, plaintexts, made)
