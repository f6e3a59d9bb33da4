"""Element packing: several channel levels in one plaintext coefficient.

A coefficient is a number in mixed radix. Field ``i`` has the modulus ``M_i`` (twice its number of levels:
the upper half stays free, so that a field subtracted from can be told from its neighbour's borrow) and the
place value ``P_i = M_0 * ... * M_{i-1}``; field 0 is the lowest. Widths in bits are the special case ``M_i =
2^(width_i + 1)``.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

UnsignedArray = NDArray[np.unsignedinteger[Any]]
AnyIntegers = NDArray[np.integer[Any]]

MAX_FIELDS = 64
MAX_PACKED_BITS = 62


def levels_of_widths(widths: Sequence[int]) -> tuple[int, ...]:
    """Numbers of levels ``2^width`` of fields given by their widths in bits.

    Raises
    ------
    ValueError
        If there is no width, or one is outside 1 to 24 bits.
    """
    if not widths:
        raise ValueError("widths: at least one channel width is needed, such as (4, 3, 3)")
    for width in widths:
        if not 1 <= width <= 24:
            raise ValueError(f"widths: {width} bits is not a channel width; valid are 1 to 24")
    return tuple(1 << int(width) for width in widths)


def field_moduli_of_levels(field_levels: Sequence[int]) -> tuple[int, ...]:
    """Field moduli ``M_i = 2 * levels_i``: the levels and the reserved upper half.

    References
    ----------
    .. [1] FastQuery (DAC 2024), section 4.3: "we need to reserve an additional 1 bit for each channel".
    """
    return tuple(2 * int(levels) for levels in field_levels)


def place_values(field_moduli: Sequence[int]) -> tuple[int, ...]:
    """Place values ``P_i = prod_{j<i} M_j`` of the fields of a coefficient."""
    return tuple(prod(field_moduli[:i]) for i in range(len(field_moduli)))


def packed_modulus(field_moduli: Sequence[int]) -> int:
    """Smallest plaintext modulus that holds the fields, ``prod_i M_i``.

    Raises
    ------
    ValueError
        If there are no fields or too many, a modulus is below 2, or the product exceeds ``2^62``.
    """
    if not 1 <= len(field_moduli) <= MAX_FIELDS:
        raise ValueError(f"field_moduli: {len(field_moduli)} fields in a coefficient; valid are 1 to {MAX_FIELDS}")
    for modulus in field_moduli:
        if modulus < 2:
            raise ValueError(f"field_moduli: {modulus} is not a field modulus; at least 2 is needed")
    product = prod(int(modulus) for modulus in field_moduli)
    if product > 1 << MAX_PACKED_BITS:
        raise ValueError(f"field_moduli: their product {product} exceeds 2^{MAX_PACKED_BITS}")
    return product


def require_fit(field_moduli: Sequence[int], plaintext_modulus: int) -> None:
    """Check that the fields fit a coefficient, ``prod_i M_i <= t``.

    Raises
    ------
    ValueError
        If they do not.
    """
    product = packed_modulus(field_moduli)
    if product > plaintext_modulus:
        raise ValueError(
            f"plaintext modulus: {plaintext_modulus} is too small for fields of the moduli "
            f"{tuple(field_moduli)}, whose product is {product}"
        )


def packed_channels(channels: int, fields: int) -> int:
    """Coefficients ``n' = ceil(n / fields)`` that carry ``n`` channels."""
    return -(-channels // fields)


def unsigned_dtype(maximum: int) -> np.dtype[np.unsignedinteger[Any]]:
    """Smallest unsigned type that holds ``maximum``."""
    return np.dtype(np.min_scalar_type(maximum))


def pack(levels: AnyIntegers, field_moduli: Sequence[int]) -> UnsignedArray:
    """Pack unsigned levels into coefficients.

    ``coefficient_c = sum_i P_i * level_{c*g+i}`` for groups of ``g`` fields; idle fields of the last are
    zero.

    Parameters
    ----------
    levels : array of int, shape (..., n)
        Levels in packed order, ``0 <= level < M_i``.
    field_moduli : sequence of int
        ``M_0 ... M_{g-1}``, lowest field first.

    Returns
    -------
    array of unsigned int, shape (..., ceil(n / g))
        In the smallest unsigned type that holds ``prod_i M_i - 1``.

    Raises
    ------
    ValueError
        If a level is outside its field, or the fields exceed ``2^62``.

    References
    ----------
    .. [1] FastQuery (DAC 2024), section 4.2, "Low bit-width aware element packing", and figure 6.
    """
    product = packed_modulus(field_moduli)
    fields = len(field_moduli)
    channels = levels.shape[-1]
    dtype = unsigned_dtype(product - 1)
    packed = np.zeros((*levels.shape[:-1], packed_channels(channels, fields)), dtype)
    for i, (modulus, place) in enumerate(zip(field_moduli, place_values(field_moduli), strict=True)):
        field = levels[..., i::fields]
        if field.size == 0:
            continue
        low, high = int(field.min()), int(field.max())
        if low < 0 or high >= modulus:
            raise ValueError(
                f"levels: {low if low < 0 else high} does not fit field {i}, which holds 0 to {modulus - 1}"
            )
        packed[..., : field.shape[-1]] += field.astype(dtype) * dtype.type(place)
    return packed


def unpack(coefficients: AnyIntegers, field_moduli: Sequence[int], channels: int) -> UnsignedArray:
    """Unsigned levels of packed coefficients, the inverse of `pack`.

    Parameters
    ----------
    coefficients : array of int, shape (..., ceil(channels / g))
        ``0 <= coefficient < prod_i M_i``.
    field_moduli : sequence of int
    channels : int
        Channels carried; the fields beyond are idle and must be zero.

    Returns
    -------
    array of unsigned int, shape (..., channels)
        ``level_{c*g+i} = floor(coefficient_c / P_i) mod M_i``, in the smallest type that holds every field.

    Raises
    ------
    ValueError
        If the shape does not fit, a coefficient is out of range, or an idle field is not zero.
    """
    product = packed_modulus(field_moduli)
    fields = len(field_moduli)
    count = packed_channels(channels, fields)
    if coefficients.shape[-1:] != (count,):
        raise ValueError(
            f"coefficients: shape {coefficients.shape} does not end in {count}, which {channels} channels "
            f"at {fields} a coefficient take"
        )
    if coefficients.size and (int(coefficients.min()) < 0 or int(coefficients.max()) >= product):
        wrong = int(np.count_nonzero((coefficients < 0) | (coefficients >= product)))
        raise ValueError(f"coefficients: {wrong} of {coefficients.size} lie outside 0 to {product - 1}")
    remainder = coefficients.astype(unsigned_dtype(product - 1))
    levels = np.empty((*coefficients.shape[:-1], count * fields), unsigned_dtype(max(field_moduli) - 1))
    for i, modulus in enumerate(field_moduli[:-1]):
        divisor = remainder.dtype.type(modulus)
        levels[..., i::fields] = remainder % divisor
        remainder //= divisor
    levels[..., fields - 1 :: fields] = remainder
    if np.any(levels[..., channels:]):
        raise ValueError(f"coefficients: an idle field beyond channel {channels} is not zero")
    return levels[..., :channels]
