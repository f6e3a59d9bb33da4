"""Figures by name: ``fq.plot.bandwidth(frame) -> Figure``; matplotlib is loaded when one is drawn.

``fq.plot.frame("bandwidth")`` makes the data of any of them. Names are those of the command line with underscores.

Examples
--------
>>> import fastquery as fq
>>> frame = fq.plot.frame("bandwidth", table="gpt2", protocol=["cheetah", "folded"])
>>> fq.plot.bandwidth(frame).axes[0].get_xscale()
'log'
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
import pandas as pd

from costmodel.machine import Machine
from costmodel.system import RingFields
from fastquery.axes import several
from fastquery.figures import FIGURES, Chosen, Inputs, frame_of
from fastquery.words import link_of, machine_of, name_of, parse_ring, widths_of

NAMES = tuple(name.replace("-", "_") for name in FIGURES)


def frame(
    name: str,
    table: Any = None,
    link: Any = None,
    machine: Machine | str | Path | None = None,
    measurements: str | Path | None = None,
    protocol: str | Sequence[str] = (),
    ring: str | Sequence[str] = (),
    packing: Any = (),
) -> pd.DataFrame:
    """The data of a figure, its title and its caption among the frame's attributes.

    Parameters
    ----------
    name
        One of ``NAMES``, or the command line's spelling.
    table, link, machine, measurements
        What differs from the figure's own defaults.
    protocol, ring, packing
        Systems, rings and channel widths that are drawn, one or several of each.

    Raises
    ------
    ValueError
        If there is no such figure or its data cannot be had.

    Examples
    --------
    >>> import fastquery as fq
    >>> frame = fq.plot.frame("round_trip", table="gpt2", protocol=["cheetah", "iron"])
    >>> sorted(set(frame["protocol"]))
    ['cheetah', 'iron']
    >>> fq.plot.round_trip(frame).axes[0].get_xscale()
    'log'
    """
    inputs = Inputs(
        None if table is None else name_of(table),
        None if link is None else link_of(link),
        None if machine is None else machine_of(machine),
        None if measurements is None else Path(measurements),
        Chosen(
            tuple(several(protocol)),
            tuple(cast(RingFields, parse_ring(text)) for text in several(ring)),
            tuple(widths_of(packing)) if np.size(packing) else (),
        ),
    )
    return frame_of(name.replace("_", "-"), inputs)


def __getattr__(name: str) -> Callable[..., Any]:
    if name not in NAMES:
        raise AttributeError(f"there is no figure {name!r}; figures are {', '.join(NAMES)}")
    return FIGURES[name.replace("_", "-")].draw


def __dir__() -> list[str]:
    return ["NAMES", "frame", *NAMES]
