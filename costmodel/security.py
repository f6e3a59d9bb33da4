"""Security level of a ring-LWE ring, by the two published parameter tables.

Both tables give, for a ring degree N, the largest log2 q at which 128, 192 and 256 bits of classical
security hold; q is the largest modulus under which anything is encrypted, so the special modulus of
hybrid key switching counts as a factor of it.

Between and beyond the entries of a row the level is stated so that no table supports less:

- at or below the bound of 256 bits: 256, never more;
- between the bounds q1 < q0 of two levels L1 > L0: the smaller of the chord through both entries and
  ``L0 * q0 / log2 q``, rounded down. The true level is convex in log2 q, which keeps it below the chord, and
  level times log2 q falls as q grows, which keeps the hyperbola below the true level;
- above the bound q128: ``128 * (q128 / log2 q)^(5/4)`` rounded down. 5/4 is steeper than the slope in
  log-log between any two entries of a row, and that slope flattens towards larger q;
- a ring degree between two entries takes the row below it, one past the last entry the last row,
  one below the first entry gets 0;
- log2 q is rounded up to whole bits; beyond 2^8191 the level is 0.

References
----------
.. [1] M. Albrecht et al., "Homomorphic Encryption Standard", HomomorphicEncryption.org, 2018 (ePrint
   2019/939), Table 1 (classical attacks, BKZ.sieve). OpenFHE enforces it in ``stdlatticeparms.cpp``; so
   does SEAL (``hestdparms.h``) for ternary secrets.
.. [2] J.-P. Bossuat et al., "Security Guidelines for Implementing Homomorphic Encryption", ePrint 2024/463,
   Table 5.2 (classical), also in the authors' repository gong-cr/FHE-Security-Guidelines,
   ``RNS-CKKS-examples/lattigo/parameters/tables.go``.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from costmodel.limits import SECURITY_FLOOR_BITS

Secret = Literal["ternary", "gaussian", "uniform"]
Table = Literal["2018", "2024", "strictest"]

LEVELS = (128, 192, 256)
_BELOW_128_EXPONENT = 1.25
_MAX_LOG2_Q = 8192

# Rows N = 2^10, 2^11, ...; columns the largest log2 q for 128, 192 and 256 bits; 0: no modulus has that
# level. The 2018 document ends at 2^15. OpenFHE's entries for 2^16 and 2^17 are those of the 2024 guidelines.
_TERNARY_2018 = (
    (27, 19, 14), (54, 37, 29), (109, 75, 58), (218, 152, 118), (438, 305, 237), (881, 611, 476),
    (1747, 1199, 929), (3523, 2411, 1866),
)  # fmt: skip
_GAUSSIAN_2018 = (
    (29, 21, 16), (56, 39, 31), (111, 77, 60), (220, 154, 120), (440, 307, 239), (883, 613, 478),
    (1749, 1201, 931), (3525, 2413, 1868),
)  # fmt: skip
_UNIFORM_2018 = (
    (29, 21, 16), (56, 39, 31), (111, 77, 60), (220, 154, 120), (440, 307, 239), (880, 612, 478),
)  # fmt: skip
_TERNARY_2024 = (
    (26, 0, 0), (53, 36, 27), (106, 73, 56), (214, 147, 114), (430, 297, 230), (868, 597, 462),
    (1747, 1199, 929), (3523, 2411, 1866),
)  # fmt: skip
# (2^13, 256): the authors' repository prints 119, a rerun of their script
# (HomomorphicEncryption/SparseLWEkit, Security/README.md) 116, which is the ternary entry plus two as in
# all other rows: the stricter is taken.
_GAUSSIAN_2024 = (
    (28, 0, 0), (55, 38, 30), (108, 75, 58), (216, 149, 116), (432, 299, 232), (870, 599, 464),
    (1749, 1201, 931), (3525, 2413, 1868),
)  # fmt: skip

_BOUNDS: dict[str, dict[str, NDArray[np.float64]]] = {
    "2018": {
        "ternary": np.array(_TERNARY_2018, dtype=np.float64),
        "gaussian": np.array(_GAUSSIAN_2018, dtype=np.float64),
        "uniform": np.array(_UNIFORM_2018, dtype=np.float64),
    },
    # The guidelines have no uniform secrets: LWE with a uniform secret is as hard as with a Gaussian one.
    "2024": {
        "ternary": np.array(_TERNARY_2024, dtype=np.float64),
        "gaussian": np.array(_GAUSSIAN_2024, dtype=np.float64),
        "uniform": np.array(_GAUSSIAN_2024, dtype=np.float64),
    },
}


class RingUse(NamedTuple):
    """A ring that something is encrypted in.

    Attributes
    ----------
    purpose
        The messages or keys that are encrypted in the ring.
    degree
        Ring degree N.
    log2_q
        Bits of the largest modulus, a special prime of keys included.
    """

    purpose: str
    degree: ArrayLike
    log2_q: ArrayLike


def security_bits_2018(N: ArrayLike, log2_q: ArrayLike, secret: Secret = "ternary") -> Any:
    """Classical security level by the 2018 standard [1] (see the module's rules).

    Parameters
    ----------
    N : array_like of int
        Ring degree.
    log2_q : array_like of float
        log2 of the whole modulus, special modulus included.
    secret : {"ternary", "gaussian", "uniform"}
        Distribution of the secret; "gaussian" is the error distribution.

    Returns
    -------
    int64 array (scalar in, scalar out)
        Bits, at most 256, 0 where the table says nothing.

    Raises
    ------
    ValueError
        If ``secret`` is no known distribution.
    """
    return _level("2018", N, log2_q, secret)


def security_bits_2024(N: ArrayLike, log2_q: ArrayLike, secret: Secret = "ternary") -> Any:
    """Classical security level by the 2024 guidelines [2]; parameters as `security_bits_2018`."""
    return _level("2024", N, log2_q, secret)


def security_bits(N: ArrayLike, log2_q: ArrayLike, secret: Secret = "ternary") -> Any:
    """The stricter of `security_bits_2018` and `security_bits_2024`."""
    return np.minimum(security_bits_2018(N, log2_q, secret), security_bits_2024(N, log2_q, secret))[()]


def max_log2_q(N: ArrayLike, level: int = 128, secret: Secret = "ternary", table: Table = "strictest") -> Any:
    """Largest log2 q with which a ring degree has a security level.

    Parameters
    ----------
    N : array_like of int
        Ring degree.
    level : {128, 192, 256}
        Security level in bits.
    secret : {"ternary", "gaussian", "uniform"}
    table : {"2018", "2024", "strictest"}

    Returns
    -------
    int64 array (scalar in, scalar out)
        Bits of q, special modulus included; 0 where no modulus reaches the level.

    Raises
    ------
    ValueError
        If ``level``, ``secret`` or ``table`` is unknown.
    """
    if level not in LEVELS:
        raise ValueError(f"security level {level}: the tables have 128, 192 and 256 bits")
    if table == "strictest":
        return np.minimum(max_log2_q(N, level, secret, "2018"), max_log2_q(N, level, secret, "2024"))[()]
    if table not in _BOUNDS:
        raise ValueError(f"security table {table!r}: one of 2018, 2024, strictest")
    column = np.append(_bounds(table, secret)[:, LEVELS.index(level)], 0.0).astype(np.int64)
    return column[_row(N, table)][()]


def _row(N: ArrayLike, table: str) -> NDArray[np.int64]:
    """Index of the table's row for a ring degree; -1 below the first."""
    degree = np.maximum(np.asarray(N, dtype=np.float64), 1.0)
    row: NDArray[np.int64] = np.clip(np.frexp(degree)[1] - 11, -1, len(_bounds(table, "ternary")) - 1)
    return row


def _bounds(table: str, secret: str) -> NDArray[np.float64]:
    """Rows of a table; a secret that has none for a ring degree takes the row of a ternary one."""
    if secret not in _BOUNDS[table]:
        raise ValueError(f"secret distribution {secret!r}: one of {', '.join(_BOUNDS[table])}")
    own, ternary = _BOUNDS[table][secret], _BOUNDS[table]["ternary"]
    return np.concatenate([own, ternary[len(own) :]])


def _level(table: str, N: ArrayLike, log2_q: ArrayLike, secret: str) -> Any:
    levels = _levels(table, secret)
    bits = np.ceil(np.clip(log2_q, 0.0, levels.shape[1] - 1.0)).astype(np.int64)
    return levels[_row(N, table), bits][()]


@cache
def _levels(table: str, secret: str) -> NDArray[np.int64]:
    """Level for every row of a table and every whole log2 q; a last row and a last column of zeros."""
    bounds = _bounds(table, secret)
    log2_q = np.maximum(np.arange(_MAX_LOG2_Q), 1.0)
    q128, q192, q256 = (bounds[:, [i]] for i in range(len(LEVELS)))
    level = np.where(
        log2_q <= q256,
        256.0,
        np.where(
            log2_q <= q192,
            _between(log2_q, 192, q192, 256, q256),
            np.where(
                log2_q <= q128,
                _between(log2_q, 128, q128, 192, q192),
                128.0 * (q128 / log2_q) ** _BELOW_128_EXPONENT,
            ),
        ),
    )
    return np.pad(np.floor(level + 1e-9).astype(np.int64), ((0, 1), (0, 1)))


def _between(
    log2_q: NDArray[np.float64], low: int, low_q: NDArray[np.float64], high: int, high_q: NDArray[np.float64]
) -> NDArray[np.float64]:
    width = np.where(high_q > 0, low_q - high_q, np.inf)
    chord = low + (high - low) * (low_q - log2_q) / width
    return np.where(high_q > 0, np.minimum(chord, low * low_q / log2_q), low)


def least_security_bits(rings: Iterable[RingUse], secret: Secret = "ternary", table: Table = "strictest") -> Any:
    """Level of the weakest ring that anything is encrypted in, elementwise, by one table or the stricter of both."""
    level = {"2018": security_bits_2018, "2024": security_bits_2024, "strictest": security_bits}[table]
    least: Any = None
    for ring in rings:
        bits = level(ring.degree, ring.log2_q, secret)
        least = bits if least is None else np.minimum(least, bits)
    return least


def require_security(rings: Iterable[RingUse], secret: Secret = "ternary", allow_insecure: bool = False) -> None:
    """Refuse rings of which one is below 128 bits by the stricter of both tables.

    Raises
    ------
    ValueError
        Unless ``allow_insecure``; the message names the ring, its modulus, the bound and the way round.
    """
    if allow_insecure:
        return
    for ring in rings:
        degree, log2_q = int(ring.degree), float(ring.log2_q)  # type: ignore[arg-type]  # of one configuration
        bits = int(security_bits(degree, log2_q, secret))
        if bits < SECURITY_FLOOR_BITS:
            bound = int(max_log2_q(degree, SECURITY_FLOOR_BITS, secret))
            raise ValueError(
                f"ring.q has {log2_q:.0f} bits for {ring.purpose}, with which N={degree} has {bits} bits of security; "
                f"at most {bound} bits give {SECURITY_FLOOR_BITS} (stricter of 2018 standard and 2024 guidelines); "
                "take a larger N or a smaller q, or pass --allow-insecure"
            )
