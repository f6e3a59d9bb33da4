"""How a sweep's axes are spelt: ``a:b`` and ``a:b:step`` wherever an option takes a number."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from costmodel.link import Link, parse_link, parse_rate
from fastquery.words import real

LARGEST_AXIS = 10_000_000
MOST_NAMED = 100_000
"""Tables or links of one text, each an object of its own."""
_RANGE = re.compile(r"(\d+(?:\.\d+)?)(?::(\d+(?:\.\d+)?))?(?::(\d+(?:\.\d+)?))?")


def numbers(name: str, text: object) -> NDArray[np.float64]:
    """Values of ``7``, ``5:20`` (both ends, step 1) or ``5:20:5``, or of a number or an array.

    Raises
    ------
    ValueError
        If the text is no number or range, falls, or has too many values.
    """
    if not isinstance(text, str):
        return np.array([real(name, one) for one in np.atleast_1d(np.asarray(text)).tolist()])
    match = _RANGE.fullmatch(text.strip())
    if match is None:
        raise ValueError(f"{name} is {text!r}; it must be a number or a range a:b or a:b:step")
    first, last, step = (float(part) if part else None for part in match.groups())
    assert first is not None
    last, step = first if last is None else last, 1.0 if step is None else step
    if last < first or step <= 0:
        raise ValueError(f"{name} is {text!r}; a range must rise, with a step above 0")
    count = int((last - first) / step + 1e-9) + 1
    if count > LARGEST_AXIS:
        raise ValueError(f"{name} is {text!r}, which has {count} values; it must have at most {LARGEST_AXIS}")
    return np.asarray(first + step * np.arange(count), dtype=np.float64)


def integers(name: str, text: object) -> NDArray[np.int64]:
    """As :func:`numbers`, all of them whole.

    Raises
    ------
    ValueError
        As there, or if one is not whole.
    """
    values = numbers(name, text)
    if np.any(values % 1):
        raise ValueError(f"{name} is {text!r}; it must be whole numbers")
    return values.astype(np.int64)


def powers_of_two(name: str, text: object) -> NDArray[np.int64]:
    """Values of ``4096`` or of ``1024:8192``, which doubles from value to value; or of a number or an array.

    Raises
    ------
    ValueError
        If the text is neither, or falls, or doubling does not lead from one end to the other.
    """
    if not isinstance(text, str):
        return integers(name, text)
    match = re.fullmatch(r"(\d+)(?::(\d+))?", text.strip())
    if match is None:
        raise ValueError(f"{name} is {text!r}; it must be a power of two or a range a:b of them")
    first, last = int(match[1]), int(match[2] or match[1])
    if last < first or first < 1:
        raise ValueError(f"{name} is {text!r}; a range must rise from 1 or more")
    if first << (last // first).bit_length() - 1 != last:
        raise ValueError(f"{name} is {text!r}; both ends of a range must be powers of two")
    return first * 2 ** np.arange((last // first).bit_length(), dtype=np.int64)


def ring_columns(ring: str | Mapping[str, Any]) -> dict[str, NDArray[Any]]:
    """Columns of a grid from ``N=2048:4096,p=5:20,q=30:60`` (limbs joined by +, ``t=8000:8192`` instead of p).

    Parameters
    ----------
    ring
        The text, or a mapping of the same letters to texts, numbers or arrays; a tuple or list of q is one of limbs.

    Raises
    ------
    ValueError
        If a part is not of that form; the message says which.
    """
    columns: dict[str, NDArray[Any]] = {}
    said: set[str] = set()
    parts = [part.strip().partition("=")[::2] for part in ring.split(",")] if isinstance(ring, str) else ring.items()
    for key, value in parts:
        field = {"q": "limb_bits", "N": "degree", "p": "plaintext_modulus", "t": "plaintext_modulus"}.get(key, key)
        if field in said:
            raise ValueError(f"ring is {ring!r}, which says {field} twice; name it once")
        said.add(field)
        if key == "q":
            limbs = (
                value.split("+") if isinstance(value, str) else value if isinstance(value, (tuple, list)) else [value]
            )
            for k, limb in enumerate(limbs):
                columns[f"limb_bits_{k}"] = integers("ring.q", limb)
        elif key == "N":
            columns["degree"] = powers_of_two("ring.N", value)
        elif key == "p":
            bits = integers("ring.p", value)
            if bits.min() < 1 or bits.max() > 60:
                raise ValueError(f"ring.p is {value}; it must lie between 1 and 60 bits")
            columns["plaintext_modulus"] = np.left_shift(1, bits)
        elif key == "t":
            columns["plaintext_modulus"] = integers("ring.t", value)
        elif key == "sigma":
            columns["sigma"] = numbers("ring.sigma", value)
        else:
            part = f"{key}={value}" if value else key
            raise ValueError(f"ring has the part {part!r}; its fields are N, p or t, q and sigma: N=2048:4096,q=30:60")
    return columns


def links(text: str) -> list[Link]:
    """A preset, or every link of ``1:1000Mbit/s,40ms``; both numbers take ranges.

    Raises
    ------
    ValueError
        If the text is neither, or a unit is missing.
    """
    text = text.strip()
    if ":" not in text:
        return [parse_link(text)]
    rate, _, delay = (part.strip() for part in text.partition(","))
    rates, rate_unit = _with_unit("link rate", rate)
    bit_per_s = parse_rate(f"1{rate_unit}")
    delays, delay_unit = _with_unit("link round-trip time", delay) if delay else (np.zeros(1), "s")
    _require_few("link", text, rates.size * delays.size)
    second = parse_link(f"1bit/s,1{delay_unit}").round_trip_s
    return [
        Link(value * bit_per_s, wait * second, f"{value:g}{rate_unit}" + (f",{wait:g}{delay_unit}" if delay else ""))
        for wait in delays.tolist()
        for value in rates.tolist()
    ]


def tables(text: str) -> list[str]:
    """A table's name, or all of ``1000:60000:1000x384:4096:128``."""
    match = re.fullmatch(r"(\d[\d:]*)x(\d[\d:]*)", text.strip())
    if match is None or ":" not in text:
        return [text]
    rows, channels = integers("table.rows", match[1]), integers("table.channels", match[2])
    _require_few("table", text, rows.size * channels.size)
    return [f"{m}x{n}" for m in rows.tolist() for n in channels.tolist()]


def _require_few(name: str, text: str, count: int) -> None:
    if count > MOST_NAMED:
        raise ValueError(f"{name} is {text!r}, which has {count} values; it must have at most {MOST_NAMED}")


def _with_unit(name: str, text: str) -> tuple[NDArray[np.float64], str]:
    match = re.match(r"[\d.:]+", text)
    if match is None:
        raise ValueError(f"{name} is {text!r}; it must be a number or a range with a unit, such as 1:1000Mbit/s")
    return numbers(name, match[0]), text[match.end() :].strip()
