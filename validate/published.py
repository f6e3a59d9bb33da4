"""Published numbers: where each stands, how the model derives it, and whether it still comes to the same verdict.

A file of ``validate/claims`` holds the numbers of one table, figure or section. A claim says which figure of which
configuration is meant; configurations are published systems with what the claim changes of them.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from importlib import resources
from typing import Any

import numpy as np
import pandas as pd

from costmodel.estimate import Estimate, estimate, terms
from costmodel.grid import Grid
from costmodel.ledger import Party, Phase, total_bytes
from costmodel.link import parse_link
from costmodel.noise import log2_failure
from costmodel.packing import accumulation_bits, one_hot_bits
from costmodel.parameters import Configuration, Packing, Ring, Table
from costmodel.protocols.registry import PROTOCOLS
from costmodel.published import published
from quantize.tables import table_shape
from validate.recipes import measured_recipes

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

REPRODUCED, OFF, NOT_REPRODUCIBLE, NOT_CHECKABLE = "reproduced", "off", "not reproducible", "not checkable here"
VERDICTS = (REPRODUCED, OFF, NOT_REPRODUCIBLE, NOT_CHECKABLE)
TARGET_LOG2_FAILURE = -40.0
QUERY: tuple[Phase, ...] = ("offline", "online")
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
        ``equal``, or ``at least`` and ``at most`` where the text bounds.
    verdict
        What is expected.
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

    def __post_init__(self) -> None:
        if self.verdict not in VERDICTS:
            raise ValueError(f"claim {self.id}: verdict is {self.verdict!r}; it must be one of {', '.join(VERDICTS)}")
        if self.relation not in ("equal", "at least", "at most"):
            raise ValueError(f"claim {self.id}: relation is {self.relation!r}; it must be equal, at least or at most")
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
            "at least": error >= -self.tolerance,
            "at most": error <= self.tolerance,
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
            claims.append(Claim(**given))
        except TypeError as error:
            raise ValueError(f"claims {name}, {given.get('id', 'a claim without id')}: {error}") from None
    return claims


def check_claims(claims: Iterable[Claim] | None = None) -> pd.DataFrame:
    """Derive every claim again.

    Returns
    -------
    DataFrame
        ``id``, ``source``, ``quote``, ``published``, ``unit``, ``computed``, ``relative_error``, ``verdict``,
        ``expected``, ``holds``, ``why``; no number where the model derives none.
    """
    every = load_claims()
    by_id = {one.id: one for one in every}
    rows = []
    for claim in every if claims is None else claims:
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
                "why": claim.why,
            }
        )
    return pd.DataFrame(rows)


def derive(value: Mapping[str, Any], claims: Mapping[str, Claim] | None = None) -> float:
    """The number that a claim's value describes.

    Parameters
    ----------
    value
        ``figure`` of ``of``, over that of ``over`` where there is one; with ``tables`` or ``links`` the ``take``
        (min or max) over them. Or ``ratio``: two ids of claims whose published numbers are divided.
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
    figure = FIGURES.get(value["figure"])
    if figure is None:
        raise ValueError(f"claim's figure is {value['figure']!r}; it must be one of {', '.join(FIGURES)}")
    results = []
    for table in value.get("tables", [None]):
        for link in value.get("links", [None]):
            here = {**({"table": table} if table else {}), **({"link": link} if link else {})}
            result = figure({**value["of"], **here})
            if "over" in value:
                result /= figure({**value["over"], **here})
            results.append(result)
    return float({"min": min, "max": max}[value.get("take", "max")](results))


def configuration_of(of: Mapping[str, Any]) -> Configuration:
    """A published system with what a claim changes of it.

    Parameters
    ----------
    of
        ``protocol``; and, where they differ from the published ones or from LLaMA-7B's table: ``ablation``, ``table``,
        ``tokens``, ``widths``, ``output``, ``tile``, ``size``, ``N``, ``q`` (limbs), ``p``.
    """
    table = Table(*table_shape(of.get("table", "llama-7b")), of.get("tokens", 1))
    base = published(of["protocol"], table, of.get("ablation"))
    ring, packing = base.ring, base.packing
    return base.updated(
        size=of.get("size", base.size),
        ring=Ring(
            of.get("N", ring.degree),
            tuple(of.get("q", ring.limb_bits)),
            2 ** of["p"] if "p" in of else ring.plaintext_modulus,
            ring.sigma,
            ring.secret,
        ),
        packing=Packing(
            tuple(of.get("widths", packing.widths)), of.get("tile", packing.tile), of.get("output", packing.output)
        ),
    )


def _estimated(of: Mapping[str, Any]) -> Estimate:
    return estimate(configuration_of(of), parse_link(of.get("link", "lan")))


def _bytes(
    of: Mapping[str, Any], parties: Sequence[Party] = ("client", "server"), phases: Sequence[Phase] = QUERY
) -> float:
    """Bytes by the ledger alone: a system need not have unit costs for them."""
    ledger = terms(Grid.of(configuration_of(of)))
    return sum(float(total_bytes(ledger, party, phases)) for party in parties)


def _latency_with_keys(of: Mapping[str, Any]) -> float:
    result = _estimated(of)
    return result.latency_s + 8.0 * result.setup_bytes / result.link.rate_bit_per_s


def _failure(configuration: Configuration, bits: int) -> float:
    """log2 of the failure probability with a plaintext of so many bits, one channel a coefficient."""
    narrow = configuration.updated(
        ring=replace(configuration.ring, plaintext_modulus=2**bits),
        packing=replace(configuration.packing, widths=(bits - 1,)),
    )
    grid = Grid.of(narrow)
    return float(log2_failure(np.sqrt(PROTOCOLS[narrow.protocol].noise(grid)), 0.5, grid.tokens * grid.coefficients))


def _decryptable_bits(of: Mapping[str, Any]) -> list[int]:
    configuration = configuration_of(of)
    return [p for p in range(2, configuration.ring.log2_q - 1) if _failure(configuration, p) <= TARGET_LOG2_FAILURE]


def _widths(of: Mapping[str, Any]) -> Sequence[int]:
    return configuration_of(of).packing.widths


def _plaintext_over_accumulation_bits(of: Mapping[str, Any]) -> float:
    configuration = configuration_of(of)
    needed = accumulation_bits(of["input_bits"], of["weight_bits"], configuration.table.rows)
    return math.log2(configuration.ring.plaintext_modulus) / float(needed)


def _most_channels(of: Mapping[str, Any]) -> float:
    """Channels of at least ``narrowest_bits``, with a reserved bit each, that a coefficient holds."""
    return float(int(math.log2(configuration_of(of).ring.plaintext_modulus)) // int(one_hot_bits(of["narrowest_bits"])))


FIGURES: Mapping[str, Callable[[Mapping[str, Any]], float]] = {
    "sentence_loss": lambda of: 1.0 - float(measured_recipes()["cosine"][of["recipe"]]),
    "bytes": _bytes,
    "bytes_with_keys": lambda of: _bytes(of, phases=("setup", *QUERY)),
    "up_bytes": lambda of: _bytes(of, ("client",)),
    "down_bytes": lambda of: _bytes(of, ("server",)),
    "setup_bytes": lambda of: _bytes(of, phases=("setup",)),
    "server_s": lambda of: _estimated(of).server_s,
    "latency_s": lambda of: _estimated(of).latency_s,
    "latency_with_keys_s": _latency_with_keys,
    "rows": lambda of: float(configuration_of(of).table.rows),
    "q_bits": lambda of: float(configuration_of(of).ring.log2_q),
    "packed_plaintext_bits": lambda of: float(sum(one_hot_bits(width) for width in _widths(of))),
    "plaintext_over_accumulation_bits": _plaintext_over_accumulation_bits,
    "most_channels": _most_channels,
    "share_of_2_bit_channels": lambda of: sum(width <= 2 for width in _widths(of)) / len(_widths(of)),
    "share_of_widest_channels": lambda of: sum(width == max(_widths(of)) for width in _widths(of)) / len(_widths(of)),
    "smallest_decryptable_plaintext_bits": lambda of: float(min(_decryptable_bits(of))),
    "largest_decryptable_plaintext_bits": lambda of: float(max(_decryptable_bits(of))),
}
"""Named derivations: a number from what a claim says of a configuration."""


def _published_number(claim: Claim) -> float:
    if isinstance(claim.published, tuple):
        raise ValueError(f"claim {claim.id} has several numbers; a ratio needs one")
    return claim.published * UNITS.get(claim.unit, 1.0)
