"""An automorphism by a key of one of its roots, applied repeatedly."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from protocol.residue.keyswitch import apply_automorphism
from protocol.residue.ring import Ring

Switch = Callable[[NDArray[np.uint64]], NDArray[np.uint64]]
"""From a (..., limbs, N) to a ciphertext (..., 2, limbs, N) of a s(X^g) under s, both in evaluation form."""


def rotate_repeatedly(
    ring: Ring, ciphertexts: NDArray[np.uint64], exponent: int, times: int, switch: Switch
) -> NDArray[np.uint64]:
    """Return ciphertexts of f(X^(g^times)), by as many key switches with the key of X -> X^g.

    Parameters
    ----------
    ring : of ciphertexts and key
    ciphertexts : in evaluation form, (..., 2, limbs, N)
    exponent : g
    times : at least 1
    switch : by the key from s(X^g) to s, such as :meth:`protocol.residue.keyswitch.SwitchingKeys.switch`

    Raises
    ------
    ValueError
        If g is even or not in (0, 2N), or ``times`` is not positive.
    """
    if times < 1:
        raise ValueError(f"times is {times}; it must be at least 1")
    out = ciphertexts
    for _ in range(times):
        permuted = apply_automorphism(out, exponent)
        out = switch(permuted[..., 1, :, :])
        out[..., 0, :, :] = ring.add(out[..., 0, :, :], permuted[..., 0, :, :])
    return out
