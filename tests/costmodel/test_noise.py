"""Variances against simulated phases, and tails against exact values."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy.special import erfc

from costmodel.noise import (
    dropped_bits_variance,
    flooding_variance,
    key_switch_variance,
    largest_dropped_bits,
    log2_failure,
    log2_failure_of_products,
    log2_flooding_distance,
    modulus_switch_variance,
    noise_bits,
    noise_bound,
    packlwes_variance,
    plaintext_product_variance,
    public_key_encryption_variance,
    required_ratio,
    secret_key_encryption_variance,
    smallest_answer_bits,
    smallest_log2_q,
    tail_factor,
    uniform_mean_square,
    unsigned_key_switch_variance,
    unsigned_uniform_mean_square,
    unsigned_worst_mean_square,
    worst_mean_square,
)
from costmodel.packing import packlwes_depth

SIGMA = 3.19
N = 256


def ternary(rng):
    return rng.integers(-1, 2, N).astype(np.float64)


def gaussian(rng):
    return rng.normal(0, SIGMA, N)


def multiply(x, y):
    """Product in R[X]/(X^N + 1)."""
    full = np.convolve(x, y)
    product = full[:N].copy()
    product[: N - 1] -= full[N:]
    return product


def pooled(rng, error, runs=60):
    return float(np.mean([np.square(error(rng)) for _ in range(runs)]))


def test_public_key_encryption():
    def error(rng):
        e_key, secret = gaussian(rng), ternary(rng)
        return multiply(ternary(rng), e_key) + gaussian(rng) + multiply(gaussian(rng), secret)

    measured = pooled(np.random.default_rng(1), error)
    assert measured == pytest.approx(public_key_encryption_variance(SIGMA, N), rel=0.1)


@pytest.mark.parametrize("dropped", [0, 1, 2, 7])
def test_dropped_bits(dropped):
    values = np.arange(2**12, dtype=np.float64)
    rounded = np.floor(values / 2**dropped + 0.5) * 2**dropped
    assert np.mean((rounded - values) ** 2) == pytest.approx(dropped_bits_variance(dropped), rel=1e-12)


@pytest.mark.parametrize(
    ("low", "high", "mean_square"),
    [(-500, 500, uniform_mean_square), (0, 1000, unsigned_uniform_mean_square)],
)
def test_plaintext_product(low, high, mean_square):
    t, m = 1000, 8 * N

    def error(rng):
        return sum(multiply(rng.integers(low, high, N).astype(np.float64), gaussian(rng)) for _ in range(8))

    predicted = plaintext_product_variance(secret_key_encryption_variance(SIGMA), m, mean_square(t))
    assert pooled(np.random.default_rng(2), error, 600) == pytest.approx(predicted, rel=0.1)


def test_uncentred_tables_cost_a_bit():
    t = 2**13
    assert unsigned_uniform_mean_square(t) == 4 * uniform_mean_square(t)
    assert worst_mean_square(t) == 3 * uniform_mean_square(t)
    assert unsigned_worst_mean_square(t) == pytest.approx(4 * worst_mean_square(t), rel=1e-3)


@pytest.mark.parametrize(("variance", "offset"), [(key_switch_variance, 0.5), (unsigned_key_switch_variance, 0.0)])
def test_key_switch(variance, offset):
    """25 bits in digits of 10, 10 and 5 bits."""

    def error(rng):
        value = rng.integers(0, 2**25, N)
        total = np.zeros(N)
        for shift, bits in ((0, 10), (10, 10), (20, 5)):
            digit = (value >> shift) % 2**bits - offset * (2**bits - 1)
            total += multiply(digit, gaussian(rng))
        return total

    predicted = variance(N, 25, 10, SIGMA)
    assert pooled(np.random.default_rng(3), error) == pytest.approx(predicted, rel=0.1)


def automorphism(x, k):
    """X -> X^k."""
    image = np.zeros(N)
    exponent = np.arange(N) * k % (2 * N)
    np.add.at(image, exponent % N, np.where(exponent < N, x, -x))
    return image


def shift(x, k):
    return np.concatenate([-x[N - k :], x[: N - k]])


@pytest.mark.parametrize("leaves", [2, 16, 64])
def test_packlwes(leaves):
    """A tree over messages at coefficient 0, noise of standard deviation 1 at every key switch."""
    rng = np.random.default_rng(4)
    depth = int(packlwes_depth(leaves, N))
    errors = []
    for _ in range(60):
        messages = rng.integers(-1000, 1000, leaves).astype(np.float64)
        nodes = [np.concatenate([[message], rng.integers(-1000, 1000, N - 1)]) for message in messages]
        for level in range(1, depth + 1):
            merged = []
            for even, odd in zip(nodes[::2], nodes[1::2], strict=True):
                moved = shift(odd, N // 2**level)
                switched = automorphism(even - moved, 2**level + 1) + rng.normal(0, 1, N)
                merged.append(even + moved + switched)
            nodes = merged
        place = [sum((i >> k & 1) * (N >> (k + 1)) for k in range(depth)) for i in range(leaves)]
        errors.append(nodes[0][place] - leaves * messages)
    assert np.mean(np.square(errors)) == pytest.approx(packlwes_variance(1.0, depth), rel=0.15)


def test_modulus_switch():
    """From 2^40 to 2^20 for a and to 2^15 for b."""
    q = 2.0**40

    def error(rng):
        a, b, secret = rng.uniform(0, q, N), rng.uniform(0, q, N), ternary(rng)
        a_error = np.round(a / 2**20) * 2**20 - a
        b_error = np.round(b / 2**25) * 2**25 - b
        return b_error + multiply(a_error, secret)

    predicted = modulus_switch_variance(40, N, 20, 15)
    assert pooled(np.random.default_rng(5), error) == pytest.approx(predicted, rel=0.1)
    assert modulus_switch_variance(40, N, np.inf, np.inf) == 0


def test_flooding():
    rng = np.random.default_rng(6)
    bound, bits = 1000.0, 10
    flood = rng.uniform(-bound * 2**bits, bound * 2**bits, 10**5)
    assert np.var(flood) == pytest.approx(flooding_variance(bound, bits), rel=0.02)
    assert flooding_variance(bound, 0) == 0
    assert log2_flooding_distance(48.9, 2048) == pytest.approx(-38.9)
    assert log2_flooding_distance([0, 3], 2048).tolist() == [0, 0]


def test_flooding_distance_bounds_the_exact_one():
    """Uniform on [-F, F] against its shift by B: the mass of B of 2F + 1 values."""
    bound = 16
    for bits in (1, 4, 8):
        flood = bound * 2**bits
        assert math.log2(bound / (2 * flood + 1)) <= log2_flooding_distance(bits, 1)


@given(ratio=st.floats(0.1, 25), outputs=st.integers(1, 10**6))
def test_failure_is_the_union_of_tails(ratio, outputs):
    expected = min(math.log2(outputs * erfc(ratio / math.sqrt(2))), 0)
    assert log2_failure(1.0, ratio, outputs) == pytest.approx(expected, rel=1e-9, abs=1e-9)


@given(target=st.floats(-10000, -5), outputs=st.integers(1, 10**6))
def test_ratio_inverts_failure_far_into_the_tail(target, outputs):
    assert log2_failure(2.0, 2.0 * required_ratio(target, outputs), outputs) == pytest.approx(target, rel=1e-9)


def test_known_tails():
    assert required_ratio(-40, 1366) == pytest.approx(8.08, abs=0.01)
    assert tail_factor(math.log2(0.3173105)) == pytest.approx(1, abs=1e-6)
    assert noise_bound(5.0, math.log2(0.0455003)) == pytest.approx(10, abs=1e-4)
    assert noise_bits(2.0**40 / 2**13 / 2, 40, 2**13) == -1
    assert log2_failure(1.0, 0.0, 100) == 0


def main_job_variance():
    return plaintext_product_variance(secret_key_encryption_variance(SIGMA), 32000, uniform_mean_square(2**13))


def test_smallest_modulus_of_the_main_job():
    assert 37 < smallest_log2_q(main_job_variance(), 2**13, 1366, -40) < 38
    assert 38 < smallest_log2_q(4 * main_job_variance(), 2**13, 1366, -40) < 39


SWITCHES = st.one_of(st.just(np.inf), st.integers(16, 40))


@given(log2_variance=st.floats(1, 150), p=st.integers(2, 32), a=SWITCHES, b=SWITCHES, target=st.floats(-200, -10))
def test_smallest_modulus_meets_the_target_exactly(log2_variance, p, a, b, target):
    variance, t = 2.0**log2_variance, 2.0**p
    log2_q = smallest_log2_q(variance, t, 1366, target, 2048, a, b)
    if np.isinf(log2_q):
        sigma = math.sqrt(modulus_switch_variance(0, 2048, a, b))
        assert log2_failure(sigma, 1 / (2 * t), 1366) >= target
        return
    assume(log2_q < 400)
    sigma = np.sqrt(variance + modulus_switch_variance(log2_q, 2048, a, b))
    assert log2_failure(sigma, 2.0**log2_q / (2 * t), 1366) == pytest.approx(target, rel=1e-4)


@given(log2_q=st.floats(30, 109), p=st.integers(2, 20), target=st.floats(-200, -10))
def test_dropped_bits_are_the_most_that_hold(log2_q, p, target):
    t, m = 2.0**p, 32000
    factor = m * uniform_mean_square(t)
    dropped = largest_dropped_bits(0.0, SIGMA**2, factor, log2_q, t, 1366, target)

    def failure(bits):
        sigma = np.sqrt(factor * (SIGMA**2 + dropped_bits_variance(bits)))
        return log2_failure(sigma, 2.0**log2_q / (2 * t), 1366)

    if dropped < 0:
        assert failure(0) > target
    else:
        assert failure(dropped) <= target + 1e-6
        assert failure(dropped + 1) > target


@given(
    log2_q=st.integers(36, 109),
    p=st.integers(2, 24),
    outputs=st.integers(1, 4096),
    target=st.floats(-100, -10),
)
def test_answer_bits_are_the_shortest(log2_q, p, outputs, target):
    degree, t = 2048, 2.0**p
    variance = main_job_variance()
    a, b = smallest_answer_bits(variance, log2_q, degree, t, outputs, target)

    def holds(a_bits, b_bits):
        kept_a = np.where(a_bits < log2_q, a_bits, np.inf)
        kept_b = np.where(b_bits < log2_q, b_bits, np.inf)
        sigma = np.sqrt(variance + modulus_switch_variance(log2_q, degree, kept_a, kept_b))
        return log2_failure(sigma, 2.0**log2_q / (2 * t), outputs) <= target

    grid_a, grid_b = np.meshgrid(np.arange(log2_q + 1), np.arange(log2_q + 1), indexing="ij")
    possible = holds(grid_a, grid_b)
    if a < 0:
        assert not possible.any()
        return
    assert holds(a, b)
    assert degree * a + outputs * b == (degree * grid_a + outputs * grid_b)[possible].min()


def test_arrays_broadcast_and_scalars_stay_scalar():
    log2_q, p = np.array([[45.0], [54.0], [109.0]]), np.array([5, 13, 40])
    t = np.exp2(p)
    bits = smallest_answer_bits(1e12, log2_q, 2048, t, 1366, -40)
    assert bits.a.shape == bits.b.shape == (3, 3)
    for i in range(3):
        for j in range(3):
            one = smallest_answer_bits(1e12, log2_q[i, 0], 2048, t[j], 1366, -40)
            assert (bits.a[i, j], bits.b[i, j]) == one
            assert np.ndim(one.a) == 0
    assert np.ndim(log2_failure(1.0, 5.0, 10)) == 0
    assert log2_failure(np.array([1.0, 2.0]), 5.0, 10).shape == (2,)


def test_products_that_say_nothing_fail_like_gaussian_noise() -> None:
    gaussian = log2_failure(np.sqrt(3.0), 24.0, 1366)
    assert log2_failure_of_products(2.0, 1.0, 0.0, 8.0, 24.0, 1366) == pytest.approx(gaussian, abs=1e-6)


@pytest.mark.parametrize("weights", [[0.25] * 4, [0.1] * 10, [0.5, 0.2, 0.2, 0.1]])
@pytest.mark.parametrize("known", [0.3, 1.0])
def test_few_products_fail_no_more_often_than_stated(weights: list[float], known: float) -> None:
    rng = np.random.default_rng(5)
    chosen = np.square(rng.standard_normal((400_000, len(weights)))) @ np.array(weights)
    sigma = np.sqrt(0.4 + 0.6 * (1.0 - known + known * chosen))
    simulated = np.log2(np.mean(np.exp2(log2_failure(sigma, 5.0, 1))))
    stated = log2_failure_of_products(0.4, 0.6, known, 1.0 / max(weights), 5.0, 1)
    assert stated > log2_failure(1.0, 5.0, 1)
    assert simulated <= stated + 0.3
    if len(set(weights)) == 1:
        assert stated == pytest.approx(simulated, abs=0.3)
