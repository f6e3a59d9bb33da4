"""Unit costs of a machine: what one repetition of an operation takes, by engine, with intervals.

``seconds = count * (call_s + element_s * size)``, where a repetition handles ``size`` residues (N times the limbs,
mostly). The built-in profile was measured as its provenance says.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources
from pathlib import Path
from typing import Any

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

FORMAT_VERSION = 1


@dataclass(frozen=True)
class UnitCost:
    """Affine cost of one operation, and the interval in which it was seen relative to it."""

    call_s: float  # seconds a repetition, whatever its size
    element_s: float  # seconds a residue
    low: float = 1.0  # smallest measured over modelled seconds
    high: float = 1.0  # largest

    def __post_init__(self) -> None:
        if not (0 <= self.call_s < 1e3 and 0 <= self.element_s < 1e3):
            raise ValueError(f"unit cost is {self.call_s} s + {self.element_s} s; both must be from 0 to 1000")
        if not 0 <= self.low <= 1 <= self.high:
            raise ValueError(f"interval is {self.low} to {self.high}; it must contain 1")


@dataclass(frozen=True)
class Machine:
    """Unit costs by engine and operation."""

    name: str
    units: Mapping[tuple[str, str], UnitCost]
    provenance: Mapping[str, Any]

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
                "calibrate it, or leave out --machine for the built-in profile"
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
                units[engine, operation] = UnitCost(**{key: float(value) for key, value in cost.items()})
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
    return read_machine(text, str(path))


@lru_cache(maxsize=1)
def default_machine() -> Machine:
    """The built-in profile."""
    text = resources.files("costmodel").joinpath("data/machine.toml").read_text(encoding="utf-8")
    return read_machine(text, "built-in")


def machine_toml(machine: Machine) -> str:
    """The text of a profile that :func:`read_machine` reads back."""
    lines = [f"version = {FORMAT_VERSION}", f"name = {json.dumps(machine.name)}", "", "[provenance]"]
    lines += [f"{key} = {json.dumps(value)}" for key, value in machine.provenance.items()]
    for (engine, operation), cost in sorted(machine.units.items()):
        lines += ["", f'[units.{engine}."{operation}"]']
        lines += [f"{name} = {getattr(cost, name):.6g}" for name in ("call_s", "element_s", "low", "high")]
    return "\n".join(lines) + "\n"
