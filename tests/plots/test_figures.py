"""Every figure from a small synthetic frame: what is on its axes, its caption, its files, and what it refuses."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure
from matplotlib.text import Text

from costmodel.parameters import Table
from costmodel.systems import SYSTEMS, system
from fastquery.figures import FIGURES
from fastquery.optimizer import optimize
from fastquery.sweeps import sweep
from plots.series import series_of, variant
from plots.style import FORMATS, limit, save

SOURCE = "N=4096, q=39, t=2^13; link 44 Mbit/s, 40 ms"


def links() -> pd.DataFrame:
    rates = np.geomspace(1e6, 1e9, 7)
    fixed, sent = {"iron": 2.0, "folded": 0.1}, {"iron": 1e5, "folded": 1e7}
    frames = [
        pd.DataFrame({"protocol": name, "rate_bit_per_s": rates, "latency_s": fixed[name] + 8 * sent[name] / rates})
        for name in fixed
    ]
    return pd.concat(frames, ignore_index=True)


def round_trips() -> pd.DataFrame:
    delays = np.geomspace(1e-4, 0.3, 5)
    columns = {"round_trip_s": delays, "latency_s": 1 + 4 * delays, "latency_without_slow_start_s": 1 + delays}
    return pd.concat([pd.DataFrame({"protocol": name, **columns}) for name in ("cheetah", "folded")], ignore_index=True)


def projections() -> pd.DataFrame:
    rows = [
        ("small", system, part, value, unit)
        for system, unit in (("plain", "B"), ("alpha", "s"))
        for part, value in (("projection", 2.0), ("embedding", 5.0))
    ]
    return pd.DataFrame(rows, columns=["model", "system", "part", "value", "unit"])


def tables() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "table": ["7B", "7B", "13B", "13B"],
            "protocol": ["cheetah", "folded"] * 2,
            "bytes": [1e6, 2e5, 2e6, 3e5],
            "latency_s": [3.0, 1.0, 4.0, 2.0],
            "published_bytes": [1.1e6, np.nan, np.nan, np.nan],
            "published_latency_s": [3.1, np.nan, np.nan, np.nan],
        }
    )


def sessions() -> pd.DataFrame:
    tokens = np.array([1.0, 10.0, 100.0])
    costs = {"cheetah": (0, 1000), "folded": (5000, 10)}
    frames = [
        pd.DataFrame(
            {
                "protocol": name,
                "session_tokens": tokens,
                "total_bytes": once + each * tokens,
                "session_s": 1.0 + once / 1e4 + each * tokens / 1e3,
            }
        )
        for name, (once, each) in costs.items()
    ]
    return pd.concat(frames, ignore_index=True)


def on_links() -> pd.DataFrame:
    frame = pd.DataFrame(
        {
            "link": ["slow", "slow", "quick", "quick"],
            "protocol": ["cheetah", "folded"] * 2,
            "latency_s": [9.0, 3.0, 4.0, 2.0],
        }
    )
    frame.attrs.update(ratio=("cheetah", "folded"), published_ratio=(1.5, 3.5))
    return frame


def steps() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "step": ["baseline", "+ packing", "counted apart"],
            "bytes": [16e6, 5e6, 6e6],
            "latency_s": [15.0, 3.5, 3.5],
            "published_bytes": [16.1e6, 5.1e6, np.nan],
            "published_latency_s": [15.2, 3.4, np.nan],
            "aside": [False, False, True],
        }
    )


def rings() -> pd.DataFrame:
    rows = [
        (
            "fastquery",
            flooding,
            degree,
            bits,
            10.0 * bits * degree / 1024,
            0.1 + degree / 1e4,
            128 + 40 * (degree // 2048) - bits,
            10 - bits,
        )
        for flooding in (0, 40)
        for degree in (1024, 2048, 4096)
        for bits in range(30, 60, 3)
    ]
    names = [
        "protocol",
        "flooding_bits",
        "ring_degree",
        "log2_q",
        "bytes",
        "latency_s",
        "security_bits",
        "log2_failure",
    ]
    frame = pd.DataFrame(rows, columns=names)
    frame.attrs.update(security_floor_bits=100, log2_failure_target=-30)
    return frame


def configurations() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "protocol": ["folded", "folded", "folded", "cheetah"],
            "label": ["first", "second", "third", "other"],
            "bytes": [1e5, 2e5, 3e5, 1e7],
            "latency_s": [3.0, 1.0, 2.0, 9.0],
        }
    )


def packings() -> pd.DataFrame:
    count = np.arange(1, 6)
    columns = {"plaintext_bits": 5 * count, "channels_per_coefficient": count, "latency_s": 1 / count}
    frames = [pd.DataFrame({"protocol": name, **columns, "bytes": 1e6 / count}) for name in ("cheetah", "folded")]
    return pd.concat(frames, ignore_index=True)


def tornado() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "parameter": ["rows m", "bandwidth (Mbit/s)"],
            "text_low": ["900", "90"],
            "text_high": ["1100", "110"],
            "latency_low": [-0.05, 0.03],
            "latency_high": [0.05, -0.02],
            "bytes_low": [-0.1, 0.0],
            "bytes_high": [0.1, 0.0],
            "misses_low": [False, False],
            "misses_high": [True, False],
        }
    )


def budget() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "protocol": ["fastquery"] * 5,
            "flooding_bits": [0, 0, 40, 40, 40],
            "step": ["encryption", "sum", "encryption", "flooding", "sum"],
            "noise_bits": [-6.0, -6.0, -40.0, -5.0, -5.0],
            "target_bits": [-4.0] * 5,
        }
    )


def recipes() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "recipe": ["int3", "int4", "int4-fitted"],
            "weighted_error": [0.4, 0.2, 0.1],
            "cosine": [0.97, 0.99, 0.995],
            "bytes": [1e5, 2e5, 2e5],
            "latency_s": [0.2, 0.3, 0.3],
            "channels_per_coefficient": [3, 2, 2],
        }
    )


def runs() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "protocol": ["cheetah", "folded", "cheetah"],
            "held_out": [True, True, False],
            "up_bytes": [1000, 2000, 3000],
            "predicted_up_bytes": [1000, 2000, 3000],
            "server_s": [0.1, 0.2, 0.4],
            "predicted_server_s": [0.11, 0.19, 0.4],
            "noise_bits": [-4.0, -5.0, -6.0],
            "predicted_noise_bits": [-4.1, -5.1, -6.0],
        }
    )


def channels() -> pd.DataFrame:
    return pd.DataFrame(
        {"channel": range(6), "mean_magnitude": [0.1, 0.4, 0.2, 0.3, 0.1, 0.2], "salient": [False, True] * 3}
    )


def tokens() -> pd.DataFrame:
    ranks = np.arange(1, 9)
    origins = [
        pd.DataFrame({"origin": name, "rank": ranks, "frequency": 0.1 / ranks}) for name in ("counted", "assumed")
    ]
    return pd.concat(origins, ignore_index=True)


def perplexities() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "recipe": ["fine", "coarse", "as float"],
            "channels_per_coefficient": [2, 3, 1],
            "bytes": [3e5, 2e5, 4e5],
            "perplexity": [1.02, 2.5, 0.999],
            "perplexity_low": [1.01, 2.0, 0.99],
            "perplexity_high": [1.04, 3.1, 1.01],
            "sentence_bytes": [2e5, 1e5, 3e5],
            "sentence_loss": [0.004, 0.03, 0.0002],
        }
    )


FRAMES: dict[str, tuple[Callable[[], pd.DataFrame], str, list[str]]] = {
    "figure-1": (projections, "value", ["QKV projection", "embedding query", "alpha"]),
    "figure-7": (channels, "mean_magnitude", ["salient: the wider field"]),
    "figure-8": (tokens, "frequency", ["counted", "assumed"]),
    "figure-9": (tables, "bytes", ["Cheetah", "Folded query", "published"]),
    "figure-10": (on_links, "latency_s", ["Cheetah", "Folded query"]),
    "waterfall": (steps, "bytes", ["saved by the step", "published", "baseline"]),
    "bandwidth": (links, "latency_s", ["Iron", "Folded query"]),
    "session": (sessions, "session_s", ["Cheetah from 1 token (1 kB) on, Folded query from 10."]),
    "round-trip": (round_trips, "latency_s", ["Cheetah", "Folded query"]),
    "ring-map": (rings, "log2_failure", ["below 100 bits of security", "FastQuery, no flooding"]),
    "pareto": (configurations, "bytes", ["Cheetah", "Folded query"]),
    "plaintext-bits": (packings, "plaintext_bits", ["Cheetah", "Folded query"]),
    "channels": (packings, "channels_per_coefficient", ["Cheetah", "Folded query"]),
    "sensitivity": (tornado, "latency_high", ["parameter 10 % lower"]),
    "noise": (budget, "noise_bits", ["no flooding", "40 bits of flooding", "encryption"]),
    "quantization": (recipes, "weighted_error", ["3 channels a coefficient"]),
    "perplexity": (perplexities, "sentence_loss", ["3 channels a coefficient"]),
    "first-layer": (links, "latency_s", ["Iron", "Folded query"]),
    "measured": (runs, "server_s", ["Cheetah", "Folded query"]),
}
"""Frame, a column that it cannot do without, and texts that the figure must show."""

UNITS = (
    *("(s)", "CPU s)", "(ms)", "(B)", "(kB", "(MB", "(MiB", "bit/s)", "bits)", "(%)", "(% ", "ratio)"),
    *("rank", "index", "units of", "rows x", "link", "coefficients", "each with"),
)


def drawn(name: str, frame: pd.DataFrame | None = None) -> Figure:
    return FIGURES[name].draw(FRAMES[name][0]() if frame is None else frame, title="A title", source=SOURCE)


@cache
def finished(name: str) -> Figure:
    """A figure laid out once, to be looked at and saved but not changed."""
    figure = drawn(name)
    figure.canvas.draw()
    figure.set_layout_engine("none")
    return figure


def texts(figure: Figure) -> str:
    return "\n".join(text.get_text() for text in figure.findobj(Text))


def test_every_figure_is_tested() -> None:
    assert set(FRAMES) == set(FIGURES)


def names_things(ticks: list[Text]) -> bool:
    return any(re.search("[A-Za-z]{3}", tick.get_text().replace("mathdefault", "")) for tick in ticks)


@pytest.mark.parametrize("name", FRAMES)
def test_axes_state_units(name: str) -> None:
    figure = finished(name)
    rows: dict[int, list[bool]] = {}
    columns: dict[int, list[bool]] = {}
    for axes in figure.axes:
        for label in (axes.get_xlabel(), axes.get_ylabel()):
            assert not label or any(unit in label for unit in UNITS), label
        place = axes.get_subplotspec()
        if place is not None and axes.get_visible():
            x = bool(axes.get_xlabel()) or names_things(axes.get_xticklabels())
            y = bool(axes.get_ylabel()) or names_things(axes.get_yticklabels())
            columns.setdefault(place.colspan.start, []).append(x)
            rows.setdefault(place.rowspan.start, []).append(y)
    assert rows
    assert all(map(any, [*rows.values(), *columns.values()]))


@pytest.mark.parametrize("name", FRAMES)
def test_series_title_and_caption_are_shown(name: str) -> None:
    shown = texts(finished(name))
    assert "A title" in shown
    assert SOURCE in shown.replace("\n", " ")
    for text in FRAMES[name][2]:
        assert text in shown


@pytest.mark.parametrize("name", FRAMES)
def test_title_and_caption_come_from_the_frame(name: str) -> None:
    frame = FRAMES[name][0]()
    frame.attrs.update(title="Of the frame", source="stated by the frame")
    shown = texts(FIGURES[name].draw(frame))
    assert "Of the frame" in shown
    assert "stated by the frame" in shown


@pytest.mark.parametrize("ending", FORMATS)
@pytest.mark.parametrize("name", FRAMES)
def test_every_format_is_written(tmp_path: Path, name: str, ending: str) -> None:
    path = save(finished(name), tmp_path / "new" / f"{name}{ending}")
    assert path.read_bytes().startswith({".png": b"\x89PNG", ".svg": b"<?xml", ".pdf": b"%PDF"}[ending])


@pytest.mark.parametrize("name", FRAMES)
def test_wrong_frames_are_refused(name: str) -> None:
    make, column, _ = FRAMES[name]
    frame = make()
    if name != "measured":
        with pytest.raises(ValueError, match=f"frame of {name} has no column .?{column}"):
            drawn(name, frame.drop(columns=column))
    with pytest.raises(ValueError, match=f"frame of {name}"):
        drawn(name, frame.iloc[:0])
    with pytest.raises(ValueError, match="not finite"):
        drawn(name, frame.assign(**{column: np.nan}))
    with pytest.raises(ValueError, match="not numbers"):
        drawn(name, frame.assign(**{column: "many"}))


@pytest.mark.parametrize(
    "name", ["figure-9", "bandwidth", "session", "pareto", "ring-map", "quantization", "round-trip"]
)
def test_values_below_zero_do_not_reach_a_logarithmic_axis(name: str) -> None:
    column = {"ring-map": "bytes"}.get(name, FRAMES[name][1])
    with pytest.raises(ValueError, match="must be above 0"):
        drawn(name, FRAMES[name][0]().assign(**{column: -1.0}))


def test_sessions_have_the_same_tokens() -> None:
    with pytest.raises(ValueError, match="Folded query has others"):
        drawn("session", sessions().iloc[:-1])


def test_a_measured_frame_needs_predictions() -> None:
    with pytest.raises(ValueError, match="no pair of a quantity and its prediction"):
        drawn("measured", runs()[["protocol", "server_s"]])


def test_unknown_endings_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"must end in one of \.png, \.svg, \.pdf"):
        save(finished("pareto"), tmp_path / "figure.jpg")


@pytest.mark.parametrize("name", FRAMES)
def test_legends_cover_no_data(name: str) -> None:
    figure = finished(name)
    assert not any(axes.get_legend() for axes in figure.axes)
    for legend in figure.legends:
        box = legend.get_window_extent()
        assert box.y0 > 0
        assert not any(box.overlaps(axes.get_window_extent()) for axes in figure.axes if axes.get_visible())


@pytest.mark.parametrize("name", FRAMES)
def test_captions_stay_inside_and_below(name: str) -> None:
    figure = finished(name)
    caption = figure.texts[-1]
    box = caption.get_window_extent()
    assert box.y0 >= 0
    assert box.x1 <= figure.bbox.x1
    assert all(box.y1 <= axes.get_tightbbox().y0 for axes in figure.axes if axes.get_visible())


def test_series_differ_in_more_than_colour() -> None:
    for field in ("colour", "line", "mark", "hatch", "fill"):
        assert len({str(getattr(one.look, field)) for one in SYSTEMS}) == len(SYSTEMS), field


@pytest.mark.parametrize("name", [one.name for one in SYSTEMS])
def test_variants_of_a_system_keep_its_mark_and_differ_in_line_and_colour(name: str) -> None:
    looks = [variant(system(name).look, k) for k in range(4)]
    assert looks[0] == system(name).look
    assert {look.mark for look in looks} == {looks[0].mark}
    for field in ("colour", "line", "hatch"):
        assert len({str(getattr(look, field)) for look in looks}) == 4, field


def test_grey_print_keeps_colours_apart_from_white() -> None:
    for look in (variant(one.look, k) for one in SYSTEMS for k in range(4)):
        red, green, blue = (int(look.colour[i : i + 2], 16) / 255 for i in (1, 3, 5))
        assert 0.2126 * red + 0.7152 * green + 0.0722 * blue < 0.72


def test_hiding_a_system_recolours_no_other() -> None:
    frame = pd.DataFrame({"protocol": ["iron", "folded", "folded", "cheetah"], "flooding_bits": [63, 0, 40, 0]})
    whole = {one.name: one.look for one in series_of(frame, "example")}
    without = {one.name: one.look for one in series_of(frame[frame["protocol"] != "iron"], "example")}
    assert whole == {"Iron": system("iron").look, **without}
    assert list(without) == ["Folded query, no flooding", "Folded query, 40 bits of flooding", "Cheetah"]


def test_series_are_named_by_what_tells_them_apart_and_no_more() -> None:
    columns = {"ring_degree": [2048, 4096, 4096], "widths_bits": "4,3,3", "up_bytes": [1.0, 2.0, 3.0]}
    frame = pd.DataFrame({"protocol": "fastquery", **columns, "prepared": [False, False, True]})
    names = ["FastQuery, N=2048", "FastQuery, N=4096", "FastQuery, prepared"]
    assert [one.name for one in series_of(frame, "x")] == names


def test_a_sweep_is_drawn_with_a_line_for_each_of_its_rings() -> None:
    frame = sweep(ring="N=4096,p=13,q=38:40", table="gpt2", link="1:9:4Mbit/s", ablation="packlwes")
    shown = texts(FIGURES["bandwidth"].draw(frame))
    assert all(f"FastQuery, q={bits}" in shown for bits in (38, 39, 40))
    assert FIGURES["pareto"].draw(frame[frame["rate_bit_per_s"] == 1e6]).axes
    assert FIGURES["waterfall"].draw(frame[frame["rate_bit_per_s"] == 1e6]).axes


def test_a_sweep_over_rings_is_a_map() -> None:
    frame = sweep(ring="N=2048:8192,p=13,q=36:60", table="gpt2", ablation="packing")
    assert "fewest" in texts(FIGURES["ring-map"].draw(frame))
    with pytest.raises(ValueError, match="has no column 'log2_q'"):
        FIGURES["ring-map"].draw(frame.drop(columns="limb_bits_0"))


def test_the_front_of_an_optimum_is_drawn() -> None:
    best = optimize(Table(3000, 96), protocol=["folded", "cheetah"], flooding_bits=0)
    assert set(best.pareto["protocol"]) == {"cheetah"}
    assert "Cheetah" in texts(FIGURES["pareto"].draw(best.pareto))


def test_frames_that_do_not_fit_are_refused_by_column() -> None:
    frame = sweep(ring="N=2048:4096,p=13,q=30:60", table="gpt2", link="1:9Mbit/s", ablation="packing")
    with pytest.raises(ValueError, match=r"62 series.*they differ in .*'limb_bits' .31 values."):
        FIGURES["bandwidth"].draw(frame)
    with pytest.raises(ValueError, match="column 'protocol' has 'nobody'"):
        FIGURES["bandwidth"].draw(links().assign(protocol="nobody"))
    with pytest.raises(ValueError, match="column 'rate_bit_per_s'"):
        FIGURES["bandwidth"].draw(pd.concat([links(), links()]))
    with pytest.raises(ValueError, match="no column 'bytes', and no 'up_bytes'"):
        FIGURES["pareto"].draw(links())


def test_limits_show_a_part_of_every_axis() -> None:
    shown = limit(drawn("ring-map"), (40.0, 50.0), (0.0, 1.0))
    panels = [axes for axes in shown.axes if axes.get_label() != "<colorbar>"]
    assert {axes.get_xlim() for axes in panels} == {(40.0, 50.0)}
    with pytest.raises(ValueError, match="xlim is 0,5; it must rise from above 0"):
        limit(drawn("bandwidth"), (0.0, 5.0))


def test_labels_of_fronts_do_not_collide() -> None:
    names = ("folded", "compressed", "fastquery", "cheetah", "bumblebee")
    fronts = [
        pd.DataFrame({"protocol": name, "bytes": 1e5 * np.array([1.0, 1.02]) + k, "latency_s": [1.02, 1.0]})
        for k, name in enumerate(names)
    ]
    far = pd.DataFrame({"protocol": ["iron"], "bytes": [1e8], "latency_s": [100.0]})
    figure = FIGURES["pareto"].draw(pd.concat([*fronts, far], ignore_index=True).assign(label="point"))
    figure.canvas.draw()
    boxes = [text.get_window_extent() for text in figure.axes[0].texts if text.get_text()]
    assert len(boxes) == 10
    assert not any(a.overlaps(b) for k, a in enumerate(boxes) for b in boxes[:k])
