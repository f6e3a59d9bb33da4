"""The compressed query: parameters that hold, exact counts and bytes, noise formulas, ledgers of grids."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from costmodel.estimate import estimate
from costmodel.expanded.compressed.design import CompressedDesign
from costmodel.expanded.compressed.noise import (
    compressed_noise,
    external_product_variance,
    failure,
)
from costmodel.expanded.compressed.parameters import CompressedColumns
from costmodel.expanded.compressed.search import RINGS, CompressedSearch, choose_parameters
from costmodel.expanded.noise import secret_peak
from costmodel.expanded.parameters import Gadget
from costmodel.expanded.search import BYTE_S, Rings, Task, least_security_bits
from costmodel.grid import Grid
from costmodel.ledger import Transfer, Work, total_bytes
from costmodel.parameters import Configuration, Packing, Ring, Table
from costmodel.security import security_bits
from costmodel.systems import completed, executed

DESIGN = CompressedDesign()


def filled(configuration: Configuration, **columns: Any) -> Grid:
    return DESIGN.with_parameters(Grid.of(configuration, **columns), -40.0)


LLAMA = (32000, 4096, (4, 3, 3))


def configuration(rows: int = 32000, channels: int = 4096, flooding_bits: int = 0, **options: Any) -> Configuration:
    ring = Ring(8192, (53, 53, 53), 8192) if flooding_bits else Ring(4096, (53, 53), 8192)
    table = Table(rows, channels, options.pop("tokens", 1))
    return Configuration(
        "compressed", table, ring, Packing((4, 3, 3)), engine="residue", flooding_bits=flooding_bits, **options
    )


def test_the_rings_are_secure() -> None:
    for ring in RINGS:
        assert security_bits(ring.degree, sum(ring.limb_bits)) >= 128


@pytest.mark.parametrize("protocol", ["compressed", "folded"])
def test_the_security_of_secrets_that_are_not_drawn_is_not_stated(protocol: str) -> None:
    asked = configuration(300, 9)
    gaussian = replace(asked, protocol=protocol, ring=replace(asked.ring, secret="gaussian"))
    with pytest.raises(ValueError, match=r"ring.secret is 'gaussian'"):
        completed(gaussian)


@pytest.mark.parametrize("flooding_bits", [0, 40])
def test_the_aims_in_bytes(flooding_bits: int) -> None:
    p = choose_parameters(*LLAMA, flooding_bits)
    assert p.up_bytes + p.down_bytes < (7_000 if flooding_bits else 6_200)
    assert failure(p) <= -40
    assert least_security_bits(p) >= 128


@settings(max_examples=5, deadline=None, phases=[Phase.generate])
@given(
    rows=st.integers(1, 40000),
    channels=st.integers(1, 5000),
    widths=st.sampled_from([(4,), (4, 3), (4, 3, 3), (2, 2, 2)]),
    flooding_bits=st.sampled_from([0, 1, 20, 40]),
)
def test_chosen_parameters_hold(rows: int, channels: int, widths: tuple[int, ...], flooding_bits: int) -> None:
    p = choose_parameters(rows, channels, widths, flooding_bits)
    assert failure(p) <= -40
    assert least_security_bits(p) >= 128
    assert p.blocks * p.gap >= rows > (p.blocks - 1) * p.gap
    assert p.products * p.segments >= p.row_coefficients > (p.products - 1) * p.segments
    assert 1 << p.block_levels >= p.blocks
    assert p.query_coefficients * p.stride <= p.degree
    assert p.answers * p.answer_outputs * p.answer_degree >= p.row_coefficients
    if flooding_bits:
        assert DESIGN.answers_distance(CompressedColumns.of(p), 1) <= np.log2(p.row_coefficients) - flooding_bits - 1


@settings(max_examples=4, deadline=None)
@given(
    rows=st.integers(1, 40000),
    channels=st.integers(1, 5000),
    flooding_bits=st.sampled_from([0, 20, 40]),
    target=st.sampled_from([-30.0, -40.0, -50.5]),
)
def test_the_search_finds_the_cheapest_of_all_choices(
    rows: int, channels: int, flooding_bits: int, target: float
) -> None:
    """The search that visits few shapes against every choice of every shape."""
    search, rings = CompressedSearch(), Rings.of(RINGS)
    task = Task.of(rows, channels, (4, 3, 3), flooding_bits, target, None, 3.19, BYTE_S)
    columns, found = search.run(task, rings)
    assert found.tolist() == [0]
    shapes = search.shapes(task, rings).answered()
    cost, place = search.cheapest(shapes, np.full(len(shapes.task), np.inf))
    shape = np.flatnonzero(np.isfinite(cost[:, 0]))
    every = search.parameters(shapes.taken(shape), np.zeros_like(shape), place[shape, 0])
    assert np.all(search.bound(shapes)[shape] <= cost[shape, 0])
    holds = failure(every) <= target
    best = np.argmin(np.where(holds, cost[shape, 0], np.inf))
    if np.all(holds[cost[shape, 0] <= cost[shape, 0][best]]):
        assert every.taken(best).one() == columns.taken(0).one()
    assert failure(columns)[0] <= target


def test_an_impossible_request_is_refused() -> None:
    with pytest.raises(ValueError, match=r"no ring of .* holds"):
        choose_parameters(*LLAMA, 100)
    with pytest.raises(ValueError, match="needs at least 8192"):
        choose_parameters(*LLAMA, plaintext_modulus=4096)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("segments", 3),
        ("segments", 1 << 20),
        ("table_limbs", 3),
        ("degree", 3000),
        ("sent_bits", 0),
        ("bit", Gadget(30, 30)),
        ("answer_degree", 300),
        ("answer_half_bits", 110),
        ("expansion", ()),
        ("limb_bits", (53, 53, 53, 53)),
        ("packing_digit_bits", 52),
        ("packing_dropped_bits", 53),
        ("element_bound", 1 << 20),
    ],
)
def test_fields_out_of_bounds_are_named(field: str, value: Any) -> None:
    with pytest.raises(ValueError, match=field):
        replace(choose_parameters(3000, 40, (4, 3, 3)), **{field: value})


def test_bits_of_more_digits_than_a_query_has_room_for_are_refused() -> None:
    p = choose_parameters(300, 40, (4, 3, 3))
    small = replace(
        p,
        degree=1024,
        expansion=p.expansion[:10],
        answer_degree=1024,
        ring_switch=Gadget(0, 1),
        segments=512,
        rows=1 << 24,
    )
    assert small.bit_levels == 24
    with pytest.raises(ValueError, match="24 bits of them are more than"):
        replace(small, bit=Gadget(50, 2))


def test_counts_by_hand() -> None:
    """N = 4096 and 4 segments make blocks of 1024 rows: 3000 rows are 3 of them, 12 bits of a row's number."""
    p = replace(choose_parameters(3000, 96, (4, 3, 3)), segments=4, bit=Gadget(2, 22), sent_bits=64)
    assert (p.degree, p.gap, p.blocks, p.products) == (4096, 1024, 3, 8)
    assert (p.position_levels, p.block_levels, p.external_products) == (10, 2, 12)
    assert (p.query_coefficients, p.query_bytes) == (24, 8 + 24 * 8)
    assert (p.packing_depth, p.merges, p.spacing, p.packed) == (3, 7, 128, 1)


def test_parts_cover_the_used_coefficients() -> None:
    p = choose_parameters(*LLAMA, 40)
    assert (p.degree, p.answer_degree, p.answer_parts, p.answers) == (8192, 2048, 4, 1)
    assert (p.spacing, p.used_parts, p.answer_outputs) == (4, 1, 1)
    full = replace(p, row_coefficients=8192)
    assert (full.spacing, full.used_parts, full.answer_outputs) == (1, 4, 4)


def test_a_secret_s_largest_value_is_where_it_is_bounded() -> None:
    """Four of five random secrets keep to the bound, and the flooding is not sized for much more."""
    rng = np.random.default_rng(0)
    twist = np.exp(1j * np.pi * np.arange(4096) / 4096)
    secrets = rng.integers(-1, 2, (200, 4096))
    peaks = np.square(np.abs(np.fft.fft(secrets * twist))).max(axis=1) / (4096 * 2 / 3)
    kept = float(np.mean(peaks <= secret_peak(4096)))
    assert 0.65 < kept < 0.95


def test_the_worst_table_is_the_worst() -> None:
    p = choose_parameters(*LLAMA, 40)
    noise = compressed_noise(p, float(p.element_bound) ** 2)
    assert noise.worst_product > noise.product > compressed_noise(p, 1.0).product


def test_more_of_anything_is_no_less_noise() -> None:
    p = choose_parameters(*LLAMA)
    base = compressed_noise(p, 1000.0).total
    for changed in (
        replace(p, sent_bits=p.sent_bits - 4),
        replace(p, answer_half_bits=p.answer_half_bits - 1),
        replace(p, bit=Gadget(p.bit.digits, p.bit.bits + 1)),
        replace(p, rows=p.rows * 2),
        replace(p, packing_digit_bits=p.packing_digit_bits + 6),
    ):
        assert compressed_noise(changed, 1000.0).total > base
    assert compressed_noise(p, 2000.0).total > base
    assert external_product_variance(replace(p, sent_bits=p.sent_bits - 4)) > external_product_variance(p)


@pytest.mark.parametrize("flooding_bits", [0, 40])
def test_ledger_of_one(flooding_bits: int) -> None:
    asked = configuration(flooding_bits=flooding_bits, tokens=3)
    grid, p = filled(asked), completed(asked).expanded
    ledger = DESIGN.ledger(grid)
    assert total_bytes(ledger, "client", ("offline", "online")) == 3 * p.up_bytes
    assert total_bytes(ledger, "server", ("offline", "online")) == -(-3 // p.answer_tokens) * p.down_bytes
    keys = next(term for term in ledger if isinstance(term, Transfer) and term.item == "keys")
    assert keys.size_bytes == 16 + p.key_bytes
    work = {term.operation: term.count for term in ledger if isinstance(term, Work)}
    assert work["multiply-accumulate"] == 3 * 2 * p.products * p.blocks
    assert work["merge"] == 3 * p.merges
    assert work["fold"] == 3 * p.external_products
    assert DESIGN.failure(grid) <= -40
    assert (DESIGN.flooding(grid).log2_distance < -25) == (flooding_bits > 0)


def test_a_grid_is_its_configurations() -> None:
    rows, channels = np.array([[300], [5000]]), np.array([40, 300])
    grid = filled(configuration(), rows=rows, channels=channels)
    ledger = DESIGN.ledger(grid)
    noise = DESIGN.noise(grid)
    for i, m in enumerate(rows[:, 0]):
        for j, n in enumerate(channels):
            single = filled(configuration(int(m), int(n)))
            assert noise[i, j] == pytest.approx(float(DESIGN.noise(single)))
            for term, one in zip(ledger, DESIGN.ledger(single), strict=True):
                size = "size_bytes" if isinstance(term, Transfer) else "count"
                both = (np.broadcast_to(getattr(term, size), (2, 2))[i, j], getattr(one, size))
                assert float(both[0]) == float(both[1])


def test_what_does_not_hold_is_nan_in_a_grid_and_an_error_alone() -> None:
    grid = filled(configuration(300, 40), flooding_bits=np.array([0, 60]))
    noise = DESIGN.noise(grid)
    assert np.isfinite(noise[0])
    assert np.isnan(noise[1])
    with pytest.raises(ValueError, match="holds"):
        DESIGN.noise(filled(configuration(300, 40), flooding_bits=60))


def test_nothing_is_prepared() -> None:
    with pytest.raises(ValueError, match="prepared is True"):
        executed("compressed", Table(3000, 96), prepared=True)
    with pytest.raises(ValueError, match="prepared is True"):
        DESIGN.ledger(filled(configuration(prepared=True)))


@pytest.mark.parametrize("flooding_bits", [0, 40])
def test_the_built_in_machine_prices_every_operation(flooding_bits: int) -> None:
    found = estimate(executed("compressed", Table(3000, 96), flooding_bits=flooding_bits))
    work = found.ledger[(found.ledger["kind"] == "work") & (found.ledger["count"] > 0)]
    assert (work["seconds"] > 0).all()
    assert found.server_s == pytest.approx(
        work.loc[(work["party"] == "server") & (work["phase"] != "setup"), "seconds"].sum()
    )


def test_security_is_that_of_the_weakest_ring() -> None:
    """Queries of N = 8192 and 159 bits come back under a key of N = 2048 and 52 bits."""
    found = estimate(completed(configuration(flooding_bits=40)))
    assert found.security_bits == security_bits(2048, 52) >= 128
    assert security_bits(8192, 159) > 128


def test_a_ring_named_whole_is_taken_as_it_is() -> None:
    chosen = executed("compressed", Table(3000, 96), flooding_bits=40)
    ring = {"degree": chosen.ring.degree, "limb_bits": chosen.ring.limb_bits}
    assert executed("compressed", Table(3000, 96), flooding_bits=40, ring=ring) == chosen
