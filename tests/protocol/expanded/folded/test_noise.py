"""Noise by the secret key against the model, pooled over used coefficients, step by step and of whole answers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from scipy.stats import ks_2samp

from costmodel.expanded.folded.design import FoldedDesign
from costmodel.expanded.folded.noise import (
    dropped_bits_variance,
    dropped_selectors_variance,
    failure,
    folded_noise,
    worst_dropped_variance,
)
from costmodel.expanded.folded.parameters import FoldedColumns, FoldedParameters
from costmodel.expanded.folded.search import choose_parameters
from costmodel.expanded.noise import answer_noise, gadget_switch_variance, leaf_noise
from costmodel.expanded.parameters import Gadget
from costmodel.repetition import repeated_variances
from protocol.expanded.context import query_ring, signed_coefficients
from protocol.expanded.expansion import expand, expansion_exponents, leaf_positions
from protocol.expanded.folded.client import FoldedClient
from protocol.expanded.gadget import GadgetKey, external_products, gadget_elements, generate_key
from protocol.expanded.products import Factors
from protocol.residue.ciphertext import expand_many, noise, phase
from protocol.residue.keyswitch import apply_automorphism
from protocol.residue.rounding import drop_limbs_of_values
from protocol.residue.sampling import new_seed
from tests.protocol.expanded.folded.conftest import N4096, SHAPES, Side, parameters_of
from tests.protocol.expanded.sides import (
    MIDDLE,
    answer_errors_by_keys,
    errors_before_low_bits,
    key_switch_log2_ratio,
    unflooded,
)
from tests.protocol.noise import IMPROBABLE, assert_noise, log2_ratio

GADGETS = [(1, Gadget(1, 20)), (1, Gadget(3, 13)), (1, Gadget(13, 4)), (2, Gadget(5, 18)), (2, Gadget(1, 40))]


def used_errors(side: Any, row: int) -> np.ndarray[Any, Any]:
    """Errors over Q of the un-switched answer at the coefficients of the row."""
    p, ring = side.parameters, side.server.result_ring
    result = side.session.result(side.client.query(row))
    block, coefficient = side.server.layout.row_positions()
    message = np.zeros((p.blocks, p.degree), dtype=np.uint64)
    message[block, coefficient] = (side.table[row].astype(np.int64) - MIDDLE) % p.plaintext_modulus
    phases = phase(side.client.result_secret, ring.forward(result))
    return noise(ring, phases, message, p.plaintext_modulus)[block, coefficient] / float(ring.modulus)


@pytest.mark.parametrize(("limbs", "gadget"), GADGETS)
def test_digits_add_up_to_the_polynomial(limbs: int, gadget: Gadget) -> None:
    ring = query_ring(parameters_of("slots" if limbs == 1 else "flooded"))
    rng = np.random.default_rng(0)
    x = np.stack([rng.integers(0, q, (2, ring.ring_degree), dtype=np.uint64) for q in ring.moduli], axis=1)
    x[0, :, :3] = np.array(ring.moduli, dtype=np.uint64)[:, None] - np.arange(1, 4, dtype=np.uint64)
    elements = gadget_elements(ring.modulus, gadget)
    total = np.zeros_like(x)
    for k, element in enumerate(elements):
        one = np.zeros((gadget.digits, 2, ring.limbs, ring.ring_degree), dtype=np.uint64)
        one[k, 0] = 1
        digit = ring.inverse(external_products(x[:, None], gadget, Factors.of(ring, one))[:, 0])
        total = ring.add(total, ring.scale(digit, element))
        signed = ring.to_integers(digit).astype(np.int64)
        assert signed.min() >= -(1 << (gadget.bits - 1))
        assert signed.max() < 1 << (gadget.bits - 1)
    left_out = np.abs(ring.to_integers(ring.subtract(x, total)).astype(np.float64)).max()
    rounding = gadget.digits * 2.0 ** (gadget.bits - 1)
    assert left_out <= ring.modulus / 2.0 ** (gadget.kept_bits + 1) * (1 + 1e-9) + rounding


@pytest.mark.parametrize(("limbs", "gadget"), GADGETS)
@pytest.mark.parametrize("squared", [False, True])
def test_key_switches(limbs: int, gadget: Gadget, squared: bool) -> None:
    ring = query_ring(parameters_of("slots" if limbs == 1 else "flooded"))
    assert abs(key_switch_log2_ratio(ring, gadget, squared, 12)) < 0.2


def leaf_errors(side: Any) -> np.ndarray[Any, Any]:
    """Errors (leaves, N) of the leaves of (0, a), N times the coefficients of a*s that they come from, by new keys."""
    p, ring, secret = side.parameters, side.server.ring, side.client.secret
    seed, keys = new_seed(), []
    exponents = list(expansion_exponents(p.degree))
    exponents[: p.repeated_level] = [exponents[p.repeated_level]] * p.repeated_level
    for level, (exponent, gadget) in enumerate(zip(exponents, p.expansion, strict=True)):
        a = expand_many(ring, seed, f"key {level}", gadget.digits)
        source = apply_automorphism(secret.residues, exponent)
        keys.append(GadgetKey.of(ring, gadget, generate_key(secret, source, gadget, a), a))
    a = expand_many(ring, seed, "query", 1)[0]
    leaves = expand(a, keys, p, ring)
    constants = ring.inverse(secret.multiply(a))[:, leaf_positions(p)]
    phases = phase(secret, leaves)
    for limb, q in enumerate(ring.moduli):
        wanted = (constants[limb].astype(object) * p.degree % q).astype(np.uint64)
        phases[:, limb, 0] = np.where(phases[:, limb, 0] >= wanted, 0, np.uint64(q)) + phases[:, limb, 0] - wanted
    return ring.to_integers(phases).astype(np.float64)


@pytest.mark.parametrize("name", ["columns that are no power of two", "flooded"])
def test_leaves_of_the_expansion(make_side: Callable[[str], Any], name: str) -> None:
    """Their constant coefficients share the errors of the first levels: of ten keys there are 400 samples or more."""
    side = make_side(name)
    p, errors = side.parameters, np.concatenate([leaf_errors(side) for _ in range(10)])
    switches = np.array([gadget_switch_variance(p.degree, p.log2_q, *gadget, p.sigma) for gadget in p.expansion])
    switches = repeated_variances(p.degree, p.repeated_level, switches)
    predicted = leaf_noise(p.degree, 0.0, 0.0, switches)
    assert_noise(errors[:, 0], predicted.constant, samples=400)
    assert abs(log2_ratio(errors[:, 1:], predicted.others / (p.degree - 1))) < 0.25


@pytest.mark.parametrize(
    "name", ["slots", "columns that are no power of two", "two blocks", "flooded", "two limbs, wide plaintext"]
)
def test_noise_of_answers_before_their_low_bits(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Everything that the answer adds but the rounding of b: with what comes before, and alone."""
    side = Side(unflooded(parameters_of(name)))
    p, errors = side.parameters, errors_before_low_bits(side, monkeypatch)
    added = answer_noise(FoldedColumns.of(p))
    assert abs(log2_ratio(errors.added, added.switch + added.rounding)) < 0.25
    predicted = folded_noise(p, side.mean_square)
    assert abs(log2_ratio(errors.whole, predicted.total - predicted.low_bits)) < 0.5


@pytest.mark.parametrize("name", SHAPES)
def test_noise_of_small_answers(make_side: Callable[[str], Any], name: str) -> None:
    side = make_side(name)
    p, measured = side.parameters, answer_errors_by_keys(side, 300)
    predicted = folded_noise(p, side.mean_square).total * p.plaintext_modulus**2
    assert measured.size >= 300
    assert abs(log2_ratio(measured, predicted)) < 0.5
    assert failure(p) <= p.log2_failure


@pytest.mark.parametrize("name", ["slots", "flooded", "flooded, 13 bits", "one limb for the pass"])
def test_noise_under_flooding_and_rounding(name: str) -> None:
    """What flooding hides, measured without it."""
    side = Side(unflooded(parameters_of(name)))
    p = side.parameters
    rows = np.linspace(0, p.rows - 1, max(10, 1000 // p.row_coefficients), dtype=int)
    measured = np.concatenate([used_errors(side, row) for row in rows.tolist()])
    predicted = folded_noise(p, side.mean_square)
    assert abs(log2_ratio(measured, predicted.product + predicted.folds)) < 0.5


def test_flooding_is_the_sum_of_three_uniforms(make_side: Callable[[str], Any]) -> None:
    """The error of an un-switched answer has the flooding's range and distribution, whatever the table's part of it."""
    side = make_side("flooded")
    p = side.parameters
    errors = np.concatenate([used_errors(side, 5) for _ in range(3)])
    scaled = errors * 2.0 ** (p.log2_q - p.flooding_log2_width)
    assert 2 < np.abs(scaled).max() < 3.01
    drawn = np.random.default_rng(0).uniform(-1, 1, (3, 1 << 18)).sum(axis=0)
    assert ks_2samp(scaled, drawn).pvalue > IMPROBABLE


def test_the_worst_table_makes_no_more_than_its_bound() -> None:
    """Tables made to add the errors of early levels up, in one sign or in the signs that the expansion gives them."""
    p = unflooded(parameters_of("flooded"))
    bound = p.element_bound
    index = np.arange(p.rows)[:, None]
    tables = [
        np.full((p.rows, p.row_coefficients), bound),
        np.where(index & 1, bound, -bound) * np.ones(p.row_coefficients),
    ]
    worst = folded_noise(p, float(bound) ** 2)
    for table in tables:
        side = Side(p)
        side.table = table.astype(np.int32) + 3
        side.server = type(side.server)(p, side.table, 3)
        side.connect()
        measured = used_errors(side, p.rows - 1)
        assert log2_ratio(measured, worst.worst_product + worst.folds) < 0.3


def quiet(p: FoldedParameters, fold: Gadget) -> FoldedParameters:
    """Unflooded parameters with so many digits and bits that the rounding of the dropped limbs is what is left."""
    fine = Gadget(6, 17)
    return replace(
        unflooded(p),
        expansion=(fine,) * p.expansion_levels,
        square=fine,
        fold=fold,
        selector_bits=90,
        fold_bits=90,
    )


@pytest.mark.parametrize(
    ("fold", "of_selectors", "extreme"),
    [(Gadget(10, 5), True, False), (Gadget(10, 5), True, True), (Gadget(5, 10), False, False)],
)
def test_noise_of_dropped_limbs(fold: Gadget, of_selectors: bool, extreme: bool) -> None:
    """Of whole lookups, where selectors make it or encrypted bits: of random entries, and of extreme ones alone."""
    side = Side(quiet(parameters_of("one limb for the pass"), fold))
    p = side.parameters
    if extreme:
        signs = np.random.default_rng(7).choice([-1, 1], side.table.shape).astype(np.int32)
        side.table = signs * p.element_bound + MIDDLE
        side.server = type(side.server)(p, side.table, MIDDLE)
        side.connect()
    measured = np.concatenate([used_errors(side, row) for row in range(0, p.rows, -(-p.rows // 10))])
    predicted = folded_noise(p, side.mean_square)
    columns = FoldedColumns.of(p)
    selectors = dropped_selectors_variance(columns, side.mean_square)
    whole = predicted.product + predicted.folds
    assert (selectors if of_selectors else dropped_bits_variance(columns, p.fold.bits)) > 0.75 * whole
    assert abs(log2_ratio(measured, whole)) < 0.25


def test_noise_of_dropped_selectors_alone(make_side: Callable[[str], Any]) -> None:
    """Rounding errors of selectors through a polynomial of the table: by its product with the secret, and bounded.

    The worst polynomial has its weight at the root where the secret is largest.
    """
    side = make_side("one limb for the pass")
    p, ring, kept = side.parameters, side.server.ring, side.server.result_ring
    secret = signed_coefficients(side.client.secret).astype(np.float64)
    twist = np.exp(1j * np.pi * np.arange(p.degree) / p.degree)
    x = expand_many(ring, new_seed(), "leaves", 512)
    dropped = kept.to_integers(kept.inverse(drop_limbs_of_values(x, ring, p.pass_limbs)))
    exact = ring.to_integers(ring.inverse(x)).astype(object)
    last = ring.modulus // kept.modulus
    errors = ((dropped * last - exact + ring.modulus // 2) % ring.modulus - ring.modulus // 2).astype(np.float64) / last
    assert np.abs(errors).max() <= 0.5
    values = np.fft.fft(secret * twist)
    phases = np.fft.fft(errors[:256] * twist) + np.fft.fft(errors[256:] * twist) * values
    columns = FoldedColumns.of(replace(p, row_coefficients=p.degree))
    unit = 2.0 ** (2 * p.result_log2_q) / (float(p.element_bound) ** 2 * p.selectors)
    bound = worst_dropped_variance(columns) * unit
    mean = dropped_selectors_variance(columns, float(p.element_bound) ** 2) * unit

    def met(polynomial: np.ndarray[Any, Any]) -> float:
        """The variance by the product of a polynomial with the secret, which is what is measured."""
        weights = np.fft.fft(polynomial * twist)
        variance = (p.degree + float(np.mean(np.square(np.abs(weights * values))))) / 12.0
        assert abs(log2_ratio((np.fft.ifft(phases * weights) / twist).real, variance)) < 0.25
        assert variance < bound
        return variance

    assert abs(np.log2(met(np.random.default_rng(5).choice([-1.0, 1.0], p.degree)) / mean)) < 0.5
    met(np.ones(p.degree))
    peak = 2 * int(np.argmax(np.abs(values))) - 1
    worst = met(np.where(np.cos(np.pi * peak * np.arange(p.degree) / p.degree) > 0, 1.0, -1.0))
    assert worst > max(2.0 * mean, 0.4 * bound)


def test_a_secret_keeps_to_its_peak_where_limbs_are_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("protocol.expanded.folded.client.keeps_to_the_peak", lambda secret: False)
    assert FoldedClient(parameters_of("flooded")).parameters.drops_limbs == 0
    with pytest.raises(RuntimeError, match="secrets in a row"):
        FoldedClient(parameters_of("one limb for the pass"))


REAL: list[tuple[Any, ...]] = [
    (32000, 4096, (4, 3), 0, {}),
    (32000, 4096, (4, 3), 40, {}),
    (32000, 4096, (4, 3, 3), 40, {"rings": N4096}),
    (8000, 4096, (4,), 0, {"rings": N4096, "plaintext_modulus": 1 << 37}),
]


@pytest.mark.slow
@pytest.mark.parametrize(("rows", "channels", "widths", "flooding_bits", "options"), REAL)
def test_noise_of_real_sizes(
    rows: int, channels: int, widths: tuple[int, ...], flooding_bits: int, options: dict[str, Any]
) -> None:
    p: FoldedParameters = choose_parameters(rows, channels, widths, flooding_bits, **options)
    side = Side(p)
    for row in (0, rows // 3, rows - 1):
        answer = side.session.answer(side.client.query(row))
        assert side.opens_to(row, side.client.decrypt(answer.body), answer.share)
        predicted = folded_noise(p, side.mean_square).total * p.plaintext_modulus**2
        assert abs(log2_ratio(side.client.relative_errors(answer.body), predicted)) < 0.5
    assert failure(p) <= -40
    if flooding_bits:
        left = FoldedDesign().answers_distance(FoldedColumns.of(p), 1)
        assert left <= np.log2(p.row_coefficients) - flooding_bits - 1
