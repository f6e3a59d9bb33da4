"""What is asked about: table, ring, packing, wire and protocol, composed into a :class:`Configuration`.

Every class is a frozen dataclass of plain scalars and tuples: it compares, hashes and travels through TOML.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any

import tomli_w

from costmodel.checks import one_of, real_between, whole_between, wholes
from costmodel.expanded.bucketed.parameters import BucketedParameters
from costmodel.expanded.compressed.parameters import CompressedParameters
from costmodel.expanded.folded.parameters import FoldedParameters
from costmodel.expanded.parameters import LEAST_LOG2_DISTANCE, MOST_QUERIES
from costmodel.limits import LEAST_LOG2_FAILURE, LOG2_FAILURE, MOST_FLOODING_BITS, MOST_LOG2_FAILURE, SIGMA
from costmodel.packing import check_packing, field_moduli, widths_of_levels
from costmodel.security import Secret

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

TILES = ("column", "cheetah", "spu", "system")
OUTPUTS = ("ciphertexts", "extracted", "packlwes", "packlwes-one-polynomial", "system")
SIZES = ("native", "ideal", "wire", "openfhe")
ENGINES = ("openfhe", "residue", "seal", "spu")
EXECUTING_ENGINES = ("residue", "openfhe")
"""Engines of this project; the others are libraries of published systems, priced alone."""
SECRETS = ("ternary", "gaussian")
SHARE_MODULUS = 2**64
"""Of SPU's FM64, the only modulus above 2^60; its module prices it."""
OPTIONS = ("delphi", "low-bits", "shares", "split", "sirnn-iknp", "sirnn-ferret")
"""What a system can be asked to do besides: Delphi's offline product, answers of the lowest bits of b, SPU's shared
operands and its splitting of large ones, SiRNN's extension of shares with either oblivious transfer."""
EXECUTED_OPTIONS = {"residue": frozenset({"delphi", "low-bits"}), "openfhe": frozenset({"delphi"})}
"""Options that an engine of this project executes."""
LOW_BITS_OPTIONS = frozenset({"low-bits"})
"""Answers of the lowest bits of b, which the residue engine alone sends."""
BLOCK_BITS, MOST_BLOCK_BITS = 4, 8
"""Of SoftSpokenOT's blocks, unless told, a quarter of IKNP's bytes for twice its hashing; and the most."""
SIRNN_OPTIONS = frozenset({"sirnn-iknp", "sirnn-ferret"})
"""SiRNN's extension of shares in the place of this project's alignment."""


@dataclass(frozen=True)
class Table:
    """The embedding table and how many rows of it are looked up together.

    Examples
    --------
    >>> Table(32000, 4096).tokens
    1
    """

    rows: int  # m, vocabulary size
    channels: int  # n, embedding dimension
    tokens: int = 1  # rows looked up together
    spread: float = 1.0  # root mean square of its packed elements over that of uniform levels, for the noise

    def __post_init__(self) -> None:
        for name, most in (("rows", 2**32), ("channels", 2**20), ("tokens", 2**16)):
            object.__setattr__(self, name, whole_between(f"table.{name}", getattr(self, name), 1, most))
        real_between("table.spread", self.spread, 0.0, 4.0)


@dataclass(frozen=True)
class Ring:
    """The RLWE ring Z_q[X]/(X^N + 1), its plaintext modulus and its distributions.

    Examples
    --------
    >>> Ring(4096, (60, 49), 2**37).log2_q
    109
    """

    degree: int  # N
    limb_bits: tuple[int, ...]  # sizes of the primes whose product is q
    plaintext_modulus: int  # t; 2^p for a plaintext of p bits
    sigma: float = SIGMA  # standard deviation of the encryption noise
    secret: Secret = "ternary"

    def __post_init__(self) -> None:
        object.__setattr__(self, "degree", whole_between("ring.N", self.degree, 16, 2**17))
        if self.degree & (self.degree - 1):
            raise ValueError(f"ring.N is {self.degree}; it must be a power of two")
        object.__setattr__(self, "limb_bits", wholes("ring.q (bits of its limbs)", self.limb_bits))
        if not self.limb_bits:
            raise ValueError("ring.q is empty; it must name at least one limb size in bits")
        for bits in self.limb_bits:
            whole_between("ring.q (bits of a limb)", bits, 14, 61)
        if self.plaintext_modulus != SHARE_MODULUS:
            object.__setattr__(self, "plaintext_modulus", whole_between("ring.t", self.plaintext_modulus, 2, 2**60))
        if self.plaintext_modulus.bit_length() >= sum(self.limb_bits):
            raise ValueError(
                f"ring.q has {sum(self.limb_bits)} bits; it must have more than the plaintext modulus, "
                f"which has {self.plaintext_modulus.bit_length()}"
            )
        real_between("ring.sigma", self.sigma, 0.5, 1e6)
        one_of("ring.secret", self.secret, SECRETS)

    @property
    def log2_q(self) -> int:
        """Bits of q, the sum over its limbs."""
        return sum(self.limb_bits)


@dataclass(frozen=True)
class Packing:
    """Which channel lies in which bits of which coefficient, and what becomes of the answers.

    Examples
    --------
    >>> Packing((4, 3, 3)).field_moduli  # a carry bit a channel
    (32, 16, 16)
    """

    widths: tuple[int, ...] = (4, 3, 3)  # bits of the channels that share a coefficient
    tile: str = "column"  # how the table is cut into polynomials
    output: str = "ciphertexts"  # what is sent back of a product
    levels: tuple[int, ...] = ()  # of the channels in mixed radix; none where they have 2^width each

    def __post_init__(self) -> None:
        object.__setattr__(self, "widths", wholes("packing.widths", self.widths))
        object.__setattr__(self, "levels", wholes("packing.levels", self.levels))
        one_of("packing.tile", self.tile, TILES)
        one_of("packing.output", self.output, OUTPUTS)
        if self.levels and self.field_moduli == field_moduli(self.widths):
            object.__setattr__(self, "levels", ())  # one form only, so that equal packings compare equal

    @property
    def field_moduli(self) -> tuple[int, ...]:
        """Moduli of the fields of a coefficient, lowest first."""
        return field_moduli(self.widths, self.levels)

    def with_levels(self, levels: tuple[int, ...]) -> Packing:
        """The same for channels of so many levels."""
        return replace(self, widths=widths_of_levels(levels), levels=levels)


@dataclass(frozen=True)
class Wire:
    """Bits of a coefficient that travel in this project's compact format, and the digits of the switching keys."""

    query_bits: int  # of b of a query; its a comes from a seed
    answer_a_bits: int
    answer_b_bits: int
    digit_bits: int = 0  # w of the switching keys' base 2^w; 0 where no keys are switched
    digit_dropped_bits: int = 0  # low bits of a that no digit covers, with one limb

    def __post_init__(self) -> None:
        for name in ("query_bits", "answer_a_bits", "answer_b_bits"):
            whole_between(f"wire.{name}", getattr(self, name), 1, 256)
        whole_between("wire.digit_bits", self.digit_bits, 0, 60)
        whole_between("wire.digit_dropped_bits", self.digit_dropped_bits, 0, 60)


@dataclass(frozen=True)
class Configuration:
    """One private lookup: what is looked up, under which parameters, by which protocol.

    Raises
    ------
    ValueError
        If a field is out of its bounds or two of them do not fit; the message names field, value and bound.

    Examples
    --------
    >>> one = Configuration("cheetah", Table(32000, 4096), Ring(4096, (60, 49), 2**37), engine="seal")
    >>> one == Configuration.from_toml(one.to_toml())
    True
    """

    protocol: str
    table: Table
    ring: Ring
    packing: Packing = field(default_factory=Packing)
    wire: Wire | None = None  # None where a library's own format is sent
    engine: str = "openfhe"
    size: str = "native"
    flooding_bits: int = 0
    log2_distance: float = 0.0  # that the flooding leaves after all planned queries; 0 where it is asked for in bits
    queries: int = 1  # planned number of rows that are looked up in all by those who may pool them
    align_bits: int = 0
    block_bits: int = BLOCK_BITS  # k of the transfers that an alignment takes: bytes as 1/k, hashing as 2^k/k
    prepared: bool = False
    options: tuple[str, ...] = ()  # of OPTIONS
    log2_failure: float = LOG2_FAILURE  # target of the failure probability of all answers together
    expanded: FoldedParameters | CompressedParameters | BucketedParameters | None = (
        None  # chosen for an expanded query; None elsewhere
    )

    def __post_init__(self) -> None:
        one_of("engine", self.engine, ENGINES)
        one_of("size", self.size, SIZES)
        bounds = {"flooding_bits": (0, MOST_FLOODING_BITS), "queries": (1, MOST_QUERIES), "align_bits": (0, 64)}
        for name, (low, high) in {**bounds, "block_bits": (1, MOST_BLOCK_BITS)}.items():
            object.__setattr__(self, name, whole_between(name, getattr(self, name), low, high))
        real_between("log2_distance", self.log2_distance, LEAST_LOG2_DISTANCE, 0.0)
        real_between("log2_failure", self.log2_failure, LEAST_LOG2_FAILURE, MOST_LOG2_FAILURE)
        for option in self.options:
            one_of("options", option, OPTIONS)
        check_packing(self.packing.widths, self.ring.plaintext_modulus, self.packing.levels)

    @property
    def has_offline_phase(self) -> bool:
        """Whether messages are exchanged before the tokens are known."""
        return self.prepared or "delphi" in self.options

    def updated(self, **changes: Any) -> Configuration:
        """A copy with some fields replaced, checked anew."""
        return replace(self, **changes)

    def to_toml(self) -> str:
        """The configuration as a TOML document that :meth:`from_toml` reads back to an equal one."""
        return tomli_w.dumps(_present(asdict(self)))

    @classmethod
    def from_toml(cls, text: str) -> Configuration:
        """Read a configuration; unknown and missing fields are errors that name them."""
        return cls.from_dict(tomllib.loads(text))

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Configuration:
        """Build a configuration from nested plain values, as TOML or JSON gives them."""
        parts = dict(values)
        for name, kind in (("table", Table), ("ring", Ring), ("packing", Packing), ("wire", Wire)):
            if parts.get(name) is not None:
                parts[name] = _build(kind, name, parts[name])
        if parts.get("expanded") is not None:
            chosen = _EXPANDED.get(str(parts.get("protocol")), FoldedParameters)
            parts["expanded"] = chosen.from_dict(parts["expanded"])
        built: Configuration = _build(cls, "configuration", parts)
        return built


_EXPANDED: dict[str, type[FoldedParameters | CompressedParameters | BucketedParameters]] = {
    "folded": FoldedParameters,
    "compressed": CompressedParameters,
    "bucketed": BucketedParameters,
}
"""Parameters of an expanded query by its protocol."""


def _present(values: Mapping[str, Any]) -> dict[str, Any]:
    """Nested fields without those that are None, which TOML cannot say."""
    found = {key: value for key, value in values.items() if value is not None}
    return {key: _present(value) if isinstance(value, Mapping) else value for key, value in found.items()}


def _build(kind: type[Any], name: str, values: Any) -> Any:
    if not isinstance(values, Mapping):
        raise ValueError(f"{name} is {values!r}; it must be a section of fields")
    known = {f.name: f for f in fields(kind)}
    unknown = sorted(set(values) - set(known))
    if unknown:
        raise ValueError(f"{name} has no field {unknown[0]!r}; its fields are {', '.join(known)}")
    plain = {key: tuple(v) if isinstance(v, list) else v for key, v in values.items()}
    for key, value in plain.items():
        _check_type(f"{name}.{key}", str(known[key].type), value)
    try:
        return kind(**plain)
    except TypeError as error:
        raise ValueError(f"{name}: {error}") from None


def _check_type(name: str, annotation: str, value: Any) -> None:
    integer = isinstance(value, int) and not isinstance(value, bool)
    fits = {
        "int": integer,
        "float": integer or isinstance(value, float),
        "str": isinstance(value, str),
        "bool": isinstance(value, bool),
        "tuple[int, ...]": isinstance(value, tuple) and all(type(v) is int for v in value),
    }
    if not fits.get(annotation, True):
        raise ValueError(f"{name} is {value!r}; it must be of type {annotation}")
