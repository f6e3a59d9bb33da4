"""The Python API: keywords as the command line's options, results as its JSON."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from costmodel.estimate import Estimate
from costmodel.estimate import estimate as estimate_configuration
from costmodel.link import Link, parse_link
from costmodel.machine import Machine
from costmodel.parameters import Configuration, Table
from costmodel.systems import configuration as build
from fastquery import runs
from fastquery.tables import levels_of, table_of


def estimate(
    configuration: Configuration | None = None,
    *,
    table: str | Table = "llama-7b",
    protocol: str = "fastquery",
    tokens: int = 1,
    link: str | Link = "lan",
    machine: Machine | None = None,
    **options: Any,
) -> Estimate:
    """Predict bytes, seconds, latency, noise and security of one configuration.

    Parameters
    ----------
    configuration
        What to estimate; or leave it out and name it by keywords.
    table, protocol, tokens
        A preset, ``MxN``, ``FILE.safetensors:KEY`` or a packed ``FILE.safetensors``; a protocol; rows looked up
        together.
    link
        A preset or ``RATE,DELAY``.
    machine
        Unit costs; the built-in profile if left out.
    options
        ``ablation``, ``ring``, ``widths``, ``levels``, ``engine``, ``size``, ``allow_insecure`` as
        :func:`costmodel.systems.configuration` takes them.

    Returns
    -------
    Estimate
        Figures as attributes (``up_bytes``, ``latency_s``, ...), ``ledger`` as a data frame.
    """
    if configuration is None:
        if isinstance(table, str):
            options.setdefault("levels", levels_of(table, options.get("widths")))
        configuration = build(protocol, _table(table, tokens), **options)
    return estimate_configuration(configuration, _link(link), machine)


def run(
    table: str = "minilm",
    tokens: int | Sequence[int] = 1,
    *,
    protocol: str = "fastquery",
    configuration: Configuration | None = None,
    seed: int = 0,
    **options: Any,
) -> runs.Run:
    """Execute a lookup by two processes and hold it against its prediction; see :func:`fastquery.runs.run`."""
    if configuration is None:
        count = tokens if isinstance(tokens, int) else len(tokens)
        options.setdefault("engine", "residue")
        options.setdefault("levels", levels_of(table, options.get("widths")))
        configuration = build(protocol, table_of(table, count), **options)
    return runs.run(configuration, table, tokens, seed=seed)


def _table(table: str | Table, tokens: int) -> Table:
    return table_of(table, tokens) if isinstance(table, str) else table


def _link(link: str | Link) -> Link:
    return parse_link(link) if isinstance(link, str) else link
