"""Record retrieval: sizes of the systems' own runs, and refusals."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from costmodel.retrieval import SYSTEMS, comparison, retrieve

RECORD_BYTES = 1707  # 4096 channels of 3 1/3 bits


@pytest.mark.parametrize(
    ("system", "up", "down"),
    [
        ("sealpir", 131e3, 263e3),  # measured
        ("spiral", 28.7e3, 20.5e3),  # measured
        ("simplepir", 26e3, 27e3),  # measured
        ("onionpir2", 16 * 1024, 13.5 * 1024),  # published
    ],
)
def test_runs_at_the_llama_table(system: str, up: float, down: float) -> None:
    found = retrieve(system, 32000, RECORD_BYTES)
    assert found.up_bytes == pytest.approx(up, rel=0.02)
    assert found.down_bytes == pytest.approx(down, rel=0.02)


def test_simplepirs_hint_and_spirals_keys() -> None:
    assert retrieve("simplepir", 32000, RECORD_BYTES).setup_bytes == pytest.approx(28e6, rel=0.01)
    assert retrieve("spiral", 32000, RECORD_BYTES).setup_bytes == pytest.approx(12.6e6, rel=0.005)


def test_ypir_with_a_record_a_row() -> None:
    """224 KiB up for 2^15 rows of 28672 bits and 12 KiB down."""
    found = retrieve("ypir", 32000, 28672 // 8)
    assert (found.up_bytes, found.down_bytes) == (224 * 1024, 12 * 1024)


@given(st.sampled_from(sorted(SYSTEMS)), st.integers(1, 20000), st.integers(1, 3000), st.integers(0, 5000))
def test_queries_and_answers_never_shrink_together_with_more_records(
    system: str, records: int, size: int, more: int
) -> None:
    small, large = retrieve(system, records, size), retrieve(system, records + more, size)
    assert large.up_bytes + large.down_bytes >= 0.98 * (small.up_bytes + small.down_bytes)
    assert large.up_bytes > 0


def test_the_column_of_what_is_missing() -> None:
    frame = comparison(32000, RECORD_BYTES)
    assert set(frame["system"]) == set(SYSTEMS)
    assert not frame["secret_shares"].any()
    assert not frame["hidden_table"].any()
    assert frame["does_not_give"].str.contains("secret shares").all()


def test_refusals() -> None:
    with pytest.raises(ValueError, match="system is 'fastpir'"):
        retrieve("fastpir", 10, 10)
    with pytest.raises(ValueError, match="records is 0"):
        retrieve("ypir", 0, 10)
    with pytest.raises(ValueError, match="sealpir holds at most 10240"):
        retrieve("sealpir", 100, 20000)
    with pytest.raises(ValueError, match="plaintexts"):
        retrieve("spiral", 2**20, 8192)
