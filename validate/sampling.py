"""The space of configurations that a campaign draws from, and the draw: a low-discrepancy sequence over it.

Every axis is a function of one coordinate in [0, 1). What a design cannot do falls back on what it can, so that every
point of the sequence is a configuration; tables shrink until a run is expected to keep within its time, and where the
smallest does not, no link is shaped.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import combinations
from typing import Any, TypeVar

import numpy as np
from scipy.stats import qmc

from costmodel.estimate import estimate, terms
from costmodel.grid import Grid
from costmodel.ledger import Work
from costmodel.link import PRESETS, Link
from costmodel.parameters import Configuration, Table
from costmodel.systems import SYSTEMS, executed, system
from costmodel.workload import Workload, estimate_workload, lookups_of

T = TypeVar("T")

MAX_RUN_S = 2.0
"""Most that the lookups of one session are expected to take, by the built-in machine, its table's encoding included."""

ROWS = (500, 30000)
CHANNELS = (24, 1536)
TOKENS = (1, 32)
DEGREES = (None, 2048, 4096, 8192)
"""None: what the preset chooses."""
FLOODING = (None, 0, 20, 40)
"""None: the engine's default."""
ALIGNMENT = (0, 0, 16, 32)
WIDTHS = (None, (4, 3, 3), (4, 4), (3, 2, 2, 2), (8,))
"""None: the system's own."""
ABLATIONS = (None, "packlwes")
"""In turns: FastQuery's answers on OpenFHE are packed by PackLWEs where they are named."""
OPTIONS: tuple[tuple[str, ...], ...] = ((), ("low-bits",), (), ("delphi",))
"""In turns: answers with the lowest bits of b alone, and Delphi's split, which has the whole product before a token."""
GENERATED = (0, 0, 1, 3)
"""Tokens that a session looks up one by one after its prompt; 0: it looks up its tokens together, and ends."""
THREADS = (1, 2)
"""Of the server; OpenFHE computes on one."""
TLS = (False, True)
MAX_SESSION_S = 2.5
"""Most that a session may take on a shaped link, keys and preparations included."""
LINKS = ("loopback", "paper-384", "paper-44", "paper-9", "wan")
FASTER = ("paper-44", "paper-384", "loopback")
"""In the place of a link on which a session takes too long, the first that is fast enough."""
AXES = 11
SPLITS = 500
"""Splits drawn in search of one whose calibration part has every operation at its smallest and its largest size."""


@dataclass(frozen=True)
class Design:
    """A protocol on an engine."""

    protocol: str
    engine: str


def designs(protocols: Sequence[str] = (), engines: Sequence[str] = ()) -> tuple[Design, ...]:
    """Every pair of a system and an engine that executes it, or those that are named.

    Raises
    ------
    ValueError
        If nothing of what is named is executed.

    Examples
    --------
    >>> designs(["cheetah"])
    (Design(protocol='cheetah', engine='residue'), Design(protocol='cheetah', engine='openfhe'))
    """
    for name in protocols:
        system(name)
    found = tuple(
        Design(one.name, engine)
        for one in SYSTEMS
        for engine in one.engines
        if one.name in (protocols or (one.name,)) and engine in (engines or (engine,))
    )
    if not found:
        named = " on ".join(", ".join(part) for part in (protocols, engines) if part)
        raise ValueError(f"nothing here executes {named}")
    return found


@dataclass(frozen=True)
class Sample:
    """One configuration of a campaign, with everything that its run depends on."""

    index: int
    configuration: Configuration
    table: str
    tokens: tuple[int, ...]  # the prompt's, or those that are looked up together, and then the generated ones
    seed: int
    link: Link
    held_out: bool = False
    generated: int = 0
    threads: int = 1
    tls: bool = False

    @property
    def workload(self) -> Workload | None:
        """Of a session that generates tokens; none of a single lookup, which alone may be prepared."""
        return Workload(self.configuration.table.tokens, self.generated) if self.generated else None

    @property
    def lookups(self) -> tuple[Configuration, ...]:
        """The different lookups of a session."""
        return lookups_of(self.configuration, self.workload)

    def document(self) -> dict[str, Any]:
        """Plain values that :meth:`from_document` makes an equal sample of."""
        return asdict(self)

    @classmethod
    def from_document(cls, values: dict[str, Any]) -> Sample:
        """A sample from :meth:`document`, or from that read back from JSON; it may lack what has a default."""
        return cls(
            **{
                **values,
                "configuration": Configuration.from_dict(values["configuration"]),
                "tokens": tuple(values["tokens"]),
                "link": Link(**values["link"]),
            }
        )


def draw(count: int, seed: int, drawn: Sequence[Design] = designs()) -> list[Sample]:
    """So many samples of Sobol sequences, one a design and randomly shifted; half of them held out.

    Engines take turns, and on each engine its systems: every engine has the same share of the samples.

    Parameters
    ----------
    count
        Number of samples, at least 2 a design: one to calibrate on and one to predict.
    seed
        Of the sequence, of the tables, of the tokens and of the split.
    drawn
        The designs, in turns.

    Raises
    ------
    ValueError
        If ``count`` is too small.
    """
    least = _least(drawn)
    if count < least:
        raise ValueError(f"samples is {count}; {len(drawn)} designs need at least {least}")
    points = qmc.Sobol(AXES, scramble=False).random_base2(math.ceil(math.log2(count)))
    # A sequence of its own for every design: every fourth point of one sequence keeps to a part of the space.
    shifts = np.random.default_rng(seed).random((len(drawn), AXES))
    samples = []
    for index, (own, turn) in enumerate(_turns(drawn, count)):
        samples.append(_sample(index, turn, drawn[own], (points[turn] + shifts[own]) % 1.0, seed + index))
    held_out = split(samples, seed)
    return [replace(sample, held_out=sample.index in held_out) for sample in samples]


def _turns(drawn: Sequence[Design], count: int) -> Iterator[tuple[int, int]]:
    """For every sample its design, and how often the design was drawn before."""
    by_engine: dict[str, list[int]] = {}
    for own, design in enumerate(drawn):
        by_engine.setdefault(design.engine, []).append(own)
    engines = list(by_engine.values())
    for index in range(count):
        round_of_engine, engine = divmod(index, len(engines))
        turn, place = divmod(round_of_engine, len(engines[engine]))
        yield engines[engine][place], turn


def _least(drawn: Sequence[Design]) -> int:
    """Samples with which every design is drawn twice."""
    engines = [design.engine for design in drawn]
    return 2 * max(engines.count(engine) for engine in engines) * len(set(engines))


def split(samples: Sequence[Sample], seed: int) -> frozenset[int]:
    """Indices of the held-out half, drawn before anything is measured.

    Half of every design's samples are held out, chosen at random; of many such splits the first is taken whose
    calibration part lacks the fewest operations that the held-out part has, and of these has most within the sizes
    that the held-out part asks for, so that predictions interpolate.
    """
    rng = np.random.default_rng([seed, 1])
    kinds = [(sample.configuration.protocol, sample.configuration.engine) for sample in samples]
    sizes = {sample.index: operations(*sample.lookups) for sample in samples}
    best: tuple[tuple[float, int], frozenset[int]] = ((-math.inf, 0), frozenset())
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
    """Of the operations asked for: how many are unknown, negated, and how many sizes lie between known ones."""
    ranges: Sizes = {}
    for sizes in known:
        for key, (low, high) in sizes.items():
            least, most = ranges.get(key, (low, high))
            ranges[key] = min(least, low), max(most, high)
    wanted = [(key, bounds) for sizes in asked for key, bounds in sizes.items()]
    within = [key for key, (low, high) in wanted if key in ranges and ranges[key][0] <= low and high <= ranges[key][1]]
    return -sum(key not in ranges for key, _ in wanted), len(within)


def operations(*configurations: Configuration) -> Sizes:
    """Engine and operation of everything that lookups compute, with the least and the largest size of each."""
    found: Sizes = {}
    for configuration in configurations:
        for term in terms(Grid.of(configuration)):
            if isinstance(term, Work) and float(term.count) > 0:
                key = (configuration.engine, term.operation)
                low, high = found.get(key, (math.inf, 0.0))
                found[key] = min(low, float(term.size)), max(high, float(term.size))
    return found


def _sample(index: int, turn: int, design: Design, at: np.ndarray[Any, np.dtype[np.float64]], seed: int) -> Sample:
    rows, channels = _between(ROWS, at[0]), _between(CHANNELS, at[1])
    tokens = _between(TOKENS, at[2] ** 2)  # mostly few
    link = PRESETS[_choice(LINKS, at[3])]
    options: dict[str, Any] = {
        "widths": _choice(WIDTHS, at[4]),
        "ring": {"degree": _choice(DEGREES, at[5])},
        "flooding_bits": _choice(FLOODING, at[6]),
        "prepared": turn % 3 == 2,
        "align_bits": _choice(ALIGNMENT, at[7]),
        "ablation": ABLATIONS[turn % len(ABLATIONS)],
        "options": OPTIONS[turn % len(OPTIONS)],
    }
    generated = _choice(GENERATED, at[8])
    configuration = _possible(design, Table(rows, channels, tokens), options)
    while _expected_s(configuration, generated, link) > MAX_RUN_S:
        smaller = _smaller(rows, channels, tokens)
        if smaller == (rows, channels, tokens):
            link = PRESETS["loopback"]  # the smallest table is still too much for the link
            break
        rows, channels, tokens = smaller
        configuration = _possible(design, Table(rows, channels, tokens), options)
    links = (link, *(PRESETS[name] for name in FASTER))
    link = next((one for one in links if _session_s(configuration, generated, one) <= MAX_SESSION_S), links[-1])
    drawn = np.random.default_rng([seed, 2]).integers(0, rows, tokens + generated)
    return Sample(
        index,
        configuration,
        f"{rows}x{channels}",
        tuple(drawn.tolist()),
        seed,
        link,
        generated=generated,
        threads=1 if design.engine == "openfhe" else _choice(THREADS, at[9]),
        tls=_choice(TLS, at[10]),
    )


def _possible(design: Design, table: Table, options: dict[str, Any]) -> Configuration:
    """The configuration with as many of the options as go together."""
    for attempt in _relaxed(options):
        ring = {name: value for name, value in attempt["ring"].items() if value is not None}
        try:
            found = executed(design.protocol, table, engine=design.engine, **{**attempt, "ring": ring})
            terms(Grid.of(found))
        except ValueError:
            continue
        return found
    raise ValueError(f"design {design.protocol} on {design.engine} executes no table of {table.rows}x{table.channels}")


NEUTRAL: dict[str, Any] = {
    "ablation": None,
    "ring": {},
    "widths": None,
    "flooding_bits": None,
    "align_bits": 0,
    "prepared": False,
    "options": (),
}
"""Options that leave the choice to the system, in the order in which they are given up."""


def _relaxed(options: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The options with ever more of them left out, the fewest first."""
    for count in range(len(NEUTRAL) + 1):
        for skipped in combinations(NEUTRAL, count):
            if all(options[name] != NEUTRAL[name] for name in skipped):  # else it was tried before
                yield {**options, **{name: NEUTRAL[name] for name in skipped}}


def _expected_s(configuration: Configuration, generated: int, link: Link) -> float:
    workload = Workload(configuration.table.tokens, generated) if generated else None
    each = [estimate(one, link, link_model="relay") for one in lookups_of(configuration, workload)]
    times = (1, *[generated] * (len(each) - 1))
    lookups_s = sum(k * (one.offline_s + one.latency_s) for k, one in zip(times, each, strict=True))
    return each[0].table_s + lookups_s


def _session_s(configuration: Configuration, generated: int, link: Link) -> float:
    session = estimate_workload(
        configuration, Workload(configuration.table.tokens, generated), link, link_model="relay"
    )
    return session.first_share_s + generated * (session.preparation_s + session.share_s)


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
