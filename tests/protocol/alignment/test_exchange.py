"""The channel within the process, and the check of lengths that does not trust any channel."""

from __future__ import annotations

from typing import Any

import pytest

from protocol.alignment.exchange import local_pair, receive_exactly


def test_messages_arrive_in_order_and_are_counted() -> None:
    one, other = local_pair()
    one.send("a", b"12")
    one.send("b", b"")
    other.send("c", b"345")
    assert [other.receive("a", 2), other.receive("b", 0), one.receive("c", 3)] == [b"12", b"", b"345"]
    assert (one.sent, other.sent) == ([("a", 2), ("b", 0)], [("c", 3)])


def test_another_kind_is_refused() -> None:
    one, other = local_pair()
    one.send("a", b"")
    with pytest.raises(ValueError, match="kind 'a' received, must be 'b'"):
        other.receive("b", 0)


def test_silence_ends_the_wait() -> None:
    with pytest.raises(TimeoutError, match=r"a: nothing received within 0\.01 s"):
        local_pair(0.01)[0].receive("a", 1)


def test_another_length_is_refused(parties: Any) -> None:
    assert receive_exactly(parties.ScriptedExchange(b"abc"), "a", 3) == b"abc"
    with pytest.raises(ValueError, match="a: 3 bytes received, must be 4"):
        receive_exactly(parties.ScriptedExchange(b"abc"), "a", 4)
