from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from costmodel.repetition import repeated_variances, repetitions
from protocol.residue import keyswitch
from protocol.residue.ciphertext import SecretKey, expand_many, phase
from protocol.residue.keyswitch import Gadget
from protocol.residue.repetition import rotate_repeatedly
from protocol.residue.ring import Ring
from protocol.residue.sampling import new_seed
from tests.protocol.residue.packing import switch_variance

GADGET = Gadget(13)


@pytest.mark.parametrize(("degree", "level"), [(1024, 4), (2048, 2), (2048, 5)])
def test_one_key_serves_all_levels_before(make_ring: Callable[..., Ring], degree: int, level: int) -> None:
    """Phases are those of every level's automorphism, up to noise whose variance is that of all the switches."""
    ring = make_ring(degree, 52, 1)
    secret = SecretKey.generate(ring)
    exponent = (degree >> level) + 1
    keys = keyswitch.automorphism_keys(secret, [exponent], [GADGET], new_seed(), "expansion")
    ciphertexts = expand_many(ring, new_seed(), "ciphertext", 8).reshape(4, 2, 1, degree)
    before = ring.forward(phase(secret, ciphertexts))
    predicted = repeated_variances(degree, level, [switch_variance(GADGET, ring)] * (level + 1))
    for i, times in enumerate(repetitions(degree, level)):
        rotated = rotate_repeatedly(ring, ciphertexts, exponent, times, keys.switch)
        expected = ring.inverse(keyswitch.apply_automorphism(before, (degree >> i) + 1))
        noise = ring.to_integers(ring.subtract(phase(secret, rotated), expected)).astype(np.float64)
        assert abs(np.log2(noise.std() / np.sqrt(predicted[i]))) < 0.25


def test_times_are_at_least_one(make_ring: Callable[..., Ring]) -> None:
    ring = make_ring(64, 52, 1)
    with pytest.raises(ValueError, match="times is 0"):
        rotate_repeatedly(ring, np.zeros((2, 1, 64), dtype=np.uint64), 5, 0, lambda a: a)
