"""A figure that can be asked for by name: what it tells, its data, and the function that draws it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import Any, cast

import pandas as pd

from fastquery.figures.inputs import Inputs

Draw = Callable[..., Any]
"""From a frame, a title and a caption to a figure of matplotlib, which is loaded only to draw."""


@dataclass(frozen=True)
class NamedFigure:
    """A figure that can be asked for.

    Attributes
    ----------
    name
        As the command line spells it; the drawing function has it with underscores.
    tells
        A sentence or two for the index page and the help.
    frame
        Its data.
    drawn_in
        The module of :mod:`plots` that draws it; loaded only then, since it loads matplotlib.
    """

    name: str
    tells: str
    frame: Callable[[Inputs], pd.DataFrame]
    drawn_in: str

    @property
    def draw(self) -> Draw:
        """The function that draws a frame."""
        return cast(Draw, getattr(import_module(f"plots.{self.drawn_in}"), self.name.replace("-", "_")))
