"""What is on the wire and in the kernels is what it was: a change of either needs a new version of the frames."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

pytest.importorskip("openfhe")
from tests.protocol import known_answers

KNOWN = json.loads(Path(__file__).with_name("known_answers.json").read_text())


@pytest.mark.parametrize("part", list(known_answers.PARTS))
def test_answers_are_the_known_ones(part: str) -> None:
    assert known_answers.PARTS[part]() == KNOWN[part]


def test_known_randomness_is_of_these_answers_alone() -> None:
    with known_answers.known_randomness():
        pass
    assert known_answers.sample_ternary(64).tolist() != known_answers.sample_ternary(64).tolist()
