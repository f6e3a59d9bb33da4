"""Bytes in all and seconds of a session over its tokens."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from plots.series import Series, about, series_of
from plots.style import byte_text, check, entitle, figure, grid, legend_below, second_text

NUMBERS = ("session_tokens", "total_bytes", "session_s")
PANELS = (("total_bytes", "bytes in all (B)", byte_text), ("session_s", "set-up and all lookups (s)", second_text))


def session(frame: pd.DataFrame, title: str = "", source: str = "") -> Figure:
    """Cost of every series over the tokens of a session; circles mark where the cheapest changes.

    Parameters
    ----------
    frame
        Columns ``protocol``, ``session_tokens`` (the same for every series), ``total_bytes`` and ``session_s``; further
        columns that say what a configuration is tell series apart, see :func:`plots.series.series_of`.
    title, source
        Heading and caption; those in ``frame.attrs`` if left out.

    Raises
    ------
    ValueError
        If a column is missing, a value is not above 0, or a series has other tokens than the first.
    """
    check(frame, "session", NUMBERS, ("protocol",), positive=NUMBERS)
    found = [
        replace(one, rows=one.rows.sort_values("session_tokens")) for one in series_of(frame, "session", NUMBERS[:1])
    ]
    tokens = found[0].rows["session_tokens"].to_numpy()
    for one in found:
        if not np.array_equal(one.rows["session_tokens"], tokens) or len(set(tokens)) < len(tokens):
            raise ValueError(
                "frame of session: every series must have the same numbers in column 'session_tokens', each once, and "
                f"{one.name} has others"
            )
    drawn = figure(9.5, 4.8)
    panels = drawn.subplots(1, 2)
    notes, handles = [], []
    for axes, (column, label, text) in zip(panels, PANELS, strict=True):
        handles = [
            axes.plot(tokens, one.rows[column], color=one.look.colour, linestyle=one.look.line, linewidth=1.7)[0]
            for one in found
        ]
        changes = cheapest(found, column)
        for at, _ in changes[1:]:
            value = min(float(one.rows[column].iloc[at]) for one in found)
            axes.plot(tokens[at], value, "o", mfc="white", mec="black", mew=1.4, markersize=7, zorder=5)
        axes.set(xscale="log", yscale="log", xlabel="tokens of a session, each with a lookup of its own", ylabel=label)
        axes.margins(x=0)
        grid(axes)
        first = float(changes[0][1].rows[column].iloc[0])
        named = [f"{changes[0][1].name} from 1 token ({text(first)}) on"]
        named += [f"{one.name} from {tokens[at]:,.0f}" for at, one in changes[1:]]
        notes.append(f"Least {label}: {', '.join(named)}.")
    legend_below(drawn, handles, [one.name for one in found], 3)
    entitle(drawn, frame, title, source, *notes, *about(found))
    return drawn


def cheapest(found: Sequence[Series], column: str) -> list[tuple[int, Series]]:
    """The series with the least of a column, and from which row on; a tie leaves the one that was least before."""
    values = np.stack([one.rows[column].to_numpy(dtype=float) for one in found])
    changes = [(0, int(values[:, 0].argmin()))]
    for at in range(1, values.shape[1]):
        before, best = changes[-1][1], int(values[:, at].argmin())
        if values[best, at] < values[before, at]:
            changes.append((at, best))
    return [(at, found[k]) for at, k in changes]
