"""What a figure may be asked for: a table, a link, a machine, measurements; each figure has its own defaults."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from costmodel.link import Link, parse_link
from costmodel.machine import Machine, default_machine
from costmodel.parameters import Table
from costmodel.system import RingFields
from fastquery.tables import table_of


@dataclass(frozen=True)
class Chosen:
    """Systems, fields of their rings, and channel widths that are drawn; the figure's own where none is named."""

    protocols: tuple[str, ...] = ()
    rings: tuple[RingFields, ...] = ()
    packings: tuple[tuple[int, ...], ...] = ()

    def of(self, protocol: str) -> Chosen:
        """The same, of one system where none is named."""
        return self if self.protocols else replace(self, protocols=(protocol,))


EVERYTHING = Chosen()
"""Every system, on the ring and with the packing that is chosen for it."""


@dataclass(frozen=True)
class Inputs:
    """What is named; None is left to the figure.

    Attributes
    ----------
    table
        A preset, ``MxN`` or ``FILE.safetensors:KEY``.
    link
        A link; figures over bandwidth take its round-trip time, the one over round-trip times its rate.
    machine
        Unit costs; the built-in profile if left out.
    measurements
        A file of measured runs.
    chosen
        Systems, rings and packings that are drawn.
    """

    table: str | None = None
    link: Link | None = None
    machine: Machine | None = None
    measurements: Path | None = None
    chosen: Chosen = EVERYTHING

    def shape(self, default: str = "llama-7b", tokens: int = 1) -> Table:
        """The table's shape."""
        return table_of(self.table or default, tokens)

    def on(self, default: str) -> Link:
        """The link."""
        return self.link or parse_link(default)

    @property
    def profile(self) -> Machine:
        """The unit costs."""
        return self.machine or default_machine()
