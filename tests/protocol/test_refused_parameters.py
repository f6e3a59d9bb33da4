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

from protocol.channel import Channel
from protocol.compact.client import ResidueClient
from protocol.errors import ProtocolError
from protocol.frames import Kind
from protocol.meter import Meter
from protocol.openfhe.context import generate_context
from protocol.openfhe.products import ENGINE, ProductPlan
from protocol.parameters_message import decode_parameters, encode_parameters
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


FORKED = """
import os
from costmodel.parameters import Ring
from protocol.openfhe.context import generate_context
from protocol.openfhe_library import OpenFHEUnavailable

generate_context(Ring(2048, (50,), 512)).KeyGen()
if os.fork() == 0:
    try:
        generate_context(Ring(2048, (50,), 512)).KeyGen()
    except OpenFHEUnavailable as error:
        os._exit(7 if "forked" in str(error) else 1)
    os._exit(0)
_, status = os.wait()
generate_context(Ring(2048, (50,), 512)).KeyGen()
print(os.waitstatus_to_exitcode(status))
"""


def test_a_forked_process_draws_no_keys_that_its_parent_draws() -> None:
    ended = subprocess.run([sys.executable, "-c", FORKED], capture_output=True, text=True, timeout=60, check=True)
    assert ended.stdout.split() == ["7"]


def test_noise_below_that_of_the_security_tables_is_refused() -> None:
    with pytest.raises(ValueError, match=r"ring.sigma is 1.0"):
        generate_context(replace(REFERENCE.ring, sigma=1.0))


@pytest.mark.parametrize("sigma", [1.0, 3.2])
def test_flooding_is_not_sized_for_noise_that_is_not_drawn(sigma: float) -> None:
    other = FLOODED.updated(ring=replace(FLOODED.ring, sigma=sigma))
    with pytest.raises(ValueError, match=r"ring.sigma"):
        ResidueClient(other, 1, Meter("client"), True, SeedRecord())


def test_a_hello_for_an_answer_that_takes_too_much_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("protocol.lookup.MAX_MESSAGE_BYTES", 2**21)
    parties = Parties(own(9, 9, flooding_bits=0))
    here, there = socket.socketpair()
    channel = Channel(there, Meter("server"), timeout_s=10.0)
    Channel(here, Meter("client")).send(Kind.HELLO, bytes(12) + (1024).to_bytes(4, "little"))
    with pytest.raises(ProtocolError, match=r"1024 tokens: answer of \d+ bytes"):
        parties.server.session(channel, Meter("server"))
    channel.close()
    here.close()


@pytest.mark.parametrize("widths", [[2**63, 3, 3], [10**9, 3, 3], [4, 3], None, [[4], 3, 3], "433"])
def test_parameters_with_widths_of_any_size_are_refused_at_once(widths: Any) -> None:
    configuration = own(30, 9, flooding_bits=0)
    message = encode_parameters(configuration, quantize_table(open_table("30x9"), (4, 3, 3)).public)
    text, rest = message[:2048], message[2048:]
    block = json.loads(text)
    block["configuration"]["packing"]["widths"] = widths
    with pytest.raises(ProtocolError):
        decode_parameters(json.dumps(block, separators=(",", ":")).encode().ljust(2048) + rest)


@pytest.mark.parametrize("section", ["table", "ring", "packing"])
def test_parameters_without_a_section_are_refused(section: str) -> None:
    configuration = own(30, 9, flooding_bits=0)
    message = encode_parameters(configuration, quantize_table(open_table("30x9"), (4, 3, 3)).public)
    block = json.loads(message[:2048])
    block["configuration"][section] = None
    with pytest.raises(ProtocolError):
        decode_parameters(json.dumps(block, separators=(",", ":")).encode().ljust(2048) + message[2048:])
