"""CrypTFlow2's product on OpenFHE: SIMD slots, the query rotated once for every diagonal of the table.

A ciphertext holds M entries of the one-hot row, repeated over all N slots. Slot M g + u of diagonal i of an answer
holds the table's entry at row (u + i) mod M and column D g + (u mod D) of the answer's. The sum of the products with
the query rotated by i has in slot M g + u what the rows u to u + D - 1 modulo M give to that column, and rotations by
D, 2 D, ..., M/2 add up the rest. The answer's column D g + r is read at slot M g + r; see
:mod:`costmodel.openfhe.slots`. The mask covers every slot: the others hold sums of the table's entries as well.

Rotations are by powers of two, each an automorphism X -> X^(5^step) through OpenFHE with keys of this session.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from costmodel.openfhe.slots import Slots, slots
from costmodel.parameters import Configuration, Ring
from costmodel.slots import check_slots, rotation_path, rotation_steps
from protocol.engine import Engine, Progress
from protocol.meter import Meter
from protocol.openfhe.automorphism_keys import AutomorphismKeys
from protocol.openfhe.parties import (
    IntArray,
    OpenFHEPlan,
    OpenFHEServer,
    OpenFHESession,
    check_executed,
    client_of,
    server_of,
)
from protocol.openfhe.ring import OpenFHERing
from quantize.packing import UnsignedArray

LARGEST_MODULUS = 2**59
"""Well below OpenFHE's own bound on packed plaintexts."""


class SlotRing(OpenFHERing):
    """A context whose plaintexts are vectors of N slots."""

    @staticmethod
    def check(ring: Ring) -> None:
        """Refuse a plaintext modulus without slots, at which OpenFHE would end the process."""
        check_slots(ring.plaintext_modulus, ring.degree)
        if ring.plaintext_modulus > LARGEST_MODULUS:
            raise ValueError(f"ring.t is {ring.plaintext_modulus}; slots take at most {LARGEST_MODULUS}")

    def encode(self, polynomial: IntArray) -> Any:
        """A plaintext from the values of its slots, in [0, t)."""
        return self.context.MakePackedPlaintext(self.centred(polynomial))

    def decode(self, plaintext: Any) -> IntArray:
        """The values of all slots of a decrypted plaintext, in [0, t)."""
        return np.asarray(plaintext.GetPackedValue(), dtype=np.int64) % self.ring.plaintext_modulus


class SlotPlan(OpenFHEPlan):
    """How table and queries lie in slots, and the rotations that multiply them."""

    def __init__(self, configuration: Configuration, allow_insecure: bool) -> None:
        check_executed(configuration)
        if configuration.wire is None or not configuration.wire.digit_bits:
            raise ValueError("wire.digit_bits is not chosen; keys of rotations need digits")
        table, packing, degree = configuration.table, configuration.packing, configuration.ring.degree
        self.rows, self.degree = table.rows, degree
        self.columns = -(-table.channels // len(packing.widths))
        self.slots = Slots(*(int(count) for count in slots(self.rows, self.columns, degree)))
        self.ring = SlotRing(configuration.ring, allow_insecure, configuration.wire.digit_bits)
        self.steps = rotation_steps(self.slots.diagonals, self.slots.period)
        self.keys = AutomorphismKeys(
            self.ring, configuration.wire.digit_bits, [self.exponent(step) for step in self.steps]
        )
        self.modulus = configuration.ring.plaintext_modulus
        self.inputs, self.answers = self.slots.inputs, self.slots.outputs

    @property
    def answer_columns(self) -> int:
        """Columns of an answer, D N/M."""
        return int(self.slots.diagonals * self.degree // self.slots.period)

    def exponent(self, step: int) -> int:
        """The g of the automorphism X -> X^g that rotates to the left by ``step``."""
        return int(pow(5, step % (self.degree // 2), 2 * self.degree))

    def query(self, token: int) -> IntArray:
        """Slots of the query of a token, (inputs, N)."""
        return self.vector(np.eye(1, self.rows, token, dtype=np.int64)[0])

    def vector(self, values: IntArray) -> IntArray:
        """Slots of the query of any vector (m,), (inputs, N)."""
        entries = np.zeros(self.slots.inputs * self.slots.period, dtype=np.int64)
        entries[: self.rows] = values
        return np.tile(entries.reshape(self.slots.inputs, -1), self.degree // self.slots.period)

    def diagonal(self, coefficients: NDArray[Any], block: int, output: int, index: int) -> IntArray:
        """Slots (N,) of a diagonal of the table (m, n') for a query ciphertext and an answer; 0 beyond the table."""
        period, diagonals = self.slots.period, self.slots.diagonals
        slot = np.arange(self.degree)
        row = block * period + (slot + index) % period
        column = output * self.answer_columns + slot // period * diagonals + slot % diagonals
        inside = (row < self.rows) & (column < self.columns)
        values = np.zeros(self.degree, dtype=np.int64)
        values[inside] = coefficients[row[inside], column[inside]]
        return values

    def used(self, answer: int) -> IntArray:
        """Slots of an answer that hold a column each, in column order."""
        count = min(self.answer_columns, self.columns - answer * self.answer_columns)
        group, place = np.divmod(np.arange(count, dtype=np.int64), self.slots.diagonals)
        used: IntArray = group * self.slots.period + place
        return used


class SlotServer(OpenFHEServer):
    """The server's kernels with the table's diagonals encoded in them."""

    plan: SlotPlan
    middle = 0

    def __init__(
        self, plan: SlotPlan, _: Configuration, coefficients: UnsignedArray, meter: Meter, progress: Progress
    ) -> None:
        self.plan = plan
        layout = plan.slots
        self.diagonals: list[list[list[Any]]] = []  # by query ciphertext, answer and rotation
        for block in range(layout.inputs):
            answers = []
            for output in range(layout.outputs):
                with meter.counting("encode table") as encoded:
                    diagonals = []
                    for index in range(layout.diagonals):
                        diagonals.append(plan.ring.encode(plan.diagonal(coefficients, block, output, index)))
                        encoded.add()
                    answers.append(diagonals)
            self.diagonals.append(answers)
            progress("encoding table", block + 1, layout.inputs)

    def session(self, tokens: int, meter: Meter) -> SlotSession:
        """Kernels for one client that looks so many rows up together."""
        return SlotSession(self, tokens, meter)


class SlotSession(OpenFHESession):
    """One client's keys and queries."""

    def __init__(self, server: SlotServer, tokens: int, meter: Meter) -> None:
        super().__init__(server.plan, server.middle, tokens, meter)
        self._server = server
        self._slots = server.plan.slots
        self._exponent = server.plan.exponent

    def _products(self, frames: Sequence[bytes]) -> Iterator[Any]:
        """For every answer the sum of the rotated queries' products with its diagonals."""
        context, totals = self._plan.ring.context, [None] * self._slots.outputs
        for query, answers in zip(self._read(frames), self._server.diagonals, strict=True):
            for index in range(self._slots.diagonals):
                rotated = query
                for step in rotation_path(index, self._slots.period):
                    rotated = self._rotate(rotated, step)
                with self._meter.counting("multiply-accumulate") as made:
                    for output, diagonals in enumerate(answers):
                        product = context.EvalMult(rotated, diagonals[index])
                        made.add()
                        total = totals[output]
                        totals[output] = product if total is None else context.EvalAdd(total, product)
        return map(self._add_up, totals)

    def _add_up(self, total: Any) -> Any:
        """Add the partial sums that lie D slots apart."""
        step = self._slots.diagonals
        while step < self._slots.period:
            total = self._plan.ring.context.EvalAdd(total, self._rotate(total, step))
            step *= 2
        return total

    def _rotate(self, ciphertext: Any, step: int) -> Any:
        exponent = self._exponent(step)
        with self._meter.work("rotate"):
            return self._plan.ring.context.EvalAutomorphism(ciphertext, exponent, self._keys[exponent])


ENGINE = Engine(server_of(SlotPlan, SlotServer), client_of(SlotPlan))
