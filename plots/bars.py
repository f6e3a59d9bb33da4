"""Grouped bars: a figure of the paper drawn from the model, published numbers as marks."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from plots.series import Series, about, bytes_of, series_of
from plots.style import (
    DARK,
    LIGHT,
    SMALL,
    byte_text,
    check,
    entitle,
    figure,
    grid,
    legend_below,
    order,
    second_text,
)

PUBLISHED: dict[str, Any] = {"marker": "D", "mfc": "white", "mec": "black", "markersize": 6, "linestyle": "none"}


def figure_1(frame: pd.DataFrame, title: str = "", source: str = "") -> Figure:
    """Embedding query against QKV projection, the projection of each system being 1.

    Parameters
    ----------
    frame
        Columns ``model``, ``system``, ``part`` (``projection`` or ``embedding``), ``value`` and its ``unit`` (``s`` or
        ``B``).
    title, source
        Heading and caption; those in ``frame.attrs`` if left out.

    Raises
    ------
    ValueError
        If a column is missing, a value is not above 0, or a system lacks a part.
    """
    check(frame, "figure-1", ("value",), ("model", "system", "part", "unit"), positive=("value",))
    unknown = set(order(frame["unit"])) - set(UNIT_TEXTS)
    if unknown:
        raise ValueError(f"frame of figure-1: unit is {min(unknown)!r}; it must be one of {', '.join(UNIT_TEXTS)}")
    models, systems = order(frame["model"]), order(frame["system"])
    drawn = figure(8.5, 2.2 + 2.1 * len(models))
    for axes, model in zip(drawn.subplots(len(models), 1, sharex=True, squeeze=False)[:, 0], models, strict=True):
        own = frame[frame["model"] == model]
        parts = {part: own[own["part"] == part].set_index("system").reindex(systems) for part in PARTS}
        missing = [name for name in systems for rows in parts.values() if pd.isna(rows["value"][name])]
        if missing:
            raise ValueError(f"frame of figure-1: {missing[0]} in {model} needs both a projection and an embedding")
        scale = parts["projection"]["value"].to_numpy(dtype=float)
        for k, shown in enumerate(parts.values()):
            at = np.arange(len(systems)) + (k - 0.5) * 0.38
            height = shown["value"].to_numpy(dtype=float) / scale
            bars = axes.bar(at, height, 0.36, color=FILL[k], hatch=HATCH[k], edgecolor="black", linewidth=0.7)
            notes = [UNIT_TEXTS[unit](value) for unit, value in zip(shown["unit"], shown["value"], strict=True)]
            for text in axes.bar_label(bars, notes, fontsize=SMALL, padding=2):
                text.set_bbox({"facecolor": "white", "edgecolor": "none", "pad": 0.4, "alpha": 0.85})
        axes.axhline(1.0, color="black", linewidth=0.7)
        axes.set_yscale("log")
        axes.margins(y=0.18)
        axes.set_ylabel("cost over the system's\nQKV projection (ratio)", fontsize=9)
        axes.set_title(model, fontsize=9.5, loc="left")
        axes.set_xticks(np.arange(len(systems)), systems, fontsize=8.5)
        grid(axes, axis="y")
    handles = [Patch(facecolor=FILL[k], hatch=HATCH[k], edgecolor="black") for k in range(2)]
    legend_below(drawn, handles, ["QKV projection", "embedding query"], 2)
    entitle(drawn, frame, title, source)
    return drawn


PARTS = ("projection", "embedding")
UNIT_TEXTS: Mapping[str, Callable[[float], str]] = {"s": second_text, "B": byte_text}
FILL, HATCH = (LIGHT, DARK), ("////", "")


def figure_9(frame: pd.DataFrame, title: str = "", source: str = "") -> Figure:
    """Bytes and latency of every series by table size.

    Parameters
    ----------
    frame
        Columns ``table``, ``protocol``, ``latency_s``, and ``bytes``, ``bytes_per_query`` or ``up_bytes`` and
        ``down_bytes``; ``published_bytes`` and ``published_latency_s`` may be there, empty where nothing was published.
    title, source
        Heading and caption; those in ``frame.attrs`` if left out.

    Raises
    ------
    ValueError
        If a column is missing or a value is not above 0.
    """
    check(frame, "figure-9", ("latency_s",), ("table", "protocol"), positive=("latency_s",))
    frame = frame.assign(bytes=bytes_of(frame, "figure-9"))
    check(frame, "figure-9", ("bytes",), positive=("bytes",))
    found = series_of(frame, "figure-9", ("table", "table_rows", "table_channels"))
    drawn = figure(max(9.0, 0.34 * len(found) * frame["table"].nunique()), 6.4)
    upper, lower = drawn.subplots(2, 1, sharex=True)
    groups = order(frame["table"])
    _grouped(upper, found, groups, "table", "bytes", 1e-6, byte_text)
    _grouped(lower, found, groups, "table", "latency_s", 1.0, second_text)
    upper.set_ylabel("both ways, without keys (MB, 10$^6$ bytes)", fontsize=9)
    lower.set_ylabel("latency from token to shares (s)", fontsize=9)
    lower.set_xlabel("table, rows x channels")
    _legend(drawn, frame, found)
    entitle(drawn, frame, title, source, *about(found))
    return drawn


def figure_10(frame: pd.DataFrame, title: str = "", source: str = "") -> Figure:
    """Latency of every series on links of different bandwidth, and the reduction against a reference.

    Parameters
    ----------
    frame
        Columns ``link``, ``protocol`` and ``latency_s``; ``published_latency_s`` where something was published.
        ``frame.attrs["ratio"]`` may name (slower system, faster system) whose quotient is written at every link, and
        ``frame.attrs["published_ratio"]`` the published lowest and highest; of each system its first series counts.
    title, source
        Heading and caption; those in ``frame.attrs`` if left out.

    Raises
    ------
    ValueError
        If a column is missing or a value is not above 0.
    """
    check(frame, "figure-10", ("latency_s",), ("link", "protocol"), positive=("latency_s",))
    found = series_of(frame, "figure-10", ("link", "rate_bit_per_s", "round_trip_s"))
    groups = order(frame["link"])
    named = frame.attrs.get("ratio", ())
    compared = [next((one for one in found if one.rows["protocol"].iloc[0] == name), None) for name in named]
    wide = max(9.0, 0.2 * len(found) * len(groups))
    if len(compared) == 2 and compared[0] is not None and compared[1] is not None:
        drawn = figure(wide, 6.2)
        upper, lower = drawn.subplots(2, 1, sharex=True, height_ratios=[3, 1.4])
        _ratios(lower, frame, groups, compared[0], compared[1])
        lower.set_xlabel("link")
    else:
        drawn = figure(wide, 4.4)
        upper = drawn.subplots()
        upper.set_xlabel("link")
    _grouped(upper, found, groups, "link", "latency_s", 1.0, second_text)
    upper.set_ylabel("latency from token to shares (s)", fontsize=9)
    _legend(drawn, frame, found)
    entitle(drawn, frame, title, source, *about(found))
    return drawn


def _grouped(
    axes: Axes,
    found: Sequence[Series],
    groups: Sequence[str],
    group: str,
    value: str,
    factor: float,
    text: Callable[[float], str],
) -> None:
    width = 0.86 / len(found)
    published = f"published_{value}"
    for k, one in enumerate(found):
        look, rows = one.look, one.rows
        at = np.array([groups.index(str(g)) for g in rows[group]]) + (k - (len(found) - 1) / 2) * width
        values = rows[value].to_numpy(dtype=float)
        bars = axes.bar(
            at, values * factor, width * 0.92, color=look.fill, hatch=look.hatch, edgecolor="black", linewidth=0.6
        )
        known = rows[published].to_numpy(dtype=float) if published in rows else np.full(len(rows), np.nan)
        axes.plot(at, known * factor, **PUBLISHED)
        labels = axes.bar_label(bars, [text(v) for v in values], rotation=90, fontsize=6.5, padding=4)
        for label, top, mark in zip(labels, values, known, strict=True):
            if mark > 0.8 * top:  # clear of the published mark
                label.set_y(label.get_position()[1] + 5)
    axes.set_yscale("log")
    axes.margins(x=0.01)
    low, high = axes.get_ylim()
    axes.set_ylim(low / (high / low) ** 0.08, high * (high / low) ** 0.24)  # room for the numbers above the bars
    axes.set_xticks(np.arange(len(groups)), groups, fontsize=8.5)
    grid(axes, axis="y")


def _legend(drawn: Figure, frame: pd.DataFrame, found: Sequence[Series]) -> None:
    handles: list[Patch | Line2D] = [
        Patch(facecolor=one.look.fill, hatch=one.look.hatch, edgecolor="black") for one in found
    ]
    labels = [one.name for one in found]
    if any(str(column).startswith("published_") and frame[column].notna().any() for column in frame):
        handles.append(Line2D([], [], **PUBLISHED))
        labels.append("published")
    legend_below(drawn, handles, labels, 3)


def _ratios(axes: Axes, frame: pd.DataFrame, groups: Sequence[str], slower: Series, faster: Series) -> None:
    latency = [one.rows.set_index("link")["latency_s"] for one in (slower, faster)]
    values = [float(latency[0].loc[link] / latency[1].loc[link]) for link in groups]
    axes.plot(range(len(groups)), values, "o", color="black", label="model")
    for k, value in enumerate(values):
        axes.annotate(f"{value:.2f}x", (k, value), (7, -3), textcoords="offset points", fontsize=SMALL)
    if "published_ratio" in frame.attrs:
        low, high = frame.attrs["published_ratio"]
        axes.axhspan(low, high, facecolor="0.9", edgecolor="0.6", hatch="////", linewidth=0, zorder=0)
        axes.text(0.995, high, f"published: {low:g}x to {high:g}x ", transform=axes.get_yaxis_transform(), ha="right",
                  va="top", fontsize=SMALL, bbox={"facecolor": "white", "edgecolor": "none", "pad": 1})  # fmt: skip
    axes.margins(y=0.25)
    axes.set_ylabel(f"{slower.name} over\n{faster.name} (ratio)", fontsize=8)
    grid(axes, axis="y")
