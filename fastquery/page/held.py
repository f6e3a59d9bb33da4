"""Designs that are held priced: a ledger is made once for its words, and put on any link in a millisecond."""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from costmodel.estimate import Entry, estimate, latencies_s, terms
from costmodel.grid import Grid
from costmodel.link import Link
from costmodel.machine import Machine, default_machine, load_machine
from costmodel.parameters import Configuration
from costmodel.workload import WORKLOAD_FIGURES, Workload, estimate_workload
from fastquery.page.state import State
from fastquery.sweeps import Links
from fastquery.words import ask

Floats = NDArray[np.float64]
OF_LOOKUPS = ("table_bytes", "security_bits", "log2_failure", "noise_bits", "flooding_bits", "log2_planned_distance")
"""Figures of lookups that hold of a session too."""
LATENCIES = ("latency_s", "latency_low_s", "latency_high_s")


class Held:
    """A configuration on a machine, its ledger and every figure that no link changes held.

    Attributes
    ----------
    configuration, machine, grid
        What is priced.
    entries
        The ledger, entry by entry.
    """

    def __init__(self, configuration: Configuration, machine: Machine) -> None:
        self.configuration, self.machine = configuration, machine
        self.grid = Grid.of(configuration)
        self._terms = terms(self.grid)
        still = estimate(configuration, machine=machine)
        self.entries: tuple[Entry, ...] = still.entries
        self._figures = still.figures

    def figures(self, link: Link) -> dict[str, float]:
        """Every figure of :class:`costmodel.estimate.Estimate` over a link, equal to its."""
        seconds = latencies_s(self.grid, self._terms, link, self.machine)
        return {**self._figures, **dict(zip(LATENCIES, map(float, seconds), strict=True))}

    def latency_s(self, rates_bit_per_s: Floats, round_trip_s: float) -> Floats:
        """Latency over many rates at one round-trip time."""
        links = Links(rates_bit_per_s, np.float64(round_trip_s))
        found: Floats = latencies_s(self.grid, self._terms, links, self.machine)[0]
        return found

    def session(self, workload: Workload, link: Link) -> dict[str, float]:
        """Figures of a session over a link, and what holds of its lookups, equal to ``estimate --workload --json``."""
        found = estimate_workload(self.configuration, workload, link, self.machine).document()
        return {name: float(found[name]) for name in (*WORKLOAD_FIGURES, *OF_LOOKUPS)}


class Refusal(str):
    """Why words describe no configuration."""


def hold_configuration(configuration: Configuration, machine: str) -> Held:
    """A configuration on the machine of a calibration file, held priced.

    Raises
    ------
    ValueError
        If the file is no profile, or lacks a unit cost.
    """
    return _held(configuration, machine, _changed_ns(machine))


def hold(state: State, design: str) -> Held | Refusal:
    """A design as the state chooses it, held priced; or why there is none."""
    words = {name: value for name, value in state.words(design).items() if name not in ("link", "machine")}
    found = _configuration(frozenset(words.items()))
    try:
        return found if isinstance(found, Refusal) else hold_configuration(found, state.machine)
    except ValueError as error:
        return Refusal(str(error))


def without(state: State, design: str, left_out: Iterable[str]) -> Configuration | Refusal:
    """The configuration of a design where some words are left out, chosen anew."""
    dropped = {"link", "machine", *left_out}
    return _configuration(frozenset((k, v) for k, v in state.words(design).items() if k not in dropped))


@lru_cache(maxsize=1024)
def _configuration(words: frozenset[tuple[str, Hashable]]) -> Configuration | Refusal:
    try:
        return ask(dict(words)).configuration
    except ValueError as error:
        return Refusal(str(error))


def machine_of(path: str) -> Machine:
    """The machine of a calibration file, read again when the file changes; the built-in one where none is named.

    Raises
    ------
    ValueError
        If the file cannot be read or is none.
    """
    return _loaded(path, _changed_ns(path))


@lru_cache(maxsize=1024)
def _held(configuration: Configuration, machine: str, changed_ns: int) -> Held:
    return Held(configuration, _loaded(machine, changed_ns))


@lru_cache(maxsize=16)
def _loaded(path: str, changed_ns: int) -> Machine:
    return load_machine(path) if path else default_machine()


def _changed_ns(path: str) -> int:
    try:
        return Path(path).stat().st_mtime_ns if path else 0
    except OSError as error:
        raise ValueError(f"machine is {path!r}, which cannot be read: {error.strerror}") from None
