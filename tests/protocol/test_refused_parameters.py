"""Parameters that would take protection, or memory, away without a word."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from costmodel.openfhe.contexts import made_limbs
from costmodel.parameters import Ring
from protocol.channel import Channel
from protocol.compact.client import ResidueClient
from protocol.errors import ProtocolError
from protocol.frames import Kind
from protocol.meter import Meter
from protocol.openfhe.context import generate_context
from protocol.openfhe.packed import PackedPlan
from protocol.openfhe.products import ENGINE, ProductPlan
from protocol.parameters_message import JSON_BYTES, decode_parameters, encode_parameters
from protocol.seeds import SeedRecord
from quantize.quantizers import quantize_table
from quantize.tables import open_table

pytest.importorskip("openfhe")
from tests.protocol.parties import FLOODED, REFERENCE, Parties, own


def test_the_reference_engine_refuses_what_it_does_not_do() -> None:
    flooded = REFERENCE.updated(flooding_bits=40)
    with pytest.raises(ValueError, match="floods nothing"):
        ENGINE.server(flooded, np.zeros((2100, 3), dtype=np.uint16), Meter("server"), lambda *_: None, False)
    with pytest.raises(ValueError, match="floods nothing"):
        ProductPlan(flooded, False)
    with pytest.raises(ValueError, match=r"ring\.secret"):
        ProductPlan(REFERENCE.updated(ring=replace(REFERENCE.ring, secret="gaussian")), False)
    with pytest.raises(ValueError, match="prepared"):
        ProductPlan(REFERENCE.updated(prepared=True), False)


DRAWING = """
import os, sys
{before}
def drawn(engine):
    from costmodel.parameters import Table
    from costmodel.systems import executed
    from protocol.engines import engine_of
    from protocol.meter import Meter
    from protocol.openfhe_library import OpenFHEUnavailable
    from protocol.seeds import SeedRecord
    try:
        configuration = executed("fastquery", Table(300, 24), engine=engine, flooding_bits=0)
        client = engine_of(configuration).client(configuration, 1, Meter("client"), False, SeedRecord())
        return b"".join(client.encrypt([3])).hex()[:64]
    except OpenFHEUnavailable as error:
        return "refused: " + str(error).replace(" ", "_")

{parent}
children = []
for _ in range(2):
    reads, writes = os.pipe()
    if os.fork() == 0:
        os.write(writes, drawn("{engine}").encode())
        os._exit(0)
    os.wait()
    children.append(os.read(reads, 1000).decode())
print("\\n".join(children))
"""


def drawn_by_forks(engine: str, before: str, parent: str) -> list[str]:
    program = DRAWING.format(engine=engine, before=before, parent=parent)
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=250, check=True)
    return ended.stdout.splitlines()


@pytest.mark.parametrize(
    ("before", "parent", "words"),
    [
        ("", "drawn('openfhe')", "before_this_process_was_forked"),
        ("import openfhe", "", "imported_before_this_project"),
        ("import openfhe, protocol.openfhe_library", "", "before_this_process_was_forked"),
    ],
)
def test_a_forked_process_draws_nothing_from_openfhe(before: str, parent: str, words: str) -> None:
    """Parent and children, and two children, would encrypt under one key with one a: their tokens' difference shows."""
    refused = drawn_by_forks("openfhe", before, parent)
    assert len(refused) == 2
    assert all(words in line for line in refused)


@pytest.mark.parametrize(("before", "parent"), [("", "drawn('residue')"), ("import openfhe", "")])
def test_forked_processes_of_this_projects_kernels_draw_their_own(before: str, parent: str) -> None:
    first, second = drawn_by_forks("residue", before, parent)
    assert first != second
    assert not first.startswith("refused")


def test_the_openfhe_engine_takes_no_library_that_others_loaded() -> None:
    program = "import openfhe\n" + DRAWING.format(engine="openfhe", before="", parent="print(drawn('openfhe'))")
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=250, check=True)
    assert "imported_before_this_project" in ended.stdout.splitlines()[0]


def test_noise_below_that_of_the_security_tables_is_refused() -> None:
    with pytest.raises(ValueError, match=r"ring.sigma is 1.0"):
        generate_context(replace(REFERENCE.ring, sigma=1.0))


@pytest.mark.parametrize(
    ("degree", "limbs", "digit_bits", "below", "above"),
    [
        (2048, (53,), 0, 94_000_000, 96_000_000),
        (4096, (53, 53), 30, 810, 820),
        (8192, (60, 60), 30, 19_700, 19_800),
        (8192, (60, 60), 12, 25_100, 25_200),
        (8192, (55, 55), 20, 4430, 4450),
    ],
)
def test_openfhe_makes_as_many_limbs_as_is_said(
    degree: int, limbs: tuple[int, ...], digit_bits: int, below: int, above: int
) -> None:
    made = []
    for modulus in (below, above):
        ring = Ring(degree, limbs, modulus)
        said = made_limbs(ring, modulus, digit_bits)
        made.append(said)
        if said == len(limbs):
            assert generate_context(ring, True, digit_bits).GetModulus() > 1
        else:
            with pytest.raises(ValueError, match=f"OpenFHE made {said * limbs[0]} "):
                generate_context(ring, True, digit_bits)
    assert made[1] == made[0] + 1


def test_rings_of_which_openfhe_makes_another_number_of_limbs_are_not_taken() -> None:
    options: dict[str, Any] = {"engine": "openfhe", "ablation": "packlwes", "widths": (8,)}
    with pytest.raises(ValueError, match=r"ring\.q is 60\+60; OpenFHE makes 60 for N=8192 .* take q=60"):
        own(1252, 26, ring={"degree": 8192, "limb_bits": (60, 60)}, **options)
    with pytest.raises(ValueError, match=r"ring\.q is 53; OpenFHE makes 53\+53 for N=2048"):
        own(900, 16, protocol="cheetah", engine="openfhe", ring={"degree": 2048, "limb_bits": (53,)})
    chosen = own(1252, 26, ring={"degree": 8192}, **options)
    assert chosen.ring.limb_bits == (60,)
    assert PackedPlan(chosen, False).ring.context.GetRingDimension() == 8192


@pytest.mark.parametrize("sigma", [1.0, 3.2])
def test_flooding_is_not_sized_for_noise_that_is_not_drawn(sigma: float) -> None:
    other = FLOODED.updated(ring=replace(FLOODED.ring, sigma=sigma))
    with pytest.raises(ValueError, match=r"ring.sigma"):
        ResidueClient(other, 1, Meter("client"), True, SeedRecord())


def test_a_hello_for_an_answer_that_takes_too_much_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("protocol.lookup.MAX_MESSAGE_BYTES", 2**21)
    parties = Parties(own(9, 9, flooding_bits=0))
    here, there = socket.socketpair()
    channel = Channel(there, Meter("server"), timeout_s=60.0)
    Channel(here, Meter("client")).send(Kind.HELLO, bytes(12) + (1024).to_bytes(4, "little") + bytes(68))
    with pytest.raises(ProtocolError, match=r"1024 tokens: answer of \d+ bytes"):
        parties.server.session(channel, Meter("server"))
    channel.close()
    here.close()


@pytest.mark.parametrize("widths", [[2**63, 3, 3], [10**9, 3, 3], [4, 3], None, [[4], 3, 3], "433"])
def test_parameters_with_widths_of_any_size_are_refused_at_once(widths: Any) -> None:
    configuration = own(30, 9, flooding_bits=0)
    message = encode_parameters(configuration, quantize_table(open_table("30x9"), (4, 3, 3)).public)
    text, rest = message[:JSON_BYTES], message[JSON_BYTES:]
    block = json.loads(text)
    block["configuration"]["packing"]["widths"] = widths
    with pytest.raises(ProtocolError):
        decode_parameters(json.dumps(block, separators=(",", ":")).encode().ljust(JSON_BYTES) + rest)


@pytest.mark.parametrize("section", ["table", "ring", "packing"])
def test_parameters_without_a_section_are_refused(section: str) -> None:
    configuration = own(30, 9, flooding_bits=0)
    message = encode_parameters(configuration, quantize_table(open_table("30x9"), (4, 3, 3)).public)
    block = json.loads(message[:JSON_BYTES])
    block["configuration"][section] = None
    with pytest.raises(ProtocolError):
        decode_parameters(json.dumps(block, separators=(",", ":")).encode().ljust(JSON_BYTES) + message[JSON_BYTES:])
