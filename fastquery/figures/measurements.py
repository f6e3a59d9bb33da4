"""Measured runs beside their predictions: from a file, or the reference data that the project carries."""

from __future__ import annotations

import json
from collections.abc import Callable
from importlib import resources
from pathlib import Path
from typing import Any

import pandas as pd

from fastquery.figures.designs import described
from fastquery.figures.inputs import Inputs
from fastquery.figures.named import NamedFigure

REFERENCE = "campaign"
"""The reference campaign's folder, or its file without the ending."""

RUNS = "runs.csv"
"""What a campaign's folder calls the file with a row a sample."""


def measured_frame(path: Path | None = None) -> pd.DataFrame:
    """Runs with measured and predicted figures, a row a run.

    Parameters
    ----------
    path
        The folder of a campaign; or a Parquet or CSV file of runs, or JSON: one document of ``fastquery run --json``,
        a list of them, or one a line. The reference campaign under ``validate/data`` if left out. Runs that a campaign
        calls failed are counted in the caption and left out.

    Raises
    ------
    ValueError
        If there is no such file, or it cannot be read.
    """
    if path is None:
        folder = resources.files("validate").joinpath("data")
        with resources.as_file(folder.joinpath(reference_name())) as reference:
            return _described(_read(reference), f"Reference campaign: {reference.name}")
    return _described(_read(path), f"Measurements: {path.name}")


def _described(runs: pd.DataFrame, origin: str) -> pd.DataFrame:
    done = runs[runs["status"] == "measured"].reset_index(drop=True) if "status" in runs else runs
    failed = f", {len(runs) - len(done)} that failed left out" if len(done) < len(runs) else ""
    return described(done, "Predicted against measured", f"{origin}, {len(done)} runs{failed}.")


def reference_name() -> str:
    """Name of the reference campaign's folder or file in ``validate/data``.

    Raises
    ------
    ValueError
        If the project carries none.
    """
    folder = resources.files("validate").joinpath("data")
    names = [one.name for one in folder.iterdir()] if folder.is_dir() else []
    found = [name for name in names if Path(name).stem == REFERENCE and Path(name).suffix in ("", *READERS)]
    if not found:
        raise ValueError(
            f"measurements are left out and validate/data holds no {REFERENCE!r}; name a campaign's folder or a file "
            "of runs, such as one that `fastquery run --json` has written"
        )
    return min(found)


def _read(path: Path) -> pd.DataFrame:
    if path.is_dir():
        return _read(path / RUNS)
    if path.suffix not in READERS:
        raise ValueError(f"measurements is {str(path)!r}; its name must end in one of {', '.join(READERS)}")
    try:
        return READERS[path.suffix](path)
    except OSError as error:
        raise ValueError(f"measurements is {str(path)!r}, which cannot be read: {error.strerror or error}") from None
    except (ValueError, KeyError) as error:
        raise ValueError(f"measurements is {str(path)!r}, which is no table of runs: {error}") from None


def _json_frame(path: Path) -> pd.DataFrame:
    text = path.read_text(encoding="utf-8")
    try:
        document = json.loads(text)
    except json.JSONDecodeError:
        document = [json.loads(line) for line in text.splitlines() if line.strip()]
    runs = document if isinstance(document, list) else [document]
    return pd.DataFrame([_scalars(run) for run in runs])


def _scalars(run: Any) -> dict[str, Any]:
    if not isinstance(run, dict):
        raise ValueError("it must hold documents of runs")
    return {name: value for name, value in run.items() if not isinstance(value, (dict, list))}


READERS: dict[str, Callable[[Path], pd.DataFrame]] = {
    ".parquet": lambda path: pd.read_parquet(path),
    ".csv": lambda path: pd.read_csv(path),
    ".json": _json_frame,
}
"""By the ending of a file's name."""


def measured(inputs: Inputs) -> pd.DataFrame:
    """:func:`measured_frame` of what is named."""
    return measured_frame(inputs.measurements)


FIGURES = (
    NamedFigure(
        "measured",
        "Predicted against measured for every figure of a run. On the diagonal the model is right; the shades are the "
        "bounds that the median and the worst case must keep.",
        measured,
        "measured",
    ),
)
