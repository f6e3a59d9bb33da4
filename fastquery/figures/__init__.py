"""Data behind the named figures: the model evaluated, as data frames that :mod:`plots` draws."""

from __future__ import annotations

from fastquery.figures.accuracy import figure_7_frame, figure_8_frame, quantization_frame
from fastquery.figures.choices import (
    channels_frame,
    noise_frame,
    pareto_frame,
    plaintext_bits_frame,
    ring_map_frame,
    sensitivity_frame,
)
from fastquery.figures.inputs import Chosen, Inputs
from fastquery.figures.links import bandwidth_frame, round_trip_frame
from fastquery.figures.measurements import measured_frame
from fastquery.figures.named import NamedFigure
from fastquery.figures.paper import figure_1_frame, figure_9_frame, figure_10_frame, waterfall_frame
from fastquery.figures.registry import FIGURES, Appearance, draw, draw_all, frame_of
from fastquery.figures.sessions import session_frame

__all__ = [
    "FIGURES",
    "Appearance",
    "Chosen",
    "Inputs",
    "NamedFigure",
    "bandwidth_frame",
    "channels_frame",
    "draw",
    "draw_all",
    "figure_1_frame",
    "figure_7_frame",
    "figure_8_frame",
    "figure_9_frame",
    "figure_10_frame",
    "frame_of",
    "measured_frame",
    "noise_frame",
    "pareto_frame",
    "plaintext_bits_frame",
    "quantization_frame",
    "ring_map_frame",
    "round_trip_frame",
    "sensitivity_frame",
    "session_frame",
    "waterfall_frame",
]
