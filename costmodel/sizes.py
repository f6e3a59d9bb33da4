"""Bytes of everything that travels, in each of the formats that a question can be asked in.

``ideal``
    the bits of the formula, no framing;
``openfhe``
    this project's frames around OpenFHE's own binary serialisation, which knows no seeds and no sparse polynomials;
``seal``
    SEAL ciphertexts compressed by zstd, as OpenCheetah sends them: the ``native`` format of the published rows.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import ArrayLike

from costmodel import seal
from costmodel.formulas import Symbol
from costmodel.grid import Grid
from costmodel.openfhe import sizes as openfhe
from costmodel.wire import CHANNEL_METADATA_BYTES, FRAME_HEADER_BYTES, HELLO_BYTES, METADATA_BYTES, REQUEST_BYTES

SPECIAL_LIMB_BITS = 60
"""The special prime of SEAL's key switching."""

Bytes = Any


class SessionFormulas(NamedTuple):
    """Formulas of the messages that open a session, and of the one that asks for a lookup."""

    hello: str = "0"
    parameters: str = "0"
    ready: str = "0"
    request: str = "0"


_FRAMED = SessionFormulas(
    f"header + {HELLO_BYTES}",
    f"header + {METADATA_BYTES} + {CHANNEL_METADATA_BYTES}*n",
    "header",
    f"header + {REQUEST_BYTES}",
)


class SizeFormat(Protocol):
    """What a ciphertext takes in one format; every method returns bytes of one object, framing included."""

    @property
    def session(self) -> SessionFormulas:
        """Formulas of :meth:`hello`, :meth:`parameters`, :meth:`ready` and :meth:`request`."""

    def hello(self, grid: Grid) -> Bytes:
        """The client's first message."""

    def parameters(self, grid: Grid) -> Bytes:
        """The server's public parameters."""

    def ready(self, grid: Grid) -> Bytes:
        """The server's word that it has the client's keys."""

    def request(self, grid: Grid) -> Bytes:
        """The client's word that a lookup or its preparation begins."""

    def query(self, grid: Grid) -> Bytes:
        """One fresh ciphertext of the client."""

    def answer(self, grid: Grid, used: Any) -> Bytes:
        """One answer, ``used`` coefficients of which the client reads."""

    def switching_key(self, grid: Grid) -> Bytes:
        """One automorphism key."""


class _OfCiphertexts:
    """Formats of published figures, which count ciphertexts and keys and nothing that opens a session."""

    session = SessionFormulas()

    def hello(self, grid: Grid) -> Bytes:
        """Not counted."""
        return np.int64(0)

    def parameters(self, grid: Grid) -> Bytes:
        """Not counted."""
        return np.int64(0)

    def ready(self, grid: Grid) -> Bytes:
        """Not counted."""
        return np.int64(0)

    def request(self, grid: Grid) -> Bytes:
        """Not counted."""
        return np.int64(0)


class Ideal(_OfCiphertexts):
    """Bits of the formula: seeded fresh ciphertexts, answers whole or with the used coefficients of b alone."""

    def query(self, grid: Grid) -> Bytes:
        """N log2 q / 8, the other polynomial coming from a seed."""
        return -(-grid.degree * grid.log2_q // 8)

    def answer(self, grid: Grid, used: Any) -> Bytes:
        """2 N log2 q / 8, or (N + used) log2 q / 8 where coefficients are extracted."""
        if grid.output == "ciphertexts":
            used = grid.degree
        elif grid.output == "packlwes-one-polynomial":
            used = 0
        return -(-(grid.degree + used) * grid.log2_q // 8)

    def switching_key(self, grid: Grid) -> Bytes:
        """L N (log2 q + special) / 8: a seeded polynomial over all limbs and the special one for each limb of q."""
        return -(-grid.limbs * grid.degree * (grid.log2_q + SPECIAL_LIMB_BITS) // 8)


class OpenFHE:
    """Frames of this project with one OpenFHE object each."""

    session = _FRAMED

    def hello(self, grid: Grid) -> Bytes:
        """A session's identifier, and what resumes it, in a frame."""
        return np.int64(FRAME_HEADER_BYTES + HELLO_BYTES)

    def parameters(self, grid: Grid) -> Bytes:
        """A metadata block and 12 bytes a channel in a frame."""
        return FRAME_HEADER_BYTES + METADATA_BYTES + CHANNEL_METADATA_BYTES * grid.channels

    def ready(self, grid: Grid) -> Bytes:
        """An empty frame."""
        return np.int64(FRAME_HEADER_BYTES)

    def request(self, grid: Grid) -> Bytes:
        """The number of a lookup and its tokens in a frame."""
        return np.int64(FRAME_HEADER_BYTES + REQUEST_BYTES)

    def query(self, grid: Grid) -> Bytes:
        """A whole ciphertext, whatever it was made from."""
        return FRAME_HEADER_BYTES + openfhe.ciphertext_bytes(grid.degree, grid.limbs, grid.log2_q)

    def answer(self, grid: Grid, used: Any) -> Bytes:
        """A whole ciphertext, whatever is read of it."""
        return self.query(grid)

    def switching_key(self, grid: Grid) -> Bytes:
        """A map with one automorphism key, switching by digits; the digits are whole limbs where none are chosen."""
        digits = openfhe.bv_digits(grid.limb_bits, grid.digit_bits)
        return FRAME_HEADER_BYTES + openfhe.key_map_bytes(grid.degree, grid.limbs, grid.log2_q, 1, digits)


class Seal(_OfCiphertexts):
    """SEAL with zstd as OpenCheetah sends it."""

    def query(self, grid: Grid) -> Bytes:
        """A seeded ciphertext."""
        return seal.seeded_ciphertext_bytes(grid.degree, grid.limb_bits)

    def answer(self, grid: Grid, used: Any) -> Bytes:
        """By output packing.

        Two limbs mean OpenCheetah's own answers, switched to the first limb with their low bits dropped; FastQuery's
        bytes are those of one limb with nothing dropped. The paper counts its packed answer as one polynomial.
        """
        limbs, degree = grid.limb_bits, grid.degree
        if grid.output == "ciphertexts":
            return seal.ciphertext_bytes(degree, limbs)
        if grid.output == "packlwes-one-polynomial":
            return seal.polynomial_bytes(degree, limbs)
        if grid.limbs == 1:
            return seal.extracted_ciphertext_bytes(degree, limbs, used)
        dropped = seal.truncated_bits(limbs[0], grid.plaintext_modulus, degree)
        return seal.extracted_ciphertext_bytes(degree, limbs[:1], used, dropped)

    def switching_key(self, grid: Grid) -> Bytes:
        """A seeded Galois key with a special prime of 60 bits."""
        return seal.galois_keys_bytes(grid.degree, (*grid.limb_bits, np.int64(SPECIAL_LIMB_BITS)), 1)


class Compact(OpenFHE):
    """Messages of this project, sized as a whole by :mod:`costmodel.compact.ledger`; a session's are as ever."""

    def query(self, grid: Grid) -> Bytes:
        """Not sized one ciphertext at a time.

        Raises
        ------
        ValueError
            Always: it is asked for only where the compact format does not apply.
        """
        raise ValueError(f"size is 'wire', which engine {grid.engine} does not send; take engine residue")


_FORMATS: dict[str, SizeFormat] = {
    "ideal": Ideal(),
    "openfhe": OpenFHE(),
    "seal": Seal(),
    "wire": Compact(),
    "residue": Compact(),
}


def format_name(grid: Grid) -> str:
    """The format that a grid asks for by its name, the engine's where it asks for the native one."""
    return grid.engine if grid.size == "native" else grid.size


def size_format(grid: Grid) -> SizeFormat:
    """The format that a grid asks for; ``native`` is the one of its engine.

    Raises
    ------
    ValueError
        If the format does not exist.
    """
    name = format_name(grid)
    if name not in _FORMATS:
        raise ValueError(f"size is {name!r}; it must be one of {', '.join(_FORMATS)}")
    return _FORMATS[name]


QUERY_FORMULA = "ceil(N*log2_q/8)"
ANSWER_FORMULAS: Mapping[str, str] = {
    "ciphertexts": "ceil(2*N*log2_q/8)",
    "packlwes-one-polynomial": QUERY_FORMULA,
}
SWITCHING_KEY_FORMULA = f"ceil(limbs*N*(log2_q + {SPECIAL_LIMB_BITS})/8)"
_LIBRARIES = {"openfhe": "as OpenFHE serialises it, framed", "seal": "by SEAL with zstd", "spu": "by SEAL with zstd"}


def sent_symbol(grid: Grid, size_bytes: ArrayLike, meaning: str, ideal: str) -> Symbol:
    """Bytes of an object that travels: a library's where the grid asks for its format, else by the ideal formula."""
    name = format_name(grid)
    if name == "ideal":
        return Symbol(size_bytes, f"bytes of {meaning}", ideal)
    return Symbol(size_bytes, f"bytes of {meaning}, {_LIBRARIES[name]}")


def query_symbol(grid: Grid) -> Symbol:
    """Bytes of a fresh ciphertext."""
    return sent_symbol(grid, size_format(grid).query(grid), "a fresh ciphertext", QUERY_FORMULA)


def answer_symbol(grid: Grid, used: ArrayLike) -> Symbol:
    """Bytes of an answer of which the client reads the coefficients of the symbol ``used``."""
    formula = ANSWER_FORMULAS.get(grid.output, "ceil((N + used)*log2_q/8)")
    return sent_symbol(grid, size_format(grid).answer(grid, used), "an answer", formula)


def switching_key_symbol(grid: Grid) -> Symbol:
    """Bytes of an automorphism key."""
    size = size_format(grid).switching_key(grid)
    return sent_symbol(grid, size, "an automorphism key", SWITCHING_KEY_FORMULA)
