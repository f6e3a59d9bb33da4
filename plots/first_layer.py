"""Two ways to the first layer's queries, keys and values, by bandwidth."""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure

from plots.bandwidth import bandwidth
from plots.style import check


def first_layer(frame: pd.DataFrame, title: str = "", source: str = "") -> Figure:
    """Latency of a lookup of the first layer's rows, and of the embedding with a projection after it.

    Parameters
    ----------
    frame
        As of :func:`plots.bandwidth.bandwidth`, one line a way.
    title, source
        Heading and caption; those in ``frame.attrs`` if left out.

    Raises
    ------
    ValueError
        If a column is missing, or a value is not above 0.
    """
    numbers = ("rate_bit_per_s", "latency_s")
    check(frame, "first-layer", numbers, ("protocol",), positive=numbers)
    return bandwidth(frame, title, source)
