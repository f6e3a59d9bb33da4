"""What all figures share: colours that the colour-blind and grey print tell apart, sizes, saving."""

from __future__ import annotations

from pathlib import Path

from matplotlib.figure import Figure

FORMATS = (".png", ".svg", ".pdf")

# Okabe and Ito's palette, ordered so that neighbours differ in lightness as well.
COLOURS = ("#000000", "#E69F00", "#0072B2", "#56B4E9", "#D55E00", "#009E73", "#CC79A7", "#F0E442")
LINES = ("-", "--", "-.", ":")
MARKS = ("o", "s", "^", "D", "v", "P", "X", "*")


def figure(width_in: float = 7.0, height_in: float = 4.4) -> Figure:
    """An empty figure with the project's layout."""
    return Figure(figsize=(width_in, height_in), layout="constrained")


def caption(drawn: Figure, text: str) -> None:
    """The configuration that a figure was made from, below it."""
    drawn.text(0.01, -0.02, text, fontsize=7, color="0.35", va="top")


def save(drawn: Figure, path: Path) -> Path:
    """Write a figure as PNG, SVG or PDF by the path's ending.

    Raises
    ------
    ValueError
        If the ending is none of these.
    """
    if path.suffix not in FORMATS:
        raise ValueError(f"output is {str(path)!r}; a figure's name must end in one of {', '.join(FORMATS)}")
    path.parent.mkdir(parents=True, exist_ok=True)
    drawn.savefig(path, dpi=160, bbox_inches="tight")
    return path
