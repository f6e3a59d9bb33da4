"""The bits on the wire are those that a trial of every number of bits finds, for one configuration and for many."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from costmodel.compact import noise as compact_noise
from costmodel.compact.wire import MAX_DIGITS, SLACK, bytes_a_query, compact_wire, wire_columns
from costmodel.grid import Grid
from costmodel.noise import key_switch_variance, log2_failure
from costmodel.parameters import Configuration, Packing, Ring, Table, Wire

LAYOUTS = [
    ("fastquery", "column", "packlwes"),
    ("fastquery", "column", "extracted"),
    ("fastquery", "cheetah", "ciphertexts"),
    ("cheetah", "cheetah", "extracted"),
    ("bumblebee", "spu", "packlwes"),
]


def digits_with_least_noise(ring: Ring) -> Iterator[tuple[int, int]]:
    """For every number of digits, fewest first, the width and the dropped bits that leave the least noise."""
    bits = max(ring.limb_bits)
    for count in range(1, MAX_DIGITS + 1):
        choices = [
            (key_switch_variance(ring.degree, bits, -(-(bits - dropped) // count), ring.sigma, dropped), dropped)
            for dropped in range(bits // 2 if len(ring.limb_bits) == 1 else 1)
            if -(-(bits - dropped) // count) <= min(ring.limb_bits) - 2
        ]
        if choices:
            dropped = min(choices)[1]
            yield -(-(bits - dropped) // count), dropped


def by_trial(one: Configuration, log2_target: float) -> Wire | None:
    """Every number of bits of query, a and b tried for every number of digits; None if nothing holds."""
    bits, most = one.ring.log2_q, min(one.ring.limb_bits) - 2
    query_bits = np.arange(1, bits + 1) if len(one.ring.limb_bits) == 1 else np.array([bits])
    answer_bits = np.arange(2, most + 1)
    found = []
    for digits in digits_with_least_noise(one.ring) if one.packing.output == "packlwes" else [(0, 0)]:
        grid = Grid.of(
            one.updated(wire=Wire(bits, most, most, *digits)),
            query_bits=query_bits,
            answer_a_bits=answer_bits[:, None, None],
            answer_b_bits=answer_bits[:, None],
        )
        sigma = np.sqrt(compact_noise.noise(grid.of_worst_table()))
        holds = log2_failure(sigma, 0.5, grid.tokens * grid.coefficients) <= log2_target
        size = np.where(holds, bytes_a_query(grid), np.inf)
        a, b, q = np.unravel_index(int(np.argmin(size)), size.shape)
        wire = Wire(int(query_bits[q]), int(answer_bits[a]), int(answer_bits[b]), *digits)
        found.append((float(size[a, b, q]), wire))
    best = min(size for size, _ in found)
    return next((wire for size, wire in found if size <= (1 + SLACK) * best), None) if np.isfinite(best) else None


@settings(max_examples=150, deadline=None)
@given(
    layout=st.sampled_from(LAYOUTS),
    rows=st.one_of(st.sampled_from([1, 7, 100, 32000, 128256]), st.integers(1, 200000)),
    channels=st.sampled_from([1, 3, 77, 384, 4096]),
    tokens=st.sampled_from([1, 5, 100]),
    widths=st.sampled_from([(4, 3, 3), (4, 4), (1,), (8,), (3, 3, 3, 3), (12,), (24,)]),
    flooding=st.sampled_from([0, 10, 40]),
    degree=st.sampled_from([1024, 2048, 4096, 8192]),
    limb_bits=st.integers(30, 60),
    limbs=st.integers(1, 2),
    log2_target=st.sampled_from([-40.0, -20.0, -60.0]),
)
def test_the_wire_is_that_of_a_trial_of_all(
    layout: tuple[str, str, str],
    rows: int,
    channels: int,
    tokens: int,
    widths: tuple[int, ...],
    flooding: int,
    degree: int,
    limb_bits: int,
    limbs: int,
    log2_target: float,
) -> None:
    protocol, tile, output = layout
    one = Configuration(
        protocol,
        Table(rows, channels, tokens),
        Ring(degree, (limb_bits,) * limbs, 2 ** (sum(widths) + len(widths))),
        Packing(widths, tile, output),
        engine="residue",
        flooding_bits=flooding,
    )
    expected = by_trial(one, log2_target)
    grid = Grid.of(one, limb_bits=tuple(np.array([limb_bits, limb_bits]) for _ in range(limbs)))
    columns = {name: int(values[1]) for name, values in wire_columns(grid, log2_target).items()}
    if expected is None:
        assert columns["query_bits"] == one.ring.log2_q
        with pytest.raises(ValueError, match=r"ring\.q has"):
            compact_wire(one, log2_target)
    else:
        assert compact_wire(one, log2_target) == expected
        assert columns == vars(expected)


def test_named_digits_are_kept() -> None:
    one = Configuration(
        "fastquery", Table(3000, 96), Ring(2048, (50,), 2**13), Packing((4, 3, 3), "column", "packlwes"),
        engine="residue",
    )  # fmt: skip
    grid = Grid.of(one, digit_bits=np.array([7, 12]), digit_dropped_bits=np.array([0, 3]))
    found = wire_columns(grid, digits=False)
    assert found["digit_bits"].tolist() == [7, 12]
    assert found["digit_dropped_bits"].tolist() == [0, 3]
    sigma = np.sqrt(compact_noise.noise(Grid.of(one, **found).of_worst_table()))
    assert np.all(log2_failure(sigma, 0.5, 32) <= -40)
