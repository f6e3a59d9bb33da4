"""Formulas of a ledger: small expressions in named symbols that a person reads and a program evaluates.

An expression has integers, names, ``+ - * /`` and parentheses, and the functions ``ceil``, ``floor``, ``log2``, ``min``
and ``max``. Names may end in primes: ``n'`` are the packed coefficients of a row. Integers stay exact: a quotient of
two is a fraction.
"""

from __future__ import annotations

import ast
import math
import operator
from collections.abc import Callable, Iterable, Iterator, Mapping
from fractions import Fraction
from functools import lru_cache
from typing import NamedTuple, TypeAlias

from numpy.typing import ArrayLike

Value: TypeAlias = int | float | Fraction
_PRIME = "\N{MODIFIER LETTER PRIME}"
"""A letter, which stands for the prime of a name where Python reads it."""


class Symbol(NamedTuple):
    """A name of a formula.

    Attributes
    ----------
    value
        Of every point of a grid.
    meaning
        In a few words, the unit included.
    formula
        How the value comes about in other symbols; empty where it is chosen, searched, or a library's.
    """

    value: ArrayLike
    meaning: str
    formula: str = ""


Symbols: TypeAlias = Mapping[str, Symbol]


def log2(value: Value) -> Value:
    """log2, an integer where the value is a power of two."""
    if isinstance(value, float) or value.denominator != 1:
        return math.log2(value)
    number = int(value)
    return math.log2(number) if number & (number - 1) else number.bit_length() - 1


_OPERATORS: Mapping[type[ast.operator], Callable[[Value, Value], Value]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: lambda one, other: one / other if isinstance(one, float) or isinstance(other, float)
    else Fraction(one) / Fraction(other),
}  # fmt: skip
_FUNCTIONS: Mapping[str, Callable[..., Value]] = {
    "ceil": math.ceil,
    "floor": math.floor,
    "log2": log2,
    "min": min,
    "max": max,
}


def evaluate(formula: str, values: Mapping[str, Value]) -> Value:
    """The value of a formula.

    Raises
    ------
    ValueError
        If the formula has a name without a value, or anything that formulas do not have.

    Examples
    --------
    >>> evaluate("tokens*ceil(n'/d0)", {"tokens": 2, "n'": 1366, "d0": 12})
    228
    """
    return _evaluated(_parsed(formula), formula, {_spelt(name): value for name, value in values.items()})


def names(formula: str) -> Iterator[str]:
    """Names of the symbols of a formula, in the order they are read.

    Examples
    --------
    >>> list(names("tokens*ceil(n'/d0)"))
    ['tokens', "n'", 'd0']
    """
    found = [node for node in ast.walk(_parsed(formula)) if isinstance(node, ast.Name)]
    for node in sorted(found, key=lambda name: name.col_offset):
        if node.id not in _FUNCTIONS:
            yield node.id.replace(_PRIME, "'")


def used(formulas: Iterable[str], symbols: Symbols) -> dict[str, Symbol]:
    """The symbols of formulas, each followed by those of its own formula.

    Raises
    ------
    ValueError
        If a name is no symbol.

    Examples
    --------
    >>> rows = {"d1": Symbol(8, "rows of a tile"), "m": Symbol(20, "rows"), "inputs": Symbol(3, "", "ceil(m/d1)")}
    >>> list(used(["2*inputs"], rows))
    ['inputs', 'm', 'd1']
    """
    found: dict[str, Symbol] = {}
    for formula in formulas:
        for name in names(formula):
            if name in found:
                continue
            if name not in symbols:
                raise ValueError(f"formula {formula!r} has the name {name!r}, which is no symbol of its ledger")
            found[name] = symbols[name]
            if symbols[name].formula:
                found |= {
                    name: one for name, one in used([symbols[name].formula], symbols).items() if name not in found
                }
    return found


def _spelt(text: str) -> str:
    return text.replace("'", _PRIME)


@lru_cache(maxsize=1 << 10)
def _parsed(formula: str) -> ast.expr:
    try:
        return ast.parse(_spelt(formula), mode="eval").body
    except SyntaxError as error:
        raise ValueError(f"formula {formula!r} is no expression: {error.msg}") from None


def _evaluated(node: ast.expr, formula: str, values: Mapping[str, Value]) -> Value:
    def inner(part: ast.expr) -> Value:
        return _evaluated(part, formula, values)

    match node:
        case ast.Constant(value=int() as number):
            return number
        case ast.Name(id=name) if name in values:
            return values[name]
        case ast.Name(id=name):
            raise ValueError(f"formula {formula!r} has the name {name.replace(_PRIME, chr(39))!r}, which has no value")
        case ast.BinOp(left=left, op=sign, right=right) if type(sign) in _OPERATORS:
            return _OPERATORS[type(sign)](inner(left), inner(right))
        case ast.Call(func=ast.Name(id=name), args=arguments, keywords=[]) if name in _FUNCTIONS:
            return _FUNCTIONS[name](*map(inner, arguments))
    raise ValueError(
        f"formula {formula!r} has {ast.unparse(node)!r}; formulas have + - * / and {', '.join(_FUNCTIONS)}"
    )
