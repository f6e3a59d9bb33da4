"""How results behave as values: equality field by field, one line as text, a small table in a notebook."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import fields
from typing import TYPE_CHECKING, Any

import numpy as np

from costmodel.html import filled

if TYPE_CHECKING:
    import pandas as pd


class Result:
    """A frozen dataclass whose fields may be frames and arrays."""

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self):
            return NotImplemented
        return all(same(getattr(self, one.name), getattr(other, one.name)) for one in fields(self))  # type: ignore[arg-type]

    __hash__ = None  # type: ignore[assignment]  # a frame cannot be hashed

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{name} {text}' for name, text in self.headline().items())})"

    def _repr_html_(self) -> str:
        return filled("costmodel/result.html", headline=self.headline(), tables=self.tables())

    def headline(self) -> dict[str, str]:
        """What the result says first, by name."""
        raise NotImplementedError

    def tables(self) -> Mapping[str, pd.DataFrame]:
        """Frames that a notebook shows folded."""
        return {}


def failure_text(log2_failure: float) -> str:
    """A failure probability as a power of two; below 2^-1000 the exponent says nothing more."""
    if log2_failure >= 0:
        return "certain: the noise does not fit"
    return f"2^{log2_failure:.0f}" if log2_failure > -1000 else "below 2^-1000"


def same(one: Any, other: Any) -> bool:
    """Whether two values are equal, frames, arrays and what holds them in every entry; NaN equals NaN.

    Examples
    --------
    >>> same({"a": (1.0, math.nan)}, {"a": (1.0, math.nan)}), same([np.arange(3)], [np.arange(4)])
    (True, False)
    """
    if isinstance(one, np.ndarray) or isinstance(other, np.ndarray):
        kind = np.asarray(one).dtype.kind
        return bool(np.array_equal(one, other, equal_nan=kind == "f"))
    if hasattr(one, "equals"):
        return bool(one.equals(other))
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        return one.keys() == other.keys() and all(same(value, other[name]) for name, value in one.items())
    if isinstance(one, (list, tuple)) and type(one) is type(other):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, float) and isinstance(other, float) and math.isnan(one):
        return math.isnan(other)
    return bool(one == other)


def lookup_headline(configuration: Any) -> dict[str, str]:
    """The lookup of a configuration in a few words."""
    table = configuration.table
    return {
        "protocol": configuration.protocol,
        "lookup": f"{table.tokens} token(s) of {table.rows}x{table.channels}",
    }
