r"""Correlated oblivious transfer over Z_{2^L}: shares of a product of two bits for one word of L bits.

From the rows of an extension, q_j with the secret delta at the sender and v_j = q_j + r_j delta at the
receiver, and the hash H to 64 bits, for the sender's word x_j:

    sender:    d_j = H(j, q_j) + x_j - H(j, q_j + delta) mod 2^L  (sent),      y_j = -H(j, q_j)
    receiver:  z_j = H(j, v_j) + r_j d_j,           so that  y_j + z_j = r_j x_j mod 2^L.

If r_j = 1, then v_j = q_j + delta and H(j, v_j) + d_j = H(j, q_j) + x_j. To the receiver d_j is masked by the
one of the two hashes that it cannot compute: uniform under the correlation robustness of H. H is BLAKE2b,
with the session as its salt and the number of the transfer within the session before the row, so that no
input ever comes twice.

References
----------
G. Asharov, Y. Lindell, T. Schneider and M. Zohner, "More efficient oblivious transfer and extensions for
faster secure computation", CCS 2013, ePrint 2013/552 (correlated OT, correlation robustness).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from protocol.alignment.extension import ExtensionReceiver, ExtensionSender

SALT_BYTES = 16
_HASHED_TOGETHER = 1 << 16  # a digest takes five times its bytes while it is an object


def hash_rows(salt: bytes, first: int, rows: NDArray[np.uint8]) -> NDArray[np.uint64]:
    """H(j, row_j), shape (count,), of rows, shape (count, 16), for j = first, first + 1, ..."""
    base = hashlib.blake2b(digest_size=8, person=b"alignment COT", salt=salt)
    hashes = np.empty(len(rows), np.uint64)
    for start in range(0, len(rows), _HASHED_TOGETHER):
        part = rows[start : start + _HASHED_TOGETHER]
        numbers = np.arange(first + start, first + start + len(part), dtype="<u8").view(np.uint8).reshape(-1, 8)
        inputs = np.concatenate([numbers, part], axis=1)
        digests = b"".join(_digests(base, inputs.tobytes(), inputs.shape[1]))
        hashes[start : start + len(part)] = np.frombuffer(digests, "<u8")
    return hashes


def _digests(base: hashlib.blake2b, inputs: bytes, size: int) -> Iterator[bytes]:
    for start in range(0, len(inputs), size):
        state = base.copy()
        state.update(inputs[start : start + size])
        yield state.digest()


class CorrelatedReceiver:
    """Chooses; `choose` and `shares` alternate."""

    def __init__(self, extension: ExtensionReceiver, salt: bytes) -> None:
        self._extension = extension
        self._salt = salt
        self._used = 0

    def choose(self, choices: NDArray[np.bool_]) -> bytes:
        """The extension's message for choice bits r, shape (count,)."""
        message, rows = self._extension.extend(choices)
        self._choices = choices
        self._pads = hash_rows(self._salt, self._used, rows)
        self._used += len(choices)
        return message

    def shares(self, corrections: NDArray[np.uint64]) -> NDArray[np.uint64]:
        """Z modulo 2^64 from d, both of shape (count,); only as many low bits mean anything as d has."""
        added: NDArray[np.uint64] = np.where(self._choices, corrections, np.uint64(0))
        products = self._pads + added
        del self._choices, self._pads  # a session that is idle holds nothing of its last alignment
        return products


class CorrelatedSender:
    """Gives the words; `take` and `correct` alternate."""

    def __init__(self, extension: ExtensionSender, salt: bytes) -> None:
        self._extension = extension
        self._salt = salt
        self._used = 0

    def take(self, message: bytes, count: int) -> None:
        """Take the extension's message for `count` transfers.

        Raises
        ------
        ValueError
            If the message is malformed.
        """
        rows = self._extension.extend(message, count)
        self._pads = hash_rows(self._salt, self._used, rows)
        self._other_pads = hash_rows(self._salt, self._used, rows ^ self._extension.delta)
        self._used += count

    def correct(self, words: NDArray[np.uint64]) -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
        """D and y modulo 2^64 for the words x, all of shape (count,)."""
        corrections, products = self._pads + words - self._other_pads, -self._pads
        del self._pads, self._other_pads
        return corrections, products
