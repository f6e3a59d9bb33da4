"""Every figure by name: its data, what it tells, and a folder of all of them with an index page."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from html import escape
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from fastquery.figures import accuracy, choices, first_layer, links, measurements, paper
from fastquery.figures.inputs import Inputs

Progress = Callable[[str, int, int], None]


class NamedFigure(NamedTuple):
    """A figure that can be asked for."""

    frame: Callable[[Inputs], pd.DataFrame]
    tells: str


FIGURES: Mapping[str, NamedFigure] = {
    "figure-1": NamedFigure(
        paper.figure_1,
        "The paper's Figure 1: what the embedding query costs beside the QKV projection of the first layer, system by "
        "system. In plaintext a lookup is next to nothing; under encryption it costs more than the projection unless "
        "its one-hot query and its few bits are made use of.",
    ),
    "figure-7": NamedFigure(
        accuracy.figure_7,
        "The paper's Figure 7 on a real table: how uneven the channels are. The more uneven, the more is gained by "
        "giving the largest third a wider field.",
    ),
    "figure-8": NamedFigure(
        accuracy.figure_8,
        "The paper's Figure 8: how few tokens make up most of a text, beside Zipf's law, which weighs quantisation "
        "errors where no counts are given.",
    ),
    "figure-9": NamedFigure(
        paper.figure_9,
        "The paper's Figure 9: bytes and latency of every system for the tables of LLaMA-7B, 13B and 30B. Diamonds "
        "are the numbers that the paper states.",
    ),
    "figure-10": NamedFigure(
        paper.figure_10,
        "The paper's Figure 10: latency on its three links under both readings of its units, and FastQuery's "
        "reduction against Cheetah beside the published range.",
    ),
    "waterfall": NamedFigure(
        paper.waterfall,
        "Table 6 as a waterfall: what each of the paper's steps saves in bytes and in latency, beside the published "
        "numbers, and the last row with both polynomials of its answer counted.",
    ),
    "bandwidth": NamedFigure(
        links.bandwidth,
        "Latency over a continuous bandwidth axis. Circles are the bandwidths at which two designs change places, bold "
        "where the fastest of all changes; the caption spells them out.",
    ),
    "round-trip": NamedFigure(
        links.round_trip,
        "Latency over the round-trip time. The shade is what TCP's slow start adds on a fresh connection: a message of "
        "a few windows hardly pays it, megabytes pay many round trips.",
    ),
    "ring-map": NamedFigure(
        choices.ring_map,
        "Bytes and latency of this project's lookup over ring degree and modulus, without flooding and with it. "
        "Hatched are rings below 128 bits of security and those on which answers fail too often; the star is the best "
        "of what is left.",
    ),
    "pareto": NamedFigure(
        choices.pareto,
        "Bytes against latency: published systems, and the front of what this project can run with flooding and "
        "without. No other configuration beats a filled mark in both.",
    ),
    "sensitivity": NamedFigure(
        choices.sensitivity,
        "How latency and bytes answer when one parameter is 10 % lower or higher: what is worth measuring or tuning is "
        "on top. A change that makes decryption unreliable is marked.",
    ),
    "noise": NamedFigure(
        choices.noise,
        "Where an answer's noise comes from, step by step, against what decryption bears. The steps that come near the "
        "dashed line decide modulus and wire.",
    ),
    "quantization": NamedFigure(
        accuracy.quantization,
        "What recipes lose in accuracy against what they cost in bytes and latency. Recipes off the line are beaten by "
        "another that is no worse in either.",
    ),
    "perplexity": NamedFigure(
        accuracy.perplexity,
        "What recipes lose on a small Llama, as perplexity on real text, and on a sentence encoder, against the bytes "
        "of a query. What helps one model need not help the other.",
    ),
    "first-layer": NamedFigure(
        first_layer.first_layer,
        "A lookup of rows that hold the first layer's queries, keys and values, against a lookup of the embedding and "
        "a private projection after it, by bandwidth.",
    ),
    "measured": NamedFigure(
        measurements.measured,
        "Predicted against measured for every figure of a run. On the diagonal the model is right; the shades are the "
        "bounds that the median and the worst case must keep.",
    ),
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


def draw(name: str, path: Path, inputs: Inputs | None = None) -> Path:
    """Draw a figure into a PNG, SVG or PDF file.

    Raises
    ------
    ValueError
        If there is no such figure, its data cannot be had, or the file's name has another ending.
    """
    from plots import FIGURES as DRAWN
    from plots.style import save

    return save(DRAWN[name](frame_of(name, inputs)), path)


class Gallery(NamedTuple):
    """What was drawn: the files, the index page last, and why a figure is not among them."""

    paths: list[Path]
    omitted: dict[str, str]


def draw_all(
    folder: Path, inputs: Inputs | None = None, ending: str = ".png", progress: Progress | None = None
) -> Gallery:
    """Draw every figure into a folder, with an index page.

    A figure whose data cannot be had (no measurements, the real table not installed) is left out, and the page says
    why.

    Raises
    ------
    ValueError
        If the folder cannot be written or the ending is no figure's.
    """
    from plots import FIGURES as DRAWN
    from plots.style import save

    drawn: dict[str, Path] = {}
    omitted: dict[str, str] = {}
    for k, name in enumerate(FIGURES):
        if progress:
            progress(name, k, len(FIGURES))
        try:
            figure = DRAWN[name](frame_of(name, inputs))
        except ValueError as error:
            omitted[name] = str(error)
            continue
        drawn[name] = save(figure, folder / f"{name}{ending}")
    index = folder / "index.html"
    folder.mkdir(parents=True, exist_ok=True)
    index.write_text(index_page({name: path.name for name, path in drawn.items()}, omitted), encoding="utf-8")
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
