"""Bytes of the objects that a published system sends, each named by its ring instead of by the grid's.

A system's query, answer and keys may lie in different rings: limbs are dropped, an answer is switched, a special prime
joins the keys. The format is the grid's: ``native`` is SEAL with zstd, which all of these systems' implementations
use; ``ideal`` is the bits of the formula; ``openfhe`` is a whole OpenFHE ciphertext in a frame, whatever it was made
from. None of these systems is executed here, so that this project's wire format has no size for them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from costmodel import seal
from costmodel.grid import Grid
from costmodel.openfhe import sizes as openfhe
from costmodel.wire import FRAME_HEADER_BYTES

SEAL_ENGINES = ("seal", "spu")
"""Engines whose own format is SEAL with zstd."""


def seeded_bytes(grid: Grid, degree: ArrayLike, limb_bits: Sequence[ArrayLike]) -> Any:
    """A fresh secret-key encryption, one polynomial of it from a seed: N log2 q / 8 ideally."""
    return _by_format(
        grid,
        lambda: _bits_bytes(degree, limb_bits),
        lambda: seal.seeded_ciphertext_bytes(degree, limb_bits),
        lambda: _openfhe_bytes(degree, limb_bits),
    )


def whole_bytes(grid: Grid, degree: ArrayLike, limb_bits: Sequence[ArrayLike]) -> Any:
    """A ciphertext of two polynomials: 2 N log2 q / 8 ideally."""
    return _by_format(
        grid,
        lambda: 2 * _bits_bytes(degree, limb_bits),
        lambda: seal.ciphertext_bytes(degree, limb_bits),
        lambda: _openfhe_bytes(degree, limb_bits),
    )


def extracted_bytes(grid: Grid, degree: ArrayLike, limb_bits: Sequence[ArrayLike], used: ArrayLike) -> Any:
    """An answer with zeros for the coefficients of b that the client does not read: (N + used) log2 q / 8 ideally."""
    total = np.asarray(degree, dtype=np.int64) + np.asarray(used, dtype=np.int64)
    return _by_format(
        grid,
        lambda: _bits_bytes(total, limb_bits),
        lambda: seal.extracted_ciphertext_bytes(degree, limb_bits, used),
        lambda: _openfhe_bytes(degree, limb_bits),
    )


def public_key_bytes(grid: Grid, degree: ArrayLike, limb_bits: Sequence[ArrayLike]) -> Any:
    """A seeded public key over all limbs, the special one included."""
    return _by_format(
        grid,
        lambda: _bits_bytes(degree, limb_bits),
        lambda: seal.seeded_ciphertext_bytes(degree, limb_bits),
        lambda: FRAME_HEADER_BYTES + openfhe.public_key_bytes(degree, len(limb_bits), _log2_q(limb_bits)),
    )


def switching_keys_bytes(grid: Grid, degree: ArrayLike, limb_bits: Sequence[ArrayLike], keys: ArrayLike) -> Any:
    """Seeded switching keys with one digit a limb, the special prime last: keys (L - 1) N log2(q P) / 8 ideally.

    Raises
    ------
    ValueError
        In the ``openfhe`` format, whose keys of this kind no system here sends.
    """
    count = np.asarray(keys, dtype=np.int64)
    return _by_format(
        grid,
        lambda: count * (len(limb_bits) - 1) * _bits_bytes(degree, limb_bits),
        lambda: np.where(count > 0, seal.galois_keys_bytes(degree, limb_bits, count), 0.0)[()],
        lambda: _refuse(grid, "switching keys"),
    )


def plain_bytes(values: ArrayLike, bits: ArrayLike) -> Any:
    """Values of so many bits, sent in the clear and packed: ceil(values bits / 8) in every format."""
    return (-(-np.asarray(values, dtype=np.int64) * np.asarray(bits, dtype=np.int64) // 8))[()]


def _by_format(grid: Grid, ideal: Callable[[], Any], native: Callable[[], Any], library: Callable[[], Any]) -> Any:
    if grid.size == "ideal":
        return ideal()
    if grid.size == "openfhe":
        return library()
    if grid.size == "native" and grid.engine in SEAL_ENGINES:
        return native()
    return _refuse(grid, "objects")


def _refuse(grid: Grid, what: str) -> Any:
    raise ValueError(
        f"size is {grid.size!r} on engine {grid.engine!r}; {grid.protocol} is priced, not executed, and its {what} "
        f"have the sizes native on engine {' or '.join(SEAL_ENGINES)}, or ideal"
    )


def _log2_q(limb_bits: Sequence[ArrayLike]) -> Any:
    total = np.asarray(limb_bits[0], dtype=np.int64)
    for bits in limb_bits[1:]:
        total = total + np.asarray(bits, dtype=np.int64)
    return total


def _bits_bytes(coefficients: ArrayLike, limb_bits: Sequence[ArrayLike]) -> Any:
    return plain_bytes(coefficients, _log2_q(limb_bits))


def _openfhe_bytes(degree: ArrayLike, limb_bits: Sequence[ArrayLike]) -> Any:
    return FRAME_HEADER_BYTES + openfhe.ciphertext_bytes(degree, len(limb_bits), _log2_q(limb_bits))
