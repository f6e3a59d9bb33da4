"""One file of a campaign that another person can send, and machines compared by such files.

A file says of the machine: processor, caches, vector width, memory bandwidth. It says of the campaign: errors,
verdicts, one row a sample, and the unit costs that were fitted. It has no path, no host and no user.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from costmodel.machine import Machine, default_machine, machine_toml, read_machine
from costmodel.results import Result
from validate.campaign import Campaign
from validate.quick import class_of

VERSION = 1
MAX_BYTES = 2**24
"""Most that a file may take; a campaign of a thousand samples takes a tenth."""
FACTS = ("processor", "revision", "caches", "vector_bits", "memory_bytes_per_s", "cores", "threads", "python", "commit")
FIGURES = (
    "samples", "held_out", "failed", "wrong_channels", "byte_mismatches", "count_mismatches", "server_error_median",
    "server_error_max", "base_server_error_median", "base_server_error_max", "latency_error_median",
    "latency_error_max", "client_error_median", "client_error_max", "table_error_median", "table_error_max",
    "noise_error_bits_max", "machine_noise_server", "machine_noise_latency", "contention", "disturbed",
    "server_coverage", "latency_coverage",
)  # fmt: skip
COLUMNS = (
    "sample", "held_out", "status", "protocol", "engine", "table", "tokens", "ring_degree", "limb_bits", "widths",
    "tile", "output", "flooding_bits", "prepared", "align_bits", "link", "sessions", "calm_sessions", "up_bytes",
    "down_bytes", "setup_bytes", "server_s", "client_s", "table_s", "latency_s", "noise_bits", "predicted_server_s",
    "base_server_s", "predicted_client_s", "predicted_table_s", "predicted_latency_s", "predicted_noise_bits",
)  # fmt: skip
"""Of the rows: all that describes a sample, nothing that a failure said of the machine's folders."""
COUNT, SIZE = 100.0, 8192.0
"""Repetitions and residues at which unit costs of two machines are compared."""


@dataclass(frozen=True, eq=False, repr=False)
class Submission(Result):
    """A campaign of somebody's machine.

    Attributes
    ----------
    name
        Of the file.
    facts
        Of the machine, as texts.
    figures, verdicts
        Of the campaign; a figure that was not to be had is NaN.
    runs
        One row a sample.
    machine
        Unit costs from the calibration part.
    """

    name: str
    facts: Mapping[str, str]
    figures: Mapping[str, float]
    verdicts: Mapping[str, str]
    runs: pd.DataFrame
    machine: Machine

    def headline(self) -> dict[str, str]:
        """Whose machine, and what must hold of it."""
        return {"name": self.name, "processor": self.facts["processor"], **self.verdicts}

    def tables(self) -> dict[str, pd.DataFrame]:
        """The runs."""
        return {"runs": self.runs}


def submission_text(campaign: Campaign) -> str:
    """The file of a campaign, as JSON."""
    summary = campaign.summary()
    rows = campaign.runs.reindex(columns=list(COLUMNS)).to_dict(orient="records")
    document = {
        "version": VERSION,
        "seed": campaign.seed,
        "facts": {name: str(campaign.provenance.get(name, "unknown")) for name in FACTS},
        "figures": {name: _finite(summary[name]) for name in FIGURES},
        "verdicts": campaign.verdicts(),
        "runs": [{name: None if pd.isna(value) else value for name, value in row.items()} for row in rows],
        "machine": machine_toml(campaign.machine),
    }
    return json.dumps(document, indent=1, default=lambda value: value.item()) + "\n"


def read_submission(path: Path) -> Submission:
    """A file that somebody sent; everything in it is checked.

    Raises
    ------
    ValueError
        If it cannot be read, is too long, or a part is not of its form; the message names file and part.
    """
    try:
        size = path.stat().st_size
        text = path.read_text(encoding="utf-8") if size <= MAX_BYTES else ""
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"submission is {str(path)!r}, which cannot be read: {error}") from None
    if size > MAX_BYTES:
        raise ValueError(f"submission {str(path)!r} has {size} bytes; {MAX_BYTES} are accepted")
    try:
        document = json.loads(text)
        if document["version"] != VERSION:
            raise ValueError(f"version is {document['version']!r}; it must be {VERSION}")
        runs = document["runs"]
        if not isinstance(runs, list) or not all(isinstance(row, dict) for row in runs):
            raise ValueError("runs are no list of rows")
        return Submission(
            path.stem,
            {name: _word(name, document["facts"][name]) for name in FACTS},
            {name: _number(name, document["figures"][name]) for name in FIGURES},
            {_word("verdicts", name): _word(name, said) for name, said in document["verdicts"].items()},
            pd.DataFrame(runs, columns=list(COLUMNS)),
            read_machine(_text("machine", document["machine"]), path.stem),
        )
    except KeyError as error:
        raise ValueError(f"submission {str(path)!r} lacks {error.args[0]!r}") from None
    except (AttributeError, RecursionError, TypeError, ValueError) as error:
        raise ValueError(f"submission {str(path)!r}: {error}") from None


def read_submissions(folder: Path) -> list[Submission]:
    """Every ``*.json`` of a folder, by name.

    Raises
    ------
    ValueError
        If there is none, or one is malformed.
    """
    paths = sorted(folder.glob("*.json"))
    if not paths:
        raise ValueError(f"machines is {str(folder)!r}, which has no *.json; `fastquery validate --submit` writes one")
    return [read_submission(path) for path in paths]


def machines_compared(submissions: Iterable[Submission]) -> pd.DataFrame:
    """A row a submission: the machine, the campaign's errors, and unit costs over the built-in ones by class.

    ``ENGINE: CLASS`` is the median over the class's operations of their seconds for 100 repetitions on 8192 residues,
    over those of the built-in machine; operations count that the campaign measured.
    """
    built_in = default_machine()
    rows = []
    for one in submissions:
        ratios: dict[str, list[float]] = {}
        for (engine, operation), unit in one.machine.units.items():
            known = built_in.units.get((engine, operation))
            if known is not None and unit.samples and known.samples and unit != known:
                ratio = float(unit.seconds(COUNT, SIZE) / known.seconds(COUNT, SIZE))
                ratios.setdefault(f"{engine}: {class_of(operation)}", []).append(ratio)
        by_class = {name: float(np.median(found)) for name, found in sorted(ratios.items())}
        fails = sum(said == "fails" for said in one.verdicts.values())
        rows.append({"submission": one.name, **one.facts, **one.figures, "fails": fails, **by_class})
    return pd.DataFrame(rows)


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _number(name: str, value: object) -> float:
    if value is None:
        return math.nan
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        raise ValueError(f"{name} is {value!r}; it must be a number")
    return float(value)


def _text(name: str, value: object) -> str:
    if not isinstance(value, str):
        raise ValueError(f"{name} is {type(value).__name__}; it must be a text")
    return value


def _word(name: str, value: object) -> str:
    """A short text without control characters, which may be shown in a terminal."""
    text = _text(name, value)
    if len(text) > 200 or not text.isprintable():
        raise ValueError(f"{name} is no printable text of at most 200 characters")
    return text
