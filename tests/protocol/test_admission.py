"""What a server's sessions hold against what they are admitted for."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from costmodel.grid import Grid
from costmodel.parameters import Configuration, Table
from costmodel.systems import design_of, executed
from protocol.admission import Admission, Memory, held_bytes
from protocol.alignment.session import aligning_bytes
from protocol.engines import engine_of
from protocol.errors import ProtocolError
from protocol.meter import Meter
from protocol.seeds import SeedRecord
from protocol.turns import Turns
from protocol.workspaces import Workspaces
from quantize.quantizers import quantize_table
from quantize.tables import open_table

pytest.importorskip("openfhe")


def arrays(kept: Any, seen: set[int]) -> int:
    """Bytes of all arrays within an object, each counted once."""
    if id(kept) in seen:
        return 0
    seen.add(id(kept))
    if isinstance(kept, np.ndarray):
        return 0 if kept.base is not None else kept.nbytes
    if isinstance(kept, dict):
        return sum(arrays(value, seen) for value in kept.values())
    if isinstance(kept, (list, tuple)):
        return sum(arrays(value, seen) for value in kept)
    return arrays(vars(kept), seen) if type(kept).__module__.startswith("protocol.") else 0


def coefficients_of(configuration: Configuration) -> np.ndarray:
    shape = f"{configuration.table.rows}x{configuration.table.channels}"
    return quantize_table(open_table(shape), configuration.packing.widths).coefficients


@pytest.mark.parametrize(
    ("protocol", "tokens", "options"),
    [
        ("fastquery", 2, {}),
        ("fastquery", 2, {"prepared": True}),
        ("fastquery", 2, {"options": ("delphi",), "flooding_bits": 0}),
        ("folded", 1, {"flooding_bits": 0}),
        ("folded", 3, {"flooding_bits": 0, "prepared": True}),
        ("compressed", 3, {}),
    ],
)
def test_a_session_holds_no_more_than_it_was_admitted_for(protocol: str, tokens: int, options: dict[str, Any]) -> None:
    configuration = executed(protocol, Table(300, 192, tokens), **options)
    coefficients = coefficients_of(configuration)
    server = engine_of(configuration).server(configuration, coefficients, Meter("server"), lambda *_: None, False)
    client = engine_of(configuration).client(configuration, tokens, Meter("client"), False, SeedRecord())
    session = server.session(tokens, Meter("server"))
    shared: set[int] = set()
    arrays(server, shared)
    session.accept_keys(list(client.keys()))
    if configuration.has_offline_phase:
        client.accept_first_halves(list(session.prepare(list(client.announce()))))
    held, shapes = arrays(session, shared), session.shapes
    assert held > 0
    assert held <= held_bytes(shapes)


def test_what_is_prepared_goes_with_its_lookup() -> None:
    """A client that asks under other counters than it announced, or never, leaves nothing behind."""
    configuration = executed("folded", Table(300, 24, 2), flooding_bits=0, prepared=True)
    server = engine_of(configuration).server(
        configuration, coefficients_of(configuration), Meter("server"), lambda *_: None, False
    )
    client = engine_of(configuration).client(configuration, 2, Meter("client"), False, SeedRecord())
    session = server.session(2, Meter("server"))
    session.accept_keys(list(client.keys()))
    held, shares = arrays(session, set()), np.empty((2, coefficients_of(configuration).shape[1]), dtype=np.int64)
    announced, other = (client.lookup(2, True) for _ in range(2))
    frames, others = list(announced.announce()), list(other.announce())
    lookup = session.lookup(2, True)
    assert list(lookup.prepare(frames)) == [b""]
    assert arrays(lookup, set()) - held == lookup.shapes.prepared_bytes
    assert arrays(session, set()) == held
    with pytest.raises(ProtocolError, match="repeats a counter"):
        list(session.lookup(2, False).answer(list(announced.encrypt([1, 2])), shares))
    assert len(list(lookup.answer(list(other.encrypt([1, 2])), shares))) == lookup.shapes.answer.frames
    del lookup
    assert len(others) == 1
    assert arrays(session, set()) == held


@pytest.mark.parametrize("protocol", ["folded", "compressed"])
@pytest.mark.parametrize("flooding_bits", [0, 40])
def test_keys_ready_for_use_are_what_is_kept(protocol: str, flooding_bits: int) -> None:
    """Messages are counted apart: they are not what the keys take."""
    configuration = executed(protocol, Table(300, 192, 1), flooding_bits=flooding_bits)
    server = engine_of(configuration).server(
        configuration, coefficients_of(configuration), Meter("server"), lambda *_: None, False
    )
    client = engine_of(configuration).client(configuration, 1, Meter("client"), False, SeedRecord())
    session = server.session(1, Meter("server"))
    shared: set[int] = set()
    arrays(server, shared)
    session.accept_keys(list(client.keys()))
    # What is there besides are constants of gadgets, and a limb's own roots.
    assert arrays(session, shared) == pytest.approx(session.shapes.kept_bytes, rel=0.02)


@pytest.mark.parametrize(
    ("protocol", "options"),
    [
        ("fastquery", {}),
        ("fastquery", {"prepared": True}),
        ("fastquery", {"flooding_bits": 0, "engine": "openfhe"}),
        ("cheetah", {"engine": "residue"}),
        ("cheetah", {"options": ("delphi",), "engine": "openfhe", "flooding_bits": 0}),
        ("cryptflow2", {"engine": "openfhe"}),
        ("folded", {"flooding_bits": 0}),
        ("folded", {"prepared": True}),
        ("folded", {"prepared": True, "distance": -26.0, "queries": 1 << 20}),
        ("compressed", {}),
        ("bucketed", {}),
    ],
    ids=str,
)
def test_a_service_counts_the_memory_that_the_model_predicts(protocol: str, options: dict[str, Any]) -> None:
    configuration = executed(protocol, Table(300, 192, 3), **options)
    client = engine_of(configuration).client(configuration, 3, Meter("client"), False, SeedRecord())
    grid = Grid.of(configuration)
    predicted, counted = design_of(grid).memory(grid), client.shapes
    assert counted.kept_bytes == pytest.approx(
        predicted.keys_bytes, rel=0.02 if configuration.engine == "openfhe" else 0
    )
    assert counted.prepared_bytes == predicted.prepared_bytes


def test_a_session_that_would_prepare_more_than_there_is_room_for_is_refused() -> None:
    configuration = executed("folded", Table(300, 24, 1), flooding_bits=0, prepared=True)
    server = engine_of(configuration).server(
        configuration, coefficients_of(configuration), Meter("server"), lambda *_: None, False
    )
    room = Admission(Memory(2**24, 2**24, 0.05), Turns(1), Workspaces(2**24, 2**24)).allowance("192.0.2.1").room
    room.expect(held_bytes(server.session(1, Meter("server")).shapes))
    with pytest.raises(ProtocolError, match="this server has room for"):
        room.expect(held_bytes(server.session(128, Meter("server")).shapes))


def test_alignment_counts() -> None:
    plain = executed("fastquery", Table(300, 41, 1), flooding_bits=0)
    public = quantize_table(open_table("300x41"), plain.packing.widths).public
    aligned = plain.updated(align_bits=37)
    assert aligning_bytes(plain, public, 1024) == 0
    assert aligning_bytes(aligned, public, 1024) == 1024 * aligning_bytes(aligned, public, 1) > 2**20


@pytest.mark.parametrize("tokens", [1, 8, 9, 17])
def test_masked_queries_of_any_number_open_to_their_rows(tokens: int) -> None:
    """They are unpacked eight at a time, of a plaintext whose vectors do not end at whole bytes."""
    configuration = executed("cheetah", Table(301, 12, tokens), options=("delphi",), flooding_bits=0)
    coefficients, modulus = coefficients_of(configuration), configuration.ring.plaintext_modulus
    assert 301 * (modulus - 1).bit_length() % 8
    server = engine_of(configuration).server(configuration, coefficients, Meter("server"), lambda *_: None, False)
    client = engine_of(configuration).client(configuration, tokens, Meter("client"), False, SeedRecord())
    session = server.session(tokens, Meter("server"))
    client.accept_first_halves(list(session.prepare(list(client.announce()))))
    chosen, shares = [(37 * k) % 301 for k in range(tokens)], np.empty((tokens, coefficients.shape[1]), dtype=np.int64)
    (masked,) = client.encrypt(chosen)
    assert list(session.answer([masked], shares)) == []
    assert np.array_equal((client.decrypt(()) + shares) % modulus, coefficients[chosen])
