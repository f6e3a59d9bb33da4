"""What both parties know of a packed table: how to read a packed row."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from functools import cached_property
from math import isfinite
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from quantize.packing import (
    AnyIntegers,
    field_moduli_of_levels,
    packed_channels,
    packed_modulus,
    unpack,
)
from quantize.sources import MAX_CHANNELS, MAX_ROWS
from quantize.transforms import IDENTITY, Hadamard, Identity, Transform

FORMAT: Final = "fastquery-table-1"
MAX_JSON_CHARACTERS: Final = 1 << 24
MAX_LEVELS: Final = 1 << 24
MIN_SCALE, MAX_SCALE = 2.0**-100, 2.0**100


@dataclass(frozen=True, repr=False)
class PublicTable:
    """Public description of a packed table. It holds nothing of the weights but the channels' scales.

    Channel ``order[k]`` lies at packed position k, that is in field ``k mod g`` of coefficient ``k div g``.
    Its level ``q`` (``-floor(L/2) <= q < L - floor(L/2)``, L the field's levels) is stored as ``q +
    floor(L/2)`` and stands for ``scale * q``, or ``scale * (q + 1/2)`` with half-integer levels. The
    embedding is the transform undone.

    Attributes
    ----------
    rows : int
        Rows of the packed table.
    channels : int
        Channels n.
    field_levels : tuple of int
        Levels of each field of a coefficient, lowest field first: (16, 8, 8) for the widths (4, 3, 3).
    order : tuple of int, length n
        Original channel of each packed position.
    scales : tuple of float, length n
        By original channel.
    half_integer : bool
    recipe : str
        Name of the recipe, for reports.
    transform : Identity or Hadamard
    row_of_token : tuple of int or None
        Row of each token where equal rows were merged; None where token and row are the same.
    """

    rows: int
    channels: int
    field_levels: tuple[int, ...]
    order: tuple[int, ...]
    scales: tuple[float, ...]
    half_integer: bool
    recipe: str
    transform: Transform = IDENTITY
    row_of_token: tuple[int, ...] | None = None

    def __post_init__(self) -> None:
        if not 1 <= self.rows <= MAX_ROWS:
            raise ValueError(f"rows: {self.rows} is outside 1 to {MAX_ROWS}")
        if not 1 <= self.channels <= MAX_CHANNELS:
            raise ValueError(f"channels: {self.channels} is outside 1 to {MAX_CHANNELS}")
        for levels in self.field_levels:
            if not 2 <= levels <= MAX_LEVELS:
                raise ValueError(f"field_levels: {levels} is outside 2 to {MAX_LEVELS}")
        packed_modulus(self.field_moduli)
        if self.channels < len(self.field_levels):
            raise ValueError(
                f"channels: {self.channels} are fewer than the {len(self.field_levels)} of one coefficient"
            )
        if len(self.order) != self.channels or not np.array_equal(
            np.sort(np.asarray(self.order, np.int64)), np.arange(self.channels)
        ):
            raise ValueError(f"order: not a permutation of the {self.channels} channels")
        if len(self.scales) != self.channels:
            raise ValueError(f"scales: {len(self.scales)} scales for {self.channels} channels")
        for channel, scale in enumerate(self.scales):
            if not (isfinite(scale) and MIN_SCALE <= scale <= MAX_SCALE):
                raise ValueError(f"scales: channel {channel}'s {scale} is outside {MIN_SCALE:g} to {MAX_SCALE:g}")
        if not (1 <= len(self.recipe) <= 64 and self.recipe.isascii() and self.recipe.isprintable()):
            raise ValueError("recipe: a name has 1 to 64 printable ASCII characters")
        self.transform.check(self.channels)
        if self.row_of_token is not None:
            rows = np.asarray(self.row_of_token, np.int64)
            if not 1 <= len(rows) <= MAX_ROWS or rows.min() < 0 or rows.max() >= self.rows:
                raise ValueError(f"row_of_token: none, too many, or an entry outside 0 to {self.rows - 1}")

    def __repr__(self) -> str:
        return f"PublicTable({self.recipe}, {self.rows}x{self.channels}, levels {self.field_levels})"

    @property
    def tokens(self) -> int:
        """Vocabulary size."""
        return self.rows if self.row_of_token is None else len(self.row_of_token)

    @property
    def field_moduli(self) -> tuple[int, ...]:
        """Moduli ``2 * levels`` of the fields of a coefficient, lowest first."""
        return field_moduli_of_levels(self.field_levels)

    @property
    def widths(self) -> tuple[int, ...]:
        """Bits ``ceil(log2 levels)`` of each field's channel."""
        return tuple((levels - 1).bit_length() for levels in self.field_levels)

    @property
    def plaintext_modulus(self) -> int:
        """Smallest plaintext modulus that holds a coefficient, ``prod_i M_i``; any larger one works."""
        return packed_modulus(self.field_moduli)

    @property
    def plaintext_bits(self) -> int:
        """Smallest p with ``2^p >= plaintext_modulus``."""
        return (self.plaintext_modulus - 1).bit_length()

    @property
    def coefficients(self) -> int:
        """Coefficients a row, ``n' = ceil(n / g)``."""
        return packed_channels(self.channels, len(self.field_levels))

    @cached_property
    def inverse_order(self) -> tuple[int, ...]:
        """Packed position of each original channel."""
        return tuple(int(position) for position in np.argsort(np.asarray(self.order)))

    @cached_property
    def levels_by_position(self) -> NDArray[np.int64]:
        """Number of levels of the channel at each packed position, shape (n,)."""
        return np.resize(np.asarray(self.field_levels, np.int64), self.channels)

    def row(self, token: int) -> int:
        """Row of a token.

        Raises
        ------
        ValueError
            If the token is outside the vocabulary.
        """
        if not 0 <= token < self.tokens:
            raise ValueError(f"token: {token} is outside 0 to {self.tokens - 1}")
        return token if self.row_of_token is None else self.row_of_token[token]

    def open(self, coefficients: AnyIntegers) -> NDArray[np.int32]:
        """Signed levels, in the original channel order, of packed rows.

        Parameters
        ----------
        coefficients : array of int, shape (..., n')
            Opened coefficients: the sum of the two shares modulo the plaintext modulus.

        Returns
        -------
        array of int32, shape (..., n)

        Raises
        ------
        ValueError
            If the shape does not fit or a coefficient is not one of a packed row (a failed decryption,
            mostly).
        """
        return self.open_fields(unpack(coefficients, self.field_moduli, self.channels))

    def open_fields(self, fields: AnyIntegers) -> NDArray[np.int32]:
        """Signed levels, in the original channel order, of channels that come as separate numbers.

        Parameters
        ----------
        fields : array of int, shape (..., n)
            Unsigned levels in packed order, as the alignment of bit widths leaves them.

        Raises
        ------
        ValueError
            If the shape does not fit or a number is outside its field's levels.
        """
        if fields.shape[-1:] != (self.channels,):
            raise ValueError(f"fields: shape {fields.shape} does not end in {self.channels} channels")
        count = self.levels_by_position
        wrong = int(np.count_nonzero((fields < 0) | (fields >= count)))
        if wrong:
            raise ValueError(f"fields: {wrong} of {fields.size} channel values are outside their field's levels")
        levels = np.empty(fields.shape, np.int32)
        levels[..., np.asarray(self.order)] = fields.astype(np.int32) - (count // 2).astype(np.int32)
        return levels

    def dequantize(self, levels: AnyIntegers) -> NDArray[np.float32]:
        """Embeddings of signed levels in the original channel order, shape (..., n).

        ``scale * level``, or ``scale * (level + 1/2)``, then the transform undone.
        """
        half = np.float32(0.5) if self.half_integer else np.float32(0)
        return self.transform.undo((levels.astype(np.float32) + half) * np.asarray(self.scales, np.float32))

    def share_of_levels(self, fields_share: NDArray[np.uint64], adds_constants: bool) -> NDArray[np.uint64]:
        """One party's share of twice the level (plus one where half-integer), original order, modulo
        ``2^64``.

        Parameters
        ----------
        fields_share : array of uint64, shape (..., n)
            Share modulo ``2^64`` of the unsigned levels in packed order.
        adds_constants : bool
            True for exactly one of the two parties: public constants are added to one share.
        """
        share = fields_share << np.uint64(1)
        if adds_constants:
            share = share - (2 * (self.levels_by_position // 2) - int(self.half_integer)).astype(np.uint64)
        ordered = np.empty_like(share)
        ordered[..., np.asarray(self.order)] = share
        return ordered

    def share_of_embedding(
        self,
        fields_share: NDArray[np.uint64],
        adds_constants: bool,
        share_bits: int = 64,
        fraction_bits: int = 0,
    ) -> NDArray[np.uint64]:
        """One party's share of the embedding as a fixed-point number modulo ``2^share_bits``.

        Everything between levels and embedding is linear and public, so each party does it alone: the two
        shares add up, modulo ``2^share_bits`` and read as signed, to ``embedding / unit(fraction_bits)``.
        With power-of-two scales this is exact at ``fraction_bits = 0``; free scales are rounded to
        ``2^-fraction_bits`` of the smallest.

        Parameters
        ----------
        fields_share : array of uint64, shape (..., n)
            Share modulo ``2^share_bits`` of the unsigned levels in packed order, as the alignment leaves it.
        adds_constants : bool
            True for exactly one of the two parties.
        share_bits, fraction_bits : int

        Raises
        ------
        ValueError
            If ``share_bits`` is outside 1 to 64, or the largest possible embedding value does not fit it.
        """
        if not 1 <= share_bits <= 64:
            raise ValueError(f"share_bits: {share_bits} is outside 1 to 64")
        if share_bits < self.embedding_bits(fraction_bits):
            largest = self.largest_embedding(fraction_bits)
            raise ValueError(f"share_bits: embeddings of up to {largest:.3g} units do not fit {share_bits} bits")
        multipliers = self._multipliers(fraction_bits)
        share = self.share_of_levels(fields_share, adds_constants) * multipliers.astype(np.uint64)
        return np.asarray(self.transform.undo_integers(share), np.uint64) & np.uint64((1 << share_bits) - 1)

    def largest_embedding(self, fraction_bits: int = 0) -> float:
        """Bound of an embedding's magnitude in steps of :meth:`unit`."""
        gain = 1.0 if isinstance(self.transform, Identity) else 1 / self.transform.gain**2
        return float((self._multipliers(fraction_bits).max() + 1) * (max(self.field_levels) + 1) * gain)

    def embedding_bits(self, fraction_bits: int = 0) -> int:
        """Fewest ``share_bits`` that :meth:`share_of_embedding` takes: a sign and the largest embedding's bits."""
        return math.frexp(self.largest_embedding(fraction_bits))[1] + 1

    def _multipliers(self, fraction_bits: int) -> NDArray[np.float64]:
        scales = np.asarray(self.scales)
        multipliers: NDArray[np.float64] = np.rint(scales / scales.min() * 2.0**fraction_bits)
        return multipliers

    def unit(self, fraction_bits: int = 0) -> float:
        """Value of one step of `share_of_embedding`: ``min(scale) / 2^(fraction_bits + 1) * gain``."""
        return min(self.scales) * 2.0 ** -(fraction_bits + 1) * self.transform.gain

    def to_json(self) -> str:
        """The description as one JSON document."""
        transform: dict[str, Any] = {"kind": self.transform.kind}
        if isinstance(self.transform, Hadamard):
            transform |= {"block": self.transform.block, "seed": self.transform.seed}
        return json.dumps(
            {
                "format": FORMAT,
                "rows": self.rows,
                "channels": self.channels,
                "field_levels": self.field_levels,
                "order": self.order,
                "scales": self.scales,
                "half_integer": self.half_integer,
                "recipe": self.recipe,
                "transform": transform,
                "row_of_token": self.row_of_token,
            },
            separators=(",", ":"),
        )

    @classmethod
    def from_json(cls, text: str) -> PublicTable:
        """Read a description that may come from anyone.

        Raises
        ------
        ValueError
            If anything in it is missing, unknown, of another type or out of bounds.
        """
        if len(text) > MAX_JSON_CHARACTERS:
            raise ValueError(f"public table: {len(text)} characters exceed {MAX_JSON_CHARACTERS}")
        try:
            data = json.loads(text, parse_constant=_refuse_constant)
        except (ValueError, RecursionError) as error:
            raise ValueError(f"public table: no valid JSON ({error})") from None
        _check_type("public table", data, dict)
        if data.get("format") != FORMAT:
            raise ValueError(f"public table: format is not {FORMAT!r}")
        expected = {*(name for name in cls.__dataclass_fields__), "format"}
        if set(data) != expected:
            raise ValueError(f"public table: fields {sorted(set(data) ^ expected)} are missing or unknown")
        rows_of_tokens = data["row_of_token"]
        return cls(
            rows=_integer("rows", data["rows"]),
            channels=_integer("channels", data["channels"]),
            field_levels=_integers("field_levels", data["field_levels"], 64),
            order=_integers("order", data["order"], MAX_CHANNELS),
            scales=_floats("scales", data["scales"], MAX_CHANNELS),
            half_integer=_check_type("half_integer", data["half_integer"], bool),
            recipe=_check_type("recipe", data["recipe"], str),
            transform=_transform(data["transform"]),
            row_of_token=None if rows_of_tokens is None else _integers("row_of_token", rows_of_tokens, MAX_ROWS),
        )


def _refuse_constant(name: str) -> float:
    raise ValueError(f"{name} is not a number of JSON")


def _check_type(name: str, value: Any, expected: type) -> Any:
    if type(value) is not expected:
        raise ValueError(f"{name}: {type(value).__name__} where {expected.__name__} is expected")
    return value


def _integer(name: str, value: Any) -> int:
    _check_type(name, value, int)
    if abs(value) > 1 << 32:
        raise ValueError(f"{name}: an integer exceeds 2^32")
    return int(value)


def _integers(name: str, value: Any, limit: int) -> tuple[int, ...]:
    _check_type(name, value, list)
    if len(value) > limit:
        raise ValueError(f"{name}: {len(value)} entries exceed {limit}")
    return tuple(_integer(name, entry) for entry in value)


def _floats(name: str, value: Any, limit: int) -> tuple[float, ...]:
    _check_type(name, value, list)
    if len(value) > limit:
        raise ValueError(f"{name}: {len(value)} entries exceed {limit}")
    return tuple(float(_check_type(name, entry, float)) for entry in value)


def _transform(value: Any) -> Transform:
    _check_type("transform", value, dict)
    if value == {"kind": "identity"}:
        return Identity()
    if set(value) == {"kind", "block", "seed"} and value["kind"] == "hadamard":
        return Hadamard(_integer("transform block", value["block"]), _integer("transform seed", value["seed"]))
    raise ValueError("transform: valid are identity, and hadamard with block and seed")
