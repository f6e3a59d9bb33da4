"""Figures by name: ``fq.plot.bandwidth(frame) -> Figure``; matplotlib is loaded when one is drawn."""

from __future__ import annotations

from typing import Any

import pandas as pd


def bandwidth(frame: pd.DataFrame, title: str = "", source: str = "") -> Any:
    """See :func:`plots.bandwidth.bandwidth`."""
    from plots.bandwidth import bandwidth as draw

    return draw(frame, title, source)
