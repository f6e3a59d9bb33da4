"""A sweep to a file: in parts that an interrupted sweep goes on from, joined beside the file and renamed."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from costmodel.files import output_path, replace_text, unwritable
from costmodel.machine import Machine
from fastquery.axes import axes_by_name, several
from fastquery.frames import WRITERS, join_rows, parquet_of_table
from fastquery.provenance import provenance
from fastquery.sweeps import Part, Plan, Progress, plan_parts
from fastquery.words import machine_of
from quantize.table_files import split_name

STATE = "state.json"


@dataclass(frozen=True)
class SweepFile:
    """A sweep in a file, and what it took.

    Attributes
    ----------
    path
        Of the file; the provenance's has ``.json`` after that.
    configurations, usable
        Rows, and those with 128 bits of security that fail no more often than 2^-40.
    possible
        Possible configurations that the rows were sampled from.
    resumed
        Rows that an interrupted sweep had left.
    seconds, write_s
        Of evaluating and of writing.
    skipped
        Systems of ``all`` that could not be had, and why.
    """

    path: Path
    configurations: int
    usable: int
    possible: int
    resumed: int
    seconds: float
    write_s: float
    skipped: tuple[str, ...] = ()

    def document(self) -> dict[str, Any]:
        """Everything as plain values."""
        evaluated = self.configurations - self.resumed
        rate = evaluated / self.seconds if self.seconds else 0.0
        return {**asdict(self), "path": str(self.path), "configurations_per_s": rate}


def write_sweep(
    path: str | Path,
    *,
    machine: Machine | str | Path | None = None,
    limit: int | None = None,
    usable_only: bool = False,
    progress: Progress | None = None,
    jobs: int = 1,
    scheduler: str | None = None,
    **axes: Any,
) -> SweepFile:
    """Sweep to a Parquet or CSV file, with a JSON file of its provenance beside it.

    Finished parts are kept in a folder beside the file until all are there; the same sweep, asked for again after an
    interruption, goes on from them. The file itself is replaced only by a whole one.

    Parameters
    ----------
    path
        Ends in ``.parquet`` or ``.csv``; the provenance's path has ``.json`` after that.
    machine, limit, usable_only, progress, jobs, scheduler, axes
        As :func:`fastquery.sweeps.sweep`.

    Raises
    ------
    ValueError
        If the path ends otherwise or cannot be written, or a value cannot be.
    """
    path, axes = Path(path), axes_by_name(axes)
    if path.suffix not in WRITERS:
        raise ValueError(f"output is {str(path)!r}; it must end in {' or '.join(WRITERS)}")
    profile = machine_of(machine)
    plan = Plan.of(axes, profile, limit, usable_only)
    about: dict[str, Any] = {
        "axes": {name: _plain(value) for name, value in axes.items()},
        "limit": limit,
        "usable_only": usable_only,
        "machine": {"name": profile.name, "provenance": dict(profile.provenance)},
        "provenance": provenance(),
    }
    place = output_path(path, *_files(axes), machine if isinstance(machine, (str, Path)) else None)
    try:
        folder = place.with_name(f".{place.name}.parts")
        parts = _Parts.of(folder, _digest({**about, "units": repr(sorted(profile.units.items()))}))
        resumed = parts.state.rows
        since = time.perf_counter()
        for number, part in plan_parts(_stored, plan, progress, parts.state.done, jobs, scheduler):
            parts.add(number, part)
        seconds = time.perf_counter() - since - parts.write_s
        since = time.perf_counter()
        columns = parts.join(place)
        state = parts.state
        about |= {
            "configurations": state.rows,
            "usable": state.usable,
            "possible": plan.sample.total,
            "columns": columns,
            "skipped": plan.skipped.unique(state.skipped),
        }
        replace_text(place.with_name(place.name + ".json"), json.dumps(about, indent=2) + "\n")
        shutil.rmtree(folder)
        write_s = parts.write_s + time.perf_counter() - since
    except OSError as error:
        raise unwritable(path, error) from None
    skipped = tuple(about["skipped"])
    return SweepFile(path, state.rows, state.usable, plan.sample.total, resumed, seconds, write_s, skipped)


def _stored(plan: Plan, number: int) -> Part:
    """A part with its rows as the bytes of a Parquet file, made where the part is evaluated."""
    part = plan.evaluated(number)
    return part._replace(content=parquet_of_table(part.content) if part.content.num_columns else b"")


@dataclass(frozen=True)
class _State:
    """Which parts are there: rows, usable ones and what was skipped, by number."""

    digest: str
    done: dict[int, tuple[int, int, list[str]]]

    @property
    def rows(self) -> int:
        """Rows of all parts."""
        return sum(rows for rows, _, _ in self.done.values())

    @property
    def usable(self) -> int:
        """Usable rows of all parts."""
        return sum(usable for _, usable, _ in self.done.values())

    @property
    def skipped(self) -> list[str]:
        """Why systems are left out, each reason once, in the order of the parts."""
        return list(dict.fromkeys(reason for _, (_, _, reasons) in sorted(self.done.items()) for reason in reasons))


class _Parts:
    """A folder of Parquet files, one a part, and a file that says which are there."""

    def __init__(self, folder: Path, state: _State) -> None:
        self.folder, self.state, self.write_s = folder, state, 0.0

    @classmethod
    def of(cls, folder: Path, digest: str) -> _Parts:
        """The parts of the same sweep, if it was interrupted, and else none."""
        try:
            kept = json.loads((folder / STATE).read_text(encoding="utf-8"))
            if kept["digest"] == digest:
                return cls(folder, _State(digest, {int(k): (*counts,) for k, counts in kept["done"].items()}))
        except (OSError, ValueError, TypeError, KeyError, AttributeError):
            pass
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        return cls(folder, _State(digest, {}))

    def add(self, number: int, part: Part) -> None:
        """Write a part; the state is renamed into place once it is there."""
        since = time.perf_counter()
        if part.content:
            self._path(number).write_bytes(part.content)
        self.state.done[number] = part.rows, part.usable, part.skipped
        replace_text(self.folder / STATE, json.dumps(asdict(self.state)))
        self.write_s += time.perf_counter() - since

    def join(self, path: Path) -> list[str]:
        """All parts as one file in the place of an earlier one; its columns."""
        whole = self.folder / f"whole{path.suffix}"
        found = [self._path(number) for number in sorted(self.state.done)]
        with WRITERS[path.suffix](whole) as writer:
            columns = join_rows([one for one in found if one.exists()], writer)
        whole.replace(path)
        return columns

    def _path(self, number: int) -> Path:
        return self.folder / f"{number:05}.parquet"


def _files(axes: Mapping[str, Any]) -> list[str | Path]:
    """The files that tables are named after."""
    names = [os.fspath(one) for one in several(axes.get("table")) if isinstance(one, (str, Path))]
    return [found[0] if (found := split_name(name)) else name for name in names]


def _digest(about: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(about, sort_keys=True).encode()).hexdigest()


def _plain(value: Any) -> Any:
    if isinstance(value, (str, int, float)) or value is None:
        return value
    if isinstance(value, Mapping):
        return {name: _plain(one) for name, one in value.items()}
    many = isinstance(value, (list, tuple, range, np.ndarray))
    return [_plain(one) for one in several(value)] if many else str(value)
