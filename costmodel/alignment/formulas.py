"""Bytes and rounds of extending additive shares to a wider modulus, the top bit of every value being known.

A value x < 2^(k-1) is shared modulo 2^k as x = c + s - 2^k w, where w = a OR b = a + b - a*b of the top
bits a and b of the two shares c and s. Additive shares of w modulo 2^L cost one correlated oblivious
transfer: the receiver chooses by a, the sender's correlation is b. A lone field is extended to L + k bits
by L bits of w. In packed fields w is also the carry into the next field, so that L is the whole aligned
width. All values run in parallel.

Base oblivious transfers, once per pair of parties, are not part of these figures.

References
----------
.. [1] D. Rathee et al., "SiRNN: A Math Library for Secure RNN Inference", IEEE S&P 2021 (extension with a
   known MSB); as code in SCI, ``aux-protocols.cpp``, ``msb0_to_wrap`` and ``B2A``.
.. [2] Y. Ishai, J. Kilian, K. Nissim, E. Petrank, "Extending Oblivious Transfers Efficiently", CRYPTO 2003;
   correlated form: G. Asharov, Y. Lindell, T. Schneider, M. Zohner, CCS 2013.
.. [3] L. Roy, "SoftSpokenOT: Quieter OT Extension from Small-Field Silent VOLE in the Minicrypt Model",
   CRYPTO 2022.
.. [4] K. Yang, C. Weng, X. Lan, J. Zhang, X. Wang, "Ferret: Fast Extension for coRRElated oT with small
   communication", CCS 2020; parameters as in emp-ot, ``emp-ot/ferret/constants.h``.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

SECURITY_PARAMETER = 128


class OTBytes(NamedTuple):
    """Bytes that the receiver (who chooses) and the sender send; int64 arrays."""

    receiver: Any
    sender: Any


class FerretParameters(NamedTuple):
    """Regular primal LPN: n samples of dimension k, t noisy ones, each in a tree of the given depth."""

    n: int
    k: int
    t: int
    depth: int


FERRET = {
    "b11": FerretParameters(10180608, 124000, 4971, 11),
    "b12": FerretParameters(10268672, 238000, 2507, 12),
    "b13": FerretParameters(10485760, 452000, 1280, 13),
}
"""emp-ot's parameter sets; b13 is its default."""


def iknp_bytes(elements: ArrayLike, bits: ArrayLike) -> OTBytes:
    """Extension by correlated IKNP: 128 bits of the receiver and L of the sender for each value [2]_.

    Parameters
    ----------
    elements : array_like of int
        Values to extend.
    bits : array_like of int
        L, bits of w that are needed.

    Returns
    -------
    OTBytes
        Each message rounded up to whole bytes.
    """
    return _messages(elements, SECURITY_PARAMETER, bits)


def softspoken_bytes(elements: ArrayLike, bits: ArrayLike, field_bits: ArrayLike = 2) -> OTBytes:
    """Extension by SoftSpokenOT: ceil(128/k) bits of the receiver and L of the sender for each value [3]_.

    Parameters
    ----------
    elements, bits : array_like of int
        As `iknp_bytes`.
    field_bits : array_like of int
        k, bits of the small field; work grows as 2^k/k. 1 is IKNP.
    """
    choice = -(-SECURITY_PARAMETER // np.asarray(field_bits, dtype=np.int64))
    return _messages(elements, choice, bits)


def ferret_bytes(elements: ArrayLike, bits: ArrayLike) -> OTBytes:
    """Extension with transfers from Ferret at hand: 1 bit of the receiver and L of the sender for each
    value [4]_.

    The receiver corrects its random choice. What making the transfers costs is `ferret_correlation_bytes`.
    Parameters as `iknp_bytes`.
    """
    return _messages(elements, 1, bits)


def ferret_bits_per_correlation(parameters: FerretParameters = FERRET["b13"]) -> float:
    """Bits that one correlated transfer of a whole batch costs: t (257 depth + 128) / (n - k - t depth -
    128).

    Two seeds and one choice bit a level of every tree and one correction a tree, over what is left after the
    transfers that the next batch starts from: 0.44 for b13, 1.47 for b11.

    Parameters
    ----------
    parameters : FerretParameters
        Set of LPN parameters.
    """
    tree = (2 * SECURITY_PARAMETER + 1) * parameters.depth + SECURITY_PARAMETER
    return parameters.t * tree / ferret_batch(parameters)


def ferret_batch(parameters: FerretParameters = FERRET["b13"]) -> int:
    """Correlated transfers that one batch leaves over, about ten million; fewer cannot be made."""
    return parameters.n - parameters.k - parameters.t * parameters.depth - SECURITY_PARAMETER


def ferret_correlation_bytes(elements: ArrayLike, parameters: FerretParameters = FERRET["b13"]) -> Any:
    """Bytes of making the transfers of so many values, both directions, amortised over whole batches.

    Parameters
    ----------
    elements : array_like of int
        Values to extend.
    parameters : FerretParameters
        Set of LPN parameters.

    Returns
    -------
    int64 array (scalar in, scalar out)
        Offline: it depends on no input.
    """
    bits = np.asarray(elements, dtype=np.float64) * ferret_bits_per_correlation(parameters)
    return np.ceil(bits / 8.0).astype(np.int64)[()]


def sirnn_bytes(elements: ArrayLike, bits: ArrayLike) -> OTBytes:
    """Extension as SiRNN's code does it, with IKNP: an oblivious transfer of one bit, then a correlated one
    [1]_.

    128 bits of the receiver and 2 of the sender for w as a Boolean share (``msb0_to_wrap``), 128 and L for
    its conversion (``B2A``); two round trips. Parameters as `iknp_bytes`.
    """
    wrap = _messages(elements, SECURITY_PARAMETER, 2)
    conversion = iknp_bytes(elements, bits)
    return OTBytes(wrap.receiver + conversion.receiver, wrap.sender + conversion.sender)


def _messages(elements: ArrayLike, receiver_bits: ArrayLike, sender_bits: ArrayLike) -> OTBytes:
    values = np.asarray(elements, dtype=np.int64)
    return OTBytes(_whole_bytes(values, receiver_bits)[()], _whole_bytes(values, sender_bits)[()])


def _whole_bytes(values: NDArray[np.int64], bits: ArrayLike) -> NDArray[np.int64]:
    return -(-values * np.asarray(bits, dtype=np.int64) // 8)
