"""BFV encryption, decryption and noise on residues.

A ciphertext is an array (..., 2, limbs, N) in evaluation form, element b first, with phase
b + a*s = round(Q/t * m) + e.
A seeded ciphertext is its b alone, in coefficient form as it is packed for the wire; its a comes from
:func:`protocol.residue.sampling.expand`, which draws it in evaluation form.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from protocol.meter import Tally
from protocol.residue.modular import multiply_prepared, shoup_quotients
from protocol.residue.ring import Ring
from protocol.residue.rounding import scale_down, scale_up
from protocol.residue.sampling import STANDARD_DEVIATION, expand, sample_gaussian, sample_ternary


class SecretKey:
    """A ternary secret, kept in evaluation form with its precomputation.

    Parameters
    ----------
    ring : the ring
    residues : s in evaluation form, (limbs, N); OpenFHE's comes from :func:`protocol.residue.context.read_secret_key`
    """

    def __init__(self, ring: Ring, residues: NDArray[np.uint64]) -> None:
        if residues.shape != (ring.limbs, ring.ring_degree):
            raise ValueError(f"residues of shape {residues.shape}: need {(ring.limbs, ring.ring_degree)}")
        self.ring = ring
        self.residues = residues
        self._quotients = np.stack([shoup_quotients(residues[i], q) for i, q in enumerate(ring.moduli)])

    @classmethod
    def generate(cls, ring: Ring) -> SecretKey:
        """Return a fresh uniformly ternary secret."""
        return cls(ring, ring.forward(ring.from_signed(sample_ternary(ring.ring_degree))))

    def multiply(self, polynomials: NDArray[np.uint64]) -> NDArray[np.uint64]:
        """Return x * s for polynomials (..., limbs, N) in evaluation form."""
        return np.stack(
            [
                multiply_prepared(polynomials[..., i, :], self.residues[i], self._quotients[i], q)
                for i, q in enumerate(self.ring.moduli)
            ],
            axis=-2,
        )


def sample_noise(
    ring: Ring, shape: tuple[int, ...] = (), standard_deviation: float = STANDARD_DEVIATION
) -> NDArray[np.uint64]:
    """Return fresh Gaussian polynomials (*shape, limbs, N) in coefficient form."""
    count = int(np.prod(shape, dtype=np.int64)) * ring.ring_degree
    return ring.from_signed(sample_gaussian(count, standard_deviation).reshape(*shape, ring.ring_degree))


def encrypt_symmetric(
    secret: SecretKey,
    message: NDArray[np.uint64],
    a: NDArray[np.uint64],
    standard_deviation: float = STANDARD_DEVIATION,
) -> NDArray[np.uint64]:
    """Return b = e + message - a*s with fresh noise.

    Parameters
    ----------
    message : coefficients (..., limbs, N) modulo Q, for BFV those of :func:`protocol.residue.rounding.scale_up`
    a : uniform, in evaluation form, of the same shape; each may be used once only

    Returns
    -------
    b in coefficient form, (..., limbs, N)
    """
    ring = secret.ring
    noisy = ring.add(message, sample_noise(ring, message.shape[:-2], standard_deviation))
    return ring.subtract(noisy, ring.inverse(secret.multiply(a)))


def encrypt_seeded(
    secret: SecretKey,
    message: NDArray[np.uint64],
    plaintext_modulus: int,
    seed: bytes,
    label: str,
    first_index: int = 0,
    tally: Tally | None = None,
) -> NDArray[np.uint64]:
    """Return b of fresh encryptions whose a are expanded from a seed.

    Parameters
    ----------
    message : plaintexts (count, N) modulo t
    seed, label, first_index : polynomial i has a = expand(seed, label, first_index + i); never to be used twice
    tally : told of every encryption

    Returns
    -------
    b in coefficient form, (count, limbs, N)
    """
    a = expand_many(secret.ring, seed, label, len(message), first_index)
    b = encrypt_symmetric(secret, scale_up(message, secret.ring, plaintext_modulus), a)
    (tally or Tally()).add(len(b))
    return b


def expand_many(
    ring: Ring, seed: bytes, label: str, count: int, first_index: int = 0, tally: Tally | None = None
) -> NDArray[np.uint64]:
    """Return the polynomials (count, limbs, N) of consecutive indices of a seed, in evaluation form.

    The tally is told of each.
    """
    polynomials = np.empty((count, ring.limbs, ring.ring_degree), dtype=np.uint64)
    for i in range(count):
        polynomials[i] = expand(seed, label, first_index + i, ring)
        (tally or Tally()).add()
    return polynomials


def encrypt_zero(
    ring: Ring, public_key: NDArray[np.uint64], standard_deviation: float = STANDARD_DEVIATION
) -> NDArray[np.uint64]:
    """Return a fresh encryption of zero, (2, limbs, N), under a public key (b, a), both in evaluation form.

    With u ternary and e0, e1 Gaussian it is (b*u + e0, a*u + e1); its phase e*u + e0 + e1*s has variance
    sigma^2 * (1 + 4N/3) for a ternary secret.
    """
    u = ring.forward(ring.from_signed(sample_ternary(ring.ring_degree)))
    return ring.add(ring.multiply(public_key, u), ring.forward(sample_noise(ring, (2,), standard_deviation)))


def phase(secret: SecretKey, ciphertext: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Return the coefficients (..., limbs, N) of b + a*s for ciphertexts (..., 2, limbs, N) in evaluation form."""
    ring = secret.ring
    return ring.inverse(ring.add(ciphertext[..., 0, :, :], secret.multiply(ciphertext[..., 1, :, :])))


def decrypt(secret: SecretKey, ciphertext: NDArray[np.uint64], plaintext_modulus: int) -> NDArray[np.uint64]:
    """Return the plaintexts round(t/Q * phase) mod t, (..., N), of ciphertexts in evaluation form."""
    return scale_down(phase(secret, ciphertext), secret.ring, plaintext_modulus)


def noise(
    ring: Ring, phases: NDArray[np.uint64], message: NDArray[np.uint64], plaintext_modulus: int
) -> NDArray[np.float64]:
    """Return phase - Q/t * m, centred modulo Q, for plaintexts m (..., N).

    Computed in exact integers and rounded once; for diagnosis, not for speed.
    """
    modulus, t = ring.modulus, plaintext_modulus
    scaled = (t * ring.to_integers(phases) - modulus * message.astype(object)) % (t * modulus)
    centred = np.where(2 * scaled > t * modulus, scaled - t * modulus, scaled)
    return np.asarray(centred / t, dtype=np.float64)
