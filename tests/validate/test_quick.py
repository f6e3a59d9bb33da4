"""The quick profile: factors by class, what is rescaled by them, and a measurement of one lookup."""

from __future__ import annotations

import pytest

from costmodel.machine import UnitCost, default_machine, machine_toml, read_machine
from costmodel.parameters import Table
from costmodel.systems import executed
from validate.calibration import Observation, calibration_sample
from validate.quick import class_of, factors, measured_factors, reference_lookups, rescaled
from validate.sampling import operations


def slowed(factor: float) -> dict[str, list[Observation]]:
    """What a machine would measure whose key switches take so many times the built-in seconds, and all else as many."""
    base, rows = default_machine(), []
    for lookup in reference_lookups():
        for (engine, operation), (_, size) in operations(lookup).items():
            if engine == "residue":
                times = factor if class_of(operation) == "key switches" else 1.0
                seconds = times * float(base.unit(engine, operation).seconds(100, size))
                rows.append(Observation(operation, 100.0, size, (seconds,) * 3))
    return {"residue": rows}


def test_a_class_that_is_slower_is_found_and_no_other() -> None:
    found = factors(default_machine(), slowed(3.0))
    assert found["residue", "key switches"] == pytest.approx(3.0, rel=0.01)
    for (_, name), times in found.items():
        slower = "key switches" in (name, class_of(name))
        assert times == pytest.approx(3.0 if slower else 1.0, rel=0.01)


def test_a_long_operation_has_a_factor_of_its_own_and_a_short_one_that_of_its_class() -> None:
    base = default_machine()

    def observed(operation: str, seconds: float, times: float) -> Observation:
        unit = base.unit("residue", operation)
        count = seconds / float(unit.seconds(1, 8192) - unit.batch_s)
        return Observation(operation, count, 8192.0, (times * float(unit.seconds(count, 8192)),) * 3)

    scale = factors(
        base, {"residue": [observed("merge", 1.0, 2.0), observed("expand", 0.1, 4.0), observed("fold", 1e-3, 8.0)]}
    )
    profile = rescaled(base, "b", scale, {})
    for operation, times in (("merge", 2.0), ("expand", 4.0), ("fold", 2.0)):
        ratio = profile.unit("residue", operation).element_s / base.unit("residue", operation).element_s
        assert ratio == pytest.approx(times, rel=0.05)


def test_a_rescaled_profile_predicts_the_slower_machine_and_survives_its_file() -> None:
    base = default_machine()
    profile = rescaled(base, "slow", factors(base, slowed(2.0)), {"processor": "slow one"})
    again = read_machine(machine_toml(profile), "again")
    for (engine, operation), unit in again.units.items():
        times = 2.0 if engine == "residue" and class_of(operation) == "key switches" else 1.0
        expected = times * base.units[engine, operation].seconds(10, 4096)
        assert unit.seconds(10, 4096) == pytest.approx(expected, rel=1e-3)
    assert again.provenance["processor"] == "slow one"
    assert "residue key switches 2.00" in again.provenance["rescaled"]


def test_a_class_that_was_not_measured_has_its_engines_median() -> None:
    base = read_machine(machine_toml(default_machine()), "base")
    scale = {("residue", "products"): 2.0, ("residue", "Python"): 4.0, ("residue", "hashing"): 3.0}
    merge = rescaled(base, "b", scale, {}).unit("residue", "merge")
    assert merge.element_s == pytest.approx(3.0 * base.unit("residue", "merge").element_s)


def test_the_reference_lookups_have_every_class_of_both_engines() -> None:
    seen = {(engine, class_of(operation)) for one in reference_lookups() for engine, operation in operations(one)}
    asked = {(engine, class_of(operation)) for one in calibration_sample() for engine, operation in operations(one)}
    assert seen == asked
    assert all(isinstance(unit, UnitCost) for unit in default_machine().units.values())


def test_the_quick_profile_is_measured_of_its_own_lookups() -> None:
    found = measured_factors(default_machine(), budget_s=0.0)
    operations_of = {key for one in reference_lookups() for key in operations(one)}
    assert {(engine, class_of(operation)) for engine, operation in operations_of} <= set(found)
    assert all(times > 0 for times in found.values())


def test_a_lookup_is_measured_as_long_as_the_budget_says() -> None:
    told: list[str] = []
    lookup = executed("fastquery", Table(300, 24), ring={"degree": 2048}, flooding_bits=0)
    found = measured_factors(default_machine(), 0.1, lambda what, done, total: told.append(what), [lookup])
    assert set(found) == {("residue", kind) for kind in ("Python", "hashing", "key switches", "products", "transforms")}
    assert all(0.05 < factor < 50 for factor in found.values())
    assert told[0] == "loading kernels"
    assert told[-1] == "measuring"
