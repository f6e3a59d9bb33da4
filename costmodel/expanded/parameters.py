"""Parameters of an expanded query: what all such queries have in common, for one configuration or for columns of many.

A formula is written once, over ``Count``: plain integers of one configuration, or arrays that broadcast.
"""

# mypy: disable-error-code="no-any-return"
# Arithmetic on arrays of any kind of number has no type of its own in numpy.
from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, fields
from functools import cached_property
from typing import Any, Generic, NamedTuple, Protocol, TypeVar, overload

import numpy as np
from numpy.typing import ArrayLike, NDArray

from costmodel.answers import MOST_LOW_BITS, MOST_MODULUS_BITS, SharedAnswer
from costmodel.errors import Incompatible
from costmodel.wire import FRAME_HEADER_BYTES, SEED_BYTES

COUNTER_BYTES = 8
MOST_LIMBS = 3
MOST_KEPT_BITS = 130
"""Bits that the digits of a residue hold at most: its fraction of Q is known to 132 bits with limbs of 60 bits."""
REPEATED_LEVEL = 2
"""Last level of the expansion whose key serves those before it, see :mod:`costmodel.repetition`.

Its rows take a third of a percent of a lookup's bytes; the four key switches more take a percent of an expansion's.
"""
MOST_TOGETHER = 16
"""Rows whose answers share one a."""
LEAST_LOG2_DISTANCE = -60.0
MOST_QUERIES = 1 << 40

Array = NDArray[Any]
Count = TypeVar("Count", int, NDArray[Any])
Count_co = TypeVar("Count_co", int, NDArray[Any], covariant=True)


class Gadget(NamedTuple):
    """The ``digits`` uppermost digits of ``bits`` bits of a residue modulo Q; lower bits are rounded off."""

    digits: int
    bits: int

    @property
    def kept_bits(self) -> int:
        """Bits of the residue that the digits hold."""
        return self.digits * self.bits


class GadgetColumns(NamedTuple):
    """Gadgets of many configurations; no digits where a configuration has no such key."""

    digits: Array
    bits: Array


class GadgetOf(Protocol[Count_co]):
    """A gadget, or a column of gadgets."""

    @property
    def digits(self) -> Count_co:
        """Number of digits."""

    @property
    def bits(self) -> Count_co:
        """Bits of a digit."""


@overload
def bit_length(value: int) -> int: ...
@overload
def bit_length(value: Array) -> Array: ...
def bit_length(value: int | Array) -> int | Array:
    """Bits of non-negative integers below 2^53: 0 for 0, 3 for 4."""
    if isinstance(value, int):
        return value.bit_length()
    return np.frexp(np.asarray(value, dtype=np.float64))[1].astype(np.int64)


@overload
def at_least(value: int, bound: int) -> int: ...
@overload
def at_least(value: Array, bound: int | Array) -> Array: ...
def at_least(value: int | Array, bound: int | Array) -> int | Array:
    """The larger of both."""
    if isinstance(value, int) and isinstance(bound, int):
        return max(value, bound)
    return np.maximum(value, bound)


@overload
def at_most(value: int, bound: int) -> int: ...
@overload
def at_most(value: Array, bound: int | Array) -> Array: ...
def at_most(value: int | Array, bound: int | Array) -> int | Array:
    """The smaller of both."""
    if isinstance(value, int) and isinstance(bound, int):
        return min(value, bound)
    return np.minimum(value, bound)


class ExpandedFormulas(Generic[Count]):
    """A query with used coefficients at every multiple of a stride, and its answer.

    Subclasses are frozen dataclasses with these fields.
    """

    rows: Count  # m
    row_coefficients: Count  # n', packed coefficients of a row
    element_bound: Count  # largest magnitude of a centred packed element
    plaintext_modulus: Count  # t
    degree: Count  # N
    limb_bits: tuple[Count, ...]  # of Q, one to three primes; columns of fewer limbs have zeros
    square: GadgetOf[Count]  # of the key from s^2
    answer_degree: Count  # N', of the secrets that answers come back under
    answer_modulus_bits: Count  # log2 q' of the answers
    answer_together: Count  # T, results whose answers share one a, of one row or of several
    ring_switch: GadgetOf[Count]  # of the key to the secrets of degree N'; no digits without a switch
    answer_half_bits: Count  # h, bits of two rounded coefficients of an answer's a
    answer_low_bits: Count  # r, bits that are sent of a coefficient of b
    flooding_bits: Count  # least width asked for over the noise; 0 asks for none
    log2_distance: float | Array  # distance asked for after so many queries, as log2; 0 asks for none
    queries: Count  # planned number of answers to those who may pool them
    flooding_log2_width: Count  # log2 w; the flooding is the sum of three integers uniform in [-w, w)

    @cached_property
    def query_coefficients(self) -> Count:
        """K, coefficients of a query that hold anything."""
        raise NotImplementedError

    @cached_property
    def query_bytes(self) -> Count:
        """Body of a query: its counter and the used coefficients of N*b."""
        raise NotImplementedError

    @cached_property
    def key_groups(self) -> tuple[tuple[Count, Count], ...]:
        """Rows of the client's keys in the order they are sent, and the first limbs of Q that they are modulo."""
        raise NotImplementedError

    @cached_property
    def results(self) -> Count:
        """Ciphertexts of degree N that a row comes in before the switch."""
        raise NotImplementedError

    @cached_property
    def spacing(self) -> Count:
        """Distance of the coefficients of a result that may hold an element."""
        raise NotImplementedError

    @cached_property
    def result_log2_q(self) -> Count:
        """Bits of the modulus that results come modulo, and are flooded under."""
        raise NotImplementedError

    @cached_property
    def switching_rows(self) -> Count:
        """Digits of the automorphism keys of all levels."""
        raise NotImplementedError

    @cached_property
    def limbs(self) -> Count:
        """Primes of Q."""
        return sum((1 * (bits > 0) for bits in self.limb_bits[1:]), start=1 * (self.limb_bits[0] > 0))

    @cached_property
    def log2_q(self) -> Count:
        """Bits of Q."""
        return sum(self.limb_bits[1:], start=self.limb_bits[0])

    @cached_property
    def expansion_levels(self) -> Count:
        """Automorphisms on the way to a leaf, log2 N."""
        return bit_length(self.degree) - 1

    @cached_property
    def split_levels(self) -> Count:
        """Last levels, at which nodes are split: ceil(log2 K)."""
        return bit_length(self.query_coefficients - 1)

    @cached_property
    def stride(self) -> Count:
        """Distance of the used coefficients of a query."""
        return self.degree >> self.split_levels

    @cached_property
    def expansion_switches(self) -> Count:
        """Key switches of the expansion: one a level before the first split, then 1, 2, 4, ..., and repeated ones."""
        single, level = self.expansion_levels - self.split_levels, self.repeated_level
        once = single + (1 << self.split_levels) - 1
        second = at_least(1 - single, 0) * (level - 1)  # nodes of the second level besides one
        return once + (2 << level) - 2 - level + second

    @cached_property
    def repeated_level(self) -> Count:
        """Last level of the expansion whose key serves all before it."""
        return at_most(self.expansion_levels - 1, 2 * REPEATED_LEVEL) // 2

    @cached_property
    def flooded(self) -> Count:
        """1 where the table is hidden from the client, else 0."""
        either: Any = (self.flooding_bits > 0) | (self.log2_distance < 0)
        return 1 * either

    @cached_property
    def answer_parts(self) -> Count:
        """P = N/N', parts of a result."""
        return self.degree // self.answer_degree

    @cached_property
    def used_parts(self) -> Count:
        """Parts of a result that may hold elements."""
        return at_least(self.answer_parts // self.spacing, 1)

    @cached_property
    def answer_tokens(self) -> Count:
        """Rows that an answer is of: as many as have one a together, if each is one result."""
        return 1 + (self.answer_together - 1) * (1 * (self.results == 1))

    @cached_property
    def answers(self) -> Count:
        """Polynomials a of degree N' of an answer, each of up to ``answer_together`` results."""
        return -(-self.results * self.answer_tokens // self.answer_together)

    @cached_property
    def answer_outputs(self) -> Count:
        """Secrets of degree N', one for every used part of the results under one a."""
        return self.answer_together * self.used_parts

    @cached_property
    def switches_ring(self) -> Count:
        """1 where answers come back under secrets of their own, else 0."""
        return 1 * (self.answer_parts * self.answer_together > 1)

    @cached_property
    def answer_bytes(self) -> Count:
        """Body of an answer: every a in pairs of coefficients, and the low bits of the used coefficients of b."""
        pairs = self.answer_degree // 2
        return self.answers * packed_bytes(pairs, self.answer_half_bits) + packed_bytes(
            self.answer_tokens * self.row_coefficients, self.answer_low_bits
        )

    @cached_property
    def ring_switch_rows(self) -> Count:
        """Rows of the key to the secrets of degree N', each of a polynomial a secret."""
        return self.answer_together * self.answer_parts * self.ring_switch.digits * self.switches_ring

    @cached_property
    def ring_switch_bytes(self) -> Count:
        """Bytes of these rows."""
        count = self.ring_switch_rows * self.answer_outputs * self.answer_degree
        return packed_bytes(count, self.answer_modulus_bits)

    @cached_property
    def key_bytes(self) -> Count:
        """Body of the keys: a seed, the residues of every limb in exact bits, and the rows of the ring switch."""
        parts = [
            packed_bytes(rows * self.degree, bits) * (limbs > limb)
            for rows, limbs in self.key_groups
            for limb, bits in enumerate(self.limb_bits)
        ]
        return sum(parts[1:], start=parts[0]) + SEED_BYTES + self.ring_switch_bytes

    @cached_property
    def up_bytes(self) -> Count:
        """A query with its frame."""
        return FRAME_HEADER_BYTES + self.query_bytes

    @cached_property
    def down_bytes(self) -> Count:
        """An answer with its frame."""
        return FRAME_HEADER_BYTES + self.answer_bytes


C = TypeVar("C", bound="Expanded")


@dataclass(frozen=True, kw_only=True)
class Expanded(ExpandedFormulas[int]):
    """Parameters of one configuration, plain values that are checked, hashed and sent."""

    rows: int
    row_coefficients: int
    element_bound: int
    plaintext_modulus: int
    degree: int
    limb_bits: tuple[int, ...]
    expansion: tuple[Gadget, ...]  # of the automorphism keys by level from X -> X^(N+1) on; the first ones share a key
    square: Gadget
    answer_degree: int
    answer_modulus_bits: int
    answer_together: int
    ring_switch: Gadget
    answer_half_bits: int
    answer_low_bits: int
    flooding_bits: int = 0
    log2_distance: float = 0.0  # asked for after all queries
    queries: int = 1
    flooding_log2_width: int = 0
    log2_failure: float = -40  # target of a whole answer
    sigma: float = 3.19  # noise of encryptions and keys

    @cached_property
    def shared_answer(self) -> SharedAnswer:
        """Shape of the answers to the results that share one a."""
        parts = self.answer_parts
        return SharedAnswer(
            plaintext_modulus=self.plaintext_modulus,
            coefficients=min(self.answer_tokens * self.row_coefficients, self.answer_outputs * self.answer_degree),
            parts=parts,
            stride=parts // self.used_parts,
            ciphertexts=self.answer_together,
            digits=self.ring_switch.digits * self.switches_ring,
            digit_bits=self.ring_switch.bits,
            a_half_bits=self.answer_half_bits,
            low_bits=self.answer_low_bits,
            degree=self.answer_degree,
            modulus_bits=self.answer_modulus_bits,
            sigma=self.sigma,
        )

    @cached_property
    def switching_rows(self) -> int:
        """Digits of the automorphism keys of all levels that have one of their own."""
        return sum(gadget.digits for gadget in self.expansion[self.repeated_level :])

    @property
    def expansion_nodes(self) -> tuple[int, ...]:
        """Nodes of every level, each with one key switch."""
        single = self.expansion_levels - self.split_levels
        return tuple(1 << max(level - single, 0) for level in range(self.expansion_levels))

    def require(self, name: str, low: float, high: float) -> None:
        """Hold a field to its bounds.

        Raises
        ------
        ValueError
            Naming field, value and bounds.
        """
        value = getattr(self, name)
        if not low <= value <= high:
            raise ValueError(f"{name} is {value}; it must lie between {low} and {high}")

    def check_table(self) -> None:
        """Hold table, plaintexts and target to their bounds.

        Raises
        ------
        ValueError
            Naming field, value and bounds.
        """
        self.require("rows", 1, 1 << 24)
        self.require("row_coefficients", 1, 1 << 20)
        self.require("element_bound", 1, (1 << 15) - 1)
        self.require("plaintext_modulus", 2, 1 << 50)
        self.require("flooding_bits", 0, 128)
        self.require("log2_distance", LEAST_LOG2_DISTANCE, 0)
        self.require("queries", 1, MOST_QUERIES)
        self.require("log2_failure", -1000, 0)
        check_flooded_modulus(self.plaintext_modulus, self.flooded)

    def check_ring(self) -> None:
        """Hold ring, keys and answer to their bounds.

        Raises
        ------
        ValueError
            Naming field, value and what would be valid.
        """
        self.require("degree", 16, 1 << 15)
        if self.degree & (self.degree - 1):
            raise ValueError(f"degree is {self.degree}; it must be a power of two")
        if not 1 <= len(self.limb_bits) <= MOST_LIMBS or not all(20 <= bits <= 60 for bits in self.limb_bits):
            raise ValueError(f"limb_bits is {self.limb_bits}; it must be one to three sizes from 20 to 60 bits")
        if len(self.expansion) != self.expansion_levels:
            raise ValueError(
                f"expansion has {len(self.expansion)} levels; it must have log2 N = {self.expansion_levels}"
            )
        if len(set(self.expansion[: self.repeated_level + 1])) > 1:
            raise ValueError(f"expansion is {self.expansion}; the first {self.repeated_level + 1} levels share a key")
        for name, gadget in (("square", self.square), *(("expansion", one) for one in self.expansion)):
            require_gadget(name, gadget, self.log2_q, min(self.limb_bits) - 2)
        if not 0.5 <= self.sigma <= 1000:
            raise ValueError(f"sigma is {self.sigma}; it must lie between 0.5 and 1000")
        self.require("flooding_log2_width", 0, self.result_log2_q - 4)
        self._check_answer()

    def _check_answer(self) -> None:
        self.require("answer_degree", 16, self.degree)
        if self.answer_degree & (self.answer_degree - 1):
            raise ValueError(f"answer_degree is {self.answer_degree}; it must be a power of two")
        self.require("answer_modulus_bits", 4, min(*self.limb_bits, MOST_MODULUS_BITS + 1) - 1)
        self.require("answer_together", 1, self.results if self.results > 1 else MOST_TOGETHER)
        self.require("answer_half_bits", 2 * self.plaintext_modulus.bit_length(), 2 * self.answer_modulus_bits)
        self.require("answer_low_bits", 1, MOST_LOW_BITS)
        if self.switches_ring and self.ring_switch.digits < 1:
            raise ValueError(f"ring_switch is {self.ring_switch}; it must have at least one digit")
        try:
            _ = self.shared_answer
        except ValueError as error:
            raise ValueError(
                f"answer_degree is {self.answer_degree}, ring_switch {self.ring_switch}: {error}"
            ) from None

    def to_json(self) -> str:
        """Return the parameters as a JSON object that :meth:`from_json` reads back to equal ones."""
        return json.dumps(asdict(self), separators=(",", ":"))

    @classmethod
    def from_json(cls: type[C], text: str) -> C:
        """Return the parameters of :meth:`to_json`, checked anew.

        Raises
        ------
        ValueError
            If the text is no such object, a field is missing, unknown or of another type, or one is out of its bounds.
        """
        try:
            values = json.loads(text)
        except json.JSONDecodeError as error:
            raise ValueError(f"{cls.__name__} is malformed: {error}") from None
        return cls.from_dict(values)

    @classmethod
    def from_dict(cls: type[C], values: Mapping[str, Any]) -> C:
        """Return the parameters of plain values by field name, as ``dataclasses.asdict``, JSON and TOML give them.

        Raises
        ------
        ValueError
            If a field is missing, unknown or of another type, or one is out of its bounds.
        """
        known = [field.name for field in fields(cls)]
        if not isinstance(values, Mapping) or set(values) != set(known):
            raise ValueError(f"{cls.__name__} needs the fields {', '.join(known)}")
        return cls(**{name: _parsed(name, values[name]) for name in known})


REALS = ("log2_distance", "log2_failure", "sigma")
GADGETS = ("square", "fold", "bit", "ring_switch")


def _parsed(name: str, value: Any) -> Any:
    """Return a field's value from its plain form."""

    def integers(item: Any) -> tuple[int, ...]:
        if not isinstance(item, list | tuple) or not all(type(number) is int for number in item):
            raise ValueError(f"{name} is {item!r}; it must be a list of integers")
        return tuple(item)

    def gadget(item: Any) -> Gadget:
        pair = integers(item)
        if len(pair) != 2:
            raise ValueError(f"{name} is {item!r}; it must be a number of digits and their bits")
        return Gadget(*pair)

    if name in GADGETS:
        return gadget(value)
    if name == "expansion":
        if not isinstance(value, list | tuple):
            raise ValueError(f"{name} is {value!r}; it must be a list of gadgets")
        return tuple(gadget(item) for item in value)
    if name == "limb_bits":
        return integers(value)
    if type(value) is not int and not (name in REALS and type(value) is float):
        raise ValueError(f"{name} is {value!r}; it must be {'a number' if name in REALS else 'an integer'}")
    return value


K = TypeVar("K", bound="Columns")


@dataclass(frozen=True, eq=False, kw_only=True)
class Columns(ExpandedFormulas[Array]):
    """Parameters of many configurations: every field an array, all of one shape or broadcasting with each other.

    Levels of the expansion lie along a first axis and end together: rings of smaller degree have no digits at the
    first levels. ``holds`` is false where no parameters hold the target; the other fields then mean nothing.
    """

    rows: Array
    row_coefficients: Array
    element_bound: Array
    plaintext_modulus: Array
    degree: Array
    limb_bits: tuple[Array, ...]
    expansion: GadgetColumns
    square: GadgetColumns
    answer_degree: Array
    answer_modulus_bits: Array
    answer_together: Array
    ring_switch: GadgetColumns
    answer_half_bits: Array
    answer_low_bits: Array
    flooding_bits: Array
    log2_distance: Array
    queries: Array
    flooding_log2_width: Array
    log2_failure: Array
    sigma: Array
    holds: Array

    @classmethod
    def of(cls: type[K], parameters: Expanded | K) -> K:
        """Columns of one configuration, of no axes but the levels; columns as they are."""
        return cls(**column_values(parameters)) if isinstance(parameters, Expanded) else parameters

    def held(self, figure: Array) -> Array:
        """A figure of every configuration, NaN where no parameters hold."""
        return figure if np.all(self.holds) else np.where(self.holds, figure, np.nan)

    @cached_property
    def switching_rows(self) -> Array:
        """Digits of the automorphism keys of all levels that have one of their own."""
        own = self.level_numbers() >= self.repeated_level
        return np.sum(np.where(own, self.expansion.digits, 0), axis=0)

    def level_numbers(self) -> Array:
        """Number of every level of the expansion, (levels, ...), negative at levels that a ring does not have."""
        levels = len(self.expansion.digits)
        after = np.arange(levels - 1, -1, -1).reshape(-1, *(1,) * np.ndim(self.degree))
        return self.expansion_levels - 1 - after

    def level_repetitions(self) -> Array:
        """How often the key of every level is applied to a node, (levels, ...)."""
        return 1 << np.maximum(self.repeated_level - np.maximum(self.level_numbers(), 0), 0)

    def mapped(self: K, change: Callable[[Array], Array]) -> K:
        """The same with every array changed in its last axes; those of levels have a first axis more."""

        def leaf(value: Any) -> Any:
            if isinstance(value, GadgetColumns):
                return GadgetColumns(*map(leaf, value))
            return tuple(map(leaf, value)) if isinstance(value, tuple) else change(value)

        return type(self)(**{field.name: leaf(getattr(self, field.name)) for field in fields(self)})

    def taken(self: K, index: Any) -> K:
        """The configurations at an index of flat columns."""
        return self.mapped(lambda array: array[..., index])

    def joined(self: K, other: K) -> K:
        """Flat columns followed by other flat columns, with as many levels."""

        def both(mine: Any, others: Any) -> Any:
            if isinstance(mine, GadgetColumns):
                return GadgetColumns(*map(both, mine, others))
            if isinstance(mine, tuple):
                return tuple(map(both, mine, others))
            return np.concatenate([mine, others], axis=-1)

        names = [field.name for field in fields(self)]
        return type(self)(**{name: both(getattr(self, name), getattr(other, name)) for name in names})


def plain_values(columns: Columns) -> dict[str, Any]:
    """Fields of the parameters of columns of one configuration."""

    def integer(array: Array) -> int:
        return int(array.item())

    def gadget(value: GadgetColumns) -> Gadget:
        return Gadget(integer(value.digits), integer(value.bits))

    levels = zip(columns.expansion.digits, columns.expansion.bits, strict=True)
    values: dict[str, Any] = {}
    for field in fields(columns):
        value = getattr(columns, field.name)
        if field.name == "holds":
            continue
        if field.name == "expansion":
            values[field.name] = tuple(
                Gadget(integer(digits), integer(bits)) for digits, bits in levels if integer(digits)
            )
        elif isinstance(value, GadgetColumns):
            values[field.name] = gadget(value)
        elif isinstance(value, tuple):
            values[field.name] = tuple(integer(bits) for bits in value if integer(bits))
        elif field.name in REALS:
            values[field.name] = float(value.item())
        else:
            values[field.name] = integer(value)
    return values


def column_values(parameters: Expanded) -> dict[str, Any]:
    """Fields of the columns, of no axes but the levels, of one configuration's parameters."""

    def gadget(value: Gadget) -> GadgetColumns:
        return GadgetColumns(np.asarray(value.digits), np.asarray(value.bits))

    values: dict[str, Any] = {"holds": np.asarray(True)}
    for field in fields(parameters):
        value = getattr(parameters, field.name)
        if field.name == "expansion":
            values[field.name] = GadgetColumns(*np.array(value, dtype=np.int64).T)
        elif isinstance(value, Gadget):
            values[field.name] = gadget(value)
        elif isinstance(value, tuple):
            padded = (*value, *(0,) * (MOST_LIMBS - len(value)))
            values[field.name] = tuple(np.asarray(bits, dtype=np.int64) for bits in padded)
        else:
            values[field.name] = np.asarray(value, dtype=np.float64 if field.name in REALS else np.int64)
    return values


@overload
def packed_bytes(count: int, bits: int) -> int: ...
@overload
def packed_bytes(count: Array, bits: Array) -> Array: ...
def packed_bytes(count: int | Array, bits: int | Array) -> int | Array:
    """Bytes of so many integers of so many bits, one after the other."""
    return -(-count * bits // 8)


def check_flooded_modulus(plaintext_modulus: ArrayLike, flooded: ArrayLike) -> None:
    """Hold the plaintext modulus of flooded answers to powers of two.

    Any other does not divide the answer's modulus: what the message is rounded by there would show in the low bits of
    b, and no flooding is sized for it.

    Raises
    ------
    ValueError
        Naming the smallest modulus that is none.
    """
    modulus, hidden = np.broadcast_arrays(plaintext_modulus, flooded)
    others = modulus[(hidden > 0) & (modulus & (modulus - 1) > 0)]
    if others.size:
        raise Incompatible(
            f"plaintext_modulus is {others.min()}; it must be a power of two where answers are flooded "
            "(flooding_bits 0 leaves the table open to the client)"
        )


def require_gadget(name: str, gadget: Gadget, log2_modulus: int, widest: int) -> None:
    """Hold a gadget to its bounds.

    Raises
    ------
    ValueError
        Naming field, value and bounds.
    """
    digits, bits = gadget
    most = min(log2_modulus, MOST_KEPT_BITS)
    if digits < 1 or not 2 <= bits <= widest or digits * bits > most:
        raise ValueError(
            f"{name} is {digits} digits of {bits} bits; it must be at least one of 2 to {widest} bits, "
            f"{most} bits in all"
        )
