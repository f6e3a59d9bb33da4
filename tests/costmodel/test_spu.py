"""SPU's bytes against runs of SPU 0.9.5, and its counts against the loops of its source."""

from __future__ import annotations

import math
from itertools import product as combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from costmodel.estimate import estimate, terms
from costmodel.grid import Grid
from costmodel.ledger import Transfer
from costmodel.parameters import Table
from costmodel.systems import design_of, published
from costmodel.systems.spu_product import SPLIT_BYTES, split, spu_product
from costmodel.tiles import spu_matrix_tile

TOLERANCE = 0.0025

# (system, rows, inner, columns, options): bytes sent by the owner of the left operand and by that of the right one,
# keys included, as SPU's own link statistics give them.
RUNS = {
    ("spu-fm32", 1, 500, 64, ()): (116201, 316855),
    ("spu-fm32", 1, 100, 100, ()): (116144, 155876),
    ("spu-fm32", 1, 5000, 300, ()): (174174, 9735178),
    ("spu-fm32", 1, 32000, 64, ()): (522838, 2122259),
    ("spu-fm32", 1, 30522, 384, ()): (522630, 12444948),
    ("spu-fm32", 1, 8000, 1500, ()): (174199, 48443465),
    ("spu-fm32", 1, 128256, 128, ()): (1916536, 4186619),
    ("spu-fm32", 4, 3000, 50, ()): (232363, 1673098),
    ("spu-fm32", 16, 1000, 64, ()): (290306, 2133564),
    ("spu-fm32", 64, 300, 40, ()): (2149278, 232265),
    ("spu-fm32", 128, 100, 64, ()): (4263513, 174313),
    ("spu-fm32", 200, 64, 20, ()): (2257576, 116171),
    ("spu-fm64", 1, 500, 64, ()): (10084291, 9968749),
    ("spu-fm64", 1, 100, 20, ()): (427618, 370377),
    ("spu-fm64", 1, 100, 100, ()): (427690, 499107),
    ("spu-fm64", 1, 5000, 300, ()): (10268766, 9968536),
    ("spu-fm64", 1, 20000, 20, ()): (10639062, 9968473),
    ("spu-fm64", 1, 8192, 1000, ()): (10454619, 9968846),
    ("spu-fm64", 1, 30522, 384, ()): (11194387, 9968906),
    ("spu-fm64", 1, 1000, 9000, ()): (10084223, 10222971),
    ("spu-fm64", 1, 128256, 128, ()): (12674073, 9968717),
    ("spu-fm64", 4, 3000, 50, ()): (10269188, 9968885),
    ("spu-fm64", 16, 1000, 64, ()): (10084035, 9968954),
    ("spu-fm64", 64, 768, 64, ()): (10824049, 9968394),
    ("spu-fm64", 200, 64, 20, ()): (9968783, 9899005),
    ("spu-fm32", 1, 500, 64, ("shares",)): (374949, 374909),
    ("spu-fm32", 4, 3000, 50, ("shares",)): (1847200, 1847010),
    ("spu-fm64", 1, 500, 64, ("shares",)): (10338541, 10338649),
    ("spu-fm64", 1, 5000, 300, ("shares",)): (10523370, 10523813),
    ("spu-fm32", 1, 1000000, 80, ("split",)): (14284088, 5219104),
    ("spu-fm64", 1, 300000, 120, ("split",)): (17113345, 10222911),
    ("spu-fm32", 1, 17000, 4096, ("split",)): (754929, 142420762),
    ("spu-fm64", 1, 9000, 4096, ("split",)): (12304131, 10731494),
}


def sent(system: str, rows: int, inner: int, columns: int, options: tuple[str, ...] = ()) -> tuple[float, float]:
    configuration = published(system, Table(inner, columns, rows)).updated(options=options)
    ledger = [term for term in terms(Grid.of(configuration)) if isinstance(term, Transfer)]
    return tuple(float(sum(t.size_bytes for t in ledger if t.party == party)) for party in ("client", "server"))


@pytest.mark.parametrize("run", RUNS, ids=lambda run: f"{run[0]}-{run[1]}x{run[2]}x{run[3]}{''.join(run[4])}")
def test_bytes_of_runs(run: tuple[str, int, int, int, tuple[str, ...]]) -> None:
    assert sent(*run) == pytest.approx(RUNS[run], rel=TOLERANCE)


def test_the_llama_table() -> None:
    """Without keys, as measured: FM32 464,614 up and 132,124,645 down; FM64 1,479,785 and 254,323; keys 9.7 MB."""
    fm32, fm64 = (estimate(published(system, Table(32000, 4096))) for system in ("spu-fm32", "spu-fm64"))
    assert (fm32.up_bytes, fm32.down_bytes) == pytest.approx((464614, 132124645), rel=TOLERANCE)
    assert (fm64.up_bytes, fm64.down_bytes) == pytest.approx((1479785, 254323), rel=TOLERANCE)
    assert fm64.setup_bytes / 2 == pytest.approx(9.7e6, rel=0.01)


def interleaving(answers: int, gap: int) -> int:
    """doPackingRLWEs: which positions hold a ciphertext, level by level."""
    switches = 0
    for start in range(0, answers, gap):
        held = [i < answers - start for i in range(gap)]
        h = gap // 2
        while h >= 1:
            for i in range(h):
                if held[i] or held[i + h]:
                    switches, held[i] = switches + 1, True
            h //= 2
    return switches


def packlwes(results: int, degree: int) -> int:
    """doPackingLWEs over the next power of two, and the trace."""
    leaves = 1 << (results - 1).bit_length()
    held = [i < results for i in range(leaves)]
    switches, depth = 0, 1
    while depth <= leaves:
        h = leaves // depth // 2
        depth *= 2
        for i in range(h):
            if held[i] or held[i + h]:
                switches, held[i] = switches + 1, True
    return switches + int(math.log2(degree // leaves))


@settings(deadline=None)
@given(rows=st.integers(1, 12), inner=st.integers(1, 200), columns=st.integers(1, 60), N=st.sampled_from([16, 64, 256]))
def test_packing_as_in_the_source(rows: int, inner: int, columns: int, N: int) -> None:
    counts, tile = spu_product(rows, inner, columns, N, packing=True), spu_matrix_tile(rows, inner, columns, N)
    results = rows * columns
    if tile.outputs <= 1:
        assert not counts.packed
        assert counts.automorphisms == 0
    elif tile.inner < results:
        assert counts.answers == -(-tile.outputs // tile.inner)
        assert counts.automorphisms == interleaving(int(tile.outputs), int(tile.inner))
    elif results <= N:
        assert counts.answers == 1
        assert counts.automorphisms == packlwes(results, N)


def split_loop(m: int, n: int, k: int, elsize: int) -> dict[tuple[int, int, int], int]:
    """calcMmulTilingSize and the loops of _mmul."""
    if (m * k + k * n) * elsize < SPLIT_BYTES:
        steps = (m, n, k)
    else:
        limit = float(SPLIT_BYTES // elsize)
        if k > (m + n) * 8:
            both = m + n
            k_step = max(1, math.ceil(limit / both))
        elif m + n > k * 8:
            k_step = k
            both = max(1, math.ceil(limit / k_step))
        else:
            mn_step = math.sqrt(limit / (k / (m + n)))
            k_step = max(1, math.ceil(limit / mn_step))
            both = max(1, math.ceil(mn_step))
        steps = (max(both * m // (m + n), 1), max(both * n // (m + n), 1), k_step)
    blocks: dict[tuple[int, int, int], int] = {}
    for r, c, i in combinations(*(range(0, size, step) for size, step in zip((m, n, k), steps, strict=True))):
        shape = (min(steps[0], m - r), min(steps[2], k - i), min(steps[1], n - c))
        blocks[shape] = blocks.get(shape, 0) + 1
    return blocks


@settings(deadline=None)
@given(
    rows=st.integers(1, 600),
    inner=st.integers(1, 300000),
    columns=st.integers(1, 9000),
    element_bytes=st.sampled_from([4, 8]),
)
def test_splitting_as_in_the_source(rows: int, inner: int, columns: int, element_bytes: int) -> None:
    expected = split_loop(rows, columns, inner, element_bytes)
    found: dict[tuple[int, int, int], int] = {}
    for block in split(rows, inner, columns, element_bytes):
        if block.count:
            shape = (int(block.rows), int(block.inner), int(block.columns))
            found[shape] = found.get(shape, 0) + int(block.count)
    assert found == expected


def test_splitting_sends_several_times_more() -> None:
    base = published("spu-fm64", Table(32000, 4096))
    whole, cut = estimate(base), estimate(base.updated(options=("split",)))
    assert cut.up_bytes + cut.down_bytes > 2 * (whole.up_bytes + whole.down_bytes)
    assert cut.setup_bytes == whole.setup_bytes


@pytest.mark.parametrize("system", ["spu-fm32", "spu-fm64"])
@pytest.mark.parametrize("options", [(), ("shares",), ("split",), ("shares", "split")])
def test_a_grid_is_a_loop(system: str, options: tuple[str, ...]) -> None:
    rows, tokens = np.array([[100], [32000], [128256]]), np.array([1, 8, 300])
    base = published(system, Table(32000, 600)).updated(options=options)
    columns = [term for term in terms(Grid.of(base, rows=rows, tokens=tokens)) if isinstance(term, Transfer)]
    grid = Grid.of(base, rows=rows, tokens=tokens)
    noise = np.broadcast_to(design_of(grid).noise(grid), (3, 3))
    for i, j in np.ndindex(3, 3):
        single = base.updated(table=Table(int(rows[i, 0]), 600, int(tokens[j])))
        ledger = [term for term in terms(Grid.of(single)) if isinstance(term, Transfer)]
        for many, one in zip(columns, ledger, strict=True):
            assert np.broadcast_to(many.size_bytes, (3, 3))[i, j] == one.size_bytes, one.item
        assert noise[i, j] == design_of(Grid.of(single)).noise(Grid.of(single))


def test_seconds_of_the_llama_table_lie_where_they_were_measured() -> None:
    """13 to 15 s CPU at FM32, 20 to 25 s at FM64, on another day of a loaded machine."""
    fm32, fm64 = (estimate(published(system, Table(32000, 4096))).server_s for system in ("spu-fm32", "spu-fm64"))
    assert 12 < fm32 < 17
    assert 18 < fm64 < 32
