"""Prompts: every share right and in the order of the tokens, and nothing to see of the prompt."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import pytest

pytest.importorskip("openfhe")

from costmodel.estimate import estimate
from costmodel.expanded.bucketed.design import BucketedDesign
from costmodel.expanded.bucketed.parameters import BucketedColumns, BucketedParameters
from costmodel.expanded.bucketed.search import choose_parameters
from costmodel.parameters import Table
from costmodel.systems import executed
from costmodel.wire import FRAME_HEADER_BYTES
from protocol.engines import engine_of
from protocol.errors import ProtocolError
from protocol.expanded.bucketed import client as clients
from protocol.expanded.bucketed.client import BucketedClient, Unplaced
from protocol.expanded.bucketed.placement import EMPTY
from protocol.expanded.bucketed.server import BucketedServer
from protocol.expanded.parameters import parameters_of
from protocol.meter import Meter
from protocol.seeds import SeedRecord
from tests.protocol.noise import log2_ratio

MIDDLE = 3
# rows, channels, tokens of a prompt, flooding bits, options
SHAPES: dict[str, tuple[int, int, int, int, dict[str, Any]]] = {
    "slots": (300, 96, 8, 0, {}),
    "a row a polynomial": (260, 4096, 6, 0, {}),
    "two blocks": (90, 5120, 3, 0, {}),
    "flooded, two slots": (250, 4096, 5, 40, {}),
    "flooded to a distance": (120, 1000, 4, 0, {"log2_distance": -20.0, "queries": 1 << 20}),
    "one limb for the passes": (600, 4096, 2, 1, {}),
    "one token": (50, 40, 1, 0, {}),
    "more buckets than rows of one": (100, 40, 48, 0, {}),
}


class Side(NamedTuple):
    parameters: BucketedParameters
    table: np.ndarray[Any, Any]
    client: BucketedClient
    session: Any


_made: dict[str, Side] = {}


def side(name: str) -> Side:
    if name not in _made:
        rows, channels, tokens, flooding_bits, options = SHAPES[name]
        share = -40 - (tokens - 1).bit_length()
        p = choose_parameters(rows, channels, (4, 3), flooding_bits, share, tokens=tokens, **options)
        table = np.random.default_rng(0).integers(-136, 137, (rows, p.row_coefficients), dtype=np.int32) + MIDDLE
        client = BucketedClient(p)
        _made[name] = Side(p, table, client, BucketedServer(p, table, MIDDLE).open(client.keys()))
    return _made[name]


class Exchange(NamedTuple):
    right: list[bool]
    up: int
    down: list[int]
    answers: list[bytes]


def look_up(one: Side, tokens: list[int]) -> Exchange:
    p = one.parameters
    asked = one.client.ask(tokens)
    servers = np.empty((len(tokens), p.row_coefficients), dtype=np.int64)
    answers = list(one.session.answer(asked.body, servers))
    opened = (one.client.shares(asked, answers).astype(np.int64) + servers) % p.plaintext_modulus
    rows = one.table[tokens] % p.plaintext_modulus
    return Exchange(list(np.all(opened == rows, axis=1)), len(asked.body), list(map(len, answers)), answers)


def prompts(one: Side) -> dict[str, list[int]]:
    count, rows = one.parameters.prompt, one.parameters.rows
    rng = np.random.default_rng(2)
    return {
        "equal": [rows - 1] * count,
        "distinct": rng.permutation(rows)[:count].tolist(),
        "repeated": (rng.permutation(rows)[: count // 2 + 1].tolist() * 2)[:count],
    }


@pytest.mark.parametrize("name", SHAPES)
def test_shares_open_to_the_rows_in_order_and_transcripts_are_alike(name: str) -> None:
    one = side(name)
    seen = [look_up(one, tokens) for tokens in prompts(one).values()]
    assert all(all(exchange.right) for exchange in seen)
    assert len({(exchange.up, tuple(exchange.down)) for exchange in seen}) == 1
    p = one.parameters
    assert seen[0].up == p.queries_bytes(p.prompt)
    assert sum(seen[0].down) + FRAME_HEADER_BYTES * len(seen[0].down) == p.messages(p.prompt) * p.down_bytes


def test_shorter_prompts_share_keys_and_buckets() -> None:
    one = side("slots")
    for tokens in ([3], [299, 0, 299]):
        exchange = look_up(one, tokens)
        assert all(exchange.right)
        assert exchange.up == one.parameters.queries_bytes(len(tokens))
    for tokens in ([], [0] * 9):
        with pytest.raises(ValueError, match="a prompt has 1 to 8"):
            one.client.ask(tokens)
    with pytest.raises(ValueError, match="outside the vocabulary") as refused:
        one.client.ask([300])
    assert "300" not in str(refused.value)


def test_both_stages_drop_as_many_limbs_as_the_ledger_says() -> None:
    one = side("one limb for the passes")
    p, meter = one.parameters, one.session._buckets.meter
    assert p.pass_limbs == 1
    meter.operations.clear()
    look_up(one, [599, 0])
    priced = estimate(executed("bucketed", Table(600, 4096, 2), flooding_bits=1)).ledger
    counted = {place[-1]: done.times for place, done in meter.operations.items()}
    for operation in ("expand", "drop limbs", "table pass", "fold"):
        assert counted[operation] == priced.loc[priced["item"] == operation, "count"].item()


@pytest.mark.parametrize("name", ["slots", "a row a polynomial", "flooded, two slots", "one limb for the passes"])
def test_noise_of_both_stages(name: str) -> None:
    one = side(name)
    p, columns = one.parameters, BucketedColumns.of(one.parameters)
    errors: dict[bool, list[Any]] = {False: [], True: []}
    for _ in range(4):
        answers = look_up(one, prompts(one)["distinct"]).answers
        for number, answer in enumerate(answers):
            errors[number >= p.messages(0)].append(one.client.relative_errors(answer))
    squares = [np.mean(np.square(np.concatenate(found))) for found in errors.values()]
    mean_square = float(np.mean(np.square(one.table.astype(float) - MIDDLE)))
    predicted = BucketedDesign().answer_noise(columns, np.asarray(mean_square)) * p.plaintext_modulus**2
    assert abs(log2_ratio(np.sqrt(np.mean(squares)), float(predicted))) < 0.25


def test_a_failure_to_place_looks_like_any_prompt_to_the_server(monkeypatch: pytest.MonkeyPatch) -> None:
    one = side("slots")
    tokens = list(range(8))
    before = look_up(one, tokens)
    placed = clients.Placement.placed

    def losing_one(placement: Any, distinct: Any) -> Any:
        found = placed(placement, distinct)
        found[5] = EMPTY
        return found

    monkeypatch.setattr(clients.Placement, "placed", losing_one)
    with pytest.warns(Unplaced, match="1 tokens found no bucket"):
        failed = look_up(one, tokens)
    assert [token for token, right in zip(tokens, failed.right, strict=True) if not right] == [5]
    assert (failed.up, failed.down) == (before.up, before.down)


def test_queries_of_another_length_and_repeated_ones_are_refused() -> None:
    one = side("slots")
    body = one.client.ask([1, 2]).body
    room = np.empty((2, one.parameters.row_coefficients), dtype=np.int64)
    with pytest.raises(ProtocolError, match="those of 2 tokens are"):
        list(one.session.answer(body + b"\0", room))
    list(one.session.answer(body, room))
    with pytest.raises(ProtocolError, match="repeats a counter"):
        list(one.session.answer(body, room))


def test_placements_differ_by_client() -> None:
    one = side("slots")
    other = BucketedClient(one.parameters)
    assert not np.array_equal(one.client.placement.order, other.placement.order)
    assert np.array_equal(one.client.placement.order, one.session._placement.order)


def test_lookups_of_any_number_of_tokens_share_an_engines_keys() -> None:
    chosen = executed("bucketed", Table(300, 40, 8), flooding_bits=0)
    table = np.random.default_rng(4).integers(0, 128, (300, 20), dtype=np.uint16)
    engine, seeds = engine_of(chosen), SeedRecord()
    session = engine.server(chosen, table, Meter("server"), lambda *_: None, False).session(8, Meter("server"))
    client = engine.client(chosen, 8, Meter("client"), False, seeds)
    session.accept_keys(list(client.keys()))
    for tokens in ([7] * 8, [299], [3, 0, 3]):
        asked, served = client.lookup(len(tokens), False), session.lookup(len(tokens), False)
        shares = np.empty((len(tokens), 20), dtype=np.int64)
        opened = asked.decrypt(served.answer(list(asked.encrypt(tokens)), shares)) + shares
        np.testing.assert_array_equal(opened % chosen.ring.plaintext_modulus, table[tokens])
    assert client.noise_bits() < -2
    with pytest.raises(ValueError, match="prompts of up to 8"):
        client.lookup(9, False)
    with pytest.raises(ProtocolError, match="prompts of up to 8"):
        engine.server(chosen, table, Meter("server"), lambda *_: None, False).session(9, Meter("server"))


@pytest.mark.parametrize(("channels", "flooding_bits"), [(40, 0), (4096, 0), (4096, 40), (4096, 1)])
def test_memory_of_the_rows_is_what_an_estimate_states(channels: int, flooding_bits: int) -> None:
    chosen = executed("bucketed", Table(300, channels, 8), flooding_bits=flooding_bits)
    p = parameters_of(chosen, BucketedParameters)
    server = BucketedServer(p, np.zeros((300, p.row_coefficients), dtype=np.int16))
    assert server._buckets.rows.size_bytes == estimate(chosen).table_bytes
