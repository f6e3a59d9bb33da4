"""Sizes of OpenFHE's operations: residues of a key switch, and words that take as long as a party's overhead.

The constants are ratios of CPU seconds. OpenFHE 1.6.1 switches a key of D digits in 25 (D + 4) ns a residue, measured
for 2048 to 8192 coefficients, one limb and two, 2 to 12 digits: each digit is transformed and multiplied; the
automorphism, the inverse transform and the sums take as long as four more digits. The overhead's constants are fitted
to both parties of eight configurations, where a word of a message took 13 ns.

A plaintext of N coefficients modulo L primes is made in 60 (L + 3.5) N ns: each coefficient is one of OpenFHE's large
integers first. A plaintext of N slots takes 245 N ns, whatever the primes: its integers are words.
"""

from __future__ import annotations

from costmodel.ledger import Number

SWITCH_DIGITS = 4
"""Digits that take as long as the part of a key switch that does not depend on the digits."""
MERGE_DIGITS = SWITCH_DIGITS + 1
"""The same with the shift, the sums and the difference of two nodes of a packing tree."""

COEFFICIENT_RESIDUES = 3.5
"""Residues that take as long as the part of an encoded coefficient that does not depend on the primes."""
SLOT_RESIDUES = 4
"""Residues of encoded coefficients that take as long as an encoded slot."""

OPERATION_WORDS = 1350
"""17 us: clocks and counters around an operation."""
SENT_FRAME_WORDS = 5500
"""70 us: conversions and calls around a message."""
RECEIVED_FRAME_WORDS = 27000
"""340 us: a message wakes the party, is read in parts, and checked."""
ROTATION_WORDS = 5500
"""90 us: the same of a rotation, of 8192 to 32768 slots; of 31 lookups of two campaigns."""
RESIDUES_RELEASED_A_WORD = 3
"""4.4 ns a residue: the temporaries of a merge are released after the clock of the merge has stopped."""


def switched_residues(residues: Number, digits: Number) -> Number:
    """Residues that a key switch handles, N L (D + 4).

    Parameters
    ----------
    residues : array_like of int
        N L, of a polynomial.
    digits : array_like of int
        D, of a switching key; see :func:`costmodel.openfhe.sizes.bv_digits`.

    Examples
    --------
    >>> switched_residues(16384, 8)
    196608
    """
    return residues * (digits + SWITCH_DIGITS)


def merge_residues(residues: Number, digits: Number) -> Number:
    """Residues that a merge of two nodes of a packing tree handles, N L (D + 5).

    Parameters
    ----------
    residues, digits : array_like of int
        As `switched_residues`.

    Examples
    --------
    >>> merge_residues(2048, 3)
    16384
    """
    return residues * (digits + MERGE_DIGITS)


def coefficient_residues(residues: Number, degree: Number) -> Number:
    """Residues that the encoding of a plaintext of coefficients handles, N (L + 3.5).

    Parameters
    ----------
    residues : array_like of int
        N L, of a polynomial.
    degree : array_like of int
        N.

    Examples
    --------
    >>> coefficient_residues(8192, 4096)
    22528.0
    """
    return residues + COEFFICIENT_RESIDUES * degree


def overhead_bytes(
    moved: Number, sent: Number, received: Number, operations: Number, released: Number = 0, rotations: Number = 0
) -> Number:
    """Bytes of messages that take as long as a party's seconds outside of its operations.

    Parameters
    ----------
    moved : array_like of int
        Bytes sent and received.
    sent, received : array_like of int
        Messages.
    operations : array_like of int
        Operations that are metered one by one.
    released : array_like of int
        N L, summed over the merges.
    rotations : array_like of int
        Rotations of slots, which are among the operations.

    Examples
    --------
    >>> overhead_bytes(80000, sent=1, received=0, operations=2, released=3000)
    153600
    """
    words = SENT_FRAME_WORDS * sent + RECEIVED_FRAME_WORDS * received + OPERATION_WORDS * operations
    words = words + ROTATION_WORDS * rotations
    return moved + 8 * (words + released // RESIDUES_RELEASED_A_WORD)
