from __future__ import annotations

import pytest

from costmodel.repetition import largest_repeated_level, repeated_switches, repeated_variances, repetitions


@pytest.mark.parametrize("degree", [64, 128, 1024, 2048, 4096, 8192, 32768])
def test_powers_of_one_automorphism_are_those_of_all_levels_before(degree: int) -> None:
    most = largest_repeated_level(degree)
    for level in range(most + 1):
        exponent = (degree >> level) + 1
        for i, times in enumerate(repetitions(degree, level)):
            assert pow(exponent, times, 2 * degree) == (degree >> i) + 1
    beyond = (degree >> (most + 1)) + 1
    assert pow(beyond, 2, 2 * degree) != (degree >> most) + 1
    with pytest.raises(ValueError, match=f"level is {most + 1}"):
        repetitions(degree, most + 1)


def test_switches_and_variances_count_repetitions() -> None:
    nodes = (1, 1, 1, 2, 4, 8, 16, 32, 64, 128, 256)
    assert repeated_switches(2048, 0, nodes) == sum(nodes)
    assert repeated_switches(2048, 4, nodes) - sum(nodes) == 15 + 7 + 3 + 2
    assert repeated_variances(2048, 1, [7.0, 3.0, 5.0]).tolist() == [6.0, 3.0, 5.0]
