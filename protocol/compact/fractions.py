"""Shares of a plaintext modulo t from the b of a ciphertext modulo q, of which the uppermost bits of a fraction travel.

In cells of the plaintext b is t b/q. Its nearest multiple of 2^-r is a whole part, which is the server's share and is
never sent, and a fraction of r bits, which is sent. The client adds t (a s)/q to the fraction and takes the nearest
integer. Both add up to the message while the error is below 1/2 - 2^-(r+1) cells.

References
----------
.. [1] C. Peikert, "Lattice cryptography for the Internet", PQCrypto 2014, section 3 (reconciliation).
"""

from __future__ import annotations

import numpy as np

from protocol.compact.messages import Residues
from protocol.residue.ring import Ring
from protocol.residue.rounding import scale_down, scale_up


def split(b: Residues, ring: Ring, plaintext_modulus: int, bits: int) -> tuple[Residues, Residues]:
    """Return whole part modulo t and fraction of b in cells, rounded to the nearest multiple of 2^-r.

    Parameters
    ----------
    b : residues, (..., limbs, N)
    ring : with every limb above t 2^r
    plaintext_modulus : t
    bits : r, of the fraction

    Returns
    -------
    integers of shape (..., N), below t and below 2^r
    """
    steps = scale_down(b, ring, plaintext_modulus << bits)
    return steps >> np.uint64(bits), steps & np.uint64((1 << bits) - 1)


def lifted(fractions: Residues, ring: Ring, plaintext_modulus: int, bits: int) -> Residues:
    """Return the residues (..., limbs, N) of which :func:`split` makes no whole part and these fractions (..., N)."""
    return scale_up(fractions, ring, plaintext_modulus << bits)
