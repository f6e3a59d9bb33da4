"""The tab of a measured campaign: predicted against measured, run by run and figure by figure."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from bokeh.models import ColumnDataSource, DataTable, FactorRange, HTMLTemplateFormatter, Span, TableColumn

from fastquery.figures.measurements import measured_frame
from fastquery.page.offers import OFFERS
from fastquery.page.shape import ALL, SHEET, card, filtering, follow_data, text, wrapped
from fastquery.page.style import LIGHT, Ground, colour, mark, plot, repaint
from fastquery.page.texts import bytes_text, seconds_text


class Quantity(NamedTuple):
    """A figure that is measured and predicted."""

    label: str
    unit: str
    bound: float  # of the worst error: relative, or in bits


QUANTITIES: Mapping[str, Quantity] = {
    "latency_s": Quantity("latency", "s", 0.25),
    "server_s": Quantity("server CPU", "s", 0.25),
    "client_s": Quantity("client CPU", "s", 0.25),
    "table_s": Quantity("encoding the table", "s", 0.25),
    "offline_s": Quantity("before the token", "s", 0.25),
    "up_bytes": Quantity("up", "B", 0.0),
    "down_bytes": Quantity("down", "B", 0.0),
    "setup_bytes": Quantity("keys, once", "B", 0.0),
    "noise_bits": Quantity("noise over q/t", "bits", 0.5),
}
COLUMNS = {
    "run": ("run", "run", 50),
    "protocol": ("protocol", "protocol", 100),
    "what": ("lookup", "what", 380),
    "figure": ("figure", "figure", 150),
    "measured": ("measured", "measured_text", 110),
    "predicted": ("predicted", "predicted_text", 110),
    "size": ("error", "error_text", 100),
}
"""By the field that a column is sorted by: its title, the field that it shows, its width."""
TOOLTIPS = [("", "run @run, @protocol, @figure"), ("", "@what"), ("measured", "@measured_text"),
            ("predicted", "@predicted_text, @error_text")]  # fmt: skip


def entries_of(frame: pd.DataFrame) -> pd.DataFrame:
    """A row a run and figure: measured, predicted, and by how much the prediction is off."""
    rows = []
    for k, run in frame.iterrows():
        what = (
            f"{run['table']}, {run['tokens']} token(s), N={run['ring_degree']}, q={run['limb_bits']}, "
            f"({run['widths']}), {run['link']}"
        )
        for name, quantity in QUANTITIES.items():
            if name not in frame or f"predicted_{name}" not in frame:
                continue
            measured, predicted = float(run[name]), float(run[f"predicted_{name}"])
            if not (np.isfinite(measured) and np.isfinite(predicted)) or (measured == 0 and predicted == 0):
                continue
            in_bits = quantity.unit == "bits"
            error = predicted - measured if in_bits else predicted / measured - 1 if measured else np.inf
            rows.append(
                {
                    "run": int(run.get("sample", k)),
                    "protocol": run["protocol"],
                    "what": what,
                    "figure": quantity.label,
                    "quantity": name,
                    "measured": measured,
                    "predicted": predicted,
                    "ratio": error if in_bits else 100 * error,
                    "measured_text": _text(measured, quantity.unit),
                    "predicted_text": _text(predicted, quantity.unit),
                    "error_text": f"{error:+.2f} bits" if in_bits else f"{100 * error:+.2f} %",
                    "size": abs(error),
                }
            )
    return pd.DataFrame(rows)


def _text(value: float, unit: str) -> str:
    if unit == "B":
        return bytes_text(value)
    return seconds_text(value) if unit == "s" else f"2^{value:.2f}"


class Campaign:
    """The tab: the error of every run's figure in a strip a figure, and the same as a sortable table."""

    def __init__(self, measurements: Path | None = None) -> None:
        frame = measured_frame(measurements)
        self._ground = LIGHT
        self.entries = entries_of(frame)
        self.figure_choice = filtering("Figure", self.entries["figure"].unique(), 200, self._filter)
        self.protocol = filtering("Protocol", self.entries["protocol"].unique(), 200, self._filter)
        labels = list(dict.fromkeys(self.entries["figure"]))
        self.figure = plot(
            "campaign", y_range=FactorRange(factors=labels[::-1]), tooltips=TOOLTIPS, height=70 + 40 * len(labels),
            x_axis_label="predicted over measured (%; bits for the noise)",
        )  # fmt: skip
        self.source = ColumnDataSource(self._columns(self.entries))
        self._marks = self.figure.scatter(
            "ratio", "place", source=self.source, size=9, marker="mark", line_color="colour", fill_color="colour",
            fill_alpha=0.45,
        )  # fmt: skip
        self.zero = Span(location=0, dimension="height", line_width=1.5)
        self.figure.add_layout(self.zero)
        columns = [
            TableColumn(
                field=name, title=title, width=width,
                formatter=HTMLTemplateFormatter(template=f'<span title="<%= {shown} %>"><%= {shown} %></span>'),
            )
            for name, (title, shown, width) in COLUMNS.items()
        ]  # fmt: skip
        self.table = DataTable(
            source=self.source, columns=columns, index_position=None, sizing_mode="stretch_width", height=420,
            autosize_mode="none", stylesheets=[SHEET], reorderable=False, row_height=30, name="campaign-table",
        )  # fmt: skip
        follow_data(self.table)
        self.count = text(self._summary(self.entries, frame), "note")
        self.layout = card(wrapped(self.figure_choice, self.protocol), self.count, self.figure, self.table)

    def paint(self, ground: Ground) -> None:
        """Put the figure on a ground."""
        repaint(self.figure, ground)
        self.zero.line_color = ground.faint
        self._ground = ground
        self._filter()

    def _filter(self) -> None:
        kept = self.entries
        if self.figure_choice.value != ALL:
            kept = kept[kept["figure"] == self.figure_choice.value]
        if self.protocol.value != ALL:
            kept = kept[kept["protocol"] == self.protocol.value]
        self.source.data = self._columns(kept)

    def _columns(self, shown: pd.DataFrame) -> dict[str, list[Any]]:
        looks = [OFFERS[name].look for name in shown["protocol"]]
        places = [(label, ((run * 7) % 11 - 5) / 22) for label, run in zip(shown["figure"], shown["run"], strict=True)]
        return {
            **{str(name): shown[name].tolist() for name in shown},
            "place": places,
            "mark": [mark(look) for look in looks],
            "colour": [colour(look, self._ground) for look in looks],
        }

    def _summary(self, entries: pd.DataFrame, frame: pd.DataFrame) -> str:
        exact = entries[entries["quantity"].str.endswith("_bytes")]
        latency = entries[entries["quantity"] == "latency_s"]["size"]
        return (
            f"{len(frame)} runs by two processes over shaped links. {int((exact['size'] == 0).sum())} of {len(exact)} "
            f"byte totals are as predicted; the latency is off by {100 * latency.median():.1f} % in the median and "
            f"{100 * latency.max():.0f} % at worst. {frame.attrs.get('source', '')}"
        )
