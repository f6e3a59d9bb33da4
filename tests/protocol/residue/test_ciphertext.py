from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from protocol.residue import ciphertext as bfv
from protocol.residue.ring import Ring
from protocol.residue.rounding import scale_up
from protocol.residue.sampling import new_seed

SIZES = [(1024, 30, 1, 200), (2048, 54, 1, 1 << 13), (2048, 54, 1, 1 << 37), (1024, 61, 2, 8000), (2048, 54, 2, 2)]


def within(measured: float, expected: float, bits: float = 0.15) -> bool:
    return abs(float(np.log2(measured / expected))) < bits


@pytest.mark.parametrize(("degree", "bits", "limbs", "t"), SIZES)
def test_seeded_encryption_decrypts_with_fresh_noise(
    make_ring: Callable[..., Ring], degree: int, bits: int, limbs: int, t: int
) -> None:
    ring = make_ring(degree, bits, limbs)
    secret = bfv.SecretKey.generate(ring)
    message = np.random.default_rng(0).integers(0, t, (4, degree), dtype=np.uint64)
    message[0, :2] = 0, t - 1
    seed = new_seed()
    b = bfv.encrypt_seeded(secret, message, t, seed, "query", 5)
    ciphertexts = np.stack([ring.forward(b), bfv.expand_many(ring, seed, "query", 4, 5)], axis=1)
    assert (bfv.decrypt(secret, ciphertexts, t) == message).all()
    errors = bfv.noise(ring, bfv.phase(secret, ciphertexts), message, t)
    assert within(errors.std(), np.hypot(3.19, 1 / np.sqrt(12)))  # the second: round(Q/t * m)
    rounding = bfv.noise(ring, scale_up(message, ring, t), message, t)
    assert abs((errors - rounding).mean()) < 6 * 3.19 / np.sqrt(errors.size)


def test_encryptions_of_zero_are_fresh_and_of_the_stated_noise(make_ring: Callable[..., Ring]) -> None:
    for limbs in (1, 2):
        ring = make_ring(2048, 54, limbs)
        secret = bfv.SecretKey.generate(ring)
        nothing = np.zeros((ring.limbs, ring.ring_degree), dtype=np.uint64)
        a = bfv.expand_many(ring, new_seed(), "public key", 1)[0]
        public_key = np.stack([ring.forward(bfv.encrypt_symmetric(secret, nothing, a)), a])
        zeros = np.stack([bfv.encrypt_zero(ring, public_key) for _ in range(4)])
        assert len({zero.tobytes() for zero in zeros}) == 4
        errors = bfv.noise(ring, bfv.phase(secret, zeros), np.zeros((4, 2048), dtype=np.uint64), 2)
        assert within(errors.std(), 3.19 * np.sqrt(1 + 4 * 2048 / 3))


def test_noise_beyond_the_interval_spoils_the_message(make_ring: Callable[..., Ring]) -> None:
    ring = make_ring(1024, 30)
    secret = bfv.SecretKey.generate(ring)
    a = bfv.expand_many(ring, new_seed(), "query", 1)[0]
    t = 1 << 20
    message = np.zeros((ring.limbs, 1024), dtype=np.uint64)
    b = bfv.encrypt_symmetric(secret, message, a, standard_deviation=900.0)  # interval: 2^30 / 2^21 = 512
    decrypted = bfv.decrypt(secret, np.stack([ring.forward(b), a]), t)
    assert 0.4 < np.mean(decrypted != 0) < 0.7  # P(|x| > 512 / 900 sigma) = 0.57


def test_wrong_key_shapes(make_ring: Callable[..., Ring]) -> None:
    with pytest.raises(ValueError, match="shape"):
        bfv.SecretKey(make_ring(1024, 30, 2), np.zeros((1, 1024), dtype=np.uint64))
