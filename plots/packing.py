"""Bytes and latency over what a coefficient holds: bits of the plaintext, or channels."""

from __future__ import annotations

from dataclasses import replace

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from plots.series import about, bytes_of, series_of
from plots.style import check, entitle, figure, grid, legend_below


def plaintext_bits(frame: pd.DataFrame, title: str = "", source: str = "") -> Figure:
    """Bytes and latency over p, the bits of the plaintext modulus.

    Parameters
    ----------
    frame
        Columns ``protocol``, ``plaintext_bits``, ``latency_s``, and ``bytes`` or ``up_bytes`` and ``down_bytes``.
    title, source
        Heading and caption; those in ``frame.attrs`` if left out.

    Raises
    ------
    ValueError
        If a column is missing or a value is not above 0.
    """
    return _over(frame, "plaintext-bits", "plaintext_bits", "plaintext modulus, p = log$_2$ t (bits)", title, source)


def channels(frame: pd.DataFrame, title: str = "", source: str = "") -> Figure:
    """Bytes and latency over the channels that share a coefficient.

    Parameters
    ----------
    frame
        As of :func:`plaintext_bits`, with a column ``channels_per_coefficient`` in the place of ``plaintext_bits``.
    title, source
        Heading and caption; those in ``frame.attrs`` if left out.

    Raises
    ------
    ValueError
        If a column is missing or a value is not above 0.
    """
    return _over(frame, "channels", "channels_per_coefficient", "channels a coefficient (ratio)", title, source)


def _over(frame: pd.DataFrame, name: str, column: str, label: str, title: str, source: str) -> Figure:
    numbers = (column, "latency_s")
    check(frame, name, numbers, ("protocol",), positive=numbers)
    frame = frame.assign(bytes=bytes_of(frame, name))
    drawn = figure(8.5, 4.6)
    left, right = drawn.subplots(1, 2)
    followed = (column, "plaintext_modulus", "widths_bits", "ring_degree", "limb_bits", "log2_q")
    found = [replace(one, rows=one.rows.sort_values(column)) for one in series_of(frame, name, followed)]
    found.sort(key=lambda one: -float(one.rows["bytes"].iloc[-1]))
    handles = []
    for one in found:
        if one.rows[column].duplicated().any():
            raise ValueError(f"frame of {name}: column {column!r} has a value twice in the series {one.name}")
        for axes, value, factor in ((left, "bytes", 1e-6), (right, "latency_s", 1.0)):
            lines = axes.plot(
                one.rows[column],
                one.rows[value] * factor,
                color=one.look.colour,
                linestyle=one.look.line,
                marker=one.look.mark,
                markersize=4.5,
            )
        handles += lines
    for axes, text in ((left, "both ways, without keys (MB, 10$^6$ bytes)"), (right, "latency (s)")):
        axes.set(yscale="log", xlabel=label, ylabel=text)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        grid(axes, "both")
    legend_below(drawn, handles, [one.name for one in found], 3)
    entitle(drawn, frame, title, source, *about(found))
    return drawn
