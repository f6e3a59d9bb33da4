from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from costmodel.answers import (
    SharedAnswer,
    a_rounding_variance,
    cells_squared,
    choose_shared_answer,
    modulus_rounding_variance,
    share_limit,
    shared_switch_variance,
)
from protocol.residue import low_bits, shared_switch
from protocol.residue.exact_products import exact_ring, to_power_of_two
from protocol.residue.rounding import scale_up
from protocol.residue.sampling import new_seed, sample_ternary
from protocol.residue.switch import switch_modulus
from tests.protocol.noise import IMPROBABLE, assert_noise
from tests.protocol.residue.conftest import ring_of
from tests.protocol.residue.shared_answers import CONFIGURATIONS, LABEL, Answered, Parties

BITS = 0.25
RATIO = 8.5
SMALL = SharedAnswer(16, 64, 2, 1, 1, 5, 2, 15, 2, degree=32, modulus_bits=12)


def allowed_deviation(shape: SharedAnswer) -> float:
    """Of errors before the answer that leave a limit of so many deviations, in cells."""
    left = (float(share_limit(shape.low_bits)) / RATIO) ** 2 - shape.variance
    assert left > 0
    return float(np.sqrt(left))


def bits_between(measured: float, predicted: float) -> float:
    return float(abs(np.log2(measured / predicted)))


@pytest.fixture(scope="module", params=CONFIGURATIONS.values(), ids=list(CONFIGURATIONS))
def answered(request: pytest.FixtureRequest) -> tuple[SharedAnswer, list[Answered]]:
    """Answers of at least 10,000 coefficients and 16 keys: errors by one key are alike, more so by short digits."""
    shape: SharedAnswer = request.param
    rng = np.random.default_rng(0)
    times = max(16, -(-10_000 // (shape.outputs * shape.degree)))
    return shape, [Parties(shape).answer(rng, allowed_deviation(shape)) for _ in range(times)]


def test_every_coefficient_is_shared(answered: tuple[SharedAnswer, list[Answered]]) -> None:
    shape, answers = answered
    assert sum(answer.server.size for answer in answers) >= 10_000
    assert sum(answer.wrong(shape) for answer in answers) == 0


def test_noise_of_the_key_switch_alone(answered: tuple[SharedAnswer, list[Answered]]) -> None:
    shape, answers = answered
    measured = np.std([answer.switch for answer in answers])
    p = shape
    variance = shared_switch_variance(p.degree, p.modulus_bits, p.parts, p.ciphertexts, p.digits, p.digit_bits, p.sigma)
    predicted = np.sqrt(cells_squared(variance, p.plaintext_modulus, p.modulus_bits))
    assert bits_between(float(measured), float(predicted)) < BITS


def test_noise_of_rounding_a_alone(answered: tuple[SharedAnswer, list[Answered]]) -> None:
    shape, answers = answered
    measured = np.std([answer.rounding for answer in answers])
    predicted = np.sqrt(a_rounding_variance(shape.degree, shape.plaintext_modulus, shape.a_half_bits))
    assert bits_between(float(measured), float(predicted)) < BITS


def test_error_of_the_low_bits_alone(answered: tuple[SharedAnswer, list[Answered]]) -> None:
    """Uniform within half a step: the deviation is 2^-r/sqrt(12), the largest at most 2^-(r+1)."""
    shape, answers = answered
    every = np.concatenate([answer.truncation for answer in answers])
    assert np.abs(every).max() <= 2.0 ** -(shape.low_bits + 1)
    assert bits_between(float(every.std()), 2.0**-shape.low_bits / np.sqrt(12)) < BITS


def test_errors_of_all_steps_add_up_to_what_the_model_states(answered: tuple[SharedAnswer, list[Answered]]) -> None:
    shape, answers = answered
    measured = np.std([answer.before + answer.switch + answer.rounding for answer in answers])
    assert bits_between(float(measured), float(share_limit(shape.low_bits)) / RATIO) < BITS


@pytest.mark.parametrize("shape", list(CONFIGURATIONS.values())[:3], ids=list(CONFIGURATIONS)[:3])
def test_shares_are_right_up_to_the_limit_and_wrong_beyond(shape: SharedAnswer) -> None:
    """Errors of one size with either sign, at a margin that the noise of the switch does not bridge."""
    parties = Parties(shape)
    rng = np.random.default_rng(1)
    cell = 2.0**shape.modulus_bits / shape.plaintext_modulus
    size = (shape.ciphertexts, shape.parts * shape.degree)
    margin = 8 * np.sqrt(shape.variance)
    for error, right in ((float(share_limit(shape.low_bits)) - margin, True), (0.5 + margin, False)):
        message = rng.integers(0, shape.plaintext_modulus, size, dtype=np.uint64)
        errors = rng.choice([-1, 1], size) * np.int64(error * cell)
        a = rng.integers(0, 1 << shape.modulus_bits, size, dtype=np.uint64)
        opened = parties.open(message, errors, a, parties.encrypt(message, errors, a))
        if right:
            assert opened.wrong(shape) == 0
        else:
            assert opened.wrong(shape) > opened.server.size // 2


def shares_of_one_message(shape: SharedAnswer, least: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """How often every value is the server's and the client's share of the message 5, over so many coefficients."""
    parties = Parties(shape)
    rng = np.random.default_rng(2)
    size = (shape.ciphertexts, shape.parts * shape.degree)
    message = np.full(size, 5, dtype=np.uint64)
    error = np.zeros(size, dtype=np.int64)
    counts = np.zeros((2, shape.plaintext_modulus), dtype=np.int64)
    while counts[0].sum() < least:
        a = rng.integers(0, 1 << shape.modulus_bits, size, dtype=np.uint64)
        opened = parties.open(message, error, a, parties.encrypt(message, error, a))
        for count, share in zip(counts, (opened.server, opened.client), strict=True):
            count += np.bincount(share.reshape(-1).astype(np.int64), minlength=shape.plaintext_modulus)
    return counts[0], counts[1]


def test_both_shares_are_uniform() -> None:
    for count in shares_of_one_message(CONFIGURATIONS["one ciphertext of degree 2048"], 100_000):
        assert stats.chisquare(count).pvalue > IMPROBABLE


@pytest.mark.slow
@pytest.mark.parametrize("name", ["one of degree 4096, every second coefficient", "four of degree 2048"])
def test_both_shares_are_uniform_over_a_million_coefficients(name: str) -> None:
    for count in shares_of_one_message(CONFIGURATIONS[name], 1_000_000):
        assert stats.chisquare(count).pvalue > IMPROBABLE


def count_wrong(shapes: list[SharedAnswer], least: int) -> tuple[int, int]:
    """Coefficients opened of every shape in equal shares, and how many of them are wrong."""
    rng = np.random.default_rng(4)
    total = wrong = 0
    for place, shape in enumerate(shapes, 1):
        parties = Parties(shape)
        while total < least * place // len(shapes):
            answer = parties.answer(rng, allowed_deviation(shape))
            wrong += answer.wrong(shape)
            total += answer.server.size
    return total, wrong


def test_no_wrong_coefficient_in_a_hundred_thousand() -> None:
    total, wrong = count_wrong(list(CONFIGURATIONS.values())[:6], 100_000)
    assert total >= 100_000
    assert wrong == 0


@pytest.mark.slow
@pytest.mark.timeout(7200)
def test_no_wrong_coefficient_in_ten_million() -> None:
    total, wrong = count_wrong(list(CONFIGURATIONS.values()), 10_000_000)
    assert total >= 10_000_000
    assert wrong == 0


@pytest.mark.parametrize(
    "shape",
    [SMALL, replace(SMALL, modulus_bits=52, plaintext_modulus=1 << 20, digits=3, digit_bits=16, a_half_bits=60)],
)
def test_the_switch_is_that_of_integers(shape: SharedAnswer) -> None:
    """With one prime and with two, at both ends of the modulus."""
    parties = Parties(shape)
    rng = np.random.default_rng(5)
    modulus = 1 << shape.modulus_bits
    a, b = rng.integers(0, modulus, (2, 1, 2 * shape.degree), dtype=np.uint64)
    a[0, :4] = [0, modulus - 1, modulus // 2, modulus // 2 - 1]
    first, second = parties.key.switch(a, b)
    assert np.array_equal(np.concatenate([first[None], second]), switched_by_integers(parties, a, b))


def switched_by_integers(parties: Parties, a: NDArray[np.uint64], b: NDArray[np.uint64]) -> NDArray[np.uint64]:
    p = parties.shape
    rows = np.concatenate([shared_switch.expand_rows(p, parties.seed, LABEL)[:, None], parties.rows], axis=1)
    sums = np.zeros((1 + p.outputs, p.degree), dtype=object)
    row = 0
    for part in shared_switch.split_parts(a, p.parts)[0]:
        rest = [(int(x) + ((1 << p.dropped_bits) >> 1)) >> p.dropped_bits for x in part]
        for _ in range(p.digits):
            base = 1 << p.digit_bits
            digits = [(x + base // 2) % base - base // 2 for x in rest]
            rest = [(x - d) // base for x, d in zip(rest, digits, strict=True)]
            for element in range(1 + p.outputs):
                for i, digit in enumerate(digits):
                    shifted = np.roll(rows[row, element].astype(object), i)
                    shifted[:i] = -shifted[:i]
                    sums[element] += digit * shifted
            row += 1
    sums[1:] += shared_switch.split_parts(b, p.parts)[0, list(p.used_parts)].astype(object)
    return (sums % (1 << p.modulus_bits)).astype(np.uint64)


def test_what_the_client_sees_says_nothing_of_the_message() -> None:
    """Ciphertexts of two messages with one a and one error: the same a and the same low bits, bit by bit."""
    shape = CONFIGURATIONS["one of degree 4096, every second coefficient"]
    parties = Parties(shape)
    rng = np.random.default_rng(6)
    size = (1, 4096)
    a = rng.integers(0, 1 << 26, size, dtype=np.uint64)
    error = np.rint(rng.normal(0, 1000, size)).astype(np.int64)
    sent = []
    for _ in range(2):
        message = rng.integers(0, 512, size, dtype=np.uint64)
        first, second = parties.key.switch(a, parties.encrypt(message, error, a))
        sent.append((low_bits.round_a(shape, first), low_bits.server_shares(shape, second)[1]))
    assert np.array_equal(sent[0][0], sent[1][0])
    assert np.array_equal(sent[0][1], sent[1][1])


def test_two_tables_that_differ_in_one_row_show_the_error_alone() -> None:
    """One encrypted row number, two tables, no flooding, and encryptions of zero that make their a the same.

    An encryption of zero hides a. Of b the client sees the fraction of a cell, and the fractions of both answers differ
    by the difference of their errors and by nothing of the rows.
    """
    shape = CONFIGURATIONS["one ciphertext of degree 2048"]
    parties = Parties(shape)
    rng = np.random.default_rng(7)
    rows, row, modulus, n = 4, 2, 1 << 26, 2048
    cell = modulus // 512
    noise = np.rint(rng.normal(0, 3.19, (rows, n))).astype(np.int64)
    selectors = rng.integers(0, modulus, (rows, n))
    table = rng.integers(-136, 137, (rows, n))
    other = table.copy()
    other[row] = rng.integers(-136, 137, n)
    hidden = rng.integers(0, modulus, (1, n), dtype=np.uint64)
    seen, errors = [], []
    for entries in (table, other):
        products = [negacyclic(w, a) for w, a in zip(entries, selectors, strict=True)]
        error = sum(negacyclic(w, e) for w, e in zip(entries, noise, strict=True))
        summed = np.mod(sum(products), modulus).astype(np.uint64)
        zero = (hidden - summed) % np.uint64(modulus)
        phases = shared_switch.products_with_secrets(summed, parties.source[None], modulus)
        phases = phases + shared_switch.products_with_secrets(zero[0], parties.source[None], modulus)
        b = np.mod(cell * entries[row] + error - phases.astype(np.int64), modulus).astype(np.uint64)
        first, second = parties.key.switch((summed + zero) % np.uint64(modulus), b)
        seen.append((first, second % np.uint64(cell)))
        errors.append(error)
    assert np.array_equal(seen[0][0], seen[1][0])
    difference = (seen[0][1].astype(np.int64) - seen[1][1].astype(np.int64)) % cell
    made = shared_switch.split_parts((errors[0] - errors[1])[None].astype(np.uint64), 2)[0].astype(np.int64) % cell
    assert np.array_equal(difference, made)
    assert np.count_nonzero(difference) > n // 2


def negacyclic(x: NDArray[np.int64], y: NDArray[np.int64]) -> NDArray[np.int64]:
    """The product modulo X^n + 1 of integers below 2^8 and below 2^26."""
    ring = exact_ring(len(x), len(x) << 34)
    product = ring.inverse(ring.multiply(ring.forward(ring.from_signed(x)), ring.forward(ring.from_signed(y))))
    return to_power_of_two(ring, product, 64).astype(np.int64)


def test_an_answer_comes_down_from_a_prime_modulus() -> None:
    """A ciphertext modulo a prime of 53 bits, rounded to 2^26: the rounding is what the model states."""
    shape = choose_shared_answer(512, 2048, 2048, 1, 0.026**2)
    ring = ring_of(2048, 53)
    parties = Parties(shape)
    rng = np.random.default_rng(8)
    message = rng.integers(0, 512, 2048, dtype=np.uint64)
    a = rng.integers(0, ring.modulus, (1, 2048), dtype=np.uint64)
    secret = ring.forward(ring.from_signed(parties.source))
    b = ring.subtract(scale_up(message, ring, 512), ring.inverse(ring.multiply(ring.forward(a), secret)))
    small_a, small_b = (switch_modulus(element, ring, 26)[None] for element in (a, b))
    opened = parties.open(message[None], np.zeros((1, 2048), dtype=np.int64), small_a, small_b)
    assert opened.wrong(shape) == 0
    both = modulus_rounding_variance(2048) + shared_switch_variance(1024, 26, 2, 1, shape.digits, shape.digit_bits)
    assert bits_between(float(opened.switch.std()), float(np.sqrt(cells_squared(both, 512, 26)))) < BITS


def test_rows_of_a_key() -> None:
    """Under every secret a row has noise of 3.19; A is uniform, secrets and noise are fresh."""
    shape = CONFIGURATIONS["one ciphertext of degree 2048"]
    parties = Parties(shape)
    a = shared_switch.expand_rows(shape, parties.seed, LABEL)
    assert stats.chisquare(np.bincount((a >> np.uint64(18)).reshape(-1).astype(np.int64))).pvalue > IMPROBABLE
    even, odd = parties.source.reshape(1024, 2).T
    met = {0: (even, odd), 1: (np.concatenate([-odd[-1:], odd[:-1]]), even)}  # a_1 meets Y s_1 and s_0
    noise = []
    for row in range(shape.rows):
        part, digit = divmod(row, shape.digits)
        message = np.stack(met[part]) << np.int64(shape.dropped_bits + shape.digit_bits * digit)
        product = shared_switch.products_with_secrets(a[row], parties.secrets, 1 << 26)
        left = (parties.rows[row] + product - message.astype(np.uint64)) << np.uint64(38)
        noise.append(left.astype(np.int64) >> 38)
    values = np.concatenate(noise)
    assert_noise(values, 3.19**2, bits=0.01)
    assert np.abs(values).max() < 30
    again = Parties(shape)
    assert (again.secrets != parties.secrets).any()
    assert (again.source != parties.source).any()


def test_refusals() -> None:
    parties = Parties(SMALL)
    good = np.zeros((1, 64), dtype=np.uint64)
    with pytest.raises(ValueError, match="a has the coefficient 4096"):
        parties.key.switch(good + np.uint64(4096), good)
    with pytest.raises(ValueError, match="b has shape"):
        parties.key.switch(good, good[:, :32])
    with pytest.raises(ValueError, match="b has the coefficient"):
        shared_switch.SharedSwitch(SMALL, parties.rows + np.uint64(4096), parties.seed, LABEL)
    with pytest.raises(ValueError, match="seed has 3 bytes"):
        shared_switch.expand_rows(SMALL, b"abc", LABEL)
    with pytest.raises(ValueError, match="label has 256 bytes"):
        shared_switch.expand_rows(SMALL, parties.seed, "x" * 256)
    with pytest.raises(ValueError, match="not ternary"):
        shared_switch.generate_rows(SMALL, parties.secrets + 2, parties.source, new_seed(), LABEL)
    with pytest.raises(ValueError, match="source has shape"):
        shared_switch.generate_rows(SMALL, parties.secrets, sample_ternary(32), new_seed(), LABEL)
    with pytest.raises(ValueError, match="modulus is"):
        shared_switch.products_with_secrets(good[0, :32], parties.secrets, (1 << 60) - 1)
