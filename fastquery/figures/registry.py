"""Every figure by name: its data, what it tells, and a folder of all of them with an index page."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from costmodel.files import replace_text
from costmodel.html import filled
from fastquery.figures import accuracy, choices, first_layer, links, measurements, paper, sessions
from fastquery.figures.inputs import Inputs
from fastquery.figures.named import NamedFigure
from fastquery.workers import evaluated_parts

Progress = Callable[[str, int, int], None]


FIGURES: Mapping[str, NamedFigure] = {
    one.name: one
    for module in (paper, links, sessions, choices, accuracy, first_layer, measurements)
    for one in module.FIGURES
}
"""In the order of the index page."""


def frame_of(name: str, inputs: Inputs | None = None) -> pd.DataFrame:
    """The data of a figure.

    Raises
    ------
    ValueError
        If there is no figure of that name, or its data cannot be had.
    """
    if name not in FIGURES:
        raise ValueError(f"figure is {name!r}; it must be one of {', '.join(FIGURES)}")
    return FIGURES[name].frame(inputs or Inputs())


class Appearance(NamedTuple):
    """How a figure is drawn where it is not drawn as it is by itself.

    Attributes
    ----------
    title
        In the place of the figure's own.
    x, y
        Parts of the axes that are shown.
    style
        A style sheet of matplotlib.
    """

    title: str = ""
    x: tuple[float, float] | None = None
    y: tuple[float, float] | None = None
    style: Path | None = None


PLAIN = Appearance()


def draw(name: str, path: Path, inputs: Inputs | None = None, appearance: Appearance = PLAIN) -> Path:
    """Draw a figure into a PNG, SVG or PDF file.

    Raises
    ------
    ValueError
        If there is no such figure, its data cannot be had, or the file's name has another ending.
    """
    from plots.style import limit, save, styled

    frame = frame_of(name, inputs)
    with styled(appearance.style):
        drawn = FIGURES[name].draw(frame, title=appearance.title)
        return save(limit(drawn, appearance.x, appearance.y), path)


class Gallery(NamedTuple):
    """What was drawn: the files, the index page last, and why a figure is not among them."""

    paths: list[Path]
    omitted: dict[str, str]


def draw_all(
    folder: Path,
    inputs: Inputs | None = None,
    ending: str = ".png",
    progress: Progress | None = None,
    style: Path | None = None,
    jobs: int = 1,
) -> Gallery:
    """Draw every figure into a folder, with an index page.

    A figure whose data cannot be had (no measurements, the real table not installed) is left out, and the page says
    why.

    Parameters
    ----------
    folder, inputs, ending
        Where the figures go, of what they are, and the ending of their files.
    progress
        Called with the figure that is done, how many are, and of how many.
    style
        A style sheet of matplotlib.
    jobs
        Processes of this machine that share the figures.

    Raises
    ------
    ValueError
        If the folder cannot be written or the ending is no figure's.
    """
    names, given = list(FIGURES), inputs or Inputs()
    answers: dict[str, str] = {}
    for number, why_not in evaluated_parts(_drawn, (folder, given, ending, style), range(len(names)), jobs):
        answers[names[number]] = why_not
        if progress:
            progress(names[number], len(answers), len(names))
    paths = {name: folder / f"{name}{ending}" for name in names if not answers[name]}
    omitted = {name: answers[name] for name in names if answers[name]}
    index = folder / "index.html"
    replace_text(index, index_page({name: path.name for name, path in paths.items()}, omitted))
    return Gallery([*paths.values(), index], omitted)


def _drawn(asked: tuple[Path, Inputs, str, Path | None], number: int) -> str:
    """Draw the figure of a number; why it cannot be drawn, if so."""
    folder, inputs, ending, style = asked
    name = list(FIGURES)[number]
    try:
        draw(name, folder / f"{name}{ending}", inputs, Appearance(style=style))
    except ValueError as error:
        return str(error)
    return ""


def index_page(files: Mapping[str, str], omitted: Mapping[str, str]) -> str:
    """HTML of the index: every figure with what it tells and its command."""
    title = "What a private embedding lookup costs"
    return filled("fastquery/figures.html", title=title, figures=FIGURES, files=files, omitted=omitted)
