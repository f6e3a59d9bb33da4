"""Entries of the alignment: the model restates what the protocol sends."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from costmodel.alignment.formulas import ferret_bytes, sirnn_bytes
from costmodel.alignment.ledger import _streams, alignment_terms, message_bytes, needs_transfers
from costmodel.grid import Grid
from costmodel.ledger import Term, Transfer, Work
from costmodel.parameters import Packing, Ring, Table
from costmodel.systems import configuration, published
from protocol.alignment.fields import Fields
from protocol.alignment.messages import message_lengths
from protocol.alignment.softspoken import block_widths


@given(
    coefficients=st.integers(1, 5000),
    widths=st.lists(st.integers(1, 6), min_size=1, max_size=4),
    spare=st.integers(0, 12),
    odd=st.booleans(),
    target_bits=st.integers(1, 64),
    block_bits=st.integers(1, 8),
)
def test_bytes_are_the_protocols(
    coefficients: int, widths: list[int], spare: int, odd: bool, target_bits: int, block_bits: int
) -> None:
    moduli = [2 ** (width + 1) for width in widths]
    moduli[-1] = moduli[-1] * 2**spare + odd
    expected = message_lengths(coefficients, Fields(tuple(moduli)), target_bits, block_bits)
    found = message_bytes(coefficients, len(moduli), moduli[-1], target_bits, block_bits)
    sent = {message.item: message.bytes for message in expected}
    assert {item: size for item, size in found._asdict().items() if item in sent or size} == sent


def grid(**changes: object) -> Grid:
    base = published("fastquery", Table(32000, 4096)).updated(align_bits=37, **changes)
    return Grid.of(base)


@pytest.mark.parametrize("block_bits", range(1, 9))
def test_streams_are_the_protocols(block_bits: int) -> None:
    assert int(_streams(block_bits)) == sum(1 << width for width in block_widths(block_bits))


def test_wider_blocks_send_less_and_take_longer() -> None:
    base = configuration("folded", Table(32000, 4096), align_bits=37)
    ledger = alignment_terms(Grid.of(base, block_bits=np.arange(1, 9)))
    sent = next(term for term in ledger if isinstance(term, Transfer) and term.item == "ot extension")
    assert np.all(np.diff(sent.size_bytes) < 0)
    assert sent.size_bytes[3] - 16 == 2 * (sent.size_bytes[7] - 16)
    for operation in ("extend transfers", "correct carries"):
        work = next(term for term in ledger if isinstance(term, Work) and term.operation == operation)
        assert np.all(np.diff(work.size[1:]) > 0)
        assert work.size[3] == 4096


def test_entries_stand_by_themselves_and_keys_in_setup() -> None:
    ledger = alignment_terms(grid())
    assert [(t.phase, t.party) for t in ledger if isinstance(t, Transfer)] == [
        ("setup", "server"),
        ("setup", "client"),
        ("setup", "server"),
        ("online", "server"),
        ("online", "client"),
    ]


def test_no_entries_without_alignment_and_zeros_where_a_grid_has_some() -> None:
    assert alignment_terms(Grid.of(published("fastquery", Table(32000, 4096)))) == ()
    mixed = Grid.of(published("fastquery", Table(32000, 4096)), align_bits=np.array([0, 37]))
    single = alignment_terms(grid())
    for many, one in zip(alignment_terms(mixed), single, strict=True):
        assert isinstance(many, Transfer)
        assert isinstance(one, Transfer)
        assert list(np.broadcast_to(many.size_bytes, 2)) == [0, one.size_bytes]


def total(terms: tuple[object, ...], party: str, phase: str) -> float:
    return sum(float(t.size_bytes) for t in terms if isinstance(t, Transfer) and (t.party, t.phase) == (party, phase))


def conversation(terms: tuple[Term, ...]) -> list[tuple[int, str]]:
    return [(t.exchange, t.party) for t in terms if t.phase == "online"]


def test_sirnn_with_either_transfer() -> None:
    iknp = alignment_terms(grid(options=("sirnn-iknp",)))
    expected = sirnn_bytes(4096, 37)
    assert (total(iknp, "server", "online"), total(iknp, "client", "online")) == expected
    ferret = alignment_terms(grid(options=("sirnn-ferret",)))
    expected = ferret_bytes(4096, 37)
    assert (total(ferret, "server", "online"), total(ferret, "client", "online")) == expected
    assert total(ferret, "server", "offline") > 0
    assert conversation(iknp) == [(1, "server"), (2, "client"), (2, "server"), (3, "client")]
    assert conversation(ferret) == [(1, "server"), (2, "client")]


def test_fields_that_do_not_fill_the_modulus_are_refused() -> None:
    base = published("fastquery", Table(32000, 4096))
    ring = type(base.ring)(4096, (39,), 10007)
    with pytest.raises(ValueError, match=r"ring\.t is 10007.*multiple of 512"):
        alignment_terms(Grid.of(base.updated(ring=ring, align_bits=37)))


def test_one_wide_channel_a_coefficient_needs_no_transfer() -> None:
    wide = grid(ring=Ring(4096, (53, 53), 2**37), packing=Packing((4,), "column", "packlwes"))
    assert alignment_terms(wide) == ()
    narrower = grid(ring=Ring(4096, (53, 53), 2**36), packing=Packing((4,), "column", "packlwes"))
    assert total(alignment_terms(narrower), "client", "online") > 0


@given(st.integers(1, 3), st.integers(1, 50), st.integers(1, 64))
def test_transfers_are_needed_as_the_protocol_makes_them(fields: int, last_bits: int, target_bits: int) -> None:
    moduli = (32,) * (fields - 1) + (2**last_bits,)
    assert needs_transfers(fields, 2**last_bits, target_bits) == any(Fields(moduli).carry_bits(target_bits))
