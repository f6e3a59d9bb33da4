"""Packing: channels into coefficients, and results into polynomials (PackLWEs).

Element packing
    Channel values of w_0, w_1, ... bits share one plaintext coefficient. A field of w bits has the modulus
    M = 2^(w+1): one bit is reserved, so that the two additive shares of a value stay apart from it. A field of
    L levels, in mixed radix, has the modulus M = 2 L. Field i has the weight M_0 * ... * M_(i-1), field 0 lies
    lowest, and the coefficient needs a plaintext modulus of at least the product of all M_i.

PackLWEs
    The results of many ciphertexts, each at coefficient 0 of its own, are merged into the coefficients of one
    polynomial by a binary tree of key-switched automorphisms.

References
----------
.. [1] FastQuery, DAC 2024, section 4.2 (accumulation bit-width reduction, low bit-width aware element
   packing).
.. [2] H. Chen, W. Dai, M. Kim, Y. Song, "Efficient Homomorphic Conversion Between (Ring) LWE Ciphertexts",
   ePrint 2020/015, Algorithms 2 and 3 (PackLWEs).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

MOST_PLAINTEXT_BITS = 60
"""Of a plaintext modulus that a packing is made for."""


def field_moduli(widths: Sequence[int], levels: Sequence[int] = ()) -> tuple[int, ...]:
    """Moduli of the fields of a coefficient: 2^(w+1) for channels of ``widths`` bits, 2 L for those of ``levels``.

    Raises
    ------
    ValueError
        If there is no width, one is below 1, all of them need more than 60 bits, or ``levels`` are not of these widths.
    """
    if not widths:
        raise ValueError("packing has no channel widths: at least one, such as 4,3,3")
    for width in widths:
        if width < 1:
            raise ValueError(f"packing {_spelt(widths)} has a channel of {width} bits: at least 1")
    if (bits := required_plaintext_bits(widths)) > MOST_PLAINTEXT_BITS + len(levels):
        raise ValueError(
            f"packing {_spelt(widths)} needs p >= {bits} bits; a plaintext modulus has at most {MOST_PLAINTEXT_BITS}: "
            "take narrower channels, or fewer of them"
        )
    if levels:
        if widths_of_levels(levels) != tuple(widths):
            raise ValueError(
                f"packing.levels are {_spelt(levels)}; these take widths of {_spelt(widths_of_levels(levels))} bits, "
                f"not {_spelt(widths)}"
            )
        return tuple(2 * int(count) for count in levels)
    return tuple(2 ** (int(width) + 1) for width in widths)


def widths_of_levels(levels: Sequence[int]) -> tuple[int, ...]:
    """Bits ceil(log2 L) of channels of L levels: (4, 4, 4) for (10, 10, 10).

    Raises
    ------
    ValueError
        If a channel has fewer than 2 levels.
    """
    for count in levels:
        if count < 2:
            raise ValueError(f"packing.levels are {_spelt(levels)}; a channel has at least 2")
    return tuple((int(count) - 1).bit_length() for count in levels)


def field_weights(moduli: Sequence[int]) -> tuple[int, ...]:
    """Weight of every field, the product of the moduli below it: (1, 32, 512) for (32, 16, 16)."""
    return tuple(math.prod(moduli[:i]) for i in range(len(moduli)))


def required_plaintext_modulus(moduli: Sequence[int]) -> int:
    """Smallest plaintext modulus that holds a coefficient of these fields: the product of their moduli."""
    return math.prod(moduli)


def required_plaintext_bits(widths: Sequence[int]) -> int:
    """Bits p of the smallest plaintext modulus 2^p for channel widths: sum of w + 1; 13 for (4, 3, 3)."""
    return sum(widths) + len(widths)


def check_packing(widths: Sequence[int], plaintext_modulus: int, levels: Sequence[int] = ()) -> None:
    """Check that a coefficient of these channels fits a plaintext modulus.

    Parameters
    ----------
    widths : sequence of int
        Bits of each channel in one coefficient.
    plaintext_modulus : int
        t; 2^p for p bits.
    levels : sequence of int, optional
        Levels of each channel in mixed radix.

    Raises
    ------
    ValueError
        If widths or levels are out of bounds, or the plaintext modulus is smaller than the product of the field moduli.
    """
    required = required_plaintext_modulus(field_moduli(widths, levels))
    if plaintext_modulus < required:
        if levels:
            raise ValueError(f"packing of {_spelt(levels)} levels needs t >= {required}, got t={plaintext_modulus}")
        bits = math.log2(plaintext_modulus) if plaintext_modulus > 0 else 0.0
        got = f"p={bits:.0f}" if bits == int(bits) else f"t={plaintext_modulus}"
        raise ValueError(f"packing {_spelt(widths)} needs p >= {required.bit_length() - 1} bits, got {got}")


NARROWEST_BITS = 3
"""Of a channel where p is named and the packing is not: FastQuery, section 4.3, finds that 2 bits hurt."""


def widths_of_plaintext(plaintext_bits: int) -> tuple[int, ...]:
    """As many channels as p bits hold at 3 bits and a reserved bit each, the rest of the bits spread from the first.

    Examples
    --------
    >>> widths_of_plaintext(13)
    (4, 3, 3)
    >>> widths_of_plaintext(26)
    (4, 4, 3, 3, 3, 3)
    """
    count = max(1, plaintext_bits // (NARROWEST_BITS + 1))
    narrow, wider = divmod(plaintext_bits - count, count)
    return tuple(narrow + (k < wider) for k in range(count))


def fitting_widths(own: Sequence[int], plaintext_bits: int) -> tuple[int, ...]:
    """Channel widths of a system in p bits: as many as fit where it packs several, one of at most its width elsewhere.

    Examples
    --------
    >>> fitting_widths((16,), 13), fitting_widths((4, 3, 3), 9)
    ((12,), (4, 3))
    """
    return (min(own[0], plaintext_bits - 1),) if len(own) == 1 else widths_of_plaintext(plaintext_bits)


def packed_coefficients(n: ArrayLike, widths: Sequence[int]) -> Any:
    """Coefficients that n channels take: ceil(n / len(widths)); 1366 for 4096 channels in threes.

    Parameters
    ----------
    n : array_like of int
        Channels (columns of the table).
    widths : sequence of int
        Bits of each channel in one coefficient.

    Returns
    -------
    int64 array (scalar in, scalar out)
    """
    return (-(-np.asarray(n, dtype=np.int64) // len(widths)))[()]


def idle_fields(n: ArrayLike, widths: Sequence[int]) -> Any:
    """Fields of the last coefficient that no channel fills: 2 for 4096 channels in threes."""
    return (packed_coefficients(n, widths) * len(widths) - np.asarray(n, dtype=np.int64))[()]


def packed_channels(n: ArrayLike, widths: Sequence[int]) -> Any:
    """Channels in each coefficient on average: n / ceil(n / len(widths)), at most len(widths)."""
    return (np.asarray(n, dtype=np.float64) / packed_coefficients(n, widths))[()]


def accumulation_bits(input_bits: ArrayLike, weight_bits: ArrayLike, m: ArrayLike) -> Any:
    """Bit-width of an inner product of m terms: b_u = b_x + b_w + ceil(log2 m) + 1 [1].

    Parameters
    ----------
    input_bits, weight_bits : array_like of int
        b_x and b_w, bits of an entry of the input and of the table.
    m : array_like of int
        Terms that are added up.

    Returns
    -------
    int64 array (scalar in, scalar out)
        Bits; the last one is reserved for the additive shares.
    """
    terms = np.frexp(np.maximum(np.asarray(m, dtype=np.float64) - 1.0, 0.0))[1]
    return (np.asarray(input_bits, dtype=np.int64) + np.asarray(weight_bits, dtype=np.int64) + terms + 1)[()]


def one_hot_bits(weight_bits: ArrayLike) -> Any:
    """Bit-width of an inner product with a one-hot input: b_w + 1, since one term alone is not zero [1]."""
    return (np.asarray(weight_bits, dtype=np.int64) + 1)[()]


def packlwes_outputs(outputs: ArrayLike, N: ArrayLike) -> Any:
    """Packed polynomials that so many results take: ceil(outputs / N)."""
    return (-(-np.asarray(outputs, dtype=np.int64) // np.asarray(N, dtype=np.int64)))[()]


def packlwes_depth(outputs: ArrayLike, N: ArrayLike) -> Any:
    """Levels of the deepest tree: ceil(log2(min(outputs, N))); 11 for 1366 results."""
    leaves = np.minimum(np.asarray(outputs, dtype=np.int64), np.asarray(N, dtype=np.int64))
    return np.frexp(np.maximum(leaves - 1, 0).astype(np.float64))[1].astype(np.int64)[()]


def packlwes_automorphism_keys(outputs: ArrayLike, N: ArrayLike) -> Any:
    """Automorphism keys that the tree needs: one a level, for X -> X^(2^k + 1), k = 1, ..., depth."""
    return packlwes_depth(outputs, N)


def packlwes_merges(outputs: ArrayLike, N: ArrayLike) -> Any:
    """Key-switched automorphisms of the trees over contiguous leaves.

    A full polynomial of N results takes N - 1. The rest of c = outputs mod N results takes the sum over the
    levels k = 1, ..., l of ceil(c / 2^k) nodes that are not empty, with the depth l of the first polynomial, since
    all leaves carry the same factor 2^-l: 1370 for 1366 results at N = 4096, 4 more than a full binary tree of
    as many leaves would have, since a node with one child switches keys as well.

    Parameters
    ----------
    outputs : array_like of int
        Results to pack.
    N : array_like of int
        Ring degree, a power of two.

    Returns
    -------
    int64 array (scalar in, scalar out)
        Automorphisms with key switching; each goes with one addition and one subtraction of ciphertexts.
    """
    results, degree = np.broadcast_arrays(np.asarray(outputs, dtype=np.int64), np.asarray(N, dtype=np.int64))
    full, rest = np.divmod(results, degree)
    depth = np.asarray(packlwes_depth(results, degree))
    merges = full * (degree - 1)
    for level in range(1, int(depth.max(initial=0)) + 1):
        merges = merges + np.where((level <= depth) & (rest > 0), -(-rest // (1 << level)), 0)
    return merges[()]


def _spelt(widths: Sequence[int]) -> str:
    return ",".join(str(width) for width in widths)
