"""Coefficient packing: polynomial products hold the inner products where the layout says."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from costmodel.parameters import Configuration, Packing, Ring, Table
from protocol.layout import Layout


def negacyclic(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    full = np.convolve(a.astype(object), b.astype(object))
    product = full[: a.size].copy()
    product[: full.size - a.size] -= full[a.size :]
    return product


@settings(deadline=None)
@given(st.integers(1, 70), st.integers(1, 40), st.sampled_from(["column", "cheetah"]), st.data())
def test_products_hold_the_row_looked_up(rows: int, channels: int, tile: str, data: st.DataObject) -> None:
    configuration = Configuration("cheetah", Table(rows, channels), Ring(16, (30,), 2**13), Packing((4, 3, 3), tile))
    layout = Layout.of(configuration)
    table = np.random.default_rng(rows * 100 + channels).integers(0, 2**12, (rows, layout.columns))
    token = data.draw(st.integers(0, rows - 1))
    query = layout.query(token)
    assert query.shape == (layout.inputs, 16)
    row: list[int] = []
    for output in range(layout.outputs):
        product = sum(
            negacyclic(query[block], layout.table_polynomial(table, block, output, 0)) for block in range(layout.inputs)
        )
        row += [int(product[k]) for k in layout.used(output)]
    assert row == table[token].tolist()
