"""Parameters of the folded query, and every count and size that follows from them.

A row of n' packed coefficients lies along a polynomial. If it fills at most half of it, s = 2^floor(log2(N/n')) rows
share the polynomial, interleaved: coefficient i of slot k stands at X^(s*i + k). If it needs more than one, it takes
``blocks`` of them. The ceil(m/s) polynomials of a block are C columns of d1: the query selects one of d1 in every
column, then folds the columns to one, and the slots to slot 0, by one encrypted bit a level.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, fields
from typing import Any

from costmodel.expanded.parameters import Expanded, Gadget, packed_bytes, require_gadget

COUNTER_BYTES = 8


@dataclass(frozen=True)
class FoldedParameters(Expanded):
    """One folded query: table, ring, gadgets and the widths of everything that travels.

    Raises
    ------
    ValueError
        If a field is out of its bounds; the message names field, value and bound.
    """

    rows: int  # m
    row_coefficients: int  # n', packed coefficients of a row
    element_bound: int  # largest magnitude of a centred packed element
    plaintext_modulus: int  # t
    degree: int  # N
    limb_bits: tuple[int, ...]  # of Q, one to three primes
    selectors: int  # d1, polynomials of a column
    expansion: tuple[Gadget, ...]  # of the automorphism keys, one a level from X -> X^(N+1) on
    square: Gadget  # of the key from s^2
    fold: Gadget  # of the folds' encrypted bits
    selector_bits: int  # sent of N*b at a selector's coefficient
    fold_bits: int  # sent of N*b at a fold's coefficient
    answer_degree: int  # N', N or half of it after the ring switch
    ring_switch: Gadget  # of the key to the ring of degree N'; (0, 0) without a switch
    answer_a_bits: int  # kept of a coefficient of the answer's a
    answer_b_bits: int  # and of its b
    flooding_bits: int = 0  # asked for; 0 leaves the table unprotected from the client
    flooding_log2_bound: int = 0  # the flooding is uniform in [-2^this, 2^this)
    log2_failure: int = -40  # target of a whole answer
    sigma: float = 3.19

    def __post_init__(self) -> None:
        self.require("rows", 1, 1 << 24)
        self.require("row_coefficients", 1, 1 << 20)
        self.require("element_bound", 1, (1 << 15) - 1)
        self.require("plaintext_modulus", 2, 1 << 50)
        if 2 * self.answer_degree < self.degree or (self.limbs > 2 and not self.switches_ring):
            raise ValueError(
                f"limb_bits is {self.limb_bits}, answer_degree {self.answer_degree}; answers come in the ring of "
                f"degree {self.degree} or half of it, and in half of it with three limbs"
            )
        self.check_ring()
        self.require("selectors", 1, self.polynomials)
        if self.query_coefficients > self.degree:
            raise ValueError(f"selectors is {self.selectors}: {self.query_coefficients} coefficients, N={self.degree}")
        require_gadget("fold", self.fold, self.log2_q, min(self.limb_bits) - 2)
        for name in ("selector_bits", "fold_bits"):
            self.require(name, 1, self.log2_q)
        self.require("flooding_bits", 0, 128)
        self.require("flooding_log2_bound", 0, self.log2_q - 2)
        self.require("log2_failure", -1000, 0)

    def to_json(self) -> str:
        """Return the parameters as a JSON object, as the server announces them."""
        return json.dumps(asdict(self), separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str) -> FoldedParameters:
        """Return the parameters of :meth:`to_json`, checked anew.

        Raises
        ------
        ValueError
            If it is no such object, a field is missing, unknown or of another type, or one is out of its bounds.
        """
        try:
            values = json.loads(text)
            known = {field.name: str(field.type) for field in fields(cls)}
            if set(values) != set(known):
                raise ValueError(f"folded parameters need the fields {', '.join(known)}")
            return cls(**{name: _parsed(name, kind, values[name]) for name, kind in known.items()})
        except (TypeError, json.JSONDecodeError) as error:
            raise ValueError(f"folded parameters are malformed: {error}") from None

    @property
    def blocks(self) -> int:
        """Polynomials that a row takes, ceil(n'/N)."""
        return -(-self.row_coefficients // self.degree)

    @property
    def slots(self) -> int:
        """Rows of a polynomial, a power of two."""
        return 1 << max((self.degree // self.row_coefficients).bit_length() - 1, 0)

    @property
    def polynomials(self) -> int:
        """Polynomials of a block, ceil(m/slots)."""
        return -(-self.rows // self.slots)

    @property
    def columns(self) -> int:
        """C, columns of ``selectors`` polynomials in a block."""
        return -(-self.polynomials // self.selectors)

    @property
    def column_levels(self) -> int:
        """Levels that fold the columns, ceil(log2 C)."""
        return (self.columns - 1).bit_length()

    @property
    def slot_levels(self) -> int:
        """Levels that fold the slots."""
        return self.slots.bit_length() - 1

    @property
    def fold_levels(self) -> int:
        """Encrypted bits of a query."""
        return self.column_levels + self.slot_levels

    @property
    def fold_coefficients(self) -> int:
        """Coefficients of a query that hold gadget multiples of bits."""
        return self.fold_levels * self.fold.digits

    @property
    def query_coefficients(self) -> int:
        """K, coefficients of a query that hold anything."""
        return self.selectors + self.fold_coefficients

    @property
    def folds(self) -> int:
        """External products, of all blocks."""
        return self.blocks * (self.columns - 1 + self.slot_levels)

    @property
    def answers(self) -> int:
        """Answer ciphertexts of degree N': both halves of a polynomial that a row fills, one of shared ones."""
        return self.blocks * (self.degree // self.answer_degree if self.slots == 1 else 1)

    @property
    def key_rows(self) -> int:
        """Polynomials modulo Q that the client's keys have, their public halves left out."""
        switching = sum(gadget.digits for gadget in self.expansion) + self.square.digits
        return switching + (1 if self.flooding_bits else 0)

    @property
    def key_groups(self) -> tuple[tuple[int, int], ...]:
        """Rows modulo Q, and those of the ring switch modulo its first limb."""
        return (self.key_rows, self.limbs), (self.ring_switch_rows, 1)

    @property
    def query_bytes(self) -> int:
        """Body of a query: its counter and the used coefficients of N*b."""
        return (
            COUNTER_BYTES
            + packed_bytes(self.selectors, self.selector_bits)
            + packed_bytes(self.fold_coefficients, self.fold_bits)
        )


def _parsed(name: str, kind: str, value: Any) -> Any:
    """Return a field's value from its JSON form."""

    def integers(item: Any) -> tuple[int, ...]:
        if not isinstance(item, list) or not all(type(number) is int for number in item):
            raise ValueError(f"{name} is {item!r}; it must be a list of integers")
        return tuple(item)

    if kind == "Gadget":
        return Gadget(*integers(value))
    if kind.startswith("tuple[Gadget"):
        return tuple(Gadget(*integers(item)) for item in value)
    if kind.startswith("tuple[int"):
        return integers(value)
    if type(value) is not int and not (kind == "float" and type(value) is float):
        raise ValueError(f"{name} is {value!r}; it must be of type {kind}")
    return value
