"""What a client accepts of a server's parameters: their security, and what they would take of it."""

from __future__ import annotations

import math
import socket
from dataclasses import replace
from pathlib import Path

import pytest

from costmodel.estimate import Estimate, estimate
from costmodel.parameters import Configuration, Ring, Table
from costmodel.systems import executed
from protocol.channel import Channel
from protocol.client import look_up
from protocol.errors import ProtocolError
from protocol.frames import Kind, encode_frame
from protocol.meter import Meter
from protocol.parameters_message import encode_parameters
from protocol.requirements import Requirements
from protocol.seeds import SeedRecord
from quantize.public import PublicTable
from quantize.quantizers import quantize_table
from quantize.tables import open_table

LLAMA = Table(32000, 4096)


def own(table: Table, **options: object) -> Configuration:
    return executed("fastquery", table, **options)  # type: ignore[arg-type]


@pytest.mark.parametrize("protocol", ["fastquery", "cheetah", "bumblebee", "folded", "compressed"])
def test_every_protocols_own_choice_is_accepted(protocol: str) -> None:
    Requirements(flooding_bits=40).check(executed(protocol, LLAMA, flooding_bits=40))


def test_a_batch_of_as_many_tokens_as_there_can_be_is_accepted() -> None:
    Requirements().check(own(replace(LLAMA, tokens=1024)))


def test_the_stricter_table_counts() -> None:
    """N = 2048 and 54 bits have 128 by the 2018 standard and less by the 2024 guidelines."""
    configuration = own(LLAMA, flooding_bits=0)
    ring = replace(configuration.ring, limb_bits=(54,))
    between = configuration.updated(ring=ring)
    assert estimate(between).security_bits_2018 >= 128 > estimate(between).security_bits_2024
    with pytest.raises(ValueError, match="bits of security; at least 128"):
        Requirements().check(between)
    Requirements(security_bits=0).check(between)


@pytest.mark.parametrize(
    ("configuration", "words"),
    [
        (own(Table(2**24, 9, 1024)), "memory of a lookup"),
        (executed("cryptflow2", LLAMA, engine="openfhe"), "traffic of a lookup"),
        (own(Table(2**24, 4096, 2), engine="openfhe"), "traffic of a lookup"),
    ],
    ids=["many entries", "large keys", "many ciphertexts"],
)
def test_what_would_take_too_much_is_refused(configuration: Configuration, words: str) -> None:
    requirements = Requirements(security_bits=0, log2_failure=0.0, traffic_bytes=2**28)
    with pytest.raises(ValueError, match=words):
        requirements.check(configuration)


def test_seconds_are_bounded() -> None:
    with pytest.raises(ValueError, match=r"compute of a lookup .* CPU seconds; at most 0.0001"):
        Requirements(compute_s=1e-4).check(own(LLAMA))


def resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


@pytest.mark.parametrize("careful", [True, False])
def test_a_server_cannot_have_a_client_fill_its_memory(careful: bool) -> None:
    """2^31 coefficients of a bit each would travel in as many bytes as a message may have."""
    pytest.importorskip("openfhe")
    small = own(Table(300, 9), flooding_bits=0)
    public = quantize_table(open_table("300x9"), small.packing.widths).public
    assert small.wire is not None
    stated = small.updated(table=Table(2**24, 9), wire=replace(small.wire, query_bits=1))
    message = encode_parameters(
        stated, PublicTable.from_json(public.to_json().replace('"rows":300', f'"rows":{2**24}'))
    )
    here, there = socket.socketpair()
    there.sendall(encode_frame(Kind.PARAMETERS, 0, message))
    channel = Channel(here, Meter("client"), 5.0)
    before = resident_bytes()
    accept = Requirements(log2_failure=0.0).check if careful else None
    with pytest.raises(ProtocolError, match=r"memory of a lookup|at most 268435456 are made"):
        look_up(channel, Meter("client"), [1] * 128, False, SeedRecord(), accept)
    assert resident_bytes() - before < 2**26
    channel.close()
    there.close()


def test_a_published_ring_below_the_bound_is_accepted_by_who_asks_for_it() -> None:
    weak = own(LLAMA, flooding_bits=0).updated(ring=Ring(2048, (60,), 2**13))
    with pytest.raises(ValueError, match="bits of security"):
        Requirements(log2_failure=0).check(weak)
    Requirements(security_bits=0, log2_failure=0).check(weak)


@pytest.mark.parametrize("figure", ["security_bits", "log2_failure"])
def test_a_figure_that_is_no_number_is_refused(monkeypatch: pytest.MonkeyPatch, figure: str) -> None:
    def nowhere(configuration: Configuration) -> Estimate:
        right = estimate(configuration)
        return replace(right, **{figure: math.nan})

    monkeypatch.setattr("protocol.requirements.estimate", nowhere)
    with pytest.raises(ValueError, match="nan"):
        Requirements().check(own(LLAMA))
