"""CrypTFlow2: SIMD slots, the input rotated once for every packed diagonal of the table.

SCI keeps the whole input in one ciphertext of ``slots = clamp(2 pow2(m), 8192, 65536)`` slots and packs
``slots / pow2(m)`` columns of the table beside each other, so that ``D = ceil(pow2(n) pow2(m) / slots)`` diagonals are
left: D rotations, D products, and log2(pow2(m) / D) rotations that add partial sums up. A rotation by i takes one key
switch for each digit of i's non-adjacent form, since only keys for powers of two are made. Encryptions are public-key
ones of two polynomials, three limbs up and, after flooding, one limb down. pow2 is the next power of two.

The degree follows from the table and not from the grid. A call takes at most 65536 rows and as many columns as there
are slots; a larger product is as many calls on equal parts of it, whose shares add up. Executed, it has its own
layout and sizes (:mod:`costmodel.openfhe.slots`). Primes are those of
OpenCheetah's copy of SCI, {60, 60, 60, 49}; EzPC's own has 38 bits in the last.

References
----------
.. [1] Rathee et al. CrypTFlow2. CCS 2020; SCI, ``LinearHE/fc-field.cpp`` (``configure``, ``fc_online``,
   ``matrix_multiplication``) and ``utils-HE.cpp`` (``generate_new_keys``, ``flood_ciphertext``).
.. [2] Microsoft SEAL 3.7.2, ``evaluator.cpp`` (``rotate_internal``), ``util/galois.cpp`` (``get_elts_all``).
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from costmodel import payloads
from costmodel.grid import Grid
from costmodel.ledger import Number, Term, Work
from costmodel.noise import (
    flooding_variance,
    plaintext_product_variance,
    public_key_encryption_variance,
)
from costmodel.noise import (
    log2_failure as log2_failure_of,
)
from costmodel.openfhe import slots as simd
from costmodel.slots import log2_of_power, next_power_of_two, rotation_key_switches
from costmodel.systems.accounting import Counted, Objects, exchange_terms, key_terms

SOURCE = "SCI, fc-field.cpp"
SMALLEST_SLOTS, LARGEST_SLOTS = 8192, 65536
SPECIAL_LIMB_BITS = 49
FLOODING_BITS = 100 - 37
"""SMUDGING_BITLEN of a share of 37 bits."""


class Layout(NamedTuple):
    """Calls, and the slots, diagonals and key switches of one; int64 arrays."""

    calls: Any
    slots: Any  # N
    diagonals: Any  # D
    key_switches: Any  # of the rotations by 0 to D - 1
    sums: Any  # rotations that add partial sums


def layout(rows: ArrayLike, columns: ArrayLike) -> Layout:
    """How a table of m rows by n columns is laid out."""
    m, n = np.broadcast_arrays(np.asarray(rows, dtype=np.int64), np.asarray(columns, dtype=np.int64))
    row_calls = -(-m // LARGEST_SLOTS)
    padded = next_power_of_two(-(-m // row_calls))
    slots = np.clip(2 * padded, SMALLEST_SLOTS, LARGEST_SLOTS)
    column_calls = -(-n // slots)
    results = next_power_of_two(-(-n // column_calls))
    diagonals = -(-results * padded // slots)
    sums = np.maximum(log2_of_power(padded) - log2_of_power(diagonals), 0)
    return Layout(
        (row_calls * column_calls)[()], slots[()], diagonals[()], rotation_key_switches(diagonals), np.asarray(sums)[()]
    )


def terms(grid: Grid) -> tuple[Term, ...]:
    """Predicted ledger of CrypTFlow2's private lookup, token by token."""
    if simd.applies(grid):
        return simd.terms(grid)
    plan = layout(grid.rows, grid.coefficients)
    limbs, calls = grid.limb_bits, grid.tokens * plan.calls
    keyed = (*limbs, np.asarray(SPECIAL_LIMB_BITS))
    count = 2 * (log2_of_power(plan.slots) - 1) + 1
    keys = payloads.public_key_bytes(grid, plan.slots, keyed)
    keys = keys + payloads.switching_keys_bytes(grid, plan.slots, keyed, count)
    query = payloads.whole_bytes(grid, plan.slots, limbs)
    answer = payloads.whole_bytes(grid, plan.slots, limbs[:1])
    size = plan.slots * len(limbs)
    return (
        *key_terms(SOURCE, size, Objects(1 + count, keys, "public key; rotations by all powers of two, both ways")),
        *exchange_terms(
            SOURCE,
            size,
            plan.slots,
            Objects.alike(calls, query, "tokens calls"),
            Objects.alike(calls, answer, "tokens calls"),
            Counted(calls * plan.diagonals, "tokens calls D"),
            Counted(plan.calls * plan.diagonals, "calls D"),
        ),
        Work(
            "online",
            "server",
            "rotate",
            calls * (plan.key_switches + plan.sums),
            size,
            "tokens calls (digits of 0..D-1 in non-adjacent form + log2(pow2(m)/D))",
            "SCI, fc-field.cpp; SEAL, evaluator.cpp",
        ),
    )


def key_log2_q(grid: Grid) -> Number:
    """Bits of the largest modulus that is encrypted under, the keys'."""
    return grid.log2_q if simd.applies(grid) else grid.log2_q + SPECIAL_LIMB_BITS


def noise(grid: Grid) -> Number:
    """Variance of an answer coefficient's error over (q/t)^2: product, flooding, and the switch to one limb.

    A plaintext of slots has coefficients uniform modulo t; every sum over rotations adds ciphertexts. What the key
    switches' special prime rounds is below the product by the bits of t and left out.
    """
    if simd.applies(grid):
        return simd.noise(grid)
    plan = layout(grid.rows, grid.coefficients)
    log2_t = grid.log2_plaintext_modulus
    fresh = public_key_encryption_variance(grid.sigma, plan.slots)
    square = np.exp2(2.0 * log2_t) / 12
    sums = plan.diagonals * np.exp2(plan.sums.astype(np.float64))
    variance = plaintext_product_variance(fresh, plan.slots * sums, square)
    product = variance * np.exp2(2.0 * (log2_t - grid.log2_q))
    secret = 1 + 2 * plan.slots / 3
    flooded = grid.log2_q - grid.limb_bits[-1]
    flooding = flooding_variance(1.0, FLOODING_BITS - 1) * secret * np.exp2(2.0 * (log2_t - flooded))
    return product + flooding + secret / 12 * np.exp2(2.0 * (log2_t - grid.limb_bits[0]))


def log2_failure(grid: Grid) -> Number:
    """log2 of the probability that any coefficient of any token's answer decrypts wrongly."""
    if simd.applies(grid):
        return simd.log2_failure(grid)
    return log2_failure_of(np.sqrt(noise(grid)), 0.5, grid.tokens * grid.coefficients)
