"""Errors and verdicts of measured runs beside their predictions: of one campaign, or of several together."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from validate.intervals import LEVEL, verdict

SECONDS = ("server_s", "client_s", "table_s", "latency_s", "first_share_s", "share_s")
"""Figures in seconds; ``share_s``, the latency of a generated token, is NaN where none is generated."""
COVERED_SECONDS = ("server_s", "latency_s")
"""Figures whose predictions have an interval that is checked."""
BOUNDS = {"median": 0.10, "max": 0.25}
"""Of the relative errors of server seconds and latency."""


def summary_of(runs: pd.DataFrame, entries: pd.DataFrame, noise: Mapping[str, float]) -> dict[str, Any]:
    """Figures of the whole; errors of seconds are relative, those of noise in bits, all on the held-out part.

    Parameters
    ----------
    runs
        One row a sample, as ``runs.csv`` of a campaign.
    entries
        Entries of measured and predicted ledgers side by side.
    noise
        Of the machine, by the names of :data:`COVERED_SECONDS`; see :func:`machine_noise`.
    """
    transfers, work = (entries[entries["kind"] == kind] for kind in ("transfer", "work"))
    measured = runs[runs["status"] == "measured"]
    held_out = measured[measured["held_out"]]
    figures: dict[str, Any] = {
        "samples": len(runs),
        "held_out": len(held_out),
        "failed": len(runs) - len(measured),
        "wrong_channels": int(measured["wrong_channels"].sum()),
        "byte_mismatches": int((~transfers["agrees"]).sum()),
        "count_mismatches": int((~work["agrees"]).sum()),
        "bytes_compared": len(transfers),
    }
    for name in SECONDS:
        stem = name.removesuffix("_s")
        error = relative_error(held_out[held_out[name].notna()], name)
        figures[f"{stem}_error_median"] = float(np.median(error)) if len(error) else math.nan
        figures[f"{stem}_error_max"] = float(np.max(error, initial=0.0)) if len(error) else math.nan
    base = np.abs(held_out["base_server_s"] / held_out["server_s"] - 1.0)
    figures["base_server_error_median"] = float(base.median())
    figures["base_server_error_max"] = float(base.max())
    off_bits = (held_out["predicted_noise_bits"] - held_out["noise_bits"]).abs()
    figures["noise_error_bits_median"] = float(off_bits.median())
    figures["noise_error_bits_max"] = float(off_bits.max())
    figures["noise_sampling_bits_max"] = float(held_out["noise_sampling_bits"].max())
    figures |= {f"machine_noise_{name.removesuffix('_s')}": noise[name] for name in COVERED_SECONDS}
    figures["contention"] = float(measured["contention"].median())
    figures["disturbed"] = int(measured["disturbed"].sum())
    for party in ("server", "client"):
        figures[f"{party}_off_pace"] = int((measured[f"{party}_at_pace"] == 0).sum())
    figures["interval_level"] = LEVEL
    for name in COVERED_SECONDS:
        stem = name.removesuffix("_s")
        inside = held_out[name].between(held_out[f"low_{name}"], held_out[f"high_{name}"])
        figures[f"{stem}_in_interval"] = int(inside.sum())
        figures[f"{stem}_coverage"] = float(inside.mean())
        figures[f"{stem}_interval"] = float((held_out[f"high_{name}"] / held_out[f"predicted_{name}"]).median())
    return figures


def verdicts_of(figures: Mapping[str, Any]) -> dict[str, str]:
    """What must hold, and whether it does: ``holds``, ``fails``, or ``noise``.

    Seconds have the verdict ``noise`` where the machine's own is larger than the bound, and the error exceeds the
    bound by no more than that.

    Parameters
    ----------
    figures
        As :func:`summary_of` gives them.
    """
    exact = {
        "every sample was executed": figures["failed"] == 0,
        "every channel opened to the table's": figures["wrong_channels"] == 0,
        "bytes equal in every run": figures["byte_mismatches"] == 0,
        "operations counted alike": figures["count_mismatches"] == 0,
        "noise within half a bit": figures["noise_error_bits_max"] <= 0.5,
    }
    found = {name: "holds" if held else "fails" for name, held in exact.items()}
    for stem in ("server", "latency"):
        for which, bound in BOUNDS.items():
            error, noise = figures[f"{stem}_error_{which}"], figures[f"machine_noise_{stem}"]
            hidden = bound < noise and error <= bound + noise
            said = "holds" if error <= bound else "noise" if hidden else "fails"
            found[f"{stem} seconds within {bound:.0%} ({'median' if which == 'median' else 'worst'})"] = said
        if math.isfinite(figures[f"{stem}_interval"]):
            held = verdict(figures[f"{stem}_in_interval"], figures["held_out"])
            found[f"{LEVEL:.0%} intervals of {stem} seconds hold as often"] = held
    return found


def relative_error(runs: pd.DataFrame, name: str) -> np.ndarray[Any, np.dtype[np.float64]]:
    """|predicted / measured - 1| of a column."""
    ratio = runs[f"predicted_{name}"].to_numpy(dtype=np.float64) / runs[name].to_numpy(dtype=np.float64)
    return np.asarray(np.abs(ratio - 1.0))


def machine_noise(references: pd.DataFrame, name: str) -> float:
    """Largest relative deviation from the median between repetitions of one configuration, idealised like a sample."""
    values = references[name].to_numpy(dtype=np.float64)
    if len(values) < 2:
        return math.nan
    return float(np.max(np.abs(values / np.median(values) - 1.0)))
