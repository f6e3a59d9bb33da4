"""The folded query: parameters that hold, exact counts and bytes, noise formulas, ledgers of grids."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from costmodel.answers import ANSWER_RINGS
from costmodel.estimate import estimate
from costmodel.expanded.folded.design import FoldedDesign
from costmodel.expanded.folded.noise import (
    failure,
    folded_noise,
    product_variance,
    worst_product_variance,
)
from costmodel.expanded.folded.parameters import FoldedColumns, FoldedParameters
from costmodel.expanded.folded.search import RINGS, FoldedSearch, choose_parameters
from costmodel.expanded.noise import LeafNoise, fold_variance, gadget_switch_variance, leaf_noise
from costmodel.expanded.parameters import Gadget
from costmodel.expanded.search import BYTE_S, RingChoice, Rings, Task, element_bound, least_security_bits
from costmodel.grid import Grid
from costmodel.ledger import Transfer, Work, total_bytes
from costmodel.parameters import Configuration, Packing, Ring, Table
from costmodel.repetition import repeated_switches
from costmodel.security import security_bits
from costmodel.systems import completed, executed

DESIGN = FoldedDesign()


def filled(configuration: Configuration, **columns: Any) -> Grid:
    return DESIGN.with_parameters(Grid.of(configuration, **columns), -40.0)


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
    for degree, bits in ANSWER_RINGS:
        assert security_bits(degree, bits) >= 128


@pytest.mark.parametrize("flooding_bits", [0, 40])
def test_the_aims_in_bytes(flooding_bits: int) -> None:
    p = choose_parameters(*LLAMA, flooding_bits)
    assert p.up_bytes + p.down_bytes < (5_000 if flooding_bits else 3_450)
    assert failure(p) <= -40
    assert least_security_bits(p) >= 128


@settings(max_examples=6, deadline=None)
@given(
    rows=st.integers(1, 40000),
    channels=st.integers(1, 5000),
    widths=st.sampled_from([(4,), (4, 3), (4, 3, 3), (2, 2, 2)]),
    flooding_bits=st.sampled_from([0, 1, 20, 40]),
)
@example(rows=1, channels=1, widths=(4,), flooding_bits=1)
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
        assert DESIGN.answers_distance(FoldedColumns.of(p), 1) <= np.log2(p.row_coefficients) - flooding_bits - 1


def test_an_impossible_request_is_refused() -> None:
    with pytest.raises(ValueError, match=r"no ring of .* holds"):
        choose_parameters(*LLAMA, 100)
    with pytest.raises(ValueError, match="needs at least 512"):
        choose_parameters(*LLAMA, plaintext_modulus=256)


def test_flooding_hides_the_table_with_a_plaintext_modulus_of_a_power_of_two_alone() -> None:
    open_table = choose_parameters(300, 40, (4, 3), plaintext_modulus=1000)
    assert open_table.plaintext_modulus == 1000
    for asked in ({"flooding_bits": 40}, {"log2_distance": -10.0}):
        with pytest.raises(ValueError, match="plaintext_modulus is 1000; it must be a power of two"):
            choose_parameters(300, 40, (4, 3), plaintext_modulus=1000, **asked)
    with pytest.raises(ValueError, match="plaintext_modulus is 1000"):
        replace(choose_parameters(300, 40, (4, 3), 40), plaintext_modulus=1000)


class WithAllLimbs(FoldedSearch):
    """The search among parameters whose pass has all limbs of Q."""

    def shapes(self, task: Task, rings: Rings) -> Any:
        found = super().shapes(task, rings)
        return found.taken(np.flatnonzero(found.columns.drops_limbs == 0))


@pytest.mark.parametrize(
    ("rows", "flooding_bits", "pass_limbs"),
    [(32000, 0, 1), (32000, 8, 1), (32000, 16, 1), (32000, 18, 2), (32000, 40, 2), (600, 8, 1), (3000, 16, 2)],
)
def test_the_pass_has_a_limb_less_where_the_ledger_says_that_it_is_cheaper(
    rows: int, flooding_bits: int, pass_limbs: int
) -> None:
    p = choose_parameters(rows, *LLAMA[1:], flooding_bits)
    assert p.pass_limbs == pass_limbs
    if not p.drops_limbs:
        return
    task = Task.of(rows, *LLAMA[1:], flooding_bits, -40, None, 3.19, BYTE_S)
    whole = WithAllLimbs().single(task, RINGS).one()
    asked = configuration(rows, flooding_bits=flooding_bits)
    cost, other = (
        found.server_s + BYTE_S * (found.up_bytes + found.down_bytes)
        for found in (estimate(replace(asked, expanded=parameters)) for parameters in (p, whole))
    )
    assert cost < other
    assert failure(p) <= -40


def test_a_polynomial_loses_limbs_by_a_transform_back_and_one_forth_a_limb_that_stays() -> None:
    p = choose_parameters(600, *LLAMA[1:], 8)
    assert p.dropped_polynomials == 2 * (p.selectors + 2 * p.fold_coefficients)
    assert p.dropping_transforms == 2
    assert replace(p, pass_limbs=2).dropped_polynomials == replace(p, pass_limbs=2).dropping_transforms == 0
    three = replace(p, degree=8192, limb_bits=(53, 53, 53), expansion=(p.expansion[0], *p.expansion))
    assert [replace(three, pass_limbs=kept).dropping_transforms for kept in (1, 2, 3)] == [3 + 2, 3, 0]


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
        ("answer_degree", 300),
        ("answer_half_bits", 60),
        ("answer_low_bits", 0),
        ("answer_modulus_bits", 54),
        ("answer_together", 17),
        ("ring_switch", Gadget(0, 3)),
        ("flooding_log2_width", 53),
        ("log2_distance", -61.0),
        ("queries", 0),
        ("expansion", ()),
        ("limb_bits", (53, 53, 53, 53)),
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
        with pytest.raises(ValueError, match="FoldedParameters"):
            FoldedParameters.from_json(broken)


def test_counts_of_the_expansion() -> None:
    """255 key switches for 256 leaves besides the levels before and four repeated ones, but 511 for 271."""
    p = choose_parameters(300, 40, (4, 3))

    def switches(leaves: int) -> int:
        q = replace(p, rows=64 * leaves, selectors=leaves - 6 * p.fold.digits)
        assert q.columns == 2
        q = replace(q, selectors=leaves - q.fold_coefficients)
        assert q.query_coefficients == leaves
        levels = repeated_switches(q.degree, q.repeated_level, q.expansion_nodes)
        assert q.expansion_switches == levels == int(FoldedColumns.of(q).expansion_switches)
        return q.expansion_switches - (q.expansion_levels - q.split_levels) - 4

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
        replace(p, answer_half_bits=p.answer_half_bits - 1),
        replace(p, fold=Gadget(p.fold.digits, p.fold.bits + 1)),
    ):
        assert folded_noise(changed, 1000.0).total > base
    assert folded_noise(p, 2000.0).total > base


@settings(max_examples=4, deadline=None)
@given(
    rows=st.integers(1, 1000),
    channels=st.integers(1, 5000),
    flooding_bits=st.sampled_from([0, 20, 40]),
    target=st.sampled_from([-30.0, -40.0, -50.5]),
)
def test_the_search_finds_the_cheapest_of_all_choices(
    rows: int, channels: int, flooding_bits: int, target: float
) -> None:
    """The search that visits few shapes against every choice of every shape, in a wider range of widths."""
    search, ring = FoldedSearch(), Rings.of([RingChoice(4096, (53, 53))])
    task = Task.of(rows, channels, (4, 3), flooding_bits, target, None, 3.19, BYTE_S)
    columns, found = search.run(task, ring)
    assert found.tolist() == [0]
    shapes = search.shapes(task, ring).answered()
    cost, place = search.cheapest(shapes, np.full(len(shapes.task), np.inf))
    shape, group = np.nonzero(np.isfinite(cost))
    every = search.parameters(shapes.taken(shape), group, place[shape, group])
    holds = failure(every) <= target
    assert np.all(search.bound(shapes)[shape] <= cost[shape, group])
    best = np.argmin(np.where(holds, cost[shape, group], np.inf))
    if np.all(holds[cost[shape, group] <= cost[shape, group][best]]):
        assert every.taken(best).one() == columns.taken(0).one()
    assert failure(columns)[0] <= target


def test_no_choice_has_less_noise_than_the_search_takes_for_the_least() -> None:
    search, rings = FoldedSearch(), Rings.of([RingChoice(4096, (53, 53)), RingChoice(4096, (44, 44))])
    table = ([300, 32000, 128256, 32000], [40, 4096, 768, 4096], (4, 3), [40, 0, 20, 0], -40.0)
    task = Task.of(*table, None, 3.19, BYTE_S, [0, 0, 0, -40.0])
    shapes = search.shapes(task, rings)
    model = search.model(shapes, search.axes)
    every = model.every()
    hidden = np.where(every.width <= model.widest(), sum(every.hidden()), np.inf).reshape(len(shapes.task), -1)
    least = search.quietest(shapes)
    assert np.all(least <= hidden.min(axis=1))
    reached = np.isfinite(least)
    assert np.median(hidden.min(axis=1)[reached] / least[reached]) < 1.01


def test_many_tasks_are_searched_as_each_alone() -> None:
    rng = np.random.default_rng(5)
    rows, channels = rng.integers(1, 50000, 12), rng.integers(1, 6000, 12)
    flooding, target = rng.choice([0, 20, 40], 12), rng.choice([-30.0, -41.0, -55.0], 12)
    columns, found = FoldedSearch().run(
        Task.of(rows, channels, (4, 3), flooding, target, None, 3.19, BYTE_S), Rings.of(RINGS)
    )
    assert found.tolist() == list(range(12))
    for k in range(12):
        alone = choose_parameters(int(rows[k]), int(channels[k]), (4, 3), int(flooding[k]), float(target[k]))
        assert columns.taken(k).one() == alone


def test_columns_have_the_figures_of_each_configuration() -> None:
    chosen = [choose_parameters(m, n, (4, 3), f) for m, n, f in ((300, 40, 0), (32000, 4096, 40), (900, 9000, 20))]
    for p in chosen:
        columns = FoldedColumns.of(p)
        assert columns.one() == p
        for name in ("up_bytes", "down_bytes", "key_bytes", "folds", "answers", "expansion_switches", "stride"):
            assert int(getattr(columns, name)) == getattr(p, name)


@pytest.mark.parametrize("prepared", [False, True])
@pytest.mark.parametrize("flooding_bits", [0, 40])
def test_ledger_of_one(flooding_bits: int, prepared: bool) -> None:
    asked = configuration(flooding_bits=flooding_bits, prepared=prepared, tokens=3)
    grid, p = filled(asked), completed(asked).expanded
    ledger = DESIGN.ledger(grid)
    announced, done = (24, 16) if prepared else (0, 0)  # the first counter; an empty frame says that it is done
    assert total_bytes(ledger, "client", ("offline", "online")) == 3 * p.up_bytes + announced
    assert total_bytes(ledger, "server", ("offline", "online")) == -(-3 // p.answer_tokens) * p.down_bytes + done
    keys = next(term for term in ledger if isinstance(term, Transfer) and term.item == "keys")
    assert keys.size_bytes == 16 + p.key_bytes
    work = {(term.phase, term.operation): term.count for term in ledger if isinstance(term, Work)}
    assert work["offline" if prepared else "online", "table pass"] == 3 * p.columns * p.selectors
    assert work["online", "scalar product"] == (3 * p.columns * p.selectors if prepared else 0)
    assert work["online", "fold"] == 3 * p.folds
    assert DESIGN.failure(grid) <= -40
    assert (DESIGN.flooding(grid).log2_distance < -25) == (flooding_bits > 0)


def test_a_grid_is_its_configurations() -> None:
    rows, channels = np.array([[300], [2000]]), np.array([40, 300])
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
    grid = filled(configuration(300, 40), flooding_bits=np.array([0, 40]))
    noise = DESIGN.noise(grid)
    assert np.isfinite(noise[0])
    assert np.isnan(noise[1])
    with pytest.raises(ValueError, match="holds"):
        DESIGN.noise(filled(configuration(300, 40), flooding_bits=40))


@pytest.mark.parametrize("prepared", [False, True])
@pytest.mark.parametrize("flooding_bits", [0, 40])
def test_the_built_in_machine_prices_every_operation(flooding_bits: int, prepared: bool) -> None:
    found = estimate(executed("folded", Table(3000, 96), flooding_bits=flooding_bits, prepared=prepared))
    work = found.ledger[(found.ledger["kind"] == "work") & (found.ledger["count"] > 0)]
    assert (work["seconds"] > 0).all()
    assert (found.offline_s > 0) == prepared
    assert found.server_s == pytest.approx(
        work.loc[(work["party"] == "server") & (work["phase"] != "setup"), "seconds"].sum()
    )


def test_a_ring_named_whole_is_taken_as_it_is() -> None:
    chosen = executed("folded", Table(3000, 96), flooding_bits=40)
    ring = {"degree": chosen.ring.degree, "limb_bits": chosen.ring.limb_bits}
    assert executed("folded", Table(3000, 96), flooding_bits=40, ring=ring) == chosen


@pytest.mark.parametrize("target", [-30.0, -50.0])
def test_any_target_holds_for_all_tokens_together(target: float) -> None:
    design = FoldedDesign()
    grid = design.with_parameters(filled(configuration(300, 40), tokens=np.array([1, 3, 16])), target)
    assert np.all(design.failure(grid) <= target)
    chosen = design.columns(grid).taken(2).one()
    asked = replace(configuration(300, 40, tokens=16), expanded=chosen, log2_failure=target)
    assert Configuration.from_toml(asked.to_toml()) == asked
    assert float(design.failure(Grid.of(asked))) <= target


@pytest.mark.parametrize("protocol", ["folded", "compressed"])
@pytest.mark.parametrize(("distance", "queries"), [(-10, 1 << 20), (-26, 1 << 20), (-40, 1)])
def test_the_width_is_the_least_power_of_two_that_meets_a_distance(protocol: str, distance: int, queries: int) -> None:
    asked = executed(protocol, Table(3000, 384), distance=distance, queries=queries)
    found = estimate(asked)
    assert distance - 1.01 < found.log2_planned_distance <= distance
    assert found.log2_statistical_distance == pytest.approx(
        found.log2_planned_distance - np.log2(queries) / 2, abs=0.01
    )
    assert found.flooding_bits == asked.flooding_bits > 0
    assert found.log2_failure <= -40
    assert Configuration.from_toml(asked.to_toml()) == asked


@pytest.mark.parametrize(("distance", "most_bytes", "most_setup"), [(-26, 5_000, 4.0e6), (-10, 3_500, 2.7e6)])
def test_a_million_rows_are_protected_by_few_bytes(distance: int, most_bytes: int, most_setup: float) -> None:
    found = estimate(executed("folded", Table(32000, 4096), distance=distance, queries=1 << 20))
    assert found.up_bytes + found.down_bytes < most_bytes
    assert found.setup_bytes < most_setup
    assert found.log2_planned_distance <= distance


def test_rows_that_are_looked_up_together_share_an_a() -> None:
    one, sixteen = (estimate(executed("folded", Table(32000, 4096, tokens), distance=-26)) for tokens in (1, 16))
    assert sixteen.configuration.expanded.answer_tokens == 4
    assert sixteen.down_bytes < 0.6 * 16 * one.down_bytes
    assert sixteen.security_bits >= 128
    messages = sixteen.ledger.loc[sixteen.ledger["item"] == "answer", "messages"]
    assert int(messages.iloc[0]) == 4


def test_a_distance_is_asked_of_expanded_queries_alone() -> None:
    for engine in ("residue", "openfhe"):
        with pytest.raises(ValueError, match="distance"):
            executed("fastquery", Table(300, 24), distance=-10, engine=engine)
    with pytest.raises(ValueError, match="distance is -61"):
        executed("folded", Table(300, 24), distance=-61)
    with pytest.raises(ValueError, match="queries is 0"):
        executed("fastquery", Table(300, 24), queries=0)
