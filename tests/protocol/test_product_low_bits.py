"""Products whose answers are the lowest bits of b: right rows, as predicted, and shares that are uniform."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy.stats import chisquare

from costmodel.answers import share_limit
from costmodel.estimate import estimate
from costmodel.parameters import Configuration, Table
from costmodel.systems import executed
from protocol.compact.fractions import lifted, split
from protocol.elements import element_spread
from protocol.frames import Kind
from protocol.residue.bits import packed_bytes
from protocol.residue.rounding import scale_down
from tests.protocol.noise import IMPROBABLE
from tests.protocol.parties import Parties
from tests.protocol.residue.conftest import ring_of
from tests.protocol.test_baselines import looked_up

NOISE_BITS = 0.25


def low(protocol: str, rows: int, channels: int, tokens: int = 1, **options: Any) -> Configuration:
    extra = options.pop("options", ())
    return executed(protocol, Table(rows, channels, tokens), options=("low-bits", *extra), **options)


LOOKUPS = {
    "flooded": low("fastquery", 2100, 900),
    "unflooded": low("fastquery", 5000, 300, 3, flooding_bits=0),
    "prepared": low("fastquery", 700, 60, 2, prepared=True),
    "aligned": low("fastquery", 300, 41, align_bits=37),
    "offline": low("fastquery", 300, 41, 2, options=("delphi",)),
    "extracted": low("cheetah", 700, 131),
    "interleaved": low("bumblebee", 700, 131, 2),
}


@pytest.mark.parametrize("configuration", LOOKUPS.values(), ids=list(LOOKUPS))
def test_rows_bytes_and_operations_are_as_predicted(configuration: Configuration) -> None:
    compared = looked_up(configuration)
    assert "draw mask" not in set(compared["item"])
    assert "switch b" in set(compared["item"])


def test_rows_of_levels_that_are_no_powers_of_two_open() -> None:
    parties = Parties(low("fastquery", 300, 42, levels=(10, 10, 10)))
    assert parties.opens(parties.look_up([299]), [299])


@pytest.mark.parametrize("name", ["flooded", "unflooded", "extracted"])
def test_noise_is_as_predicted(name: str) -> None:
    configuration = LOOKUPS[name].updated(table=Table(LOOKUPS[name].table.rows, 900, 4))
    parties = Parties(configuration)
    seen = parties.look_up([1, 2, 3, 4])
    assert parties.opens(seen, [1, 2, 3, 4])
    spread = element_spread(parties.table.coefficients, parties.table.public.field_moduli)
    predicted = estimate(configuration.updated(table=replace(configuration.table, spread=spread)))
    assert seen.session.engine.noise_bits() == pytest.approx(predicted.noise_bits, abs=NOISE_BITS)


def test_answers_carry_the_low_bits_alone() -> None:
    masked, low_bits = executed("fastquery", Table(32000, 4096)), low("fastquery", 32000, 4096)
    wire, columns = low_bits.wire, 1366
    assert wire is not None
    before, found = estimate(masked), estimate(low_bits)
    assert found.down_bytes == 16 + -(-4096 * wire.answer_a_bits // 8) + -(-columns * wire.answer_b_bits // 8)
    assert found.down_bytes < before.down_bytes - 2000
    assert (found.up_bytes, found.security_bits) == (before.up_bytes, before.security_bits)
    assert found.log2_failure <= -40


@pytest.mark.parametrize("modulus", [2**9, 13 * 10 * 10, 2**20])
@pytest.mark.parametrize("bits", [1, 2, 5])
@settings(max_examples=30)
@given(seed=st.integers(0, 2**32 - 1), limbs=st.integers(1, 2), size=st.sampled_from(["within", "at", "beyond"]))
@example(seed=0, limbs=2, size="at")
@example(seed=0, limbs=2, size="beyond")
def test_shares_add_up_below_the_limit_and_not_above(modulus: int, bits: int, seed: int, limbs: int, size: str) -> None:
    """Against whole numbers: b = q m/t + e - a s, where the client knows a s alone.

    Errors within the limit of 1/2 - 2^-(r+1) cells never show; errors beyond 1/2 + 2^-(r+1) always do.
    """
    rng, ring = np.random.default_rng(seed), ring_of(32, 45, limbs)
    q, n = ring.modulus, 32
    messages = rng.integers(0, modulus, n)
    products = [int.from_bytes(rng.bytes(16), "little") % q for _ in range(n)]
    within, beyond = float(share_limit(bits)), 0.5 + 2.0 ** (-bits - 1)
    sign = rng.choice([-1, 1], n)
    cells = {"within": within * rng.uniform(0, 0.999, n), "at": within * 0.999 + 0 * sign, "beyond": beyond * 1.001}[
        size
    ]
    errors = [int(float(one) * q / modulus) for one in sign * cells]
    wrong_by = sign if size == "beyond" else 0 * sign
    b = [(q * int(m) // modulus + e - p) % q for m, e, p in zip(messages, errors, products, strict=True)]
    residues = np.array([[value % prime for value in b] for prime in ring.moduli], dtype=np.uint64)
    known = np.array([[value % prime for value in products] for prime in ring.moduli], dtype=np.uint64)
    whole, fractions = split(residues, ring, modulus, bits)
    assert int(whole.max()) < modulus
    assert int(fractions.max()) < 1 << bits
    client = scale_down(ring.add(known, lifted(fractions, ring, modulus, bits)), ring, modulus)
    opened = (client.astype(np.int64) + whole.astype(np.int64)) % modulus
    assert np.array_equal(opened, (messages + wrong_by) % modulus)


@pytest.fixture(scope="module")
def wide() -> Parties:
    """Eight rows of 1,200 channels, flooded."""
    return Parties(low("fastquery", 60, 1200, 8))


def test_both_shares_are_uniform(wide: Parties) -> None:
    seen = wide.look_up(list(range(8)))
    modulus = wide.configuration.ring.plaintext_modulus
    for shares in (seen.server, seen.client):
        counts = np.bincount(np.asarray(shares).reshape(-1) * 64 // modulus, minlength=64)
        assert chisquare(counts).pvalue > IMPROBABLE


def test_fractions_of_one_row_again_and_again_are_uniform(wide: Parties) -> None:
    wire = wide.configuration.wire
    assert wire is not None
    seen = wide.look_up([7] * 8)
    columns = 8 * wide.table.public.coefficients
    (answer,) = (body for kind, body in seen.down if kind is Kind.ANSWER)
    sent = np.frombuffer(answer[-packed_bytes(columns, wire.answer_b_bits) :], dtype=np.uint8)
    bits = np.unpackbits(sent)[: 8 * (columns * wire.answer_b_bits // 8)]
    assert chisquare(np.bincount(bits, minlength=2)).pvalue > IMPROBABLE
