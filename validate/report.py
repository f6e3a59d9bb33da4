"""The report of a campaign, in Markdown and in HTML: verdicts, errors, the worst cases first, and provenance."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from costmodel.files import replace_text
from costmodel.html import filled
from validate.campaign import Campaign
from validate.summary import relative_error

Table = tuple[Sequence[str], Sequence[Sequence[str]]]

WORST = 12
"""Rows of the tables of the worst entries."""

TITLE = "Validation: predicted against measured"


def write_report(campaign: Campaign, folder: Path, figures: Mapping[str, Path]) -> list[Path]:
    """Write ``report.md`` and ``report.html``.

    Parameters
    ----------
    campaign
        What is reported.
    folder
        Where it goes.
    figures
        Pictures within the folder, by their caption.

    Returns
    -------
    The two paths.
    """
    parts = content(campaign, {caption: path.relative_to(folder).as_posix() for caption, path in figures.items()})
    markdown, page = folder / "report.md", folder / "report.html"
    replace_text(markdown, _markdown(parts))
    replace_text(page, filled("validate/report.html", title=TITLE, parts=parts))
    return [markdown, page]


def content(campaign: Campaign, figures: Mapping[str, str]) -> list[tuple[str, Any]]:
    """The report as a list of parts: headings, texts, tables and pictures."""
    summary = campaign.summary()
    parts: list[tuple[str, Any]] = [
        ("heading", TITLE),
        ("text", _opening(campaign, summary)),
        ("table", (("what must hold on the held-out part", "verdict"), list(campaign.verdicts().items()))),
        ("table", _errors(summary)),
    ]
    parts += [("picture", (caption, path)) for caption, path in figures.items()]
    parts += [
        ("subheading", "Held-out configurations, worst first"),
        ("text", "Ratios are predicted over measured; noise is predicted minus measured, in bits."),
        ("table", _runs(campaign.held_out)),
        ("subheading", "Entries that contribute most to the error of the server's seconds"),
        ("table", _entries(campaign.entries)),
    ]
    mismatches = campaign.entries[~campaign.entries["agrees"]]
    if len(mismatches):
        parts += [("subheading", "Entries that disagree in count or bytes"), ("table", _mismatches(mismatches))]
    failed = campaign.runs[campaign.runs["status"] != "measured"]
    if len(failed):
        rows = [[_name(row), str(row["reason"])] for _, row in failed.iterrows()]
        parts += [("subheading", "Configurations that failed"), ("table", (("configuration", "reason"), rows))]
    parts += [
        ("subheading", "Calibrated on"),
        ("table", _runs(campaign.measured[~campaign.measured["held_out"]])),
        ("subheading", "Unit costs"),
        ("table", _units(campaign)),
        ("subheading", "Provenance"),
        ("table", (("", ""), [[name, str(value)] for name, value in campaign.provenance.items()])),
    ]
    return parts


def _opening(campaign: Campaign, summary: dict[str, Any]) -> str:
    calibrated = len(campaign.measured) - summary["held_out"]
    text = (
        f"{summary['samples']} configurations were drawn with seed {campaign.seed} and split into a calibration and a "
        f"held-out half before anything was measured. Unit costs were fitted to {calibrated} of them; the other "
        f"{summary['held_out']} were predicted. Seconds are CPU seconds without contention (the median of the "
        f"sessions of a configuration); contention added {summary['contention'] - 1:.0%} to a session's server seconds "
        "(95 % quantile, median over the configurations). "
        "One configuration measured again and again over the campaign "
        f"moved by up to {summary['machine_noise_server']:.1%} in server seconds and "
        f"{summary['machine_noise_latency']:.1%} in latency: a difference below that is the machine's."
    )
    for stem in ("server", "latency"):
        width, inside = summary[f"{stem}_interval"], summary[f"{stem}_in_interval"]
        text += (
            f" The stated {summary['interval_level']:.0%} interval of {stem} seconds is from {1 / width:.2f} to "
            f"{width:.2f} times the prediction; it holds {inside} of {summary['held_out']} held-out runs."
        )
    text += (
        f" {summary['disturbed']} of {len(campaign.measured)} runs are marked as disturbed: by the kernel's accounts "
        "no session of theirs had a processor whenever it could run. Their figures are in all errors and intervals."
        f" In {summary['server_off_pace']} runs the server's processor, and in {summary['client_off_pace']} the "
        "client's, never ran at the pace that was usual in the campaign, told by fixed work beside each lookup."
    )
    if campaign.uncalibrated:
        text += f" Not in the calibration part, and so of the built-in machine: {', '.join(campaign.uncalibrated)}."
    return text


def _errors(summary: dict[str, Any]) -> Table:
    rows = [
        [
            name,
            f"{summary[f'{stem}_error_median']:.1%}",
            f"{summary[f'{stem}_error_max']:.1%}",
            bounds,
            f"{summary[noise]:.1%}" if noise else "",
        ]
        for name, stem, bounds, noise in (
            ("server CPU seconds", "server", "10 %, 25 %", "machine_noise_server"),
            ("latency", "latency", "10 %, 25 %", "machine_noise_latency"),
            ("first share, from the connection", "first_share", "", ""),
            ("latency of a generated token", "share", "", ""),
            ("server CPU seconds, uncalibrated", "base_server", "", ""),
            ("client CPU seconds", "client", "", ""),
            ("encoding of the table", "table", "", ""),
        )
    ]
    noise = [f"{summary[f'noise_error_bits_{which}']:.2f} bit" for which in ("median", "max")]
    rows.append(["noise of the answers", *noise, "0.5 bit", f"{summary['noise_sampling_bits_max']:.2f} bit"])
    mismatches = f"{summary['byte_mismatches']} of {summary['bytes_compared']} entries differ"
    rows.append(["bytes", "", mismatches, "none", ""])
    return ("error on the held-out part", "median", "worst", "bound", "of the measurement"), rows


def _runs(runs: pd.DataFrame) -> Table:
    header = ("configuration", "link", "bytes", "server", "ratio", "client ratio", "latency", "ratio", "noise")
    if runs.empty:
        return header, []
    worst = np.maximum(relative_error(runs, "server_s"), relative_error(runs, "latency_s"))
    rows = []
    for k in np.argsort(-worst):
        row = runs.iloc[int(k)]
        rows.append(
            [
                _name(row),
                str(row["link"]),
                "equal" if row["byte_mismatches"] == 0 else f"{row['byte_mismatches']:.0f} DIFFER",
                _seconds(row["server_s"]),
                f"{row['predicted_server_s'] / row['server_s']:.2f}",
                f"{row['predicted_client_s'] / row['client_s']:.2f}",
                _seconds(row["latency_s"]),
                f"{row['predicted_latency_s'] / row['latency_s']:.2f}",
                f"{row['predicted_noise_bits'] - row['noise_bits']:+.2f}",
            ]
        )
    return header, rows


def _entries(entries: pd.DataFrame) -> Table:
    """Work entries of the held-out part by their share in the error of the server's seconds of their run."""
    chosen = entries[
        entries["held_out"]
        & (entries["kind"] == "work")
        & (entries["party"] == "server")
        & (entries["phase"] != "setup")
    ].copy()
    totals = chosen.groupby("sample")["seconds_measured"].transform("sum")
    chosen["share"] = (chosen["seconds_predicted"] - chosen["seconds_measured"]) / totals
    rows = [
        [
            f"{row['item']} ({row['phase']})",
            f"{row['sample']:.0f}",
            f"{row['count_measured']:.0f}",
            _seconds(row["seconds_measured"]),
            _seconds(row["seconds_predicted"]),
            f"{row['share']:+.1%}",
        ]
        for _, row in chosen.reindex(chosen["share"].abs().sort_values(ascending=False).index).head(WORST).iterrows()
    ]
    return ("operation", "sample", "count", "measured", "predicted", "of the run's server seconds"), rows


def _mismatches(entries: pd.DataFrame) -> Table:
    rows = [
        [
            f"{row['item']} ({row['phase']}, {row['party']})",
            f"{row['sample']:.0f}",
            *(
                f"{row[name]:.0f}"
                for name in ("count_measured", "count_predicted", "bytes_measured", "bytes_predicted")
            ),
        ]
        for _, row in entries.iterrows()
    ]
    return ("entry", "sample", "count", "predicted", "bytes", "predicted"), rows


def _units(campaign: Campaign) -> Table:
    rows = [
        [
            f"{engine}: {operation}",
            f"{1e6 * unit.batch_s:.1f}",
            f"{1e6 * unit.call_s:.2f}",
            f"{1e9 * unit.element_s:.3f}",
            f"{unit.residual:.0%}",
            f"{unit.low:.2f} to {unit.high:.2f}",
            str(unit.samples),
        ]
        for (engine, operation), unit in sorted(campaign.machine.units.items(), key=lambda item: -item[1].residual)
        if unit.samples
    ]
    return ("operation", "us a batch", "us a call", "ns a residue", "residual", "interval", "fitted to"), rows


def _name(row: pd.Series[Any]) -> str:
    options = [
        f"{row['flooding_bits']} bits flooded" if row["flooding_bits"] else "",
        "prepared" if row["prepared"] else "",
        f"aligned to {row['align_bits']}" if row["align_bits"] else "",
        str(row["options"]),
        f"{row['generated']} generated" if row["generated"] else "",
        f"{row['threads']} threads" if row["threads"] > 1 else "",
        "TLS" if row["tls"] else "",
        "DISTURBED" if row["calm_sessions"] == 0 else "",
    ]
    parts = [
        f"{row['sample']}: {row['protocol']} on {row['engine']}", str(row["table"]), f"{row['tokens']} tokens",
        f"N={row['ring_degree']} q={row['limb_bits']}", f"({row['widths']})", *filter(None, options),
    ]  # fmt: skip
    return ", ".join(parts)


def _seconds(seconds: float) -> str:
    return f"{seconds:.3g} s" if seconds >= 1 else f"{1e3 * seconds:.3g} ms"


def _markdown(parts: Sequence[tuple[str, Any]]) -> str:
    lines: list[str] = []
    for kind, value in parts:
        if kind == "table":
            header, rows = value
            lines += [f"| {' | '.join(header)} |", f"|{'---|' * len(header)}"]
            lines += [f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in row)} |" for row in rows]
        elif kind == "picture":
            lines.append(f"![{value[0]}]({value[1]})")
        else:
            lines.append({"heading": "# ", "subheading": "## ", "text": ""}[kind] + value)
        lines.append("")
    return "\n".join(lines)
