"""Figures from data frames; nothing else of the project imports matplotlib.

Every figure is a function of one data frame. Title and caption are the arguments ``title`` and ``source``, or, left
out, the frame's attributes of these names, which the frames of :mod:`fastquery.figures` carry.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from matplotlib.figure import Figure

from plots.bandwidth import bandwidth
from plots.bars import figure_1, figure_9, figure_10
from plots.first_layer import first_layer
from plots.measured import measured
from plots.noise import noise
from plots.pareto import pareto
from plots.quantization import perplexity, quantization
from plots.ring_map import ring_map
from plots.round_trip import round_trip
from plots.sensitivity import sensitivity
from plots.tables import figure_7, figure_8
from plots.waterfall import waterfall

Draw = Callable[..., Figure]

FIGURES: Mapping[str, Draw] = {
    "figure-1": figure_1,
    "figure-7": figure_7,
    "figure-8": figure_8,
    "figure-9": figure_9,
    "figure-10": figure_10,
    "waterfall": waterfall,
    "bandwidth": bandwidth,
    "round-trip": round_trip,
    "ring-map": ring_map,
    "pareto": pareto,
    "sensitivity": sensitivity,
    "noise": noise,
    "quantization": quantization,
    "perplexity": perplexity,
    "first-layer": first_layer,
    "measured": measured,
}
"""Every figure by the name that the command line gives it."""
