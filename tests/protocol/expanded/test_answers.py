"""What a flooded answer takes on: fresh encryptions of zero, and noise where something is sent."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from protocol.expanded.answers import flood, switched
from protocol.expanded.context import query_ring
from protocol.expanded.keys import Labels, public_key, public_row
from protocol.expanded.rounding import round_off
from protocol.meter import Tally
from protocol.residue.ciphertext import expand_many, phase
from protocol.residue.sampling import new_seed
from tests.protocol.expanded.compressed import conftest as compressed
from tests.protocol.expanded.folded import conftest as folded


@pytest.mark.parametrize(("query", "name"), [(compressed, "flooded on two limbs"), (folded, "flooded")])
def test_flooded_answers_are_encrypted_afresh(query: Any, name: str) -> None:
    side, seed, labels = query.Side(query.parameters_of(name)), new_seed(), Labels.of("test")
    layout, ring, secret = side.server.layout, side.server.result_ring, side.client.result_secret
    p = layout.parameters
    key = public_key(ring, public_row(secret, seed, labels, Tally())[0], seed, labels)
    used = layout.row_positions()
    nothing = np.zeros((int(used.polynomial.max()) + 1, 2, ring.limbs, p.degree), dtype=np.uint64)
    first, second = (flood(layout, ring, nothing, key) for _ in range(2))
    assert np.mean(first[:, 1] != second[:, 1]) > 0.99
    for answer in (first, second):
        errors = np.abs(ring.to_integers(phase(secret, ring.forward(answer))))
        assert 2**p.flooding_log2_width < errors[used].max() < 3.01 * 2**p.flooding_log2_width
        errors[used] = 0
        assert 0 < errors.max() < 2**13  # the encryptions of zero alone, of deviation 236 at most


def test_three_limbs_are_rounded_as_fractions_of_q() -> None:
    ring = query_ring(folded.parameters_of("three limbs, wide plaintext, flooded"))
    values = ring.inverse(expand_many(ring, new_seed(), "values", 1))
    expected = round_off(ring.to_integers(values)[0].tolist(), ring.modulus, 26)
    assert switched(values, ring, 26)[0].tolist() == expected
    two = query_ring(folded.parameters_of("flooded"))
    values = two.inverse(expand_many(two, new_seed(), "values", 1))
    assert switched(values, two, 26)[0].tolist() == round_off(two.to_integers(values)[0].tolist(), two.modulus, 26)
