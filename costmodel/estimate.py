"""Estimates: the predicted ledger of a configuration or a grid, summed and put on a link and a machine."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from functools import cached_property
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from costmodel.alignment.ledger import alignment_symbols, alignment_terms
from costmodel.design import RESIDUE_BYTES
from costmodel.formulas import Symbol, Symbols, used
from costmodel.grid import Grid
from costmodel.latency import LatencySplit, latency_s, latency_split
from costmodel.ledger import Term, Transfer, Work, frame
from costmodel.link import PRESETS, Link, relay_leg_s, tcp_leg_s
from costmodel.machine import Machine, UnitCost, default_machine
from costmodel.parameters import Configuration
from costmodel.results import Result, failure_text, lookup_headline
from costmodel.security import least_security_bits
from costmodel.session import request_terms
from costmodel.systems import design_of

if TYPE_CHECKING:
    import pandas as pd

LinkModel = Callable[[Any, Any, Any], Any]
LINK_MODELS: Mapping[str, LinkModel] = {"tcp": tcp_leg_s, "relay": relay_leg_s}
"""Seconds of a message on the line, by its bytes, the rate and the round-trip time."""


class Links(Protocol):
    """One link, or many as arrays that broadcast with a grid."""

    @property
    def rate_bit_per_s(self) -> Any:
        """Bit a second."""

    @property
    def round_trip_s(self) -> Any:
        """Seconds."""


def terms(grid: Grid) -> tuple[Term, ...]:
    """Predicted ledger of a grid.

    Raises
    ------
    ValueError
        If no such protocol is modelled.
    """
    return (*design_of(grid).ledger(grid), *alignment_terms(grid), *request_terms(grid))


def symbols(grid: Grid) -> Symbols:
    """Symbols of the formulas of a grid's ledger."""
    return {**design_of(grid).symbols(grid), **alignment_symbols(grid)}


def seconds(work: Work, unit: UnitCost) -> Any:
    """CPU seconds of a work entry: batch_s + count * (call_s + element_s * size)."""
    return unit.seconds(work.count, work.size)


def wall_seconds(work: Work, unit: UnitCost, threads: Any) -> Any:
    """Wall seconds of a work entry: a server's threads share its tasks and a part of each, a client computes on one."""
    spent = seconds(work, unit)
    return spent * unit.wall_part(threads, work.tasks) if work.party == "server" else spent


def evaluate(
    grid: Grid, link: Links = PRESETS["lan"], machine: Machine | None = None, link_model: str = "tcp"
) -> dict[str, NDArray[np.float64]]:
    """Every figure of a grid on a link, or on many, as arrays of the shape that grid, links and threads broadcast to.

    ``latency_s`` is the wall time from the token to both parties' shares (:mod:`costmodel.latency`);
    ``latency_low_s`` and ``latency_high_s`` put the intervals of the machine's unit costs in. ``noise_bits`` are those
    of a table of the grid's spread; ``log2_failure`` is that of all answers for the worst table where this project
    executes the design (of folded and compressed queries without flooding for the largest elements, with signs that do
    not conspire with the errors), and of the grid's where it is published. ``table_bytes`` are the residues of the
    encoded table that are kept for queries, at 8 bytes.

    The arrays are read-only views: a figure that does not depend on an axis is stored once along it.
    """
    profile = machine or default_machine()
    figures = summarise(grid, terms(grid), link, profile, link_model)
    shape = _shape(grid, link, profile)
    return {name: np.broadcast_to(values, shape) for name, values in figures.items()}


def _shape(grid: Grid, link: Links, machine: Machine) -> tuple[int, ...]:
    """The shape of figures: of all that broadcasts with a grid."""
    further = (link.rate_bit_per_s, link.round_trip_s, machine.threads)
    return np.broadcast_shapes(grid.shape, *map(np.shape, further))


def summarise(
    grid: Grid, ledger: Sequence[Term], link: Links, machine: Machine, link_model: str
) -> dict[str, NDArray[np.float64]]:
    """The figures of a ledger that is already there, each of the shape it depends on; see :func:`evaluate`."""
    figures: dict[str, Any] = dict.fromkeys(
        (
            *("up_bytes", "down_bytes", "setup_bytes", "table_bytes", "client_s", "server_s", "table_s", "offline_s"),
            *("up_ciphertexts", "down_ciphertexts", "plaintext_products", "key_switches"),
        ),
        np.float64(0),
    )
    for term in ledger:
        if isinstance(term, Transfer):
            if term.phase == "setup":
                figures["setup_bytes"] = figures["setup_bytes"] + term.size_bytes
                continue
            direction = "up" if term.party == "client" else "down"
            figures[f"{direction}_bytes"] = figures[f"{direction}_bytes"] + term.size_bytes
            if term.unit == "ciphertexts":
                figures[f"{direction}_ciphertexts"] = figures[f"{direction}_ciphertexts"] + term.count
            continue
        spent = seconds(term, machine.unit(grid.engine, term.operation))
        if term.operation == "encode table":
            figures["table_s"] = figures["table_s"] + spent
            figures["table_bytes"] = figures["table_bytes"] + RESIDUE_BYTES * term.count * term.kept
        if term.phase == "setup":
            continue
        figures[f"{term.party}_s"] = figures[f"{term.party}_s"] + spent
        figures["plaintext_products"] = figures["plaintext_products"] + term.products
        figures["key_switches"] = figures["key_switches"] + term.key_switches
        if term.phase == "offline":
            figures["offline_s"] = figures["offline_s"] + spent
    figures["extracted_coefficients"] = grid.tokens * grid.coefficients
    latencies = latencies_s(grid, ledger, link, machine, link_model)
    figures["latency_s"], figures["latency_low_s"], figures["latency_high_s"] = latencies
    design = design_of(grid)
    rings, flooding = design.rings(grid), design.flooding(grid)
    figures["security_bits_2018"] = least_security_bits(rings, grid.secret, "2018")
    figures["security_bits_2024"] = least_security_bits(rings, grid.secret, "2024")
    figures["noise_bits"] = 0.5 * np.log2(design.noise(grid))
    figures["log2_failure"] = design.failure(grid)
    figures["flooding_bits"] = flooding.bits
    figures["log2_statistical_distance"] = flooding.log2_distance
    figures["log2_planned_distance"] = flooding.log2_planned_distance
    figures["security_bits"] = np.minimum(figures["security_bits_2018"], figures["security_bits_2024"])
    return {name: np.asarray(values, dtype=np.float64) for name, values in figures.items()}


def latencies_s(grid: Grid, ledger: Sequence[Term], link: Links, machine: Machine, link_model: str = "tcp") -> Any:
    """Latency, and its bounds by the intervals of the unit costs, along the first axis."""
    model = LINK_MODELS[link_model]
    first_axis = (3, *(1,) * len(_shape(grid, link, machine)))

    def spent_s(work: Work) -> Any:
        unit = machine.unit(grid.engine, work.operation)
        return np.array([1.0, unit.low, unit.high]).reshape(first_axis) * wall_seconds(work, unit, machine.threads)

    def leg_s(size_bytes: Any) -> Any:
        return model(size_bytes, link.rate_bit_per_s, link.round_trip_s)

    return latency_s(ledger, spent_s, leg_s, link.round_trip_s) + np.zeros(first_axis)


def split_of(grid: Grid, ledger: Sequence[Term], link: Link, machine: Machine, link_model: str) -> LatencySplit:
    """The latency of a grid of one by where it goes."""
    model = LINK_MODELS[link_model]
    return latency_split(
        ledger,
        lambda work: float(wall_seconds(work, machine.unit(grid.engine, work.operation), machine.threads)),
        lambda size_bytes: model(size_bytes, link.rate_bit_per_s, link.round_trip_s),
        link.round_trip_s,
    )


@dataclass(frozen=True)
class Entry:
    """A row of a ledger: a transfer with its count, unit, messages and bytes, or work with its count and seconds.

    ``formula`` gives the bytes of a transfer and the count of work (:mod:`costmodel.formulas`).
    """

    kind: str
    lookup: int
    phase: str
    party: str
    item: str
    count: int
    unit: str | None
    messages: int | None
    bytes: float | None
    seconds: float | None
    formula: str
    source: str


@dataclass(frozen=True, eq=False, repr=False)
class Estimate(Result):
    """Figures of one configuration over one link, and the ledger that they are totals of.

    Attributes
    ----------
    configuration, link, machine, threads
        The question: what is looked up, over which link, at the unit costs of which machine, on how many threads of the
        server.
    entries
        Every transfer and every operation, each with its formula and source; :attr:`ledger` is the same as a frame.
    up_ciphertexts, down_ciphertexts
        Ciphertexts of the client and of the server, offline and online.
    extracted_coefficients
        Coefficients of the answers that the client reads, tokens n'.
    plaintext_products, key_switches
        Products of a ciphertext and a plaintext polynomial, and key switches, offline and online.
    up_bytes, down_bytes
        Bytes of the client and of the server, offline and online.
    setup_bytes
        Bytes of both parties once a session: parameters, keys, base transfers.
    table_bytes
        Memory of the encoded table, as long as it is queried, at 8 bytes a residue.
    client_s, server_s
        CPU seconds of all tokens, offline and online.
    table_s, offline_s
        CPU seconds of encoding the table, and of the work before a token is known.
    latency_split
        The latency by where it goes: client, up, server, down, round trips.
    latency_s, latency_low_s, latency_high_s
        Wall seconds from the tokens to both parties' shares, and their interval by the unit costs.
    security_bits_2018, security_bits_2024, security_bits
        Level of the weakest ring by each published table, and by the stricter of both.
    noise_bits
        log2 of the standard deviation of the answers' error as a fraction of q/t.
    log2_failure
        log2 of the probability that any coefficient decrypts wrongly.
    flooding_bits, log2_statistical_distance
        Width of the flooding, and the distance that it leaves in the answers to all tokens.
    log2_planned_distance
        The same after the planned number of queries.

    Examples
    --------
    >>> from costmodel.parameters import Table
    >>> from costmodel.systems import published
    >>> found = estimate(published("cheetah", Table(32000, 4096)))
    >>> found.figures["server_s"] == found.server_s
    True
    >>> online = found.ledger[(found.ledger["party"] == "client") & (found.ledger["phase"] != "setup")]
    >>> bool(online["bytes"].sum() == found.up_bytes)
    True
    """

    configuration: Configuration
    link: Link
    machine: str
    threads: int
    entries: tuple[Entry, ...]
    latency_split: LatencySplit
    up_ciphertexts: float
    down_ciphertexts: float
    extracted_coefficients: float
    plaintext_products: float
    key_switches: float
    up_bytes: float
    down_bytes: float
    setup_bytes: float
    table_bytes: float
    client_s: float
    server_s: float
    table_s: float
    offline_s: float
    latency_s: float
    latency_low_s: float
    latency_high_s: float
    security_bits_2018: float
    security_bits_2024: float
    security_bits: float
    noise_bits: float
    log2_failure: float
    flooding_bits: float
    log2_statistical_distance: float
    log2_planned_distance: float

    @property
    def figures(self) -> dict[str, float]:
        """Every figure by its name."""
        return {name: getattr(self, name) for name in FIGURES}

    @property
    def ledger(self) -> pd.DataFrame:
        """The entries as a data frame."""
        return frame(asdict(entry) for entry in self.entries)

    def headline(self) -> dict[str, str]:
        """The lookup, its bytes, its latency and whether it holds."""
        return {
            **lookup_headline(self.configuration),
            "up": f"{self.up_bytes:,.0f} B",
            "down": f"{self.down_bytes:,.0f} B",
            "setup": f"{self.setup_bytes:,.0f} B",
            "latency": f"{self.latency_s:.3g} s over {self.link.name}, most of it {self.latency_split.dominant}",
            "security": f"{self.security_bits:.0f} bits",
            "failure": failure_text(self.log2_failure),
        }

    def tables(self) -> dict[str, pd.DataFrame]:
        """The ledger."""
        return {"ledger": self.ledger}

    @cached_property
    def symbols(self) -> dict[str, Symbol]:
        """Value, meaning and formula of every symbol that the entries' formulas have, in the order they are read."""
        found = used((entry.formula for entry in self.entries), symbols(Grid.of(self.configuration)))
        return {name: one._replace(value=_number(one.value)) for name, one in found.items()}

    def document(self) -> dict[str, Any]:
        """Everything as plain values."""
        return {
            **self.figures,
            "configuration": asdict(self.configuration),
            "link": asdict(self.link),
            "machine": self.machine,
            "threads": self.threads,
            "latency_split": {**self.latency_split._asdict(), "dominant": self.latency_split.dominant},
            "ledger": [asdict(entry) for entry in self.entries],
            "symbols": {name: one._asdict() for name, one in self.symbols.items()},
        }


FIGURES = tuple(one.name for one in fields(Estimate) if one.type == "float")
"""Names of the figures, which are also columns of a sweep."""


def estimate(
    configuration: Configuration,
    link: Link = PRESETS["lan"],
    machine: Machine | None = None,
    link_model: str = "tcp",
) -> Estimate:
    """Estimate one configuration: a grid of one, with its ledger as a data frame.

    Raises
    ------
    ValueError
        If the protocol is unknown or the machine lacks a unit cost.

    Examples
    --------
    >>> from costmodel.parameters import Table
    >>> from costmodel.systems import published
    >>> found = estimate(published("cheetah", Table(32000, 4096)))
    >>> found.up_ciphertexts
    180.0
    >>> len(found.ledger) == len(found.entries)
    True
    """
    profile = machine or default_machine()
    grid = Grid.of(configuration)
    ledger = terms(grid)
    figures = summarise(grid, ledger, link, profile, link_model)
    return Estimate(
        configuration,
        link,
        profile.name,
        profile.threads,
        tuple(_entry(term, profile, grid.engine) for term in ledger),
        split_of(grid, ledger, link, profile, link_model),
        **{name: float(value) for name, value in figures.items()},
    )


def _number(value: ArrayLike) -> int | float:
    """The one value of a grid of one configuration."""
    number: int | float = np.asarray(value).item()
    return number


def _entry(term: Term, machine: Machine, engine: str) -> Entry:
    lookup = 0 if term.phase == "setup" else 1
    if isinstance(term, Transfer):
        sent = (int(term.count), term.unit, int(term.messages), float(term.size_bytes), None)
        return Entry("transfer", lookup, term.phase, term.party, term.item, *sent, term.formula, term.source)
    spent = float(seconds(term, machine.unit(engine, term.operation)))
    done = (int(term.count), None, None, None, spent)
    return Entry("work", lookup, term.phase, term.party, term.operation, *done, term.formula, term.source)
