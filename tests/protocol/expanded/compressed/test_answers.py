"""What a flooded answer takes on besides its mask: a fresh encryption of zero, and noise where something is sent."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from protocol.expanded.compressed.answers import masked
from protocol.expanded.compressed.client import LABELS
from protocol.expanded.compressed.layout import row_positions
from protocol.expanded.keys import public_key, public_row
from protocol.residue.ciphertext import SecretKey, phase
from protocol.residue.sampling import new_seed


def test_flooded_answers_are_encrypted_afresh(make_side: Callable[[str], Any]) -> None:
    side = make_side("flooded on two limbs")
    p, ring, seed = side.parameters, side.server.table_ring, new_seed()
    secret = SecretKey(ring, side.client.secret.residues[: p.table_limbs])
    key = public_key(ring, public_row(secret, seed, LABELS)[0], seed, LABELS)
    packed = np.zeros((p.packed, 2, p.table_limbs, p.degree), dtype=np.uint64)
    mask = np.zeros(p.row_coefficients, dtype=np.uint64)
    first, second = (masked(p, ring, packed, mask, key) for _ in range(2))
    assert np.mean(first[:, 1] != second[:, 1]) > 0.99
    for answer in (first, second):
        errors = np.abs(ring.to_integers(phase(secret, ring.forward(answer))))
        used = row_positions(p)
        assert errors[used].max() > 2 ** (p.flooding_log2_bound - 3)
        errors[used] = 0
        assert 0 < errors.max() < 2**13  # the encryption of zero alone, of deviation 236
    np.testing.assert_array_equal(masked(replace(p, flooding_bits=0), ring, packed, mask, None), packed)
    with pytest.raises(ValueError, match="public key"):
        masked(p, ring, packed, mask, None)
