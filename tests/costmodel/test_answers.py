from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from costmodel import answers
from costmodel.answers import SharedAnswer, choose_shared_answer
from costmodel.noise import required_ratio
from costmodel.security import max_log2_q, security_bits

ONE = SharedAnswer(512, 2048, 2, 1, 1, 8, 3, 34, 2)


def test_degree_1024_has_128_bits_with_26_and_no_larger_modulus() -> None:
    assert max_log2_q(answers.DEGREE, 128) == answers.MODULUS_BITS
    assert int(security_bits(1024, 26)) >= 128
    assert ONE.security_bits >= 128
    assert all(replace(ONE, modulus_bits=bits).security_bits < 128 for bits in range(27, 54))
    assert all(int(security_bits(1024, bits)) < 128 for bits in range(27, 120))
    assert replace(ONE, degree=2048, modulus_bits=53).security_bits >= 128
    assert replace(ONE, degree=512, coefficients=1024).security_bits < 128


def test_counts_and_bytes() -> None:
    assert (ONE.outputs, ONE.rows, ONE.dropped_bits, ONE.used_parts) == (2, 16, 2, (0, 1))
    assert ONE.answer_bytes == 1024 * 17 // 8 + 2048 * 2 // 8
    assert ONE.key_bytes == 32 + 16 * 2 * 1024 * 26 // 8
    four = SharedAnswer(512, 8192, 2, 1, 4, 8, 3, 35, 2)
    assert (four.outputs, four.rows) == (8, 64)
    assert four.answer_bytes == 1024 * 35 // 16 + 8192 * 2 // 8
    strided = SharedAnswer(512, 2048, 4, 2, 1, 8, 3, 34, 2)
    assert (strided.used_parts, strided.outputs, strided.rows) == ((0, 2), 2, 32)


def test_an_answer_without_a_switch_has_no_key() -> None:
    own = SharedAnswer(1 << 13, 1366, 1, 1, 1, 0, 1, 42, 1, degree=2048, modulus_bits=52)
    assert (own.rows, own.key_bytes, own.transforms) == (0, 0, 0)
    rounding = answers.cells_squared(answers.modulus_rounding_variance(2048), 1 << 13, 52)
    assert own.variance == pytest.approx(rounding + answers.a_rounding_variance(2048, 1 << 13, 42))
    with pytest.raises(ValueError, match="digits is 0"):
        replace(own, parts=2)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("plaintext_modulus", 1),
        ("plaintext_modulus", 1 << 25),
        ("parts", 3),
        ("stride", 4),
        ("ciphertexts", 0),
        ("digits", 27),
        ("digit_bits", 4),
        ("a_half_bits", 19),
        ("a_half_bits", 53),
        ("low_bits", 0),
        ("low_bits", 9),
        ("coefficients", 2049),
        ("degree", 1000),
        ("modulus_bits", 54),
        ("sigma", 0.1),
    ],
)
def test_fields_out_of_bounds_are_named(field: str, value: float) -> None:
    with pytest.raises(ValueError, match=f"{field} is {value}"):
        replace(ONE, **{field: value})


def test_half_bits_hold_pairs() -> None:
    for half_bits in range(2, 105):
        values = answers.a_values(half_bits)
        assert values**2 <= 1 << half_bits < (values + 1) ** 2


@settings(max_examples=25, deadline=None)
@given(st.floats(1e-4, 0.03), st.sampled_from([(2048, 1), (4096, 2), (8192, 4)]))
def test_the_choice_holds_and_nothing_smaller_does(deviation: float, shape: tuple[int, int]) -> None:
    degree, stride = shape
    try:
        chosen = choose_shared_answer(512, 2048, degree, stride, deviation**2, key_byte_share=1e-9)
    except ValueError:
        assert deviation > 0.02
        return
    assert chosen.log2_failure(deviation**2) <= -40
    smallest = replace(chosen, a_half_bits=chosen.a_half_bits - 1)
    assert smallest.log2_failure(deviation**2) > -40
    if not chosen.rows:
        return
    # without any noise of the key there is still no room for fewer bits of a
    for digits, bits in ((13, 2), (26, 1), (8, 3)):
        other = replace(smallest, digits=1, digit_bits=bits)
        assert replace(other, digits=digits).log2_failure(deviation**2) > -40


def test_several_ciphertexts_share_an_a_where_their_key_costs_less() -> None:
    costs = [
        choose_shared_answer(512, 8192, 2048, 1, 1e-6, ciphertexts=4, key_byte_share=share).ciphertexts
        for share in (1e-6, 2e-3, 1.0)
    ]
    assert costs == sorted(costs, reverse=True)
    assert (costs[0], costs[-1]) == (4, 1)
    assert choose_shared_answer(512, 2048, 2048, 1, 1e-6, key_byte_share=1e-9).ciphertexts == 1


def test_a_ciphertext_of_the_degree_of_the_answer_is_not_switched() -> None:
    chosen = choose_shared_answer(1 << 13, 1366, 2048, 1, 0.01**2, most_modulus_bits=52)
    assert (chosen.degree, chosen.digits, chosen.key_bytes) == (2048, 0, 0)
    assert (
        chosen.log2_failure(0.01**2) <= -40 < replace(chosen, a_half_bits=chosen.a_half_bits - 1).log2_failure(0.01**2)
    )


def test_answers_are_the_smallest_of_all_for_every_error_before() -> None:
    """Against every choice of the ring of degree 1024, one by one."""
    share, t, count = 2.5e-4, 64, 2048
    kinds, row = answers.AnswerKinds.distinct(t, 2048, 1, 1, 1, 53, 3.19, share)
    table, ratio = answers.AnswerTable(kinds), float(required_ratio(-40, count))
    every = [
        SharedAnswer(t, count, 2, 1, 1, digits, bits, half_bits, low)
        for digits in range(1, 14)
        for bits in range(1, 26 // digits + 1)
        for half_bits in range(14, 40)
        for low in range(1, 6)
    ]
    rooms = np.array([(float(answers.share_limit(each.low_bits)) / ratio) ** 2 - each.variance for each in every])
    sizes = np.array([each.answer_bytes + share * (each.key_bytes - 32) for each in every])
    for deviation in (0.001, 0.01, 0.02, 0.03, 0.04):
        found = table.smallest(row, np.asarray(deviation**2), 0.0, ratio, count)
        assert found.degree == 1024
        assert float(found.size) == pytest.approx(sizes[rooms >= deviation**2].min())


def test_the_choice_weighs_key_and_answer() -> None:
    """Fewer bytes of key where these count, fewer of the answers where they do not."""
    light, heavy = (choose_shared_answer(512, 2048, 2048, 1, 0.005**2, key_byte_share=share) for share in (0.01, 1e-6))
    assert light.key_bytes < heavy.key_bytes
    assert light.answer_bytes >= heavy.answer_bytes


def test_flooding_comes_off_the_limit() -> None:
    assert ONE.log2_failure(1e-6, 0.1) > ONE.log2_failure(1e-6)
    assert ONE.log2_failure(1e-6, 0.375) == 0.0
    with pytest.raises(ValueError, match=r"flooding of 0\.5 cells"):
        choose_shared_answer(512, 2048, 2048, 1, 1e-6, flooding=0.5)


def test_variance_of_a_switch_by_its_terms() -> None:
    digits = 1024 * 2 * 8 * 3.19**2 * (8**2 + 2) / 12
    dropped = 1024 * 2 * (2 / 3) * (4**2 + 2) / 12
    assert answers.shared_switch_variance(1024, 26, 2, 1, 8, 3) == pytest.approx(digits + dropped)
    assert answers.shared_switch_variance(1024, 26, 2, [1, 4], 8, 3)[1] == pytest.approx(4 * digits + dropped)
    assert answers.share_limit([1, 2]).tolist() == [0.25, 0.375]
    assert float(answers.a_rounding_variance(1024, 512, 34)) == pytest.approx(512**2 / 4**17 * 1024 / 18)
    assert np.sqrt(answers.cells_squared(2.0**34, 512, 26)) == pytest.approx(1.0)
