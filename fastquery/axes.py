"""The axes of a sweep from the values that a person has at hand: texts with ranges, numbers, arrays, paths, tuples."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from costmodel.link import Link
from costmodel.parameters import Ring, Table
from costmodel.workload import Workload
from fastquery import ranges
from fastquery.words import RING_LETTERS, count, known, link_of, real, shape_of, unknown, whole, widths_of

AXES = (
    "table",
    "protocol",
    "ablation",
    "ring",
    "packing",
    "tokens",
    "workload",
    "link",
    "engine",
    "size",
    "flooding_bits",
    "threads",
    "fields",
)
_SPELLINGS = {"widths": "packing", "bandwidth": "link"}


def axes_by_name(given: Mapping[str, Any]) -> dict[str, Any]:
    """Axes by their own names; the letters N, p, t and q make a ring.

    Raises
    ------
    ValueError
        If a name is unknown, or two names say the same.

    Examples
    --------
    >>> axes_by_name({"N": 4096, "q": "38:40", "bandwidth": "lan"})
    {'link': 'lan', 'ring': {'N': 4096, 'q': '38:40'}}
    """
    ring = {name: value for name, value in given.items() if name in RING_LETTERS}
    found: dict[str, Any] = {}
    for spelling, value in given.items():
        name = _SPELLINGS.get(spelling, spelling)
        if spelling in ring:
            continue
        if name not in AXES:
            raise unknown("axis", spelling, [*AXES, *_SPELLINGS, *RING_LETTERS], "axes")
        if name in found or (name == "ring" and ring):
            other = next(iter(ring)) if name == "ring" else name
            raise ValueError(f"{spelling} and {other} are both named; name one of them")
        found[name] = value
    return {**found, **({"ring": ring} if ring else {})}


def several(value: Any) -> list[Any]:
    """One value or a sequence of them as a list."""
    if isinstance(value, np.ndarray):
        return value.reshape(-1).tolist()
    is_one = isinstance(value, (str, bytes, Mapping, Table, Link, Ring, Workload)) or not isinstance(value, Iterable)
    return [value] if is_one else list(value)


def table_axis(value: Any) -> list[tuple[str, Table]]:
    """Names and shapes of one table or several; two whole numbers are the sides of one table."""
    sides = several(value)
    pair = len(sides) == 2 and all(isinstance(side, (int, np.integer)) for side in sides)
    names = [one for part in ([tuple(sides)] if pair else sides) for one in _table_names(part)]
    return [shape_of(one) for one in names]


def _table_names(value: Any) -> list[Any]:
    return list(ranges.tables(value)) if isinstance(value, str) else [value]


def link_axis(value: Any) -> list[Link]:
    """One link or several; a tuple is a rate in bits a second and a round-trip time in seconds."""
    parts = [value] if isinstance(value, tuple) and all(np.ndim(one) == 0 for one in value) else several(value)
    if isinstance(value, tuple) and any(isinstance(one, (str, Link)) for one in value):
        parts = list(value)
    return [one for part in parts for one in (ranges.links(part) if isinstance(part, str) else [link_of(part)])]


def ring_axis(value: Any) -> list[dict[str, NDArray[Any]]]:
    """Columns of one ring or of several: texts, mappings of the letters N, p, t and q, or rings."""
    return [ranges.ring_columns(_ring_parts(one)) if one else {} for one in several(value)]


def _ring_parts(value: Any) -> str | Mapping[str, Any]:
    if isinstance(value, Ring):
        return {"N": value.degree, "t": value.plaintext_modulus, "q": value.limb_bits, "sigma": value.sigma}
    if isinstance(value, (str, Mapping)):
        return value
    raise ValueError(f"ring is {value!r}; it must look like N=2048:4096,q=30:60, or be a mapping of these letters")


def packing_axis(value: Any) -> list[tuple[int, ...] | None]:
    """One packing or several; None leaves the packing to the protocol."""
    if value is None:
        return [None]
    if isinstance(value, (list, tuple)) and any(one is None for one in value):
        return [packed for one in value for packed in packing_axis(one)]
    return list(widths_of(value))


def whole_axis(name: str, value: Any) -> list[int]:
    """Whole numbers of numbers and of ranges."""
    return [
        one
        for part in several(value)
        for one in (ranges.integers(name, part).tolist() if isinstance(part, str) else [whole(name, part)])
    ]


def threads_axis(value: Any) -> list[int]:
    """Numbers of threads of numbers, of ranges, and of texts such as ``1,2``."""
    parts = [part for one in several(value) for part in (one.split(",") if isinstance(one, str) else [one])]
    return [count("threads", one) for one in whole_axis("threads", parts)]


def real_axis(name: str, value: Any) -> NDArray[Any]:
    """Numbers of numbers and of ranges, whole ones as integers."""
    values = [
        one
        for part in several(value)
        for one in (ranges.numbers(name, part).tolist() if isinstance(part, str) else [_number(name, part)])
    ]
    return np.array(values)


def _number(name: str, value: Any) -> int | float:
    return int(value) if isinstance(value, (int, np.integer)) and not isinstance(value, bool) else real(name, value)


def one_of(name: str, value: Any, choices: Iterable[str]) -> list[Any]:
    """One name or several, None left to the protocol.

    Raises
    ------
    ValueError
        If a name is unknown.
    """
    names = list(choices)
    return [None if one is None else known(name, one, names) for one in several(value)]
