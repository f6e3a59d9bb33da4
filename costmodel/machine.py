"""Unit costs of a machine: what one repetition of an operation takes, by engine, with intervals.

``seconds = batch_s + count * (call_s + element_s * size)``, where a repetition handles ``size`` residues (N times the
limbs, mostly) and all repetitions of a ledger entry are one batch. That is the cost without contention; the interval
tells how far single measurements lay from it. The built-in profile was measured as its provenance says.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import lru_cache
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import tomli_w

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

FORMAT_VERSION = 1
_ALWAYS = ("call_s", "element_s", "low", "high")
"""Of a unit, whether it was fitted or published."""


@dataclass(frozen=True)
class UnitCost:
    """Affine cost of one operation, and the interval in which it was seen relative to it."""

    call_s: float  # seconds a repetition, whatever its size
    element_s: float  # seconds a residue
    low: float = 1.0  # measured over modelled seconds, 5 % quantile of the repetitions
    high: float = 1.0  # 95 % quantile
    residual: float = 0.0  # root mean square relative error of the fit to costs without contention
    spread: float = 1.0  # what contention added: 95 % quantile of an entry's repetitions over its cost without it
    samples: int = 0  # entries that it was fitted to; 0 where it was not fitted here
    batch_s: float = 0.0  # seconds a ledger entry that counts anything
    shared: float = 0.0  # part of the seconds that a server's threads share evenly

    def __post_init__(self) -> None:
        for name in ("batch_s", "call_s", "element_s"):
            if not 0 <= getattr(self, name) < 1e3:
                raise ValueError(f"{name} is {getattr(self, name)}; it must be from 0 to 1000 seconds")
        if not 0 <= self.low <= 1 <= self.high:
            raise ValueError(f"interval is {self.low} to {self.high}; it must contain 1")
        if not (self.residual >= 0 and self.spread >= 1 and self.samples >= 0):
            raise ValueError(
                f"residual is {self.residual}, spread {self.spread}, samples {self.samples}; "
                "they must be at least 0, 1 and 0"
            )
        if not 0 <= self.shared <= 1:
            raise ValueError(f"shared is {self.shared}; it must be from 0 to 1, a part of the seconds")

    def seconds(self, count: Any, size: Any) -> Any:
        """CPU seconds of so many repetitions on so many residues each; numbers or arrays that broadcast."""
        return (count > 0) * self.batch_s + count * (self.call_s + self.element_s * size)

    def wall_part(self, threads: Any, tasks: Any = 1) -> Any:
        """Wall seconds on k threads over CPU seconds.

        A task takes 1 - f (1 - 1/k) of its CPU seconds, f the part that threads share (Amdahl's law). Of T equal tasks
        k at a time are computed side by side, a thread each. The last r = T mod k are helped by the threads that have
        none, floor(k/r) for each, so that all of them take (floor(T/k) + [r > 0] (1 - f (1 - 1/floor(k/r))))/T.

        Parameters
        ----------
        threads, tasks : array_like of int
            k and T, at least 1.

        Examples
        --------
        >>> half = UnitCost(call_s=1.0, element_s=0.0, shared=0.5)
        >>> [float(half.wall_part(2, tasks)) for tasks in (1, 2, 3)]
        [0.75, 0.5, 0.5833333333333334]
        """
        rounds, left = tasks // threads, tasks % threads
        helping = np.maximum(threads // np.maximum(left, 1), 1)
        last = np.where(left > 0, 1.0 - self.shared * (1.0 - 1.0 / helping), 0.0)
        return ((rounds + last) / tasks)[()]


@dataclass(frozen=True, repr=False)
class Machine:
    """Unit costs by engine and operation.

    Attributes
    ----------
    name
        As results state it.
    units
        Costs by engine and operation.
    provenance
        When, where and how the units were measured.
    threads
        Threads of a server that share the work of a lookup: a number, or many as an array that broadcasts with a grid.

    Examples
    --------
    >>> half = UnitCost(call_s=0.5, element_s=0.0)
    >>> Machine("mine", {("seal", "rotate"): half}, {}).unit("seal", "rotate").seconds(4, 8192)
    2.0
    """

    name: str
    units: Mapping[tuple[str, str], UnitCost]
    provenance: Mapping[str, Any]
    threads: Any = 1

    def __repr__(self) -> str:
        return f"Machine({self.name!r}, {len(self.units)} units, threads={self.threads})"

    def unit(self, engine: str, operation: str) -> UnitCost:
        """Cost of an operation.

        Raises
        ------
        ValueError
            If the profile does not have it; the message names operation, engine and machine.
        """
        try:
            return self.units[engine, operation]
        except KeyError:
            raise ValueError(
                f"machine {self.name!r} has no unit cost for {operation!r} on engine {engine!r}; "
                "take another size or engine, or calibrate one"
            ) from None


def read_machine(text: str, name: str) -> Machine:
    """A profile from its TOML text.

    Raises
    ------
    ValueError
        If it is not TOML, is of another version, or a unit is malformed.
    """
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ValueError(f"machine {name!r} is not a TOML file: {error}") from None
    if document.get("version") != FORMAT_VERSION:
        raise ValueError(f"machine {name!r} has version {document.get('version')}; it must be {FORMAT_VERSION}")
    units: dict[tuple[str, str], UnitCost] = {}
    for engine, operations in document.get("units", {}).items():
        for operation, cost in operations.items():
            try:
                units[engine, operation] = _unit_cost(cost)
            except (AttributeError, TypeError, ValueError) as error:
                raise ValueError(f"machine {name!r}, unit {engine}.{operation}: {error}") from None
    return Machine(str(document.get("name", name)), units, document.get("provenance", {}))


def load_machine(path: str | Path) -> Machine:
    """A profile from a file.

    Raises
    ------
    ValueError
        If the file cannot be read or is no profile.
    """
    try:
        text = Path(path).read_text(encoding="utf-8")
    except OSError as error:
        raise ValueError(f"machine is {str(path)!r}, which cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ValueError(f"machine is {str(path)!r}, which is no text file; fastquery calibrate writes one") from None
    return read_machine(text, str(path))


@lru_cache(maxsize=1)
def default_machine() -> Machine:
    """The built-in profile."""
    text = resources.files("costmodel").joinpath("data/machine.toml").read_text(encoding="utf-8")
    return read_machine(text, "built-in")


def machine_toml(machine: Machine) -> str:
    """The text of a profile that :func:`read_machine` reads back."""
    units: dict[str, dict[str, dict[str, float]]] = {}
    for (engine, operation), cost in sorted(machine.units.items()):
        values = {field.name: getattr(cost, field.name) for field in fields(cost)}
        shown = {name: _rounded(value) for name, value in values.items() if name in _ALWAYS or cost.samples}
        units.setdefault(engine, {})[operation] = shown
    provenance = dict(machine.provenance)
    return tomli_w.dumps({"version": FORMAT_VERSION, "name": machine.name, "provenance": provenance, "units": units})


def _rounded(value: float) -> float:
    """A number to six digits, whole ones as integers."""
    rounded = float(f"{value:.6g}")
    return int(rounded) if rounded.is_integer() else rounded


def _unit_cost(values: Mapping[str, Any]) -> UnitCost:
    numbers: dict[str, Any] = {key: float(value) for key, value in values.items()}
    return UnitCost(**{**numbers, "samples": int(numbers.get("samples", 0))})
