"""OpenFHE's keys and ciphertexts as residues and back, and the noise of its keys, for tests."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import openfhe
from numpy.typing import NDArray

from protocol.residue.automorphism import evaluation_permutation
from protocol.residue.ciphertext import SecretKey
from protocol.residue.context import read_ring
from protocol.residue.keyswitch import Gadget
from protocol.residue.openfhe_keys import read_switching_keys
from protocol.residue.ring import Ring
from protocol.residue.serialised import read_polynomials, replace_polynomials

Residues = NDArray[np.uint64]


def read_pair(item: Any, ring: Ring) -> Residues:
    """The elements (b, a) of a ciphertext or a public key, (2, limbs, N) in evaluation form."""
    pair = read_polynomials(openfhe.Serialize(item, openfhe.BINARY), ring)
    assert len(pair) == 2
    return pair


class CiphertextWriter:
    """Turns residues into OpenFHE ciphertexts that carry the tag of a public or private key."""

    def __init__(self, context: Any, key: Any) -> None:
        self._ring = read_ring(context)
        zero = context.MakeCoefPackedPlaintext([0])
        self._template: bytes = openfhe.Serialize(context.Encrypt(key, zero), openfhe.BINARY)

    def write(self, ciphertext: Residues) -> Any:
        """The ciphertext of residues (2, limbs, N) in evaluation form."""
        serialised = replace_polynomials(self._template, self._ring, ciphertext)
        return openfhe.DeserializeCiphertextString(serialised, openfhe.BINARY)


def key_noise(secret: SecretKey, source: Residues, gadget: Gadget, b: Residues, a: Residues) -> NDArray[np.float64]:
    """The noise b + a*s - g*s' of a key's rows, (rows, N), centred modulo Q."""
    ring = secret.ring
    errors = ring.add(b, secret.multiply(a))
    for row, (limb, factor) in zip(errors, gadget.rows(ring), strict=True):
        q = ring.moduli[limb]
        row[limb] = ((row[limb].astype(object) - factor * source[limb].astype(object)) % q).astype(np.uint64)
    return ring.to_integers(ring.inverse(errors)).astype(np.float64)


def automorphism_key_noise(
    secret: SecretKey, key_map: Any, exponents: Sequence[int], digit_bits: int
) -> NDArray[np.float64]:
    """The noise (keys, rows, N) of an EvalKeyMap of exactly these exponents, by ascending exponent."""
    ring = secret.ring
    keys = read_switching_keys(openfhe.Serialize(key_map, openfhe.BINARY), ring, digit_bits)
    noise = []
    for exponent, (b, a) in zip(sorted(exponents), keys, strict=True):
        # OpenFHE switches before it permutes: its key leads from s to s(X^(1/g)).
        permutation = evaluation_permutation(pow(exponent, -1, 2 * ring.ring_degree), ring.ring_degree)
        to = SecretKey(ring, secret.residues[..., permutation])
        noise.append(key_noise(to, secret.residues, Gadget(digit_bits), b, a))
    return np.stack(noise)
