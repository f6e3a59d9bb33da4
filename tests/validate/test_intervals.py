"""Intervals hold as often as they state on runs that nobody calibrated on; accounts are the kernel's or unknown."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from validate import accounts as module
from validate.accounts import NOTHING, accounts
from validate.intervals import LEVEL, factor, folds, verdict


@given(st.integers(0, 2**32 - 1), st.integers(12, 60))
@settings(max_examples=25, deadline=None)
def test_a_new_run_is_inside_with_the_stated_probability(seed: int, runs: int) -> None:
    """Whatever the distribution of the errors: in the mean over draws of the calibration part, as conformal ones do."""
    rng = np.random.default_rng(seed)
    inside = 0
    for _ in range(400):
        *known, new = np.exp(0.3 * rng.standard_t(3, runs + 1))
        width = factor(known, [1.0] * runs)
        inside += 1 / width <= new <= width
    place = math.ceil((runs + 1) * LEVEL)
    assert inside / 400 == pytest.approx(place / (runs + 1), abs=0.1)


@given(st.lists(st.integers(), max_size=30), st.integers(1, 9))
def test_every_run_is_left_out_once(chosen: list[int], count: int) -> None:
    parts = folds(chosen, count)
    assert sorted(one for _, left in parts for one in left) == sorted(chosen)
    assert all(sorted([*kept, *left]) == sorted(chosen) for kept, left in parts)


def test_few_runs_tell_little_and_many_tell() -> None:
    assert [verdict(12, 12), verdict(30, 30), verdict(54, 60), verdict(40, 60)] == ["noise", "noise", "holds", "fails"]
    assert verdict(100, 100) == "fails"


def test_accounts_grow_while_a_process_waits_for_nothing() -> None:
    before = accounts()
    sum(range(10**6))
    spent = accounts().since(before)
    assert all(one >= 0 or math.isnan(one) for one in spent)
    assert NOTHING.plus(spent) == pytest.approx(spent, nan_ok=True)


def test_a_system_that_keeps_no_accounts_disturbs_nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("SCHEDSTAT", "STAT", "PRESSURE"):
        monkeypatch.setattr(module, name, tmp_path / "nothing")
    found = accounts()
    assert [math.isnan(one) for one in found] == [True, False, False, True, True]
    assert found.lost_s == 0.0


def test_the_kernels_files_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, text in (
        ("SCHEDSTAT", "71 2000000000 9"),
        ("STAT", "cpu  1 2 3 4 5 6 7 300 0 0\ncpu0 1"),
        ("PRESSURE", "some avg10=0.00 avg60=1.25 avg300=0.73 total=5000000\nfull total=9"),
    ):
        path = tmp_path / name
        path.write_text(text)
        monkeypatch.setattr(module, name, path)
    monkeypatch.setattr(module.os, "sysconf", lambda name: 100)
    found = accounts()
    assert (found.waited_s, found.stolen_s, found.pressed_s) == (2.0, 3.0, 5.0)
    assert found.lost_s == 3.0
