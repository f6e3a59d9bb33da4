"""Latency: stages that overlap, messages that follow one another, and the end at the later party's share."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from costmodel.estimate import Estimate, estimate, evaluate, terms
from costmodel.grid import Grid
from costmodel.latency import latency_s, latency_split, stages_s
from costmodel.ledger import Party, Term, Transfer, Work
from costmodel.link import Link
from costmodel.machine import Machine, UnitCost, default_machine
from costmodel.parameters import Configuration, Table
from costmodel.systems import configuration, executed

RATE = 1000.0  # bytes a second
times = st.floats(0, 10)


def work(party: Party, seconds: float, exchange: int = 0) -> Work:
    return Work("online", party, "work", np.int64(1), seconds, "", "", exchange)


def message(party: Party, seconds: float, exchange: int = 0, pieces: int = 1, count: int = 1) -> Transfer:
    return Transfer("online", party, "message", np.int64(count), seconds * RATE, "", "", exchange, pieces)


def latency(ledger: Sequence[Term], round_trip_s: float = 0.0) -> float:
    return float(latency_s(ledger, lambda one: one.size, lambda size: size / RATE, round_trip_s))


def flow_shop_s(stages: Sequence[float], pieces: int) -> float:
    """Each piece goes from stage to stage as soon as it and the stage are free."""
    free = [0.0] * len(stages)
    for _ in range(pieces):
        done = 0.0
        for k, seconds in enumerate(stages):
            free[k] = done = max(done, free[k]) + seconds / pieces
    return free[-1]


@given(st.lists(times, min_size=1, max_size=4), st.integers(1, 9))
def test_equal_pieces_pass_through_stages_as_a_simulation_has_it(stages: list[float], pieces: int) -> None:
    assert float(stages_s(pieces, *stages)) == pytest.approx(flow_shop_s(stages, pieces))


@given(times, times, times, times, times, st.floats(0, 1))
def test_whole_messages_add_up(encrypt: float, up: float, answer: float, down: float, decrypt: float, r: float) -> None:
    ledger = [
        work("client", encrypt), message("client", up), work("server", answer), message("server", down),
        work("client", decrypt, 1),
    ]  # fmt: skip
    assert latency(ledger, r) == pytest.approx(encrypt + up + answer + down + decrypt + r)


@given(times, times, times, times, times, st.floats(0, 1), st.integers(1, 9), st.integers(1, 9))
def test_streamed_messages_overlap_but_for_the_answer_to_the_last_piece(
    encrypt: float, up: float, answer: float, down: float, decrypt: float, r: float, queries: int, answers: int
) -> None:
    ledger = [
        work("client", encrypt), message("client", up, pieces=queries), work("server", answer),
        message("server", down, pieces=answers), work("client", decrypt, 1),
    ]  # fmt: skip
    expected = flow_shop_s([encrypt, up], queries) + flow_shop_s([answer, down, decrypt], answers) + r
    assert latency(ledger, r) == pytest.approx(expected)


@given(times, times, times, times, times, times, times, st.floats(0, 1))
def test_an_extension_is_made_while_the_answer_is_under_way(
    answer: float, down: float, decrypt: float, extend: float, line: float, correct: float, take: float, r: float
) -> None:
    ledger = [
        message("client", 0.0), work("server", answer), message("server", down),
        work("client", decrypt, 1), work("server", extend, 1), message("server", line, 1),
        work("client", correct, 2), message("client", 0.5, 2), work("server", take, 2),
    ]  # fmt: skip
    decrypted = r + answer + down + decrypt
    extended = max(r + answer + down, r / 2 + answer + extend + r / 2) + line
    client = max(decrypted, extended) + correct
    assert latency(ledger, r) == pytest.approx(client + 0.5 + r / 2 + take)


def test_a_server_that_sends_nothing_back_ends_the_lookup() -> None:
    """Delphi's split: the client has its share from before and sends a masked vector."""
    ledger = [work("client", 1.0), message("client", 2.0), work("server", 4.0), work("client", 0.1, 1)]
    assert latency(ledger, 0.5) == pytest.approx(1.0 + 2.0 + 0.25 + 4.0)


def test_what_is_not_online_takes_no_part() -> None:
    ledger = [work("client", 1.0), work("server", 9.0)._replace(phase="offline")]
    assert latency(ledger) == 1.0


def test_messages_that_a_grid_point_does_not_send_cost_it_no_delay() -> None:
    link = Link(44e6, 40e-3, "test")
    base = executed("fastquery", Table(3000, 96), align_bits=32)
    both = evaluate(Grid.of(base, align_bits=np.array([0, 32])), link)["latency_s"]
    apart = [estimate(base.updated(align_bits=bits), link).latency_s for bits in (0, 32)]
    assert both == pytest.approx(apart)
    assert apart[1] - apart[0] > link.round_trip_s / 2


def test_openfhe_overlaps_and_the_interval_still_contains_the_latency() -> None:
    link = Link(44e6, 40e-3, "test")
    found = estimate(executed("fastquery", Table(3200, 96), engine="openfhe"), link, link_model="relay")
    on_line = 8 * (found.up_bytes + found.down_bytes) / link.rate_bit_per_s
    assert found.latency_low_s < found.latency_s < found.latency_high_s
    assert found.latency_s < on_line + found.server_s + found.client_s + link.round_trip_s
    assert found.latency_s > on_line + link.round_trip_s


def test_a_last_message_is_waited_for_where_its_receiver_has_no_work() -> None:
    ledger = [
        message("client", 1.0), work("server", 2.0), message("server", 3.0), work("client", 4.0, 1),
        message("client", 5.0, 2),
    ]  # fmt: skip
    assert latency(ledger, 0.2) == pytest.approx(1.0 + 2.0 + 3.0 + 4.0 + 5.0 + 3 * 0.1)


SYSTEMS: dict[str, dict[str, object]] = {
    **{name: {"protocol": name} for name in ("cheetah", "iron", "bumblebee", "cham", "cryptflow2", "ciphergpt")},
    **{name: {"protocol": name} for name in ("spu-fm32", "spu-fm64", "fastquery", "folded", "compressed")},
    **{f"ablation {row}": {"protocol": "fastquery", "ablation": row} for row in ("baseline", "packing", "packlwes")},
    "fastquery prepared": {"protocol": "fastquery", "prepared": True},
    "fastquery on openfhe": {"protocol": "fastquery", "engine": "openfhe"},
    "cheetah on residue": {"protocol": "cheetah", "engine": "residue"},
    "packlwes, delphi": {"protocol": "fastquery", "ablation": "packlwes", "options": ("delphi",)},
    "packlwes, iknp": {"protocol": "fastquery", "ablation": "packlwes", "options": ("sirnn-iknp",)},
    "packlwes, ferret": {"protocol": "fastquery", "ablation": "packlwes", "options": ("sirnn-ferret",)},
}


def aligned(name: str, bits: int) -> Configuration:
    return configuration(table=Table(3000, 96), align_bits=bits, **SYSTEMS[name])  # type: ignore[arg-type]


def idle_latency(ledger: Sequence[Term], round_trip_s: float) -> float:
    """Of parties that take no time for their work, so that nothing can hide a message."""
    return float(latency_s(ledger, lambda _: 0.0, lambda size: size / RATE, round_trip_s))


@pytest.mark.parametrize("name", SYSTEMS)
@pytest.mark.parametrize("bits", [8, 64])
def test_every_message_of_every_ledger_is_waited_for(name: str, bits: int) -> None:
    ledger = terms(Grid.of(aligned(name, bits)))
    sent = [one for one in ledger if isinstance(one, Transfer) and one.phase == "online" and np.any(one.count > 0)]
    order = sorted({(one.exchange, one.party) for one in sent})
    turns = 1 + sum(first[1] != then[1] for first, then in pairwise(order))
    size = float(sum(one.size_bytes for one in sent))
    assert idle_latency(ledger, 0.25) == pytest.approx(size / RATE + turns * 0.125)
    for one in sent:
        longer = [term._replace(size_bytes=term.size_bytes + 500) if term is one else term for term in ledger]
        grown = idle_latency(longer, 0.25) - idle_latency(ledger, 0.25)  # type: ignore[arg-type]
        assert grown == pytest.approx(500 / RATE), one.item


def messages(found: Estimate) -> set[str]:
    ledger = found.ledger
    return set(ledger["item"][(ledger["phase"] == "online") & (ledger["bytes"] > 0)])


@pytest.mark.parametrize("name", SYSTEMS)
def test_wider_shares_take_longer_by_their_bytes_over_the_link(name: str) -> None:
    link = Link(1e6, 0.1, "slow")
    # Seconds of work would hide behind a message of their own: machines that compute in no time show the link alone.
    free = Machine("free", {place: UnitCost(0.0, 0.0) for place in default_machine().units}, {})
    narrow, wide = (estimate(aligned(name, bits), link, free, link_model="relay") for bits in (8, 64))
    more = wide.up_bytes + wide.down_bytes - narrow.up_bytes - narrow.down_bytes
    assert more > 0
    added = wide.latency_s - narrow.latency_s
    if messages(wide) == messages(narrow):
        assert added == pytest.approx(8 * more / link.rate_bit_per_s)
    else:  # shares of one channel a coefficient are there already, and need transfers only once they are wide
        assert added >= (8 * more / link.rate_bit_per_s + link.round_trip_s / 2) * (1 - 1e-9)


@given(times, times, times, times, times, st.floats(0, 1))
def test_a_split_of_whole_messages_has_each_entry_in_its_part(
    encrypt: float, up: float, answer: float, down: float, decrypt: float, r: float
) -> None:
    ledger = [
        work("client", encrypt), message("client", up), work("server", answer), message("server", down),
        work("client", decrypt, 1),
    ]  # fmt: skip
    split = latency_split(ledger, lambda one: one.size, lambda size: size / RATE, r)
    assert tuple(split) == pytest.approx((encrypt + decrypt, up, answer, down, r), abs=1e-6)


def test_a_split_leaves_out_what_the_slowest_stage_hides() -> None:
    ledger = [work("server", 1.0), message("server", 4.0, pieces=4), work("client", 2.0, 1)]
    split = latency_split(ledger, lambda one: one.size, lambda size: size / RATE, 0.5)
    assert tuple(split) == pytest.approx((2.0 / 4, 0.0, 1.0 / 4, 4.0, 0.25))
    assert split.dominant == "down"


@pytest.mark.parametrize("link", [Link(1e9, 1e-4, "near"), Link(5e6, 200e-3, "far")])
@pytest.mark.parametrize("name", SYSTEMS)
def test_a_split_adds_up_to_the_latency_of_every_system(name: str, link: Link) -> None:
    found = estimate(aligned(name, 32), link)
    assert sum(found.latency_split) == pytest.approx(found.latency_s)
    assert min(found.latency_split) >= 0
    assert found.latency_split.client_s <= found.client_s * (1 + 1e-6)
    assert found.latency_split.server_s <= found.server_s * (1 + 1e-6)
    document = found.document()["latency_split"]
    assert document["dominant"] == max((*found.latency_split._fields,), key=document.__getitem__).removesuffix("_s")
