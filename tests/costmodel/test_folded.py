"""The folded query: parameters that hold, exact counts and bytes, noise formulas, ledgers of grids."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from costmodel.estimate import estimate
from costmodel.expanded.folded import search as folded_search
from costmodel.expanded.folded.noise import (
    LeafNoise,
    failure,
    flooding_distance,
    fold_variance,
    folded_noise,
    gadget_switch_variance,
    leaf_noise,
    product_variance,
    worst_product_variance,
)
from costmodel.expanded.folded.parameters import FoldedParameters
from costmodel.expanded.folded.search import (
    RINGS,
    RingChoice,
    choose_parameters,
    element_bound,
    least_security_bits,
    ring_choices,
)
from costmodel.expanded.parameters import Gadget
from costmodel.grid import Grid
from costmodel.ledger import Transfer, Work, total_bytes
from costmodel.parameters import Configuration, Packing, Ring, Table
from costmodel.presets import executable
from costmodel.protocols import folded
from costmodel.security import security_bits

LLAMA = (32000, 4096, (4, 3))


def configuration(rows: int = 32000, channels: int = 4096, flooding_bits: int = 0, **options: Any) -> Configuration:
    ring = Ring(4096, (53, 53), 512) if flooding_bits else Ring(2048, (53,), 512)
    table = Table(rows, channels, options.pop("tokens", 1))
    return Configuration(
        "folded", table, ring, Packing((4, 3)), engine="residue", flooding_bits=flooding_bits, **options
    )


def test_the_rings_are_secure() -> None:
    for ring in RINGS:
        assert security_bits(ring.degree, sum(ring.limb_bits)) >= 128
        assert security_bits(ring.answer_degree, ring.limb_bits[0]) >= 128
    assert [r.answer_degree for r in ring_choices(4096, (53, 53))] == [4096, 2048]
    assert [r.answer_degree for r in ring_choices(2048, (53,))] == [2048]


@pytest.mark.parametrize("flooding_bits", [0, 40])
def test_the_aims_in_bytes(flooding_bits: int) -> None:
    p = choose_parameters(*LLAMA, flooding_bits)
    assert p.up_bytes + p.down_bytes < (10_000 if flooding_bits else 8_500)
    assert failure(p) <= -40
    assert least_security_bits(p) >= 128


@settings(max_examples=6, deadline=None)
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
    assert p.slots * p.polynomials >= rows
    assert p.columns * p.selectors >= p.polynomials > (p.columns - 1) * p.selectors
    assert 1 << p.column_levels >= p.columns
    assert p.query_coefficients * p.stride <= p.degree
    assert p.element_bound == element_bound(widths)
    if flooding_bits:
        assert flooding_distance(p) <= np.log2(p.row_coefficients) - flooding_bits - 1


def test_an_impossible_request_is_refused() -> None:
    with pytest.raises(ValueError, match=r"no ring of .* holds"):
        choose_parameters(*LLAMA, 100)
    with pytest.raises(ValueError, match="needs at least 512"):
        choose_parameters(*LLAMA, plaintext_modulus=256)


def test_a_wide_plaintext_is_found() -> None:
    p = choose_parameters(32000, 4096, (4,), plaintext_modulus=1 << 37)
    assert failure(p) <= -40
    assert p.down_bytes < 50_000


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("selectors", 0),
        ("degree", 3000),
        ("selector_bits", 0),
        ("fold", Gadget(30, 30)),
        ("answer_degree", 512),
        ("answer_a_bits", 60),
        ("expansion", ()),
        ("limb_bits", (53, 53, 53)),
        ("element_bound", 1 << 20),
    ],
)
def test_fields_out_of_bounds_are_named(field: str, value: Any) -> None:
    with pytest.raises(ValueError, match=field):
        replace(choose_parameters(300, 40, (4, 3)), **{field: value})


def test_parameters_travel_as_json() -> None:
    p = choose_parameters(300, 40, (4, 3), 40)
    text = p.to_json()
    assert FoldedParameters.from_json(text) == p
    assert len(text) < 1500
    document = json.loads(text)
    for change in ({"rows": 0}, {"rows": "300"}, {"fold": [3]}, {"fold": 3}, {"expansion": 7}, {"sigma": 0.0}):
        with pytest.raises(ValueError, match=r"fold|rows|malformed|sigma|expansion"):
            FoldedParameters.from_json(json.dumps({**document, **change}))
    for broken in ("", "[]", "{}", json.dumps({**document, "more": 1}), text[:-1]):
        with pytest.raises(ValueError, match="folded parameters"):
            FoldedParameters.from_json(broken)


def test_counts_of_the_expansion() -> None:
    """255 key switches for 256 leaves besides the levels before, but 511 for 271."""
    p = choose_parameters(300, 40, (4, 3))

    def switches(leaves: int) -> int:
        q = replace(p, rows=64 * leaves, selectors=leaves - 6 * p.fold.digits)
        assert q.columns == 2
        q = replace(q, selectors=leaves - q.fold_coefficients)
        assert q.query_coefficients == leaves
        return q.expansion_switches - (q.expansion_levels - q.split_levels)

    assert switches(256) == 255
    assert switches(271) == 511


def test_noise_formulas_broadcast() -> None:
    digits = np.array([[1], [2], [3]])
    bits = np.array([4, 9])
    table = gadget_switch_variance(2048, 53.0, digits, bits, 3.19)
    assert table.shape == (3, 2)
    for i, row in enumerate(table):
        for j, value in enumerate(row):
            assert value == gadget_switch_variance(2048, 53.0, digits[i, 0], bits[j], 3.19)
    switches = np.stack([table] * 11)
    leaf = leaf_noise(2048, 3.19, 0.0, switches)
    assert leaf.constant.shape == (3, 2)
    one = leaf_noise(2048, 3.19, 0.0, switches[:, 1, 1])
    assert (leaf.constant[1, 1], leaf.others[1, 1]) == pytest.approx(tuple(one))
    folds = fold_variance(2048, 53.0, digits, bits, leaf, 1.0)
    assert folds[2, 0] == pytest.approx(
        fold_variance(2048, 53.0, 3, 4, LeafNoise(leaf.constant[2, 0], leaf.others[2, 0]), 1.0)
    )


def test_the_worst_table_is_the_worst() -> None:
    p = choose_parameters(*LLAMA, 40)
    noise = folded_noise(p, float(p.element_bound) ** 2)
    assert noise.worst_product > noise.product > folded_noise(p, 1.0).product
    switches = np.ones((12, 1))
    leaf = leaf_noise(4096, 3.19, 0.0, switches)
    worst = worst_product_variance(4096, (4096 * 3.19) ** 2, switches, np.ones((12, 1)), 100, 8, 1.0)
    assert np.all(worst > product_variance(leaf, 100, 64, 1.0))


def test_more_of_anything_is_no_less_noise() -> None:
    p = choose_parameters(*LLAMA)
    base = folded_noise(p, 1000.0).total
    for changed in (
        replace(p, selector_bits=p.selector_bits - 1),
        replace(p, fold_bits=p.fold_bits - 1),
        replace(p, answer_a_bits=p.answer_a_bits - 1),
        replace(p, answer_b_bits=p.answer_b_bits - 1),
        replace(p, fold=Gadget(p.fold.digits, p.fold.bits + 1)),
    ):
        assert folded_noise(changed, 1000.0).total > base
    assert folded_noise(p, 2000.0).total > base


@pytest.mark.parametrize(("rows", "channels", "flooding_bits"), [(700, 4096, 0), (300, 40, 0), (900, 5120, 40)])
def test_bounds_leave_out_nothing_cheaper(rows: int, channels: int, flooding_bits: int) -> None:
    """The search that stops early against one that looks at every choice."""
    ring = (RingChoice(4096, (53, 53), 2048),)
    found = choose_parameters(rows, channels, (4, 3), flooding_bits, rings=ring)
    task = folded_search._Task(
        rows, found.row_coefficients, found.element_bound, found.plaintext_modulus, flooding_bits, -40, found.sigma
    )
    every = [
        candidate
        for shape in folded_search._shapes(task, ring[0])
        for candidate in folded_search._candidates(shape, folded_search.BYTE_S, math.inf)
    ]
    cheapest = min(candidate.cost for candidate in every if failure(candidate.parameters) <= -40)
    assert cheapest in [candidate.cost for candidate in every if candidate.parameters == found]


@pytest.mark.parametrize("prepared", [False, True])
@pytest.mark.parametrize("flooding_bits", [0, 40])
def test_ledger_of_one(flooding_bits: int, prepared: bool) -> None:
    asked = configuration(flooding_bits=flooding_bits, prepared=prepared, tokens=3)
    grid, p = Grid.of(asked), folded.parameters_of(asked)
    ledger = folded.terms(grid)
    done = 16 if prepared else 0  # an empty frame says so
    assert total_bytes(ledger, "client", ("offline", "online")) == 3 * p.up_bytes
    assert total_bytes(ledger, "server", ("offline", "online")) == 3 * p.down_bytes + done
    keys = next(term for term in ledger if isinstance(term, Transfer) and term.item == "keys")
    assert keys.size_bytes == 16 + p.key_bytes
    work = {(term.phase, term.operation): term.count for term in ledger if isinstance(term, Work)}
    assert work["offline" if prepared else "online", "table pass"] == 3 * p.columns * p.selectors
    assert work["online", "scalar product"] == (3 * p.columns * p.selectors if prepared else 0)
    assert work["online", "fold"] == 3 * p.folds
    assert folded.log2_failure(grid) <= -40
    assert (folded.log2_statistical_distance(grid) < -25) == (flooding_bits > 0)


def test_a_grid_is_its_configurations() -> None:
    rows, channels = np.array([[300], [2000]]), np.array([40, 300])
    grid = Grid.of(configuration(), rows=rows, channels=channels)
    ledger = folded.terms(grid)
    noise = folded.noise(grid)
    for i, m in enumerate(rows[:, 0]):
        for j, n in enumerate(channels):
            single = Grid.of(configuration(int(m), int(n)))
            assert noise[i, j] == pytest.approx(float(folded.noise(single)))
            for term, one in zip(ledger, folded.terms(single), strict=True):
                size = "size_bytes" if isinstance(term, Transfer) else "count"
                both = (np.broadcast_to(getattr(term, size), (2, 2))[i, j], getattr(one, size))
                assert float(both[0]) == float(both[1])


def test_what_does_not_hold_is_nan_in_a_grid_and_an_error_alone() -> None:
    grid = Grid.of(configuration(300, 40), flooding_bits=np.array([0, 40]))
    noise = folded.noise(grid)
    assert np.isfinite(noise[0])
    assert np.isnan(noise[1])
    with pytest.raises(ValueError, match="holds"):
        folded.noise(Grid.of(configuration(300, 40), flooding_bits=40))


@pytest.mark.parametrize("prepared", [False, True])
@pytest.mark.parametrize("flooding_bits", [0, 40])
def test_the_built_in_machine_prices_every_operation(flooding_bits: int, prepared: bool) -> None:
    found = estimate(executable("folded", Table(3000, 96), flooding_bits=flooding_bits, prepared=prepared))
    work = found.ledger[(found.ledger["kind"] == "work") & (found.ledger["count"] > 0)]
    assert (work["seconds"] > 0).all()
    assert (found.offline_s > 0) == prepared
    assert found.server_s == pytest.approx(
        work.loc[(work["party"] == "server") & (work["phase"] != "setup"), "seconds"].sum()
    )


def test_a_ring_named_whole_is_taken_as_it_is() -> None:
    chosen = executable("folded", Table(3000, 96), flooding_bits=40)
    ring = {"degree": chosen.ring.degree, "limb_bits": chosen.ring.limb_bits}
    assert executable("folded", Table(3000, 96), flooding_bits=40, ring=ring) == chosen
