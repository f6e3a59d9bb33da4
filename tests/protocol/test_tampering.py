"""What a changed bit of a message does: a share that is wrong, or an error."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from costmodel.parameters import Configuration
from protocol.errors import ProtocolError
from protocol.frames import Kind
from protocol.layout import Layout
from protocol.residue.bits import packed_bytes

pytest.importorskip("openfhe")
from tests.protocol.parties import ALIGNED, FLOODED, UNPACKED, Edit, Parties, own


def flipped(kind: Kind, position: Callable[[int], int]) -> Edit:
    """Flips one bit of the frames of a kind: the one at ``position`` of so many."""

    def edit(found: Kind, body: bytes) -> bytes:
        if found is not kind:
            return body
        bit = position(8 * len(body))
        changed = bytearray(body)
        changed[bit // 8] ^= 1 << bit % 8
        return bytes(changed)

    return edit


# A flip of a pad that the other party never uses changes nothing, so each is tried until one shows: half of the
# corrections and all but a sixteenth of an extension's bits do.
TRIES = 40


@pytest.mark.parametrize(
    ("sender", "kind"),
    [
        ("client", Kind.CARRY_CORRECTIONS),
        ("server", Kind.OT_EXTENSION),
        ("server", Kind.SEED_TREE_SUMS),
        ("client", Kind.BASE_OT_CHOICES),
        ("server", Kind.BASE_OT_POINT),
    ],
)
def test_one_flipped_bit_of_an_oblivious_transfer_is_noticed(sender: str, kind: Kind) -> None:
    parties = Parties(own(30, 9, align_bits=20, flooding_bits=0))
    assert parties.opens(parties.look_up([3]), [3])
    rng = np.random.default_rng(0)
    for _ in range(TRIES):
        edit = flipped(kind, lambda bits: int(rng.integers(bits)))
        seen = parties.look_up([3], **{"up" if sender == "client" else "down": edit})
        if seen.errors or not parties.opens(seen, [3]):
            return
    raise AssertionError(f"{TRIES} flipped bits of {kind.item} went unnoticed")


@pytest.mark.parametrize("configuration", [FLOODED, ALIGNED])
def test_one_flipped_bit_of_a_mask_is_noticed(configuration: Configuration) -> None:
    parties = Parties(configuration)
    seen = parties.look_up([3])
    assert parties.opens(seen, [3])
    bits = configuration.align_bits or configuration.ring.plaintext_modulus.bit_length() - 1
    for bit in (0, bits // 2, bits - 1):
        seen.server[0, 2] ^= seen.server.dtype.type(1 << bit)
        assert not parties.opens(seen, [3])
        seen.server[0, 2] ^= seen.server.dtype.type(1 << bit)
    assert parties.opens(seen, [3])


@pytest.mark.parametrize("configuration", [FLOODED, UNPACKED])
def test_a_flipped_high_bit_of_an_answer_is_noticed(configuration: Configuration) -> None:
    parties = Parties(configuration)
    assert configuration.wire is not None
    top = configuration.wire.answer_b_bits - 1
    columns = Layout.of(configuration).columns
    b_bytes = packed_bytes(columns, configuration.wire.answer_b_bits)
    seen = parties.look_up([3], down=flipped(Kind.ANSWER, lambda bits: bits - 8 * b_bytes + top))
    assert not seen.errors
    wrong = (seen.client + seen.server) % configuration.ring.plaintext_modulus != parties.table.coefficients[[3]]
    assert wrong.sum() == 1
    assert wrong[0, 0]


# Every engine, every frame

ENGINES = {
    "prepared": own(300, 40, prepared=True),
    "aligned": own(300, 41, align_bits=37, flooding_bits=0),
    "unpacked": own(300, 41, protocol="cheetah", flooding_bits=0),
    "extracted": own(300, 41, protocol="bumblebee", flooding_bits=0),
    "openfhe": own(300, 9, engine="openfhe"),
    "openfhe packed": own(300, 41, engine="openfhe", ablation="packlwes"),
    "slots": own(300, 24, protocol="cryptflow2", engine="openfhe"),
    "delphi": own(300, 24, options=("delphi",), flooding_bits=0),
    "folded": own(300, 40, protocol="folded", flooding_bits=0),
    "folded, prepared": own(300, 40, protocol="folded", flooding_bits=0, prepared=True),
    "compressed": own(300, 40, protocol="compressed", flooding_bits=0),
}

CHANGES: dict[str, Callable[[bytes, np.random.Generator], bytes]] = {
    "zeros": lambda body, rng: bytes(len(body)),
    "ones": lambda body, rng: b"\xff" * len(body),
    "noise": lambda body, rng: rng.bytes(len(body)),
    "short": lambda body, rng: body[: int(rng.integers(len(body)))] if body else b"x",
    "long": lambda body, rng: body + rng.bytes(8),
    "last byte": lambda body, rng: body[:-1] + bytes([(body[-1] if body else 0) ^ 0x80]),
    "a word": lambda body, rng: rng.bytes(8) + body[8:],
}
RESIZED = ("short", "long")


def changed(frame: int, change: str, seed: int) -> Edit:
    """Changes the frame that is so many in its direction; its checksum fits."""
    count = iter(range(10**6))

    def edit(_: Kind, body: bytes) -> bytes:
        return CHANGES[change](body, np.random.default_rng(seed)) if next(count) == frame else body

    return edit


def bombard(configuration: Configuration, examples: int) -> None:
    """Whatever comes, both parties end with an error of the protocol or with shares, and the next lookup is right."""
    parties = Parties(configuration)
    tokens = [7] * configuration.table.tokens
    honest = parties.look_up(tokens)
    assert parties.opens(honest, tokens)
    frames = {"up": len(honest.up), "down": len(honest.down)}
    rng = np.random.default_rng(20)
    for _ in range(examples):
        way = str(rng.choice(["up", "down"]))
        change = str(rng.choice(list(CHANGES)))
        edit = changed(int(rng.integers(frames[way])), change, int(rng.integers(2**32)))
        seen = parties.look_up(tokens, **{way: edit})
        assert all(isinstance(error, ProtocolError) for error in seen.errors)
        assert seen.errors or (seen.client is not None and seen.server is not None)
        assert seen.errors or change not in RESIZED
        if seen.session is not None and seen.client is not None:
            assert np.isfinite(seen.session.engine.noise_bits())
    assert parties.opens(parties.look_up(tokens), tokens)


@pytest.mark.parametrize("configuration", ENGINES.values(), ids=list(ENGINES))
def test_changed_frames_of_every_engine_end_in_an_error_or_a_share(configuration: Configuration) -> None:
    bombard(configuration, 3)


@pytest.mark.slow
@pytest.mark.parametrize("configuration", ENGINES.values(), ids=list(ENGINES))
def test_many_changed_frames_of_every_engine_end_in_an_error_or_a_share(configuration: Configuration) -> None:
    bombard(configuration, 100)
