"""Switching keys of OpenFHE, replaced by keys with noise of the full width.

OpenFHE 1.6.1 makes its switching keys with noise of standard deviation 1.0, whatever the context's parameter says: the
generator is declared private to OpenMP's threads and so default-constructed. Encryptions are right. The keys
made here have 3.19 and enter OpenFHE through its own deserialisation.

A serialised BV key is a of every digit and limb followed by b, digits in the order of
:class:`protocol.residue.keyswitch.Gadget` and keys by ascending index. OpenFHE switches before it permutes, so its key
of X -> X^g leads from s to s(X^(1/g)).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from protocol.openfhe_library import load_openfhe
from protocol.residue.ciphertext import SecretKey, expand_many
from protocol.residue.keyswitch import Gadget, apply_automorphism, generate_key
from protocol.residue.ring import Ring
from protocol.residue.sampling import new_seed
from protocol.residue.serialised import read_polynomials, replace_polynomials

openfhe = load_openfhe()


def read_switching_keys(serialised: bytes, ring: Ring, digit_bits: int) -> NDArray[np.uint64]:
    """Return the (b, a) of the BV keys in a serialisation, (keys, 2, rows, limbs, N) in evaluation form.

    Raises
    ------
    ValueError
        If the number of polynomials is no multiple of that of a key.
    """
    polynomials = read_polynomials(serialised, ring)
    rows = len(Gadget(digit_bits).rows(ring))
    if len(polynomials) % (2 * rows):
        raise ValueError(f"{len(polynomials)} polynomials: keys of {digit_bits}-bit digits have {2 * rows} each")
    return polynomials.reshape(-1, 2, rows, ring.limbs, ring.ring_degree)[:, ::-1]


def replace_switching_keys(serialised: bytes, ring: Ring, keys: NDArray[np.uint64]) -> bytes:
    """Return the serialisation with its keys replaced by (b, a), (keys, 2, rows, limbs, N) in evaluation form.

    Raises
    ------
    ValueError
        If the sizes differ or a residue is not below its modulus.
    """
    return replace_polynomials(serialised, ring, keys[:, ::-1].reshape(-1, ring.limbs, ring.ring_degree))


def renewed_automorphism_keys(
    secret: SecretKey, key_map: Any, exponents: Sequence[int], digit_bits: int, seed: bytes | None = None
) -> bytes:
    """Return an EvalKeyMap like the one given with fresh keys of standard deviation 3.19, serialised to the same size.

    A map that was read back is written with its ring's parameters once more.

    Parameters
    ----------
    key_map : an EvalKeyMap that holds exactly the exponents, as OpenFHE generated it
    digit_bits : the context's digit size, not zero
    seed : from which the a of all rows are expanded in turn; a fresh one if left out

    Raises
    ------
    ValueError
        If the map holds another number of keys or digits of another width.
    """
    ring = secret.ring
    serialised = openfhe.Serialize(key_map, openfhe.BINARY)
    rows = len(Gadget(digit_bits).rows(ring))
    _check_exponents(exponents, len(read_switching_keys(serialised, ring, digit_bits)))
    a = expand_many(ring, seed or new_seed(), "openfhe automorphism keys", rows * len(exponents))
    a = a.reshape(len(exponents), rows, ring.limbs, ring.ring_degree)
    b = [
        generate_key(_permuted(secret, exponent), secret.residues, Gadget(digit_bits), rows_a)
        for exponent, rows_a in zip(sorted(exponents), a, strict=True)
    ]
    return replace_switching_keys(serialised, ring, np.stack([np.stack(b), a], axis=1))


def _permuted(secret: SecretKey, exponent: int) -> SecretKey:
    """Return s(X^(1/g))."""
    ring = secret.ring
    inverse = pow(exponent, -1, 2 * ring.ring_degree)
    return SecretKey(ring, apply_automorphism(secret.residues, inverse))


def _check_exponents(exponents: Sequence[int], keys: int) -> None:
    if len(set(exponents)) != len(exponents) or len(exponents) != keys:
        raise ValueError(f"exponents {tuple(exponents)}: the map holds {keys} keys, need each exponent once")
