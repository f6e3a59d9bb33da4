"""Every figure by name: its data, what it tells, and a folder of all of them with an index page."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from html import escape
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from costmodel.files import replace_text
from fastquery.figures import accuracy, choices, first_layer, links, measurements, paper, sessions
from fastquery.figures.inputs import Inputs
from fastquery.figures.named import NamedFigure

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
) -> Gallery:
    """Draw every figure into a folder, with an index page.

    A figure whose data cannot be had (no measurements, the real table not installed) is left out, and the page says
    why.

    Raises
    ------
    ValueError
        If the folder cannot be written or the ending is no figure's.
    """
    from plots.style import save, styled

    drawn: dict[str, Path] = {}
    omitted: dict[str, str] = {}
    for k, name in enumerate(FIGURES):
        if progress:
            progress(name, k, len(FIGURES))
        try:
            frame = frame_of(name, inputs)
            with styled(style):
                drawn[name] = save(FIGURES[name].draw(frame), folder / f"{name}{ending}")
        except ValueError as error:
            omitted[name] = str(error)
    index = folder / "index.html"
    replace_text(index, index_page({name: path.name for name, path in drawn.items()}, omitted))
    return Gallery([*drawn.values(), index], omitted)


def index_page(files: Mapping[str, str], omitted: Mapping[str, str]) -> str:
    """HTML of the index: every figure with what it tells and its command."""
    sections = []
    for name, figure in FIGURES.items():
        if name in files:
            source = escape(files[name])
            shown = (
                f'<a href="{source}">{source}</a>'
                if source.endswith(".pdf")
                else f'<a href="{source}"><img src="{source}" alt="{escape(name)}"></a>'
            )
        else:
            shown = f"<p><em>Not drawn: {escape(omitted.get(name, 'not asked for'))}</em></p>"
        command = f"fastquery plot {name} --output {name}.png"
        text = f"<p>{escape(figure.tells)}</p>\n<p><code>{command}</code></p>"
        sections.append(f'<section id="{name}"><h2>{name}</h2>\n{text}\n{shown}</section>')
    contents = " ".join(f'<a href="#{name}">{name}</a>' for name in FIGURES)
    return PAGE.format(contents=contents, sections="\n".join(sections))


PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>fastquery figures</title>
<style>
body {{ font: 16px/1.5 system-ui, sans-serif; max-width: 68rem; margin: 2rem auto; padding: 0 1rem; color: #222; }}
img {{ max-width: 100%; height: auto; }}
nav a {{ margin-right: 0.8rem; }}
code {{ background: #f2f2f2; padding: 0.1rem 0.3rem; }}
</style>
</head>
<body>
<h1>What a private embedding lookup costs</h1>
<nav>{contents}</nav>
{sections}
</body>
</html>
"""
