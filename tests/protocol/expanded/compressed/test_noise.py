"""Noise by the secret key against the model, of whole answers and of what flooding hides."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from scipy.stats import ks_2samp

from costmodel.expanded.compressed.design import CompressedDesign
from costmodel.expanded.compressed.noise import (
    compressed_noise,
    external_product_variance,
    failure,
)
from costmodel.expanded.compressed.parameters import CompressedColumns
from costmodel.expanded.compressed.search import choose_parameters
from costmodel.expanded.noise import answer_noise
from costmodel.expanded.parameters import Gadget
from protocol.expanded.compressed.server import CompressedServer
from protocol.expanded.context import query_ring
from protocol.expanded.messages import decode_query
from protocol.residue.ciphertext import SecretKey, noise, phase
from tests.protocol.expanded.compressed.conftest import SHAPES, Side, parameters_of
from tests.protocol.expanded.sides import (
    MIDDLE,
    answer_errors_by_keys,
    errors_before_low_bits,
    key_switch_log2_ratio,
    unflooded,
)
from tests.protocol.noise import IMPROBABLE, log2_ratio


def used_errors(side: Any, row: int) -> np.ndarray[Any, Any]:
    """Errors over Q of the un-switched answer at the coefficients of the row."""
    p, ring = side.parameters, side.server.result_ring
    result = side.session.result(side.client.query(row))
    where = side.server.layout.row_positions()
    message = np.zeros((p.packed, p.degree), dtype=np.uint64)
    message[where] = (side.table[row].astype(np.int64) - MIDDLE) % p.plaintext_modulus
    secret = SecretKey(ring, side.client.secret.residues[: p.table_limbs])
    phases = phase(secret, ring.forward(result))
    return noise(ring, phases, message, p.plaintext_modulus)[where] / float(ring.modulus)


@pytest.mark.parametrize("gadget", [Gadget(4, 31), Gadget(5, 26), Gadget(4, 32), Gadget(10, 13)])
@pytest.mark.parametrize("squared", [False, True])
def test_key_switches_by_more_digits_than_two_words_hold(gadget: Gadget, squared: bool) -> None:
    ring = query_ring(parameters_of("flooded"))
    assert abs(key_switch_log2_ratio(ring, gadget, squared, 12)) < 0.2


@pytest.mark.parametrize("name", ["blocks that are no power of two", "a smaller modulus", "two polynomials"])
def test_noise_of_answers_before_their_low_bits(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Everything that the answer adds but the rounding of b: with what comes before, and alone."""
    side = Side(unflooded(parameters_of(name)))
    p, errors = side.parameters, errors_before_low_bits(side, monkeypatch)
    added = answer_noise(CompressedColumns.of(p))
    assert abs(log2_ratio(errors.added, added.switch + added.rounding)) < 0.25
    predicted = compressed_noise(p, side.mean_square)
    assert abs(log2_ratio(errors.whole, predicted.total - predicted.low_bits)) < 0.5


@pytest.mark.parametrize("name", SHAPES)
def test_noise_of_small_answers(make_side: Callable[[str], Any], name: str) -> None:
    side = make_side(name)
    p, measured = side.parameters, answer_errors_by_keys(side, 300)
    predicted = compressed_noise(p, side.mean_square).total * p.plaintext_modulus**2
    assert measured.size >= 300
    assert abs(log2_ratio(measured, predicted)) < 0.5
    assert failure(p) <= p.log2_failure


@pytest.mark.parametrize("name", ["one block", "blocks that are no power of two", "flooded on two limbs"])
def test_noise_under_flooding_and_rounding(name: str) -> None:
    """What flooding hides, measured without it."""
    side = Side(unflooded(parameters_of(name)))
    p = side.parameters
    rows = np.random.default_rng(2).integers(0, p.rows, 25)
    measured = np.concatenate([used_errors(side, int(row)) for row in rows])
    predicted = compressed_noise(p, side.mean_square)
    assert abs(log2_ratio(measured, predicted.product + predicted.packing)) < 0.5


@pytest.mark.parametrize("name", ["blocks that are no power of two", "flooded"])
def test_noise_of_the_selectors(name: str) -> None:
    """All blocks together have 2 (B - 1) + log2 G - 1 external products' noise, with next to nothing to round."""
    side = Side(replace(parameters_of(name), table_limbs=2, packing_dropped_bits=0))
    p, ring = side.parameters, side.server.result_ring
    secret = SecretKey(ring, side.client.secret.residues[: p.table_limbs])
    energies = []
    for row in (0, p.rows // 3, p.rows - 1):
        query = decode_query(side.server.layout.query_parts, side.client.query(row))
        nodes = np.moveaxis(side.session.selectors(query), 1, 0)
        message = np.zeros((p.blocks, p.degree), dtype=np.uint64)
        block, position = divmod(row, p.gap)
        message[block, -position % p.degree] = 1 if position == 0 else p.plaintext_modulus - 1
        errors = noise(ring, phase(secret, nodes), message, p.plaintext_modulus) / float(ring.modulus)
        energies.append(np.sum(np.mean(np.square(errors), axis=1)))
    predicted = external_product_variance(p, 0.5) * (2 * (p.blocks - 1) + p.position_levels - 1)
    assert abs(0.5 * np.log2(np.mean(energies) / predicted)) < 0.5


def test_flooding_is_the_sum_of_three_uniforms(make_side: Callable[[str], Any]) -> None:
    """The error of an un-switched answer has the flooding's range and distribution, whatever the table's part of it."""
    side = make_side("flooded on two limbs")
    p = side.parameters
    errors = np.concatenate([used_errors(side, 5) for _ in range(40)])
    scaled = errors * 2.0 ** (p.table_log2_q - p.flooding_log2_width)
    assert 2 < np.abs(scaled).max() < 3.01
    drawn = np.random.default_rng(0).uniform(-1, 1, (3, 1 << 18)).sum(axis=0)
    assert ks_2samp(scaled, drawn).pvalue > IMPROBABLE


@pytest.mark.parametrize("alternating", [False, True])
def test_the_worst_tables_make_no_more_than_their_bound(alternating: bool) -> None:
    """Tables with all weight at the root where the secret is largest, in one sign or with signs by block."""
    p = parameters_of("blocks that are no power of two")
    side = Side(replace(p, table_limbs=2, packing_digit_bits=20, packing_dropped_bits=0))
    p, limb = side.parameters, side.server.ring.limb(0)
    secret = limb.to_integers(limb.inverse(side.client.secret.residues[:1])).astype(np.float64)
    root = int(np.argmax(np.abs(np.fft.fft(secret * np.exp(1j * np.pi * np.arange(p.degree) / p.degree)))))
    row, column = np.arange(p.rows)[:, None], np.arange(p.row_coefficients)[None]
    exponent = row % p.gap + column % p.segments * p.gap
    sign = np.where(alternating and (row // p.gap & 1 > 0), -1.0, 1.0)
    wave = sign * np.cos(np.pi * ((2 * root - 1) * exponent / p.degree + column / p.row_coefficients))
    side.table = np.where(wave > 0, p.element_bound, -p.element_bound).astype(np.int32) + MIDDLE
    side.server = CompressedServer(p, side.table, MIDDLE)
    side.session = side.server.open(side.client.keys())
    rows = np.random.default_rng(3).integers(0, p.rows, 24)
    measured = np.concatenate([used_errors(side, int(row)) for row in rows])
    noise = compressed_noise(p, float(p.element_bound) ** 2)
    assert log2_ratio(measured, noise.worst_product + noise.packing) < 0.3
    assert log2_ratio(measured, noise.product + noise.packing) > 0.1


@pytest.mark.slow
@pytest.mark.parametrize("flooding_bits", [0, 40])
def test_noise_of_real_sizes(flooding_bits: int) -> None:
    p = choose_parameters(32000, 4096, (4, 3, 3), flooding_bits)
    side = Side(p)
    for row in (0, p.rows // 3, p.rows - 1):
        answer = side.session.answer(side.client.query(row))
        assert side.opens_to(row, side.client.decrypt(answer.body), answer.share)
        predicted = compressed_noise(p, side.mean_square).total * p.plaintext_modulus**2
        assert abs(log2_ratio(side.client.relative_errors(answer.body), predicted)) < 0.5
    assert failure(p) <= -40
    if flooding_bits:
        left = CompressedDesign().answers_distance(CompressedColumns.of(p), 1)
        assert left <= np.log2(p.row_coefficients) - flooding_bits - 1
