"""The base oblivious transfers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from nacl import bindings
from numpy.typing import NDArray

from protocol.alignment.base_ot import receive_base_ots, send_base_ots
from protocol.alignment.exchange import local_pair

CHOICES = np.random.default_rng(5).integers(0, 2, 128).astype(np.bool_)
FIELD_PRIME = 2**255 - 19
ORDER_TWO = (FIELD_PRIME - 1).to_bytes(32, "little")
GOOD = bindings.crypto_scalarmult_ed25519_base_noclamp((12345).to_bytes(32, "little"))
BAD_POINTS = {
    "identity": (1).to_bytes(32, "little"),
    "order two": ORDER_TWO,
    "order four": bytes(32),
    "of a larger subgroup": bindings.crypto_core_ed25519_add(GOOD, ORDER_TWO),
    "not on the curve": (2).to_bytes(32, "little"),
    "not canonical": (FIELD_PRIME + 1).to_bytes(32, "little"),
}


def run(parties: Any, sender_session: bytes, receiver_session: bytes) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    one, other = local_pair(60)
    both, chosen = parties.in_two_threads(
        lambda: send_base_ots(one, sender_session), lambda: receive_base_ots(other, receiver_session, CHOICES)
    )
    return both, chosen


def test_the_receiver_gets_the_chosen_key_of_every_transfer(parties: Any) -> None:
    both, chosen = run(parties, parties.session, parties.session)
    index = np.arange(128)
    assert np.array_equal(both[index, CHOICES.astype(int)], chosen)
    assert not (both[index, 1 - CHOICES.astype(int)] == chosen).all(axis=1).any()
    assert len({key.tobytes() for key in both.reshape(-1, 16)}) == 256


def test_keys_are_bound_to_the_session(parties: Any) -> None:
    both, chosen = run(parties, b"session one", b"session two")
    assert not (both == chosen[:, None]).all(axis=2).any()


@pytest.mark.parametrize("name", BAD_POINTS)
def test_bad_points_are_refused_by_both(name: str, parties: Any) -> None:
    with pytest.raises(ValueError, match="base_ot_point: not a point"):
        receive_base_ots(parties.ScriptedExchange(BAD_POINTS[name]), parties.session, CHOICES)
    with pytest.raises(ValueError, match="base_ot_choices: not a point"):
        send_base_ots(parties.ScriptedExchange(GOOD * 127 + BAD_POINTS[name]), parties.session)


def test_good_points_are_taken(parties: Any) -> None:
    assert receive_base_ots(parties.ScriptedExchange(GOOD), parties.session, CHOICES).shape == (128, 16)
    assert send_base_ots(parties.ScriptedExchange(GOOD * 128), parties.session).shape == (128, 2, 16)


def test_the_senders_own_point_is_refused(parties: Any) -> None:
    class Echo:
        def send(self, kind: str, payload: bytes) -> None:
            self.point = payload

        def receive(self, kind: str, length: int) -> bytes:
            return GOOD + self.point + GOOD * 126

    with pytest.raises(ValueError, match="point 1 is the sender's own"):
        send_base_ots(Echo(), parties.session)


@pytest.mark.parametrize("length", [0, 31, 33])
def test_wrong_lengths_are_refused(length: int, parties: Any) -> None:
    with pytest.raises(ValueError, match=f"base_ot_point: {length} bytes received, must be 32"):
        receive_base_ots(parties.ScriptedExchange(bytes(length)), parties.session, CHOICES)
    with pytest.raises(ValueError, match="must be 4096"):
        send_base_ots(parties.ScriptedExchange(bytes(length)), parties.session)
