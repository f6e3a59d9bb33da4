"""Bytes of SEAL ciphertexts compressed by zstd, as OpenCheetah sends them.

OpenCheetah writes 8 bytes of length before each ciphertext (``send_ciphertext``); SEAL 3.7.2 a header of 16
bytes and one zstd frame at level 3 with 89 bytes of metadata and the residues as 64-bit words. zstd does
not get down to the bits of a residue: its literals are coded byte by byte, so the effective bits of a
coefficient are measured. ``benchmarks/seal_zstd.py`` compresses random byte strings of this form and writes
the table that is read here: whole polynomials of 20 to 61 bits at N = 1024 to 16384; at N = 4096 those with
low bits zero, sparse ones, and pairs of different sizes. Sizes agree with real ones within 0.5 % for one
limb (1 % at N = 1024), 1 % for several limbs and for sparse ones, and 3 % for sparse ones with unusual
truncation.

One zstd block holds 128 KiB, i.e. 16384 residues. Polynomials in one block share one Huffman table, which
costs something if their sizes differ: for k polynomials the measured excess of each pair, times 2/k.

Uniform residues modulo a prime of b bits are taken as b random bits, which holds for the primes just below
2^b that SEAL makes.

References
----------
.. [1] OpenCheetah, ``SCI/src/cheetah/cheetah-api.cpp`` (framing), ``include/gemini/cheetah/hom_fc_ss.cc``
   (``removeUnusedCoeffs``), ``hom_conv2d_ss.cc`` (``truncate_for_decryption``).
.. [2] Microsoft SEAL 3.7.2, ``native/src/seal/ciphertext.cpp`` (``save_members``), ``serialization.h``,
   ``util/ztools.cpp`` (``zstd_deflate_array_inplace``).
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from functools import cache
from importlib import resources
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

FRAME_BYTES = 8 + 16
"""OpenCheetah's length and SEAL's header."""
_BLOCK_RESIDUES = 16384
_PUBLIC_KEY_METADATA_BYTES = 89 + 81 + 16


def seeded_ciphertext_bytes(N: ArrayLike, limb_bits: Sequence[ArrayLike]) -> Any:
    """Bytes of a fresh secret-key encryption, its second polynomial replaced by a seed.

    Parameters
    ----------
    N : array_like of int
        Ring degree.
    limb_bits : sequence of array_like of int
        Bits of every prime of q, 20 to 61.

    Returns
    -------
    float64 array (scalar in, scalar out)
        Bytes on average over residues, framing included.

    Raises
    ------
    ValueError
        If a prime has fewer than 20 or more than 61 bits.
    """
    return (polynomial_bytes(N, limb_bits) + _table().seed_bytes)[()]


def ciphertext_bytes(N: ArrayLike, limb_bits: Sequence[ArrayLike]) -> Any:
    """Bytes of a whole ciphertext of two polynomials; parameters as `seeded_ciphertext_bytes`."""
    return polynomial_bytes(N, (*limb_bits, *limb_bits))


def polynomial_bytes(N: ArrayLike, limb_bits: Sequence[ArrayLike]) -> Any:
    """Bytes of one polynomial framed like a ciphertext; parameters as `seeded_ciphertext_bytes`."""
    table = _table()
    degree = np.asarray(N, dtype=np.float64)
    size = _mixture_bytes(degree, limb_bits)
    for bits in limb_bits:
        size = size + table.polynomial(degree, bits, 0)
    return (FRAME_BYTES + table.metadata_bytes + size)[()]


def extracted_ciphertext_bytes(
    N: ArrayLike,
    limb_bits: Sequence[ArrayLike],
    used: ArrayLike,
    dropped: tuple[ArrayLike, ArrayLike] = (0, 0),
) -> Any:
    """Bytes of a ciphertext whose first polynomial is zero but for the coefficients that are decrypted.

    Parameters
    ----------
    N, limb_bits
        As `seeded_ciphertext_bytes`.
    used : array_like of int
        Coefficients that are kept of the first polynomial, evenly spread.
    dropped : pair of array_like of int
        Low bits of every residue of the first and of the second polynomial that are zero; see
        `truncated_bits`.

    Returns
    -------
    float64 array (scalar in, scalar out)
    """
    table = _table()
    degree = np.asarray(N, dtype=np.float64)
    kept = np.asarray(used, dtype=np.float64)
    size = _mixture_bytes(degree, limb_bits)
    for bits in limb_bits:
        size = size + table.polynomial(degree, bits, dropped[1]) + table.sparse(degree, bits, dropped[0], kept)
    return (FRAME_BYTES + table.metadata_bytes + size)[()]


def truncated_bits(first_limb_bits: ArrayLike, plaintext_modulus: ArrayLike, N: ArrayLike) -> tuple[Any, Any]:
    """Low bits that OpenCheetah zeroes in the two polynomials of an answer switched to one limb.

    With D = bits(q0) - bits(t), where t = 2^p has p + 1 bits: D - 1 of the first polynomial, one less if t
    is no power of two, and D - floor(log2(12 N sqrt(1/18))) of the second.

    Parameters
    ----------
    first_limb_bits : array_like of int
        Bits of the first prime q0.
    plaintext_modulus : array_like of int
        t.
    N : array_like of int
        Ring degree.

    Returns
    -------
    (int64 array, int64 array)
        Dropped bits of the first and the second polynomial, 0 or more.

    References
    ----------
    .. [1] OpenCheetah, ``hom_conv2d_ss.cc``, ``truncate_for_decryption``.
    """
    t = np.asarray(plaintext_modulus, dtype=np.int64)
    power_of_two = (t & (t - 1)) == 0
    delta = np.asarray(first_limb_bits, dtype=np.int64) - np.frexp(t.astype(np.float64))[1]
    secret = np.floor(np.log2(12.0 * np.asarray(N, dtype=np.float64) * np.sqrt(1.0 / 18.0))).astype(np.int64)
    first = np.maximum(delta - np.where(power_of_two, 1, 2), 0)
    return first[()], np.maximum(delta - secret, 0)[()]


def galois_keys_bytes(N: ArrayLike, limb_bits: Sequence[ArrayLike], keys: ArrayLike) -> Any:
    """Bytes of seeded Galois keys: for each key and each limb but the special one a seeded polynomial over
    all limbs.

    Parameters
    ----------
    N : array_like of int
        Ring degree.
    limb_bits : sequence of array_like of int
        Bits of every prime, the special one last.
    keys : array_like of int
        Galois elements.

    Returns
    -------
    float64 array (scalar in, scalar out)

    References
    ----------
    .. [1] Microsoft SEAL 3.7.2, ``native/src/seal/kswitchkeys.cpp`` (``save_members``).
    """
    one = polynomial_bytes(N, limb_bits) - FRAME_BYTES - _table().metadata_bytes + _PUBLIC_KEY_METADATA_BYTES
    return (FRAME_BYTES + np.asarray(keys, dtype=np.int64) * (len(limb_bits) - 1) * one)[()]


class _Table(NamedTuple):
    degree: int
    degrees: NDArray[np.int64]
    first_bits: int
    metadata_bytes: int
    seed_bytes: int
    degree_bits: NDArray[np.float64]
    dropped_share: NDArray[np.float64]
    mixture_bytes: NDArray[np.float64]
    used: NDArray[np.float64]
    sparse_bytes: NDArray[np.float64]

    def row(self, bits: ArrayLike) -> NDArray[np.int64]:
        limb = np.asarray(bits, dtype=np.int64)
        last = self.first_bits + len(self.sparse_bytes) - 1
        if limb.size and not (self.first_bits <= limb.min() and limb.max() <= last):
            outside = limb.min() if limb.min() < self.first_bits else limb.max()
            raise ValueError(f"limb of {outside} bits: SEAL sizes are measured from {self.first_bits} to {last} bits")
        return limb - self.first_bits

    def polynomial(self, degree: NDArray[np.float64], bits: ArrayLike, dropped: ArrayLike) -> NDArray[np.float64]:
        """Bytes of one polynomial; a degree outside the table takes the bits a coefficient of the nearest."""
        row = self.row(bits)
        column = np.clip(np.searchsorted(self.degrees, degree), 0, len(self.degrees) - 1)
        zeros = np.minimum(np.asarray(dropped, dtype=np.int64), np.asarray(bits, dtype=np.int64) - 1)
        share: NDArray[np.float64] = self.dropped_share[row, zeros]
        return degree / 8.0 * self.degree_bits[row, column] * share

    def mixture(self, bits: ArrayLike, other: ArrayLike) -> NDArray[np.float64]:
        excess: NDArray[np.float64] = self.mixture_bytes[self.row(bits), self.row(other)]
        return excess

    def sparse(
        self, degree: NDArray[np.float64], bits: ArrayLike, dropped: ArrayLike, used: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """Bytes by the density of the used coefficients, linear between the entries.

        Whole low bytes of zeros shorten the residues.
        """
        scale = degree / self.degree
        used = used / scale
        whole_bytes = 8 * (np.asarray(dropped, dtype=np.int64) // 8)
        row = self.row(np.maximum(np.asarray(bits, dtype=np.int64) - whole_bytes, self.first_bits))
        at = np.clip(np.searchsorted(self.used, used, side="right") - 1, 0, len(self.used) - 2)
        low, high = self.used[at], self.used[at + 1]
        part = (used - low) / (high - low)
        extra = self.sparse_bytes[row, at] * (1.0 - part) + self.sparse_bytes[row, at + 1] * part
        return scale * extra


@cache
def _table() -> _Table:
    text = resources.files("costmodel").joinpath("data/seal_zstd.toml").read_text(encoding="utf-8")
    data = tomllib.loads(text)
    first = data["first_bits"]
    rows = len(data["sparse_bytes"])
    polynomial = np.zeros((rows, first + rows))
    mixture = np.zeros((rows, rows))
    for i in range(rows):
        dropped = data["polynomial_bytes"][str(first + i)]
        polynomial[i, : len(dropped)] = dropped
        mixture[i, : i + 1] = mixture[: i + 1, i] = data["mixture_bytes"][str(first + i)]
    sizes = [data["degree_bytes"][str(first + i)] for i in range(rows)]
    return _Table(
        degree=data["degree"],
        degrees=np.array(data["degrees"], dtype=np.int64),
        first_bits=first,
        metadata_bytes=data["metadata_bytes"],
        seed_bytes=data["seed_bytes"],
        degree_bits=8.0 * np.array(sizes, dtype=np.float64) / np.array(data["degrees"]),
        dropped_share=polynomial / polynomial[:, :1],
        mixture_bytes=mixture,
        used=np.array([0, *data["used"]], dtype=np.float64),
        sparse_bytes=np.array([[0, *data["sparse_bytes"][str(first + i)]] for i in range(rows)], dtype=np.float64),
    )


def _mixture_bytes(degree: NDArray[np.float64], limb_bits: Sequence[ArrayLike]) -> Any:
    """Excess of the blocks that hold several polynomials."""
    table = _table()
    together = np.maximum(_BLOCK_RESIDUES / degree, 1.0)
    excess: Any = np.float64(0.0)
    for i in range(len(limb_bits)):
        for j in range(i):
            block = i // together
            members = np.minimum((block + 1) * together, len(limb_bits)) - block * together
            pair = 2.0 / members * table.mixture(limb_bits[i], limb_bits[j])
            excess = excess + np.where(j // together == block, pair, 0.0)
    return excess * degree / table.degree
