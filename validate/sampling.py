"""The space of configurations that a campaign draws from, and the draw: a low-discrepancy sequence over it.

Every axis is a function of one coordinate in [0, 1). What a design cannot do falls back on what it can, so that every
point of the sequence is a configuration; tables shrink until a run is expected to keep within its time, and where the
smallest does not, no link is shaped.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, TypeVar

import numpy as np
from scipy.stats import qmc

from costmodel.estimate import estimate, terms
from costmodel.grid import Grid
from costmodel.ledger import Work
from costmodel.link import PRESETS, Link
from costmodel.parameters import Configuration, Table
from costmodel.systems import executed

T = TypeVar("T")

MAX_RUN_S = 2.0
"""Most that one session of a sample is expected to take, by the built-in machine, its table's encoding included."""

ROWS = (500, 30000)
CHANNELS = (24, 1536)
TOKENS = (1, 32)
DEGREES = (None, 2048, 4096, 8192)
"""None: what the preset chooses."""
FLOODING = (None, 0, 20, 40)
"""None: the engine's default."""
ALIGNMENT = (0, 0, 16, 32)
LINKS = ("loopback", "paper-384", "paper-44", "paper-9", "wan")
AXES = 9
SPLITS = 500
"""Splits drawn in search of one whose calibration part has every operation at its smallest and its largest size."""


@dataclass(frozen=True)
class Design:
    """A protocol on an engine, and the packings that it is sampled with."""

    protocol: str
    engine: str
    widths: tuple[tuple[int, ...] | None, ...] = (None,)
    prepares: bool = False  # whether what does not depend on the token can be done before


DESIGNS = (
    Design("fastquery", "residue", (None, (4, 3, 3), (4, 4), (3, 2, 2, 2), (8,)), prepares=True),
    Design("cheetah", "residue", (None, (8,), (4, 4, 4))),
    Design("fastquery", "openfhe", (None, (4, 4), (5, 2, 2))),
    Design("cheetah", "openfhe", (None, (8,))),
    Design("folded", "residue", (None, (4, 3, 3), (4, 4), (8,)), prepares=True),
    Design("compressed", "residue", (None, (4, 4), (8,))),
)
"""What this project executes; whatever :func:`costmodel.systems.executed` takes can be added."""


@dataclass(frozen=True)
class Sample:
    """One configuration of a campaign, with everything that its run depends on."""

    index: int
    configuration: Configuration
    table: str
    tokens: tuple[int, ...]
    seed: int
    link: Link
    held_out: bool = False

    def document(self) -> dict[str, Any]:
        """Plain values that :meth:`from_document` makes an equal sample of."""
        return asdict(self)

    @classmethod
    def from_document(cls, values: dict[str, Any]) -> Sample:
        """A sample from :meth:`document`, or from that read back from JSON."""
        return cls(
            **{
                **values,
                "configuration": Configuration.from_dict(values["configuration"]),
                "tokens": tuple(values["tokens"]),
                "link": Link(**values["link"]),
            }
        )


def draw(count: int, seed: int, designs: Sequence[Design] = DESIGNS) -> list[Sample]:
    """So many samples of Sobol sequences, one a design and randomly shifted; half of them held out.

    Parameters
    ----------
    count
        How many, at least 2 a design, so that there is something to calibrate on and something to predict.
    seed
        Of the sequence, of the tables, of the tokens and of the split.
    designs
        What is drawn from, in turns.

    Raises
    ------
    ValueError
        If ``count`` is too small.
    """
    if count < 2 * len(designs):
        raise ValueError(f"samples is {count}; {len(designs)} designs need at least {2 * len(designs)}")
    points = qmc.Sobol(AXES, scramble=False).random_base2(math.ceil(math.log2(count / len(designs))))
    # A sequence of its own for every design: every fourth point of one sequence keeps to a part of the space.
    shifts = np.random.default_rng(seed).random((len(designs), AXES))
    samples = []
    for index in range(count):
        turn, own = divmod(index, len(designs))
        samples.append(_sample(index, designs[own], (points[turn] + shifts[own]) % 1.0, seed + index))
    held_out = split(samples, seed)
    return [replace(sample, held_out=sample.index in held_out) for sample in samples]


def split(samples: Sequence[Sample], seed: int) -> frozenset[int]:
    """Indices of the held-out half, drawn before anything is measured.

    Half of every design's samples are held out, chosen at random; of many such splits the first is taken whose
    calibration part has most operations, and of these most within the sizes that the held-out part asks for, so that
    predictions interpolate.
    """
    rng = np.random.default_rng([seed, 1])
    kinds = [(sample.configuration.protocol, sample.configuration.engine) for sample in samples]
    sizes = {sample.index: operations(sample.configuration) for sample in samples}
    best: tuple[tuple[int, int], frozenset[int]] = ((-1, -1), frozenset())
    for _ in range(SPLITS):
        held: set[int] = set()
        for kind in dict.fromkeys(kinds):
            own = [sample.index for sample, other in zip(samples, kinds, strict=True) if other == kind]
            held.update(rng.permutation(own)[: len(own) // 2].tolist())
        score = _covered([sizes[k] for k in sizes if k not in held], [sizes[k] for k in held])
        if score > best[0]:
            best = score, frozenset(held)
    return best[1]


Sizes = dict[tuple[str, str], tuple[float, float]]


def _covered(known: Sequence[Sizes], asked: Sequence[Sizes]) -> tuple[int, int]:
    """Of the operations asked for: how many are known, and how many sizes lie between known ones."""
    ranges: Sizes = {}
    for sizes in known:
        for key, (low, high) in sizes.items():
            least, most = ranges.get(key, (low, high))
            ranges[key] = min(least, low), max(most, high)
    wanted = [(key, bounds) for sizes in asked for key, bounds in sizes.items()]
    within = [key for key, (low, high) in wanted if key in ranges and ranges[key][0] <= low and high <= ranges[key][1]]
    return sum(key in ranges for key, _ in wanted), len(within)


def operations(configuration: Configuration) -> Sizes:
    """Engine and operation of everything that a configuration computes, with the least and the largest size of each."""
    found: Sizes = {}
    for term in terms(Grid.of(configuration)):
        if isinstance(term, Work) and float(term.count) > 0:
            key = (configuration.engine, term.operation)
            low, high = found.get(key, (math.inf, 0.0))
            found[key] = min(low, float(term.size)), max(high, float(term.size))
    return found


def _sample(index: int, design: Design, at: np.ndarray[Any, np.dtype[np.float64]], seed: int) -> Sample:
    rows, channels = _between(ROWS, at[0]), _between(CHANNELS, at[1])
    tokens = _between(TOKENS, at[2] ** 2)  # mostly few
    link = PRESETS[_choice(LINKS, at[3])]
    options: dict[str, Any] = {
        "widths": _choice(design.widths, at[4]),
        "ring": {"degree": _choice(DEGREES, at[5])},
        "flooding_bits": _choice(FLOODING, at[6]),
        "prepared": design.prepares and bool(at[7] >= 0.5),
        "align_bits": _choice(ALIGNMENT, at[8]),
    }
    configuration = _possible(design, Table(rows, channels, tokens), options)
    while _expected_s(configuration, link) > MAX_RUN_S:
        smaller = _smaller(rows, channels, tokens)
        if smaller == (rows, channels, tokens):
            link = PRESETS["loopback"]  # the smallest table is still too much for the link
            break
        rows, channels, tokens = smaller
        configuration = _possible(design, Table(rows, channels, tokens), options)
    drawn = np.random.default_rng([seed, 2]).integers(0, rows, tokens)
    return Sample(index, configuration, f"{rows}x{channels}", tuple(drawn.tolist()), seed, link)


def _possible(design: Design, table: Table, options: dict[str, Any]) -> Configuration:
    """The configuration with as many of the options as go together, the others left out from the last to the first."""
    for attempt in _relaxed(options):
        ring = {name: value for name, value in attempt["ring"].items() if value is not None}
        try:
            found = executed(design.protocol, table, engine=design.engine, **{**attempt, "ring": ring})
            terms(Grid.of(found))
        except ValueError:
            continue
        return found
    raise ValueError(f"design {design.protocol} on {design.engine} executes no table of {table.rows}x{table.channels}")


def _relaxed(options: dict[str, Any]) -> Iterator[dict[str, Any]]:
    neutral = {"ring": {}, "align_bits": 0, "prepared": False, "flooding_bits": None, "widths": None}
    for skipped in ((), *((name,) for name in neutral), *_pairs(tuple(neutral)), tuple(neutral)):
        yield {**options, **{name: neutral[name] for name in skipped}}


def _pairs(names: tuple[str, ...]) -> list[tuple[str, str]]:
    return [(one, other) for k, one in enumerate(names) for other in names[k + 1 :]]


def _expected_s(configuration: Configuration, link: Link) -> float:
    figures = estimate(configuration, link, link_model="relay").figures
    return figures["table_s"] + figures["offline_s"] + figures["latency_s"]


def _smaller(rows: int, channels: int, tokens: int) -> tuple[int, int, int]:
    """The same with one of the three halved: whichever is the furthest above its least, if any is."""
    sizes, bounds = [rows, channels, tokens], (ROWS, CHANNELS, TOKENS)
    above = [math.log(size / low) / math.log(high / low) for size, (low, high) in zip(sizes, bounds, strict=True)]
    largest = above.index(max(above))
    sizes[largest] = max(bounds[largest][0], sizes[largest] // 2)
    return sizes[0], sizes[1], sizes[2]


def _between(bounds: tuple[int, int], coordinate: float) -> int:
    """A whole number between the bounds, uniform in its logarithm."""
    low, high = (math.log(bound) for bound in bounds)
    return round(math.exp(low + (high - low) * float(coordinate)))


def _choice(values: Sequence[T], coordinate: float) -> T:
    return values[min(int(coordinate * len(values)), len(values) - 1)]
