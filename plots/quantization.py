"""What a quantisation recipe costs in accuracy against what it costs on the wire and in time."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from numpy.typing import NDArray

from plots.pareto import pareto_front
from plots.series import look_of_position
from plots.style import check, entitle, figure, grid, legend_below

Floats = NDArray[np.float64]
_FLOOR = 1e-3  # of what stands on a logarithmic axis: a perplexity no worse than the float table's


def quantization(frame: pd.DataFrame, title: str = "", source: str = "") -> Figure:
    """Weighted error, and cosine if it was measured, against bytes and latency, a numbered mark for every recipe.

    Parameters
    ----------
    frame
        Columns ``recipe``, ``weighted_error`` and ``bytes``; ``cosine``, ``latency_s`` and
        ``channels_per_coefficient`` if they are there.
    title, source
        Heading and caption; those in ``frame.attrs`` if left out.

    Raises
    ------
    ValueError
        If a column is missing or an error or a size is not above 0.
    """
    further = [name for name in ("latency_s",) if name in frame]
    numbers = ["weighted_error", "bytes", *further, *(["cosine"] if "cosine" in frame else [])]
    check(frame, "quantization", numbers, ("recipe",), positive=("weighted_error", "bytes", *further))
    costs = [("bytes", "query and answer (kB, 10$^3$ bytes)", 1e-3), ("latency_s", "latency (ms)", 1e3)]
    losses = [("weighted_error", "weighted relative error (ratio)", frame["weighted_error"].to_numpy(dtype=float))]
    if "cosine" in frame:
        losses.append(("cosine", "1 - cosine of sentences (ratio)", 1 - frame["cosine"].to_numpy(dtype=float)))
    shown = [cost for cost in costs if cost[0] in frame]
    drawn = figure(4.3 * len(shown) + 0.7, 3.2 * len(losses) + 1.8)
    panels = drawn.subplots(len(losses), len(shown), squeeze=False, sharex="col", sharey="row")
    groups = _groups(frame)
    for i, (_, label, loss) in enumerate(losses):
        for j, (cost, cost_label, factor) in enumerate(shown):
            axes = panels[i, j]
            _panel(axes, frame[cost].to_numpy(dtype=float) * factor, loss, groups)
            if i == len(losses) - 1:
                axes.set_xlabel(cost_label)
            if j == 0:
                axes.set_ylabel(label)
    _finish(drawn, frame, groups, title, source)
    return drawn


def perplexity(frame: pd.DataFrame, title: str = "", source: str = "") -> Figure:
    """Perplexity over the float table's less 1, and 1 - cosine of a sentence encoder beside it, against bytes a query.

    Parameters
    ----------
    frame
        Columns ``recipe``, ``channels_per_coefficient``, ``bytes``, ``perplexity``, ``perplexity_low``,
        ``perplexity_high``, ``sentence_bytes`` and ``sentence_loss``.
    title, source
        Heading and caption; those in ``frame.attrs`` if left out.

    Raises
    ------
    ValueError
        If a column is missing or a value is not above 0.
    """
    numbers = ("bytes", "perplexity", "perplexity_low", "perplexity_high", "sentence_bytes", "sentence_loss")
    check(frame, "perplexity", numbers, ("recipe",), positive=numbers)
    drawn = figure(9.3, 5.4)
    left, right = drawn.subplots(1, 2)
    groups = _groups(frame)
    value, low, high = (np.maximum(frame[name].to_numpy(dtype=float) - 1, _FLOOR) for name in numbers[1:4])
    reach = np.stack([value - low, high - value])
    at = frame["bytes"].to_numpy(dtype=float) * 1e-3
    left.errorbar(at, value, yerr=reach, fmt="none", ecolor="0.7", elinewidth=1, zorder=0)
    _panel(left, at, value, groups)
    _panel(right, frame["sentence_bytes"].to_numpy(dtype=float) * 1e-3, frame["sentence_loss"].to_numpy(), groups)
    for axes, label in (
        (left, "perplexity over the float table's, less 1 (ratio)"),
        (right, "1 - cosine of sentences (ratio)"),
    ):
        axes.set(xlabel="query and answer (kB, 10$^3$ bytes)", ylabel=label)
    _finish(drawn, frame, groups, title, source)
    return drawn


def _finish(drawn: Figure, frame: pd.DataFrame, groups: dict[str, list[int]], title: str, source: str) -> None:
    """The legend of the groups, heading, and the recipes' numbers."""
    handles = [
        Line2D([], [], marker=look_of_position(k).mark, mfc="white", mec=look_of_position(k).colour, linestyle="none")
        for k in range(len(groups))
    ]
    handles.append(Line2D([], [], color="0.45"))
    legend_below(drawn, handles, [*groups, "beaten by none"], 3)
    names = ", ".join(f"{k + 1} {name}" for k, name in enumerate(frame["recipe"]))
    entitle(drawn, frame, title, source, f"Recipes: {names}.")


def _groups(frame: pd.DataFrame) -> dict[str, list[int]]:
    """Rows by channels a coefficient."""
    if "channels_per_coefficient" not in frame:
        return {"recipe": list(range(len(frame)))}
    counts = frame["channels_per_coefficient"].astype(int).tolist()
    return {
        f"{count} channel{'s' if count > 1 else ''} a coefficient": [k for k, own in enumerate(counts) if own == count]
        for count in sorted(set(counts))
    }


def _panel(axes: Axes, cost: Floats, loss: Floats, groups: dict[str, list[int]]) -> None:
    front = np.flatnonzero(pareto_front(cost, loss))
    front = front[np.argsort(cost[front])]
    axes.step(cost[front], loss[front], where="post", color="0.45", linewidth=1.1, zorder=1)
    for k, rows in enumerate(groups.values()):
        look = look_of_position(k)
        axes.plot(cost[rows], loss[rows], look.mark, mfc="white", mec=look.colour, markersize=6, linestyle="none")
    axes.set_yscale("log")
    axes.margins(x=0.18, y=0.08)
    grid(axes, "both")
    _number(axes, cost, loss)


def _number(axes: Axes, cost: Floats, loss: Floats) -> None:
    """Write each recipe's number beside its mark; numbers of marks that nearly coincide move outwards in turn."""
    width = np.ptp(cost) or 1.0
    height = np.ptp(np.log(loss)) or 1.0
    places: list[tuple[float, float, int]] = []
    for k in np.argsort(-loss, kind="stable").tolist():
        x, y = (cost[k] - cost.min()) / width, (np.log(loss[k]) - np.log(loss.min())) / height
        taken = {slot for other_x, other_y, slot in places if abs(other_x - x) < 0.08 and abs(other_y - y) < 0.035}
        slot = next(s for s in range(len(cost)) if s not in taken)
        places.append((x, y, slot))
        right, step = slot % 2 == 0, slot // 2
        axes.annotate(
            str(k + 1), (cost[k], loss[k]), ((7 + 13 * step) * (1 if right else -1), 0), textcoords="offset points",
            ha="left" if right else "right", va="center", fontsize=7,
        )  # fmt: skip
