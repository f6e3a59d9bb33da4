"""Calibration: known costs are found again, contention is kept apart, and every operation is sampled."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from costmodel.estimate import terms
from costmodel.grid import Grid
from costmodel.ledger import Work
from costmodel.machine import UnitCost, default_machine, machine_toml, read_machine
from costmodel.parameters import Configuration, Table
from costmodel.systems import executed
from validate.calibration import Observation, calibrated, calibration_sample, fit_unit, fit_units, observations
from validate.measurement import (
    idealised_latency,
    idealised_ledger,
    marked,
    pooled_noise_bits,
    sampling_bits,
)
from validate.pace import at_pace, usual
from validate.sampling import designs, operations

SHAPES = [(1, 2048), (8, 2048), (1, 16384), (64, 4096), (512, 8192)]


def observed(batch_s: float, call_s: float, element_s: float, factor: float = 1.0) -> list[Observation]:
    return [
        Observation("work", count, size, (factor * (batch_s + count * (call_s + element_s * size)),) * 3)
        for count, size in SHAPES
    ]


@given(st.floats(1e-4, 1e-2), st.floats(1e-5, 1e-3), st.floats(1e-9, 1e-7))
@settings(max_examples=50, deadline=None)
def test_costs_of_an_affine_operation_are_found_again(batch_s: float, call_s: float, element_s: float) -> None:
    unit = fit_unit(observed(batch_s, call_s, element_s))
    for count, size in SHAPES:
        expected = batch_s + count * (call_s + element_s * size)
        assert unit.seconds(count, size) == pytest.approx(expected, rel=0.02, abs=2e-5)
    assert unit.residual < 0.02


def test_the_fit_errs_as_often_above_as_below() -> None:
    rows = observed(0.0, 0.0, 1e-6, 0.5) + observed(0.0, 0.0, 1e-6, 2.0)
    assert fit_unit(rows).element_s == pytest.approx(1e-6, rel=0.05)


def test_what_two_entries_leave_open_is_settled_by_the_base_at_the_measured_speed() -> None:
    base = UnitCost(1e-5, 1e-9, batch_s=1e-3)
    rows = [Observation("work", 8.0, size, (2 * float(base.seconds(8, size)),) * 3) for size in (2048.0, 2100.0)]
    far = (1000.0, 32768.0)
    known = fit_units(rows, {"work": base}, {"work": [(8.0, 2048.0), far]})["work"]
    assert known.seconds(*far) == pytest.approx(2 * base.seconds(*far), rel=0.05)
    assert known.seconds(8, 2048) == pytest.approx(2 * base.seconds(8, 2048), rel=0.05)
    alone = fit_units(rows)["work"]
    assert alone.seconds(*far) != pytest.approx(2 * base.seconds(*far), rel=0.05)


def test_many_entries_outweigh_the_base() -> None:
    base = UnitCost(0.0, 1e-6, batch_s=0.0)
    rows = observed(1e-3, 1e-5, 1e-9) * 6
    unit = fit_units(rows, {"work": base}, {"work": list(SHAPES)})["work"]
    for count, size in SHAPES:
        assert unit.seconds(count, size) == pytest.approx(1e-3 + count * (1e-5 + 1e-9 * size), rel=0.25)


def test_contention_moves_the_interval_and_not_the_cost() -> None:
    quiet = (0.010,) * 8
    rows = [
        Observation("work", 1.0, size, tuple(size / 1000 * s for s in (*quiet, 0.02, 0.04))) for size in (1e3, 4e3, 9e3)
    ]
    unit = fit_unit(rows)
    assert unit.seconds(1, 2000) == pytest.approx(0.02, rel=0.03)
    assert unit.high > 2
    assert unit.spread > 2
    assert unit.low == pytest.approx(1.0, abs=0.02)


def test_one_absurd_repetition_does_not_make_the_interval() -> None:
    rows = [Observation("work", 1.0, 1000.0 * k, (*(0.01 * k,) * 40, 17.0)) for k in range(1, 6)]
    assert fit_unit(rows).high < 1.5


def test_a_latency_is_that_of_sessions_that_waited_for_nobody() -> None:
    assert idealised_latency([0.1, 0.11, 0.5, 0.08], [0.0, 0.001, 0.3, 0.05], [False] * 4) == pytest.approx(0.105)
    assert idealised_latency([0.2, 0.4], [0.1, 0.2], [False, False]) == pytest.approx(0.3)


def test_a_latency_is_that_of_sessions_at_the_usual_pace_if_any_of_them_waited_for_nobody() -> None:
    assert idealised_latency([0.1, 0.2, 0.3], [0.0, 0.0, 0.0], [True, False, False]) == pytest.approx(0.25)
    assert idealised_latency([0.1, 0.2, 0.3], [0.0, 0.1, 0.1], [True, False, False]) == pytest.approx(0.1)


def test_sessions_in_which_their_party_ran_at_another_pace_are_marked_if_it_has_others() -> None:
    paces = {"client": [1.0, 1.7, 1.1], "server": [1.8, 0.5, 1.6]}
    rows = [
        {"party": party, "session": session, "pace_s": pace}
        for party, own in paces.items()
        for session, pace in enumerate(own)
    ]
    found = marked(pd.DataFrame(rows), 1.0)
    kept = found[~found["aside"]]
    assert kept.groupby("party")["session"].apply(list).to_dict() == {"client": [0, 2], "server": [0, 1, 2]}


@given(st.lists(st.floats(1e-4, 1e-2), min_size=1), st.floats(1e-4, 1e-2))
def test_the_usual_pace_is_one_that_was_seen_and_that_of_a_majority(few: list[float], most: float) -> None:
    assert usual(few) in few
    assert at_pace(usual([*few, *[most] * (len(few) + 1)]), most)


def test_the_sampling_error_of_noise_is_that_of_normal_errors() -> None:
    errors = np.random.default_rng(0).normal(size=(4000, 256))
    measured = np.log2(np.sqrt(np.mean(errors**2, axis=1)))
    assert sampling_bits(256) == pytest.approx(float(np.std(measured)), rel=0.05)


def test_noise_is_pooled_as_a_mean_square() -> None:
    assert pooled_noise_bits([-3.0, -3.0]) == pytest.approx(-3.0)
    assert pooled_noise_bits([-2.0, -60.0]) == pytest.approx(-2.5)


def measured_ledger(configuration: Configuration, second: float = 1e-3) -> pd.DataFrame:
    rows = [
        {
            "kind": "work",
            "phase": t.phase,
            "lookup": 1,
            "party": t.party,
            "item": t.operation,
            "count": int(t.count),
            "unit": None,
            "messages": np.nan,
            "seconds": second,
        }
        for t in terms(Grid.of(configuration))
        if isinstance(t, Work)
    ]
    return pd.concat([pd.DataFrame(rows).assign(session=k, bytes=np.nan, aside=False) for k in range(3)])


def test_observations_pair_counts_with_seconds_and_name_what_is_missing() -> None:
    configuration = executed("fastquery", Table(500, 24), flooding_bits=40)
    measured = measured_ledger(configuration)
    found = observations(configuration, measured)
    assert {one.operation for one in found} > {"encrypt", "merge", "flood", "session overhead"}
    assert all(one.count > 0 and len(one.seconds) == 3 for one in found)
    with pytest.raises(ValueError, match="flood"):
        observations(configuration, measured[measured["item"] != "flood"])


def test_what_varies_between_sessions_is_marked() -> None:
    measured = measured_ledger(executed("fastquery", Table(500, 24)))
    measured.loc[(measured["session"] == 2) & (measured["item"] == "merge"), "count"] += 1
    ledger = idealised_ledger(measured)
    assert set(ledger.loc[ledger["varies"], "item"]) == {"merge"}


def test_a_profile_keeps_what_was_not_measured_and_survives_its_file() -> None:
    base = default_machine()
    profile = calibrated("test", {"residue": observed(1e-3, 1e-5, 1e-9)}, base, {"date": "today"})
    assert profile.units["seal", "rotate"] == base.units["seal", "rotate"]
    unit = read_machine(machine_toml(profile), "again").unit("residue", "work")
    assert unit.samples == len(SHAPES)
    assert unit.batch_s == pytest.approx(profile.unit("residue", "work").batch_s, rel=1e-4)


@pytest.fixture(scope="module")
def sample() -> list[Configuration]:
    return calibration_sample()


def test_the_sample_meets_every_operation_at_sizes_that_differ(sample: list[Configuration]) -> None:
    sizes: dict[tuple[str, str], set[float]] = {}
    for configuration in sample:
        for term in terms(Grid.of(configuration)):
            if isinstance(term, Work) and float(term.count) > 0:
                key = (configuration.engine, term.operation)
                sizes.setdefault(key, set()).add(float(term.count) * float(term.size))
    both = {
        "extend transfers", "correct carries", "base transfers", "encrypt", "decrypt", "multiply-accumulate",
        "encode table", "draw mask",
    }  # fmt: skip
    for engine in ("openfhe", "residue"):
        assert both <= {operation for at, operation in sizes if at == engine}
    for key, found in sizes.items():
        assert key[1] == "base transfers" or max(found) >= 3 * min(found), key


def test_every_executed_design_and_operation_is_calibrated(sample: list[Configuration]) -> None:
    assert {(one.protocol, one.engine) for one in sample} == {(one.protocol, one.engine) for one in designs()}
    known = {key for key in default_machine().units if key[0] == "openfhe"}
    assert known <= {key for one in sample for key in operations(one)}


def test_the_built_in_machine_has_every_unit_of_what_is_executed(sample: list[Configuration]) -> None:
    units = default_machine().units
    for configuration in sample:
        for term in terms(Grid.of(configuration)):
            if isinstance(term, Work) and float(term.count) > 0:
                assert units[configuration.engine, term.operation].samples > 0


def test_fits_are_by_operation() -> None:
    rows = [*observed(0, 1e-5, 0), Observation("other", 1.0, 1.0, (1.0,))]
    assert sorted(fit_units(rows)) == ["other", "work"]
