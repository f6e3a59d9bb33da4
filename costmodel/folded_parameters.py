"""Parameters of the folded query, and every count and size that follows from them.

A row of n' packed coefficients lies along a polynomial. If it fills at most half of it, s = 2^floor(log2(N/n')) rows
share the polynomial, interleaved: coefficient i of slot k stands at X^(s*i + k). If it needs more than one, it takes
``blocks`` of them. The ceil(m/s) polynomials of a block are C columns of d1: the query selects one of d1 in every
column, then folds the columns to one, and the slots to slot 0, by one encrypted bit a level.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, fields
from typing import Any, NamedTuple

from costmodel.wire import FRAME_HEADER_BYTES, SEED_BYTES

COUNTER_BYTES = 8


class Gadget(NamedTuple):
    """The ``digits`` uppermost digits of ``bits`` bits of a residue modulo Q; what is below them is rounded off."""

    digits: int
    bits: int

    @property
    def kept_bits(self) -> int:
        """Bits of the residue that the digits hold."""
        return self.digits * self.bits


@dataclass(frozen=True)
class FoldedParameters:
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
    limb_bits: tuple[int, ...]  # of Q, one or two primes
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
        self._require("rows", 1, 1 << 24)
        self._require("row_coefficients", 1, 1 << 20)
        self._require("element_bound", 1, (1 << 15) - 1)
        self._require("plaintext_modulus", 2, 1 << 50)
        self._require("degree", 16, 1 << 15)
        if self.degree & (self.degree - 1):
            raise ValueError(f"degree is {self.degree}; it must be a power of two")
        if len(self.limb_bits) not in (1, 2) or not all(20 <= bits <= 60 for bits in self.limb_bits):
            raise ValueError(f"limb_bits is {self.limb_bits}; it must be one or two sizes from 20 to 60 bits")
        self._require("selectors", 1, self.polynomials)
        if self.query_coefficients > self.degree:
            raise ValueError(f"selectors is {self.selectors}: {self.query_coefficients} coefficients, N={self.degree}")
        if len(self.expansion) != self.expansion_levels:
            raise ValueError(
                f"expansion has {len(self.expansion)} levels; it must have log2 N = {self.expansion_levels}"
            )
        for name, gadget in (("square", self.square), ("fold", self.fold), *(("expansion", g) for g in self.expansion)):
            _require_gadget(name, gadget, self.log2_q, min(self.limb_bits) - 2)
        for name in ("selector_bits", "fold_bits"):
            self._require(name, 1, self.log2_q)
        if self.answer_degree not in (self.degree, self.degree // 2):
            raise ValueError(f"answer_degree is {self.answer_degree}; it must be N={self.degree} or half of it")
        if self.switches_ring:
            _require_gadget("ring_switch", self.ring_switch, self.limb_bits[0], self.limb_bits[0] - 2)
        for name in ("answer_a_bits", "answer_b_bits"):
            self._require(name, 1, min(self.limb_bits) - 1)
        self._require("flooding_bits", 0, 128)
        self._require("flooding_log2_bound", 0, self.log2_q - 2)
        self._require("log2_failure", -1000, 0)
        if not 0.5 <= self.sigma <= 1000:
            raise ValueError(f"sigma is {self.sigma}; it must lie between 0.5 and 1000")

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

    def _require(self, name: str, low: int, high: int) -> None:
        value = getattr(self, name)
        if not low <= value <= high:
            raise ValueError(f"{name} is {value}; it must lie between {low} and {high}")

    @property
    def limbs(self) -> int:
        """Primes of Q."""
        return len(self.limb_bits)

    @property
    def log2_q(self) -> int:
        """Bits of Q."""
        return sum(self.limb_bits)

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
    def expansion_levels(self) -> int:
        """Automorphisms on the way to a leaf, log2 N."""
        return self.degree.bit_length() - 1

    @property
    def split_levels(self) -> int:
        """Last levels, at which nodes are split: ceil(log2 K)."""
        return (self.query_coefficients - 1).bit_length()

    @property
    def stride(self) -> int:
        """Distance of the used coefficients of a query."""
        return self.degree >> self.split_levels

    @property
    def expansion_nodes(self) -> tuple[int, ...]:
        """Nodes of every level, each with one key switch."""
        single = self.expansion_levels - self.split_levels
        return (1,) * single + tuple(min(1 << depth, self.query_coefficients) for depth in range(self.split_levels))

    @property
    def expansion_switches(self) -> int:
        """Key switches of the expansion."""
        return sum(self.expansion_nodes)

    @property
    def folds(self) -> int:
        """External products, of all blocks."""
        return self.blocks * (self.columns - 1 + self.slot_levels)

    @property
    def switches_ring(self) -> bool:
        """Whether answers come back in the ring of half the degree."""
        return self.answer_degree < self.degree

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
    def key_bytes(self) -> int:
        """Body of the keys: a seed, then the residues of every limb in exact bits."""
        size = sum(_packed_bytes(self.key_rows * self.degree, bits) for bits in self.limb_bits)
        if self.switches_ring:
            size += _packed_bytes(self.ring_switch.digits * self.degree, self.limb_bits[0])
        return SEED_BYTES + size

    @property
    def query_bytes(self) -> int:
        """Body of a query: its counter and the used coefficients of N*b."""
        return (
            COUNTER_BYTES
            + _packed_bytes(self.selectors, self.selector_bits)
            + _packed_bytes(self.fold_coefficients, self.fold_bits)
        )

    @property
    def answer_bytes(self) -> int:
        """Body of an answer: all of a, the used coefficients of b."""
        return _packed_bytes(self.answers * self.answer_degree, self.answer_a_bits) + _packed_bytes(
            self.row_coefficients, self.answer_b_bits
        )

    @property
    def up_bytes(self) -> int:
        """A query with its frame."""
        return FRAME_HEADER_BYTES + self.query_bytes

    @property
    def down_bytes(self) -> int:
        """An answer with its frame."""
        return FRAME_HEADER_BYTES + self.answer_bytes


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


def _packed_bytes(count: int, bits: int) -> int:
    return -(-count * bits // 8)


def _require_gadget(name: str, gadget: Gadget, log2_modulus: int, widest: int) -> None:
    digits, bits = gadget
    if digits < 1 or not 2 <= bits <= widest or digits * bits > log2_modulus:
        raise ValueError(
            f"{name} is {digits} digits of {bits} bits; it must be at least one of 2 to {widest} bits, "
            f"{log2_modulus} bits in all"
        )
