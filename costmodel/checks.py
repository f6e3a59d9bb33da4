"""Values of the public classes, checked where they are made: type, bounds, and an error that names the field."""

from __future__ import annotations

import math
import operator
from collections.abc import Iterable, Sequence


def whole_number(name: str, value: object) -> int:
    """A whole number of Python or NumPy, a float without a fraction too, as Python's.

    Raises
    ------
    ValueError
        Naming the field, if the value is none.

    Examples
    --------
    >>> import numpy as np
    >>> whole_number("tokens", np.uint8(3))
    3
    """
    if isinstance(value, bool):
        raise ValueError(f"{name} is {value}; it must be a whole number")
    if isinstance(value, float) and value.is_integer():
        return int(value)
    try:
        return operator.index(value)  # type: ignore[arg-type]
    except TypeError:
        raise ValueError(f"{name} is {value!r}; it must be a whole number") from None


def whole_between(name: str, value: object, low: int, high: int) -> int:
    """A whole number of Python or NumPy between two bounds, both included.

    Raises
    ------
    ValueError
        Naming the field and the bounds, if the value is none.

    Examples
    --------
    >>> whole_between("table.rows", 300, 1, 2**32)
    300
    """
    found = whole_number(name, value)
    if not low <= found <= high:
        raise ValueError(f"{name} is {found}; it must lie between {low} and {high}")
    return found


def wholes(name: str, values: object) -> tuple[int, ...]:
    """Whole numbers of a sequence or an array.

    Raises
    ------
    ValueError
        Naming the field, if the values are none.

    Examples
    --------
    >>> wholes("ring.q (bits of a limb)", [53, 53])
    (53, 53)
    """
    if isinstance(values, (str, bytes)) or not isinstance(values, Iterable):
        raise ValueError(f"{name} is {values!r}; it must be a sequence of whole numbers")
    return tuple(whole_number(name, value) for value in values)


def real_number(name: str, value: object) -> float:
    """A number of Python or NumPy; one beyond a float's range is infinite.

    Raises
    ------
    ValueError
        Naming the field, if the value is none.
    """
    try:
        if isinstance(value, (bool, str)):
            raise TypeError
        return float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        raise ValueError(f"{name} is {value!r}; it must be a number") from None
    except OverflowError:
        return math.inf


def real_between(name: str, value: object, low: float, high: float) -> float:
    """A number between two bounds, both included.

    Raises
    ------
    ValueError
        Naming the field and the bounds, if the value is none.
    """
    found = real_number(name, value)
    if not low <= found <= high:
        raise ValueError(f"{name} is {value}; it must lie between {low:g} and {high:g}")
    return value if isinstance(value, (int, float)) else found


def one_of(name: str, value: str, choices: Sequence[str]) -> str:
    """One of some names.

    Raises
    ------
    ValueError
        Naming the field and the choices, if the value is none of them.
    """
    if value not in choices:
        raise ValueError(f"{name} is {value!r}; it must be one of {', '.join(choices)}")
    return value
