"""Priced systems: their sources' figures, grids equal to loops, options, refusals."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from costmodel.estimate import estimate, evaluate, terms
from costmodel.grid import Grid
from costmodel.ledger import Transfer, total_bytes, totals
from costmodel.link import parse_link
from costmodel.parameters import Configuration, Ring, Table
from costmodel.projection import PROJECTIONS, projection, projection_terms
from costmodel.slots import layout
from costmodel.systems import NAMES, design_of, published
from costmodel.systems.cheetah import hequant, hequant_log2_q
from costmodel.tiles import cheetah_tile, iron_matrix_tile

LLAMA_7B = Table(32000, 4096)
PRICED = ("cryptflow2", "iron", "bumblebee", "spu-fm32", "spu-fm64", "cham", "ciphergpt")


def key_log2_q(grid: Grid) -> float:
    return max(float(ring.log2_q) for ring in design_of(grid).rings(grid))  # type: ignore[arg-type]


def sent(configuration: Configuration) -> tuple[float, float, float]:
    result = estimate(configuration)
    return result.up_bytes, result.down_bytes, result.setup_bytes


@pytest.mark.parametrize("system", PRICED)
def test_a_grid_is_a_loop_of_single_estimates(system: str) -> None:
    base = published(system, LLAMA_7B)
    rows, channels, tokens = np.array([[1], [4097], [50257]]), np.array([384, 1, 4096]), np.array([1, 3, 2])
    link = parse_link("9Mbit/s,40ms")
    columns = evaluate(Grid.of(base, rows=rows, channels=channels, tokens=tokens), link)
    for i, j in np.ndindex(3, 3):
        table = Table(int(rows[i, 0]), int(channels[j]), int(tokens[j]))
        single = estimate(base.updated(table=table), link)
        for name, values in columns.items():
            assert values[i, j] == single.figures[name], name


@pytest.mark.parametrize("system", PRICED)
def test_one_configuration_gives_scalars_and_its_totals(system: str) -> None:
    configuration = published(system, LLAMA_7B)
    for term in terms(Grid.of(configuration)):
        assert np.ndim(term.count) == 0, term
        assert np.ndim(term.size_bytes if isinstance(term, Transfer) else term.size) == 0, term
    result = estimate(configuration)
    for name, value in totals(result.ledger).items():
        assert result.figures[name] == pytest.approx(value, rel=1e-12), name
    keys = ["kind", "phase", "party", "item"]
    assert not result.ledger.duplicated(keys).any()


@pytest.mark.parametrize("system", PRICED)
@pytest.mark.parametrize("size", ["native", "ideal"])
def test_every_system_sends_and_decrypts(system: str, size: str) -> None:
    up, _, setup = sent(published(system, LLAMA_7B).updated(size=size))
    assert up > 0
    assert setup > 0
    assert estimate(published(system, LLAMA_7B)).log2_failure < -40


@pytest.mark.parametrize("system", PRICED)
def test_zstd_adds_less_than_a_third_to_the_bits(system: str) -> None:
    configuration = published(system, LLAMA_7B)
    ideal, native = (sum(sent(configuration.updated(size=size))[:2]) for size in ("ideal", "native"))
    assert 1 < native / ideal < 1.35


@pytest.mark.parametrize("system", PRICED)
def test_this_projects_wire_has_no_size_for_what_is_not_executed(system: str) -> None:
    with pytest.raises(ValueError, match="priced, not executed"):
        estimate(published(system, LLAMA_7B).updated(size="wire"))


shapes = st.tuples(st.integers(1, 30000), st.integers(1, 3000), st.integers(1, 6))
growth = st.tuples(st.integers(0, 3000), st.integers(0, 900), st.integers(0, 3))
MONOTONE = ("cham", "ciphergpt", "cryptflow2")


@settings(deadline=None, max_examples=40)
@given(st.sampled_from(MONOTONE), shapes, growth)
def test_bytes_never_fall_when_the_table_grows(system: str, shape: tuple[int, ...], more: tuple[int, ...]) -> None:
    small = published(system, Table(*shape))
    large = published(system, Table(*(a + b for a, b in zip(shape, more, strict=True))))
    assert sum(sent(large)) >= sum(sent(small))


@settings(deadline=None, max_examples=40)
@given(shapes, growth)
def test_irons_windows_never_send_fewer_polynomials_for_a_larger_product(
    shape: tuple[int, ...], more: tuple[int, ...]
) -> None:
    """Polynomials, not bytes: inputs and answers count alike, though answers are smaller."""
    counts = []
    for m, n, tokens in (shape, tuple(a + b for a, b in zip(shape, more, strict=True))):
        tile = iron_matrix_tile(tokens, m, n, 8192)
        counts.append(tile.inputs + tile.outputs)
    assert counts[1] >= counts[0]


@settings(deadline=None, max_examples=25)
@given(
    rows=st.integers(1, 9), inner=st.integers(1, 40), columns=st.integers(1, 40), N=st.sampled_from([4, 16, 64])
)  # fmt: skip
def test_irons_window_is_the_minimum(rows: int, inner: int, columns: int, N: int) -> None:
    tile = iron_matrix_tile(rows, inner, columns, N)
    assert tile.rows * tile.inner * tile.columns <= N
    costs = [
        -(-rows // a) * (-(-inner // b) + -(-columns // c))
        for a in range(1, N + 1)
        for b in range(1, N // a + 1)
        for c in range(1, N // a // b + 1)
    ]
    assert tile.inputs + tile.outputs == min(costs)


@given(m=st.integers(1, 5000), n=st.integers(1, 500))
def test_iron_is_cheetah_for_one_row(m: int, n: int) -> None:
    iron, cheetah = iron_matrix_tile(1, m, n, 1024), cheetah_tile(m, n, 1024)
    assert iron.inputs + iron.outputs == cheetah.inputs + cheetah.outputs


def test_irons_windows_for_bert_are_those_of_its_reimplementation() -> None:
    """linear.cpp sets (n_w, k_w) = (8, 8), (4, 16) and (16, 4) for 128 rows at N = 8192."""
    tile = iron_matrix_tile(128, [768, 768, 3072], [768, 3072, 768], 8192)
    assert list(zip(tile.rows, tile.inputs, tile.outputs, strict=True)) == [
        (128, 96, 96),
        (128, 192, 192),
        (128, 192, 192),
    ]


def test_cryptflow2_at_llama_7b() -> None:
    plan = layout(32000, 4096)
    assert (plan.calls, plan.slots, plan.diagonals, plan.sums) == (1, 65536, 2048, 4)
    naf = [bin(i ^ (3 * i)).count("1") for i in range(2048)]
    assert plan.key_switches == sum(naf)
    up, down, setup = sent(published("cryptflow2", LLAMA_7B).updated(size="ideal"))
    assert up == 2 * 65536 * 180 / 8
    assert down == 2 * 65536 * 60 / 8
    assert setup == (1 + 31 * 3) * 65536 * 229 / 8


def test_cryptflow2_calls_itself_on_parts_of_what_does_not_fit_its_slots() -> None:
    assert layout(128256, 4096)[:3] == (2, 65536, 4096)
    assert layout(100, 20000)[:2] == (3, 8192)
    assert layout(65536, 65536) == (1, 65536, 65536, layout(65536, 65536).key_switches, 0)


def test_cham_at_one_block() -> None:
    """Section II.F: six polynomials of 4096 under 109 bits and four under 70; 4095 reductions for 4096 columns."""
    configuration = published("cham", Table(4096, 4096)).updated(size="ideal")
    up, down, _ = sent(configuration)
    assert (up, down) == (2 * 4096 * 109 / 8, 2 * 4096 * 70 / 8)
    ledger = estimate(configuration).ledger
    assert ledger.loc[ledger["item"] == "merge", "count"].item() == 4095


def test_ciphergpt_sends_its_table_once_and_nothing_down() -> None:
    configuration = published("ciphergpt", LLAMA_7B).updated(size="ideal")
    up, down, setup = sent(configuration)
    assert (up, down, setup) == (2 * 4096 * 109 / 8, 0, 32000 * 2 * 4096 * 109 / 8)


def test_bumblebees_artifact_is_spus() -> None:
    assert sent(published("bumblebee", LLAMA_7B)) == sent(published("spu-fm64", LLAMA_7B))
    with pytest.raises(ValueError, match="options has 'split'"):
        estimate(published("bumblebee", LLAMA_7B).updated(options=("split",)))


def test_security_rests_on_the_largest_modulus() -> None:
    """Special primes join the keys: 212 bits at N = 8192, not 163."""
    grid = Grid.of(published("spu-fm64", LLAMA_7B))
    assert key_log2_q(grid) == 212
    assert estimate(published("spu-fm64", LLAMA_7B)).security_bits_2018 < 140
    assert key_log2_q(Grid.of(published("cheetah", LLAMA_7B))) == 109
    assert key_log2_q(Grid.of(published("fastquery", LLAMA_7B))) == 39 + 60
    assert key_log2_q(Grid.of(published("fastquery", LLAMA_7B, "packing"))) == 39
    assert estimate(published("fastquery", LLAMA_7B)).security_bits >= 128


@pytest.mark.parametrize(
    "system", [one for one in NAMES if one not in ("ciphergpt", "fastquery", "folded", "bucketed", "compressed")]
)
def test_delphi_moves_the_product_offline(system: str) -> None:
    base = published(system, Table(32000, 512, 2))
    plain, split = estimate(base), estimate(base.updated(options=("delphi",)))
    bits = {"spu-fm32": 32, "spu-fm64": 64, "bumblebee": 64}.get(system, 37)
    assert split.up_bytes - plain.up_bytes == 2 * 32000 * bits / 8
    assert split.down_bytes == plain.down_bytes
    assert split.setup_bytes == plain.setup_bytes
    online = split.ledger[split.ledger["phase"] == "online"]
    assert list(online["item"]) == ["masked query", "plain product"]
    assert split.latency_s < plain.latency_s


def test_ciphergpt_has_no_product_to_take_offline() -> None:
    with pytest.raises(ValueError, match="options has 'delphi'"):
        estimate(published("ciphergpt", LLAMA_7B).updated(options=("delphi",)))


def test_options_are_checked_and_travel_through_toml() -> None:
    configuration = published("spu-fm32", LLAMA_7B).updated(options=("shares", "split"))
    assert Configuration.from_toml(configuration.to_toml()) == configuration
    with pytest.raises(ValueError, match="options is 'fast'"):
        configuration.updated(options=("fast",))


@pytest.mark.parametrize("system", PROJECTIONS)
def test_a_projection_is_priced_by_the_same_product(system: str) -> None:
    ledger = projection_terms(system, 16, 4096, 3 * 4096)
    assert total_bytes(ledger, "client", ("online",)) > 0
    figures = estimate(projection(system, 16, 4096, 3 * 4096))
    assert figures.up_bytes == float(total_bytes(ledger, "client", ("online",)))
    assert figures.log2_failure < -20


def test_irons_windows_cost_a_projection_less_than_its_rows_one_by_one() -> None:
    iron = [sum(sent(projection("iron", tokens, 4096, 4096))[:2]) for tokens in (1, 16)]
    assert iron[1] < 16 * iron[0] / 3.5


@pytest.mark.parametrize("system", ["fastquery", "ciphergpt"])
def test_projections_of_what_is_no_dense_product_are_refused(system: str) -> None:
    with pytest.raises(ValueError, match="a projection is priced for"):
        projection(system, 16, 4096, 4096)


def test_hequants_rule() -> None:
    assert hequant_log2_q(13) == 35
    configuration = hequant(LLAMA_7B)
    assert configuration.ring == Ring(4096, (51,), 2**21)
    assert sum(sent(configuration)) < sum(sent(published("cheetah", LLAMA_7B)))
    grid = Grid.of(configuration)
    assert design_of(grid).failure(grid) < -40
