"""Correlated transfers over words."""

from __future__ import annotations

import numpy as np
import pytest

from protocol.alignment.correlated import CorrelatedReceiver, CorrelatedSender, hash_rows
from protocol.alignment.extension import (
    ExtensionReceiver,
    ExtensionSender,
    IknpReceiverSeeds,
    IknpSenderSeeds,
)

SALT = b"sixteen bytes..."


def ends(sender_salt: bytes = SALT) -> tuple[CorrelatedReceiver, CorrelatedSender]:
    rng = np.random.default_rng(1)
    both = rng.integers(0, 256, (128, 2, 16), np.uint8)
    choices = rng.integers(0, 2, 128).astype(np.bool_)
    chosen = both[np.arange(128), choices.astype(int)]
    return (
        CorrelatedReceiver(ExtensionReceiver(IknpReceiverSeeds(both)), SALT),
        CorrelatedSender(ExtensionSender(IknpSenderSeeds(chosen, choices)), sender_salt),
    )


@pytest.mark.parametrize("bits", [1, 7, 37, 64])
def test_shares_of_the_product_of_a_bit_and_a_word(bits: int) -> None:
    receiver, sender = ends()
    mask = np.uint64(2**bits - 1)
    for query in range(3):
        rng = np.random.default_rng(query)
        choices = rng.integers(0, 2, 1000).astype(np.bool_)
        words = rng.integers(0, 2**64 - 1, 1000, np.uint64, endpoint=True)
        sender.take(receiver.choose(choices), 1000)
        corrections, ours = sender.correct(words)
        theirs = receiver.shares(corrections & mask)
        assert np.array_equal((ours + theirs) & mask, np.where(choices, words, np.uint64(0)) & mask)


def test_corrections_hide_the_words() -> None:
    # The same words twice: neither what is sent nor what the other choice would have given comes again.
    receiver, sender = ends()
    words = np.zeros(5000, np.uint64)
    seen: set[int] = set()
    for choice in (False, True):
        sender.take(receiver.choose(np.full(5000, choice)), 5000)
        corrections, _ = sender.correct(words)
        bits = np.unpackbits(corrections.view(np.uint8))
        assert abs(bits.mean() - 0.5) < 3.5 / np.sqrt(len(bits))  # 7 standard deviations
        seen.update(corrections.tolist())
    assert len(seen) == 10_000


def test_parties_of_different_sessions_do_not_agree() -> None:
    receiver, sender = ends(sender_salt=b"sixteen others..")
    sender.take(receiver.choose(np.zeros(100, np.bool_)), 100)
    _, ours = sender.correct(np.zeros(100, np.uint64))
    assert ((ours + receiver.shares(np.zeros(100, np.uint64))) != 0).all()


def test_the_hash_depends_on_salt_number_and_row() -> None:
    rows = np.zeros((4, 16), np.uint8)
    rows[3, 15] = 1
    hashes = {
        *hash_rows(SALT, 0, rows).tolist(),
        *hash_rows(SALT, 4, rows).tolist(),
        *hash_rows(bytes(16), 0, rows).tolist(),
    }
    assert len(hashes) == 12
    assert hash_rows(SALT, 2, rows[:1]).tolist() == hash_rows(SALT, 0, rows)[2:3].tolist()


def test_hashes_do_not_depend_on_how_many_are_made_together(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = np.random.default_rng(1).integers(0, 256, (50, 16), dtype=np.uint8)
    together = hash_rows(bytes(16), 7, rows)
    monkeypatch.setattr("protocol.alignment.correlated._HASHED_TOGETHER", 8)
    assert np.array_equal(hash_rows(bytes(16), 7, rows), together)
    assert len(set(together.tolist())) == 50
