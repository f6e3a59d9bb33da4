"""The series of a frame: which configurations are drawn together, how they are called and how they look.

A frame names the system in its column ``protocol``; the look and the legend are the system's own. Where a figure draws
several configurations of one system, the legend adds whatever tells them apart, and the looks are derived from the
system's, so that no series changes with another system.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import pandas as pd
from matplotlib.colors import to_hex, to_rgb

from costmodel.estimate import FIGURES
from costmodel.grid import WIRE_COLUMNS
from costmodel.parameters import EXECUTING_ENGINES
from costmodel.system import Look
from costmodel.systems import SYSTEMS, system

MOST_SERIES = 40
"""That one figure draws."""


@dataclass(frozen=True)
class Series:
    """Rows of a frame that share everything but the axes and the figures of results.

    Attributes
    ----------
    name
        The system's legend, and what tells the series from the system's other ones.
    look
        Of the system, or derived from it.
    rows
        Of the frame.
    facts
        Ring, packing and flooding, as far as the frame states them.
    """

    name: str
    look: Look
    rows: pd.DataFrame
    facts: tuple[str, ...]


def _modulus_text(modulus: float) -> str:
    bits = math.log2(modulus)
    return f"p={bits:.0f}" if bits.is_integer() else f"t={modulus:.0f}"


def _engine_text(engine: str) -> str:
    if engine not in EXECUTING_ENGINES:
        return "as published"
    return "this project" if engine == EXECUTING_ENGINES[0] else "on OpenFHE"


def _output_text(output: str) -> str:
    if output == "packlwes-one-polynomial":
        return "one polynomial counted"
    return "PackLWEs" if output == "packlwes" else "answers not packed"


def _flooding_text(bits: float) -> str:
    return f"{bits:.0f} bits of flooding" if bits else "no flooding"


TEXTS: Mapping[str, Callable[[Any], str]] = {
    "engine": _engine_text,
    "ablation": str,
    "variant": str,
    "output": _output_text,
    "flooding_bits": _flooding_text,
    "prepared": lambda prepared: "prepared" if prepared else "",
    "widths_bits": "({})".format,
    "plaintext_modulus": _modulus_text,
    "ring_degree": "N={:.0f}".format,
    "limb_bits": "q={}".format,
    "table": str,
    "tokens": "{:.0f} tokens".format,
    "align_bits": "aligned to {:.0f} bits".format,
    "rate_bit_per_s": lambda rate: f"{rate / 1e6:g} Mbit/s",
    "round_trip_s": lambda delay: f"{delay * 1e3:g} ms",
    "size": "sizes {}".format,
}
"""How legends spell a difference, by column, the first that tells two series apart before the others."""

ABOUT = ("ring_degree", "limb_bits", "plaintext_modulus", "widths_bits", "flooding_bits", "prepared")
"""Columns that captions spell out."""

FOLLOWING = (*WIRE_COLUMNS, "encryption_sigma", "spread", "table_rows", "table_channels")
"""Columns that mostly follow from others, and tell series apart where nothing else does."""


def series_of(frame: pd.DataFrame, figure_name: str, along: Sequence[str] = ()) -> list[Series]:
    """The series of a frame, in the order of their first rows, whose index numbers the frame's rows from 0.

    Parameters
    ----------
    frame
        With a column ``protocol``, and any others that say what a configuration is, such as those of a sweep.
    figure_name
        For messages.
    along
        Columns that are axes of the figure.

    Raises
    ------
    ValueError
        If a protocol is unknown, or there are too many series; the message names the columns that they differ in.

    Examples
    --------
    >>> frame = pd.DataFrame({"protocol": ["cheetah", "folded", "folded"], "flooding_bits": [0, 0, 40]})
    >>> [one.name for one in series_of(frame, "example")]
    ['Cheetah', 'Folded query, no flooding', 'Folded query, 40 bits of flooding']
    """
    frame = frame.reset_index(drop=True)
    known = identity(frame, along)
    keys = known.drop_duplicates()
    if len(keys) > MOST_SERIES:
        counts = keys.drop(columns="protocol").nunique(dropna=False).sort_values(ascending=False)
        named = ", ".join(f"{column!r} ({count} values)" for column, count in counts[counts > 1].items())
        raise ValueError(
            f"frame of {figure_name} has {len(keys)} series, at most {MOST_SERIES} can be told apart; "
            f"they differ in {named}"
        )
    numbers = known.groupby(list(known), sort=False, dropna=False).ngroup()
    found: dict[int, Series] = {}
    for name, own in keys.groupby("protocol", sort=False):
        try:
            of = system(str(name))
        except ValueError as error:
            raise ValueError(f"frame of {figure_name}: column 'protocol' has {str(name)!r}: {error}") from None
        differences = dict(_differences(own.drop(columns="protocol")))
        for k, index in enumerate(own.index):
            rows = frame[(numbers == numbers[index]).to_numpy()]
            spelt = ", ".join([of.legend, *(text for text in differences[index] if text)])
            found[int(numbers[index])] = Series(spelt, variant(of.look, k), rows, _facts(own.loc[index]))
    return [found[number] for number in sorted(found)]


def identity(frame: pd.DataFrame, along: Sequence[str] = ()) -> pd.DataFrame:
    """The columns of a frame that say what a configuration is, the limbs of q as one text."""
    limbs = sorted(str(column) for column in frame if str(column).startswith("limb_bits_"))
    results = {*FIGURES, *along, *limbs} - ({"flooding_bits"} - {*along})
    known = frame[[column for column in frame if column not in results and not _is_result(str(column))]]
    if limbs and not {"limb_bits", "log2_q", *limbs} & {*along}:
        joined = ["+".join(f"{bits:.0f}" for bits in row if bits) for row in frame[limbs].to_numpy()]
        known = known.assign(limb_bits=joined)
    return known.astype({name: object for name in known if isinstance(known[name].dtype, pd.CategoricalDtype)})


def _is_result(column: str) -> bool:
    return column.startswith(("published_", "predicted_")) or column in RESULTS


RESULTS = {
    "bytes", "total_bytes", "session_s", "bytes_per_query", "time_per_query_s", "online_bytes", "quantisation_error",
    "ties", "label", "usable", "setup_share_bytes", "latency_without_slow_start_s", "design",
    "channels_per_coefficient", "step", "aside", "noise_bits", "target_bits", "up_ciphertexts", "down_ciphertexts",
    "plaintext_products", "log2_q",
}  # fmt: skip
"""Columns of this project's frames that say what came out, beside the figures of an estimate."""


def _differences(keys: pd.DataFrame) -> Iterator[tuple[Any, list[str]]]:
    """For every row, texts of the columns that tell it from the others, no more than needed."""
    if len(keys) == 1:
        yield keys.index[0], []
        return
    rest = [str(column) for column in keys if column not in TEXTS]
    first = [column for column in TEXTS if column in keys]
    order = [*first, *sorted(rest, key=FOLLOWING.__contains__)]
    column = next(name for name in order if keys[name].nunique(dropna=False) > 1)
    for value, members in keys.groupby(column, sort=False, dropna=False):
        text = TEXTS[column](value) if column in TEXTS else f"{column}={value:g}" if _number(value) else str(value)
        for index, texts in _differences(members):
            yield index, [text, *texts]


def _number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _facts(key: pd.Series[Any]) -> tuple[str, ...]:
    texts = [TEXTS[column](key[column]) for column in ABOUT if column in key and not pd.isna(key[column])]
    return tuple(text for text in texts if text)


def about(found: Sequence[Series]) -> list[str]:
    """A line of a caption: what each series is, and once what all are; none where the frame does not state it."""
    shared = [fact for fact in found[0].facts if all(fact in one.facts for one in found)]
    own = {one.name: [fact for fact in one.facts if fact not in shared] for one in found}
    texts = [f"{name}: {' '.join(facts)}" for name, facts in own.items() if facts]
    texts += [f"all: {' '.join(shared)}"] if shared else []
    return ["; ".join(texts) + "."] if texts else []


def variant(look: Look, k: int) -> Look:
    """The look of a system's k-th series in one figure: its own, then the same colour lighter or darker.

    Dark colours turn lighter and light ones darker; every variant has another line, and the system's mark.
    """
    if k == 0:
        return look
    share = 1 - 0.64**k
    target = 1.0 if _luminance(look.colour) < 0.25 else 0.0
    lit = 1.0 if _luminance(look.fill) < 0.35 else 0.0
    lines = [line for line in LINES if line != look.line]
    return replace(
        look,
        colour=_mixed(look.colour, target, share * (0.85 if target else 1.0)),
        fill=_mixed(look.fill, lit, share * (1.2 if lit else 0.8)),
        line=lines[(k - 1) % len(lines)],
        hatch=look.hatch + HATCHES[(k - 1) % len(HATCHES)],
    )


LINES = ("-", (0, (4, 1.5)), (0, (1, 1)), (0, (5, 1.5, 1, 1.5)))
HATCHES = ("..", "\\\\", "--")


def _luminance(colour: str) -> float:
    red, green, blue = to_rgb(colour)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def _mixed(colour: str, target: float, share: float) -> str:
    red, green, blue = ((1 - share) * part + share * target for part in to_rgb(colour))
    return to_hex((red, green, blue))


def look_of_position(k: int) -> Look:
    """A look for series that are no systems, such as recipes or sources."""
    return SYSTEMS[k % len(SYSTEMS)].look


def bytes_of(frame: pd.DataFrame, figure_name: str) -> pd.Series[Any]:
    """Bytes of a query both ways, from whichever columns have them.

    Raises
    ------
    ValueError
        If none has.
    """
    for column in ("bytes", "bytes_per_query"):
        if column in frame:
            return frame[column]
    for column in ("up_bytes", "down_bytes"):
        if column not in frame:
            raise ValueError(f"frame of {figure_name} has no column 'bytes', and no {column!r} in its place")
    return frame["up_bytes"] + frame["down_bytes"]
