"""What a flooded answer takes on besides its mask: fresh encryptions of zero, and noise where something is sent."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from protocol.expanded.answers import mask
from protocol.expanded.compressed.layout import CompressedLayout
from protocol.expanded.folded.layout import FoldedLayout
from protocol.expanded.keys import Labels, public_key, public_row
from protocol.meter import Tally
from protocol.residue.ciphertext import phase
from protocol.residue.sampling import new_seed
from tests.protocol.expanded.compressed import conftest as compressed
from tests.protocol.expanded.folded import conftest as folded

QUERIES: list[tuple[Any, Any, str]] = [
    (compressed, CompressedLayout, "flooded on two limbs"),
    (folded, FoldedLayout, "flooded, ring switch"),
]


@pytest.mark.parametrize(("query", "layout_of", "name"), QUERIES)
def test_flooded_answers_are_encrypted_afresh(
    query: Any, layout_of: Any, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    side, seed, labels = query.Side(query.parameters_of(name)), new_seed(), Labels.of("test")
    layout, ring, secret = side.server.layout, side.server.result_ring, side.client.result_secret
    p = layout.parameters
    key = public_key(ring, public_row(secret, seed, labels, Tally())[0], seed, labels)
    used = layout.row_positions()
    nothing = np.zeros((int(used.polynomial.max()) + 1, 2, ring.limbs, p.degree), dtype=np.uint64)
    monkeypatch.setattr("protocol.expanded.answers.sample_uniform", lambda modulus, count: np.zeros(count, np.uint64))
    first, second = (mask(layout, ring, nothing, 0, key).ciphertexts for _ in range(2))
    assert np.mean(first[:, 1] != second[:, 1]) > 0.99
    for answer in (first, second):
        errors = np.abs(ring.to_integers(phase(secret, ring.forward(answer))))
        assert errors[used].max() > 2 ** (p.flooding_log2_bound - 3)
        errors[used] = 0
        assert 0 < errors.max() < 2**13  # the encryptions of zero alone, of deviation 236 at most
    unflooded = mask(layout_of(replace(p, flooding_bits=0)), ring, nothing, 0, None)
    np.testing.assert_array_equal(unflooded.ciphertexts, nothing)
    with pytest.raises(ValueError, match="public key"):
        mask(layout, ring, nothing, 0, None)
