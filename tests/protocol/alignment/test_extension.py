"""Both extensions: the correlation between the parties' rows."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from protocol.alignment.exchange import local_pair
from protocol.alignment.extension import (
    ExtensionReceiver,
    ExtensionSender,
    IknpReceiverSeeds,
    IknpSenderSeeds,
)
from protocol.alignment.softspoken import block_widths, grow_trees, level_sum_bytes, puncture_trees


def extension(block_bits: int, seed: int) -> tuple[ExtensionReceiver, ExtensionSender]:
    """Both ends, from base transfers that are dealt."""
    rng = np.random.default_rng(seed)
    both = rng.integers(0, 256, (128, 2, 16), np.uint8)
    choices = rng.integers(0, 2, 128).astype(np.bool_)
    chosen = both[np.arange(128), choices.astype(int)]
    if block_bits == 1:
        return ExtensionReceiver(IknpReceiverSeeds(both)), ExtensionSender(IknpSenderSeeds(chosen, choices))
    one, other = local_pair(1)
    receiver = grow_trees(one, both, block_bits)
    assert one.sent == [("seed_tree_sums", level_sum_bytes(block_bits))]
    return ExtensionReceiver(receiver), ExtensionSender(puncture_trees(other, chosen, choices, block_bits))


@pytest.mark.parametrize("block_bits", range(1, 9))
def test_rows_differ_by_delta_where_the_choice_is_one(block_bits: int) -> None:
    receiver, sender = extension(block_bits, block_bits)
    seen: set[bytes] = set()
    for query, count in enumerate([1000, 1, 8, 77, 1000]):
        choices = np.random.default_rng(query).integers(0, 2, count).astype(np.bool_)
        message, rows = receiver.extend(choices)
        assert len(message) == len(block_widths(block_bits)) * -(-count // 8)
        expected = np.where(choices[:, None], rows ^ sender.delta, rows)
        assert np.array_equal(sender.extend(message, count), expected)
        seen.update(row.tobytes() for row in rows)
    assert len(seen) == 2086, "a row came twice"


@pytest.mark.parametrize("block_bits", [1, 3, 8])
def test_the_message_and_the_rows_look_uniform(block_bits: int) -> None:
    receiver, _ = extension(block_bits, 9)
    message, rows = receiver.extend(np.ones(8000, np.bool_))
    for octets in (np.frombuffer(message, np.uint8), rows):
        bits = np.unpackbits(octets)
        assert abs(bits.mean() - 0.5) < 3.5 / np.sqrt(len(bits))  # 7 standard deviations
    again, _ = receiver.extend(np.ones(8000, np.bool_))
    assert again != message


@pytest.mark.parametrize("block_bits", [1, 4])
def test_malformed_extension_messages_are_refused(block_bits: int) -> None:
    edits: list[tuple[Callable[[bytes], bytes], str]] = [
        (lambda message: message[:-1], "must be"),
        (lambda message: message + b"\0", "must be"),
        (lambda message: message[:-1] + bytes([message[-1] | 0x80]), "padding bits"),
    ]
    for edit, reason in edits:
        receiver, sender = extension(block_bits, 10)
        message, _ = receiver.extend(np.zeros(13, np.bool_))
        with pytest.raises(ValueError, match=reason):
            sender.extend(edit(message), 13)


def test_blocks_make_up_128_columns() -> None:
    for block_bits in range(1, 9):
        widths = block_widths(block_bits)
        assert sum(widths) == 128
        assert len(widths) == -(-128 // block_bits)
    assert [level_sum_bytes(k) for k in (1, 2, 3, 4, 8)] == [0, 2048, 2720, 3072, 3584]


def test_wrong_length_of_the_tree_sums_is_refused(parties: Any) -> None:
    keys, choices = np.zeros((128, 16), np.uint8), np.zeros(128, np.bool_)
    with pytest.raises(ValueError, match="seed_tree_sums: 3071 bytes received, must be 3072"):
        puncture_trees(parties.ScriptedExchange(bytes(3071)), keys, choices, 4)


def test_the_sender_misses_exactly_one_leaf_of_every_tree() -> None:
    rng = np.random.default_rng(11)
    both = rng.integers(0, 256, (128, 2, 16), np.uint8)
    choices = rng.integers(0, 2, 128).astype(np.bool_)
    one, other = local_pair(1)
    whole = grow_trees(one, both, 3)
    punctured = puncture_trees(other, both[np.arange(128), choices.astype(int)], choices, 3)
    for all_leaves, known in zip(whole._leaves, punctured._leaves, strict=True):
        held = {leaf.tobytes() for leaf in all_leaves}
        assert len(held) == len(all_leaves)
        assert {leaf.tobytes() for leaf in known} < held
        assert len(known) == len(held) - 1
