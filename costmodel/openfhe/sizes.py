"""Exact bytes of OpenFHE's binary serialisation of BFV objects (release 1.6.1, cereal's portable binary
form).

A polynomial limb is N as u64, N coefficients as u64 and its prime as u64: 16 + 8N bytes, whatever the
prime. What is around the limbs does not depend on N, t, the noise or the secret, only on how many limbs q
has and on how many 64-bit words it takes as one integer:

- every object carries the BFV parameters of its context behind a polymorphic pointer (class name, standard
  parameters, encoding parameters), with the element parameters of q: 48 bytes a limb (its prime and root)
  and the words of q;
- a polynomial refers to these by pointer, 20 bytes and 17 for each limb;
- a ciphertext whose limbs were dropped carries element parameters of its own, once for each polynomial, whose
  primes are pointers into those of the context.

The constants were read off the serialised bytes and hold for every ring in ``tests/costmodel``.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

_CONTEXT_PER_LIMB = 48
_POLYNOMIAL = 20
_POLYNOMIAL_PER_LIMB = 17
_LIMB_FRAME = 16
_COEFFICIENT = 8
_CIPHERTEXT = 583
_PUBLIC_KEY = 539
_KEY_MAP = 593
_MAP_OF_TAGS = 48
_KEY = 76


def ciphertext_bytes(N: ArrayLike, limbs: ArrayLike, log2_q: ArrayLike) -> Any:
    """Bytes of a ciphertext of two polynomials at the full modulus.

    583 + 2*20 + (48 + 2*17)*L + 8*ceil(log2 q / 64) of header (713 bytes for one limb, 803 for two of up to
    64 bits each) and 2*L*(16 + 8N) of limbs.

    Parameters
    ----------
    N : array_like of int
        Ring degree.
    limbs : array_like of int
        L, number of primes of q.
    log2_q : array_like of int
        Bits of q, the sum over its primes.

    Returns
    -------
    int64 array (scalar in, scalar out)
        Bytes; fresh with either key, and after additions and plaintext products.
    """
    return (_CIPHERTEXT + _context(limbs, log2_q) + 2 * _polynomial(N, limbs))[()]


def compressed_ciphertext_bytes(
    N: ArrayLike, limbs: ArrayLike, log2_q: ArrayLike, kept_limbs: ArrayLike, kept_log2_q: ArrayLike
) -> Any:
    """Bytes of a ciphertext of which ``Compress`` has kept only some limbs.

    As `ciphertext_bytes` with 2*K*(16 + 8N + 17) for K kept limbs, and if K < L another
    2*(88 + 8*K + 8*ceil(log2 q' / 64)) for the element parameters of the smaller modulus q'.

    Parameters
    ----------
    N, limbs, log2_q : array_like of int
        Ring degree, limbs and bits of the context's q.
    kept_limbs, kept_log2_q : array_like of int
        Limbs and bits of the ciphertext's own modulus.
    """
    kept = np.asarray(kept_limbs, dtype=np.int64)
    own = np.where(kept < np.asarray(limbs, dtype=np.int64), 2 * (88 + 8 * kept + 8 * _words(kept_log2_q)), 0)
    return (_CIPHERTEXT + _context(limbs, log2_q) + own + 2 * _polynomial(N, kept))[()]


def public_key_bytes(N: ArrayLike, limbs: ArrayLike, log2_q: ArrayLike) -> Any:
    """Bytes of a public key, 44 less than a ciphertext; parameters as `ciphertext_bytes`."""
    return (_PUBLIC_KEY + _context(limbs, log2_q) + 2 * _polynomial(N, limbs))[()]


def context_bytes(limbs: ArrayLike, log2_q: ArrayLike) -> Any:
    """Bytes of a crypto context: 459 and the element parameters of q; parameters as `ciphertext_bytes`."""
    return (459 + _context(limbs, log2_q))[()]


def automorphism_keys_bytes(
    N: ArrayLike, limbs: ArrayLike, log2_q: ArrayLike, keys: ArrayLike, digits: ArrayLike
) -> Any:
    """Bytes of a map of BV automorphism keys as ``SerializeEvalAutomorphismKeyString`` writes it.

    593 + 48*L + 8*ceil(log2 q / 64) once (key tag and context), and for each key 76 and 2*D polynomials.

    Parameters
    ----------
    N, limbs, log2_q : array_like of int
        As `ciphertext_bytes`.
    keys : array_like of int
        Automorphisms in the map.
    digits : array_like of int
        D, digits of a key; see `bv_digits`.

    Returns
    -------
    int64 array (scalar in, scalar out)
    """
    one = _KEY + 2 * np.asarray(digits, dtype=np.int64) * _polynomial(N, limbs)
    return (_KEY_MAP + _context(limbs, log2_q) + np.asarray(keys, dtype=np.int64) * one)[()]


def key_map_bytes(N: ArrayLike, limbs: ArrayLike, log2_q: ArrayLike, keys: ArrayLike, digits: ArrayLike) -> Any:
    """Bytes of a map of BV automorphism keys as ``Serialize`` writes it, 48 less than `automorphism_keys_bytes`.

    There the map is one entry of another, by key tag. Parameters as there.
    """
    return automorphism_keys_bytes(N, limbs, log2_q, keys, digits) - _MAP_OF_TAGS


def bv_digits(limb_bits: tuple[ArrayLike, ...], digit_bits: ArrayLike) -> Any:
    """Digits of a BV switching key: the sum over the limbs of ceil(bits / digit_bits).

    Parameters
    ----------
    limb_bits : tuple of array_like of int
        Bits of every prime of q.
    digit_bits : array_like of int
        Bits of a digit (``SetDigitSize``); 0 takes a whole limb for a digit.

    Returns
    -------
    int64 array (scalar in, scalar out)
    """
    base = np.asarray(digit_bits, dtype=np.int64)
    digits = np.zeros_like(base)
    for bits in limb_bits:
        limb = np.asarray(bits, dtype=np.int64)
        digits = digits + np.where(base > 0, -(-limb // np.maximum(base, 1)), 1)
    return digits[()]


def _words(log2_q: ArrayLike) -> NDArray[np.int64]:
    return -(-np.asarray(log2_q, dtype=np.int64) // 64)


def _context(limbs: ArrayLike, log2_q: ArrayLike) -> NDArray[np.int64]:
    return _CONTEXT_PER_LIMB * np.asarray(limbs, dtype=np.int64) + 8 * _words(log2_q)


def _polynomial(N: ArrayLike, limbs: ArrayLike) -> NDArray[np.int64]:
    limb = _POLYNOMIAL_PER_LIMB + _LIMB_FRAME + _COEFFICIENT * np.asarray(N, dtype=np.int64)
    return _POLYNOMIAL + np.asarray(limbs, dtype=np.int64) * limb
