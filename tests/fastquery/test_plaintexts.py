"""The table of narrow and wide plaintexts: what is in it, and who wins."""

from __future__ import annotations

import pytest

from benchmarks.plaintexts import LINKS, NARROW, configurations, frame, markdown, winners
from costmodel.estimate import terms
from costmodel.grid import Grid
from costmodel.ledger import Transfer
from costmodel.machine import default_machine
from costmodel.parameters import Table

TABLE = Table(3000, 96)


def test_every_packing_comes_in_its_smallest_plaintext_and_one_channel_in_that_of_the_shares() -> None:
    found = list(configurations(TABLE, 24, 0, 8, ["folded"]))
    assert [one.packing.widths for one in found] == [*NARROW, (4,)]
    assert [one.ring.plaintext_modulus.bit_length() - 1 for one in found] == [4, 5, 8, 9, 13, 24]
    transfers = [
        {term.item for term in terms(Grid.of(one)) if isinstance(term, Transfer) and int(term.size_bytes)}
        for one in found
    ]
    assert all(any("transfer" in item or "ot" in item for item in items) for items in transfers[:-1])
    assert transfers[-1] < transfers[0]


@pytest.mark.parametrize("flooding_bits", [0, 40])
def test_winners_are_the_least_of_the_table(flooding_bits: int) -> None:
    costs = frame(TABLE, [16, 37], [flooding_bits], default_machine(), 8, ["folded"])
    best = winners(costs)
    assert list(best.shares_bits) == [16, 37]
    for row in best.itertuples(index=False):
        group = costs[costs.shares_bits == row.shares_bits]
        shortest = group[group.bytes == group.bytes.min()].iloc[0]
        assert row.bytes == f"folded, p = {shortest.plaintext_bits}"
    lines = markdown(costs).splitlines()
    assert len(lines) == len(costs) + 2
    assert all(name in lines[0] for name in LINKS)
