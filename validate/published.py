"""Published numbers: where each stands, how the model derives it, and whether it still comes to the same verdict.

A file of ``validate/claims`` holds the numbers of one table, figure or section, or of one kind of system. A claim says
which figure of :mod:`validate.derivations` is meant, and of what.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any

import pandas as pd

from validate.derivations import FIGURES
from validate.trends import Trend

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

REPRODUCED, OFF, NOT_REPRODUCIBLE, NOT_CHECKABLE = "reproduced", "off", "not reproducible", "not checkable here"
VERDICTS = (REPRODUCED, OFF, NOT_REPRODUCIBLE, NOT_CHECKABLE)
RELATIONS = ("equal", "at least", "at most", "more than")
UNITS = {"MiB": 2.0**20, "MB": 1e6, "KiB": 2.0**10, "kB": 1e3, "GB": 1e9, "ms": 1e-3, "%": 1e-2}
"""What a published number is multiplied by; other units are 1."""


@dataclass(frozen=True)
class Claim:
    """A published number and what is held of it.

    Attributes
    ----------
    id, source, quote
        Its name, the document and place, and the words it stands in.
    published, unit
        One number, or several that are judged alike.
    value
        How the model derives it (see :func:`derive`); None if it does not.
    tolerance
        Largest relative error of a reproduced number.
    relation
        ``equal``; ``at least`` and ``at most`` where the text sets a bound, to which nothing is allowed; ``more than``
        where it names the number that it exceeds: reproduced from that number up to the tolerance, never from below.
    verdict
        What is expected: one of ``VERDICTS``, or one that its trend has.
    trend
        What is checked on another model where the number itself is out of reach; the words of both figures are added to
        ``why``. A trend that the measurement cannot tell is not checkable.
    off
        Expected relative error of a number that is off.
    why
        One sentence: the accounting, or what is wrong, or what would be needed.
    """

    id: str
    source: str
    quote: str
    published: float | tuple[float, ...]
    unit: str
    verdict: str
    why: str
    value: Mapping[str, Any] | None = None
    tolerance: float = 0.02
    relation: str = "equal"
    off: float | None = None
    trend: Trend | None = None

    def __post_init__(self) -> None:
        valid = VERDICTS if self.trend is None else (*_verdicts(self.trend), NOT_CHECKABLE)
        if self.verdict not in valid:
            raise ValueError(f"claim {self.id}: verdict is {self.verdict!r}; it must be one of {', '.join(valid)}")
        if self.relation not in RELATIONS:
            raise ValueError(
                f"claim {self.id}: relation is {self.relation!r}; it must be one of {', '.join(RELATIONS)}"
            )
        if (self.verdict == OFF) != (self.off is not None):
            raise ValueError(f"claim {self.id}: a number that is off, and no other, says by how much")
        if self.verdict in (REPRODUCED, OFF) and self.value is None:
            raise ValueError(f"claim {self.id}: the verdict {self.verdict!r} needs a value to derive")
        if not self.why:
            raise ValueError(f"claim {self.id}: why is missing")

    def judge(self, computed: float | None) -> tuple[float | None, str, bool]:
        """Relative error, verdict, and whether that is what is expected."""
        if computed is None or isinstance(self.published, tuple):
            return None, self.verdict, True
        error = computed / self.published - 1.0
        within = {
            "equal": abs(error) <= self.tolerance,
            "at least": error >= 0.0,
            "at most": error <= 0.0,
            "more than": 0.0 <= error <= self.tolerance,
        }[self.relation]
        if within:
            return error, REPRODUCED, self.verdict == REPRODUCED
        if self.verdict == NOT_REPRODUCIBLE:
            return error, NOT_REPRODUCIBLE, True
        as_expected = self.off is not None and abs(error - self.off) <= 0.01 + 0.05 * abs(self.off)
        return error, f"off by {100 * abs(error):.1f} %", as_expected


@cache
def load_claims() -> tuple[Claim, ...]:
    """Every claim of ``validate/claims``, in the order of the files' names.

    Raises
    ------
    ValueError
        If a file is malformed or an id stands twice; the message names it.
    """
    files = sorted(resources.files("validate").joinpath("claims").iterdir(), key=lambda entry: entry.name)
    found = [
        one
        for entry in files
        if entry.name.endswith(".toml")
        for one in read_claims(entry.read_text("utf-8"), entry.name)
    ]
    seen: set[str] = set()
    for one in found:
        if one.id in seen:
            raise ValueError(f"claim {one.id} stands twice")
        seen.add(one.id)
    return tuple(found)


def read_claims(text: str, name: str) -> list[Claim]:
    """The claims of one file: ``source`` for all, and a ``[[claim]]`` each.

    Raises
    ------
    ValueError
        If the text is not TOML or a claim's fields are wrong.
    """
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ValueError(f"claims {name}: {error}") from None
    claims = []
    for entry in document.get("claim", []):
        given = {"source": document.get("source", ""), **entry}
        if isinstance(given.get("published"), list):
            given["published"] = tuple(given["published"])
        try:
            if "trend" in given:
                given["trend"] = Trend(**given["trend"])
            claims.append(Claim(**given))
        except TypeError as error:
            raise ValueError(f"claims {name}, {given.get('id', 'a claim without id')}: {error}") from None
    return claims


def check_claims(claims: Iterable[Claim] | None = None) -> pd.DataFrame:
    """Derive every claim again.

    Returns
    -------
    DataFrame
        ``id``, ``source``, ``quote``, ``published``, ``unit``, ``computed`` (of a trend the quotient of both losses),
        ``relative_error``, ``verdict``, ``expected``, ``holds``, ``why``; no number where the model derives none.

    Examples
    --------
    >>> one = [claim for claim in load_claims() if claim.id == "table-6/baseline/communication"]
    >>> check_claims(one)[["published", "unit", "verdict"]].values.tolist()
    [[15.933, 'MiB', 'reproduced']]
    """
    every = load_claims()
    by_id = {one.id: one for one in every}
    rows = []
    for claim in every if claims is None else claims:
        why = claim.why
        computed: float | None
        error: float | None = None
        if claim.trend is not None:
            ratio = claim.trend.ratio()
            outcome = claim.trend.holds(ratio)
            computed = ratio.value
            verdict = NOT_CHECKABLE if outcome is None else _verdicts(claim.trend)[0 if outcome else 1]
            holds, why = verdict == claim.verdict, f"{why} {claim.trend.says(ratio)}"
        else:
            computed = None if claim.value is None else derive(claim.value, by_id) / UNITS.get(claim.unit, 1.0)
            error, verdict, holds = claim.judge(computed)
        rows.append(
            {
                "id": claim.id,
                "source": claim.source,
                "quote": claim.quote,
                "published": claim.published,
                "unit": claim.unit,
                "computed": computed,
                "relative_error": error,
                "verdict": verdict,
                "expected": claim.verdict,
                "holds": holds,
                "why": why,
            }
        )
    return pd.DataFrame(rows)


def derive(value: Mapping[str, Any], claims: Mapping[str, Claim] | None = None) -> float:
    """The number that a claim's value describes.

    Parameters
    ----------
    value
        ``figure`` of ``of``, over that of ``over`` where there is one (``over_figure``, if another figure); with
        ``tables`` or ``links`` the ``take`` (min or max) over them. Or ``ratio``: two ids of claims whose published
        numbers are divided.
    claims
        By id, for ratios of published numbers.

    Raises
    ------
    ValueError
        If a part is unknown.
    """
    if "ratio" in value:
        first, second = (_published_number((claims or {})[name]) for name in value["ratio"])
        return first / second
    figure = _figure(value["figure"])
    below = _figure(value.get("over_figure", value["figure"]))
    results = []
    for table in value.get("tables", [None]):
        for link in value.get("links", [None]):
            here = {**({"table": table} if table else {}), **({"link": link} if link else {})}
            result = figure({**value["of"], **here})
            if "over" in value:
                result /= below({**value["over"], **here})
            results.append(result)
    return float({"min": min, "max": max}[value.get("take", "max")](results))


def _figure(name: str) -> Callable[[Mapping[str, Any]], float]:
    if name not in FIGURES:
        raise ValueError(f"claim's figure is {name!r}; it must be one of {', '.join(FIGURES)}")
    return FIGURES[name]


def _verdicts(trend: Trend) -> tuple[str, str]:
    """What a trend that comes out and one that does not are called."""
    return f"trend holds on {trend.model}", f"trend does not hold on {trend.model}"


def _published_number(claim: Claim) -> float:
    if isinstance(claim.published, tuple):
        raise ValueError(f"claim {claim.id} has several numbers; a ratio needs one")
    return claim.published * UNITS.get(claim.unit, 1.0)
