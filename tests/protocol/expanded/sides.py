"""A random table, its server, a client and their session: what the tests of expanded queries have in common."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar, NamedTuple

import numpy as np
import pytest
from numpy.typing import NDArray

from costmodel.expanded.noise import gadget_switch_variance, square_secret_variance
from costmodel.expanded.parameters import Gadget
from costmodel.ledger import Term, Transfer, Work
from costmodel.wire import FRAME_HEADER_BYTES
from protocol.expanded.answers import compress
from protocol.expanded.gadget import GadgetKey, generate_key
from protocol.meter import Meter
from protocol.residue.ciphertext import SecretKey, expand_many, phase
from protocol.residue.low_bits import server_shares
from protocol.residue.ring import Ring
from protocol.residue.sampling import new_seed
from protocol.residue.shared_switch import products_with_secrets
from tests.protocol.noise import log2_ratio

MIDDLE = 3


def unflooded(parameters: Any) -> Any:
    """The same parameters without flooding, so that what it hides can be measured."""
    return replace(parameters, flooding_bits=0, log2_distance=0.0, flooding_log2_width=0)


class Side:
    """Client and server of a query side by side."""

    client_type: ClassVar[Any]
    server_type: ClassVar[Any]

    def __init__(self, parameters: Any) -> None:
        p = self.parameters = parameters
        bound = p.element_bound
        rng = np.random.default_rng(0)
        self.table = rng.integers(-bound, bound, (p.rows, p.row_coefficients), endpoint=True, dtype=np.int32) + MIDDLE
        self.server = self.server_type(p, self.table, MIDDLE)
        self.connect()

    def connect(self) -> None:
        self.client = self.client_type(self.parameters)
        self.session = self.server.open(self.client.keys())

    @property
    def mean_square(self) -> float:
        return float(np.mean(np.square(self.table.astype(np.float64) - MIDDLE)))

    def opens_to(self, row: int, client: NDArray[np.uint64], server: NDArray[np.uint64]) -> bool:
        t = self.parameters.plaintext_modulus
        return bool(np.array_equal((client + server) % t, self.table[row].astype(np.int64) % t))


def fixtures(kind: type[Side], shapes: Mapping[str, Any], parameters_of: Callable[[str], Any]) -> tuple[Any, Any]:
    """The fixtures ``make_side``, sides by name, and ``side``, every one of them.

    Tables and keys are shared by the tests of a run, counters go on.
    """
    made: dict[str, Side] = {}

    def make(name: str) -> Side:
        if name not in made:
            made[name] = kind(parameters_of(name))
        return made[name]

    @pytest.fixture
    def make_side() -> Callable[[str], Side]:
        return make

    @pytest.fixture(params=list(shapes))
    def side(request: pytest.FixtureRequest) -> Side:
        return make(request.param)

    return make_side, side


def key_switch_log2_ratio(ring: Ring, gadget: Gadget, squared: bool, count: int) -> float:
    """Errors of so many key switches, from another secret or from the square of the same one, over the model's.

    Every one has a key of its own: a square's coefficients differ from key to key by more than errors of one key do.
    """
    errors = [_key_switch_errors(ring, gadget, squared) for _ in range(count)]
    variance = square_secret_variance(ring.ring_degree) if squared else 2 / 3
    return log2_ratio(
        np.concatenate(errors),
        gadget_switch_variance(ring.ring_degree, np.log2(float(ring.modulus)), *gadget, 3.19, variance),
    )


def _key_switch_errors(ring: Ring, gadget: Gadget, squared: bool) -> NDArray[np.float64]:
    secret = SecretKey.generate(ring)
    source = secret.multiply(secret.residues) if squared else SecretKey.generate(ring).residues
    a = expand_many(ring, new_seed(), "key", gadget.digits)
    key = GadgetKey.of(ring, gadget, generate_key(secret, source, gadget, a), a)
    x = expand_many(ring, new_seed(), "polynomials", 1)
    expected = ring.inverse(ring.multiply(x, np.broadcast_to(source, x.shape)))
    return ring.to_integers(ring.subtract(phase(secret, key.switch(ring.inverse(x))), expected)).astype(np.float64)


class Errors(NamedTuple):
    """Errors of answers before the rounding of b, over Q: whole, and the part that the answer adds."""

    whole: NDArray[np.float64]
    added: NDArray[np.float64]


def errors_before_low_bits(side: Side, monkeypatch: pytest.MonkeyPatch) -> Errors:
    """Errors of at least eight answers and a thousand coefficients, by eight keys: errors by one key are alike."""
    p, halves = side.parameters, []

    def keeping(shape: Any, b: np.ndarray[Any, Any]) -> Any:
        halves.append(b)
        return server_shares(shape, b)

    monkeypatch.setattr("protocol.expanded.answers.server_shares", keeping)
    errors, alone = [], []
    where, shape = side.server.layout.answer_positions(), p.shared_answer
    rows = np.linspace(0, p.rows - 1, max(8, -(-1000 // p.row_coefficients)), dtype=int).tolist()
    for number, row in enumerate(rows):
        if number % -(-len(rows) // 8) == 0:
            side.connect()
        query = side.client.query(row)
        halves.clear()
        (before,) = side.session._results(side.session._read([query]))
        compressed = before[None]
        answer = compress(
            side.server.layout, side.server.result_ring, compressed, MIDDLE, side.session._keys.ring_switch
        )
        products = [products_with_secrets(a, side.client.answer_secrets, shape.a_values) for a in answer.answer.a]
        phases = np.concatenate(products)[where][0].astype(float) / shape.a_values
        phases += np.concatenate(halves)[where][0].astype(float) / 2.0**p.answer_modulus_bits
        message = (side.table[row].astype(float) - MIDDLE) / p.plaintext_modulus
        error = phases - message
        errors.append(error - np.round(error))
        ring, secret = side.server.result_ring, side.client.result_secret
        opened = ring.to_integers(phase(secret, ring.forward(before)))[side.server.layout.row_positions()]
        unswitched = (opened / ring.modulus).astype(float) - message
        alone.append(errors[-1] - (unswitched - np.round(unswitched)))
    return Errors(np.concatenate(errors), np.concatenate(alone))


def rows_to_measure(parameters: Any, coefficients: int) -> int:
    """Rows of at least three answers, no place of them empty, whose first rows have so many coefficients."""
    return int(max(-(-coefficients // parameters.row_coefficients), 3) * parameters.answer_tokens)


def whole_answer_errors(side: Side, coefficients: int) -> NDArray[np.float64]:
    """Errors over Q/t of so many coefficients; see :func:`rows_to_measure`.

    Tokens that share an a share the noise of its key switch, which a place without a token does not add to.
    """
    p = side.parameters
    rows = np.random.default_rng(1).integers(0, p.rows, rows_to_measure(p, coefficients))
    found = side.session.answer_many([side.client.query(int(row)) for row in rows])
    return np.concatenate([side.client.relative_errors(answer.body) for answer in found])


def answer_errors_by_keys(side: Side, coefficients: int) -> NDArray[np.float64]:
    """As :func:`whole_answer_errors`, by three keys that are made for it: errors by one key are alike."""
    errors = []
    for _ in range(3):
        side.connect()
        errors.append(whole_answer_errors(side, -(-coefficients // 3)))
    return np.concatenate(errors)


def open_rows(side: Side, tokens: Sequence[int], queries: Sequence[bytes]) -> int:
    """Hold every row to its table's; return the bytes of the answers' frames."""
    sent, left = 0, iter(tokens)
    for answer in side.session.answer_many(queries):
        clients = side.client.decrypt_rows(answer.body)
        assert all(side.opens_to(next(left), *both) for both in zip(clients, answer.shares, strict=False))
        sent += len(answer.body) + FRAME_HEADER_BYTES
    assert next(left, None) is None
    return sent


def assert_ledger(
    ledger: Sequence[Term], sent: Mapping[str, int], meters: Sequence[Meter], left_out: Sequence[str]
) -> None:
    """Hold a predicted ledger to the bytes that were sent and to the operations that were counted."""
    for term in ledger:
        if isinstance(term, Transfer) and term.item in sent:
            assert int(term.size_bytes) == sent[term.item]
    predicted = {
        (term.party, term.phase, term.operation): int(term.count)
        for term in ledger
        if isinstance(term, Work) and term.operation not in left_out and int(term.count)
    }
    measured = {
        (meter.party, phase, operation): count
        for meter in meters
        for (_, phase, operation), (count, _) in meter.operations.items()
    }
    assert measured == predicted
