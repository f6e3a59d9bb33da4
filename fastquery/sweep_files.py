"""A sweep to a file: in parts that an interrupted sweep goes on from, joined beside the file and renamed."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from costmodel.files import output_path, replace_text, unwritable
from costmodel.machine import Machine
from fastquery.axes import axes_by_name, several
from fastquery.frames import ROW_GROUP, WRITERS, Writer, copy_rows
from fastquery.provenance import provenance
from fastquery.sweeps import Columns, Plan, Progress
from fastquery.words import machine_of
from quantize.table_files import split_name


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
    **axes: Any,
) -> SweepFile:
    """Sweep to a Parquet or CSV file, with a JSON file of its provenance beside it.

    Finished parts are kept in a folder beside the file until all are there; the same sweep, asked for again after an
    interruption, goes on from them. The file itself is replaced only by a whole one.

    Parameters
    ----------
    path
        Ends in ``.parquet`` or ``.csv``; the provenance's path has ``.json`` after that.
    machine, limit, usable_only, progress, axes
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
        seconds, write_s = _evaluate(plan, parts, progress)
        since = time.perf_counter()
        columns = parts.join(place)
        state = parts.state
        about |= {
            "configurations": state.rows,
            "usable": state.usable,
            "possible": plan.sample.total,
            "columns": columns,
            "skipped": list(dict.fromkeys(state.skipped)),
        }
        replace_text(place.with_name(place.name + ".json"), json.dumps(about, indent=2) + "\n")
        shutil.rmtree(folder)
        write_s += time.perf_counter() - since
    except OSError as error:
        raise unwritable(path, error) from None
    skipped = tuple(about["skipped"])
    return SweepFile(path, state.rows, state.usable, plan.sample.total, resumed, seconds, write_s, skipped)


def _evaluate(plan: Plan, parts: _Parts, progress: Progress | None) -> tuple[float, float]:
    """Evaluate what is not there, a part whenever a row group is full; seconds of evaluating and of writing."""
    waiting = Columns(plan.spaces, min(plan.sample.taken, ROW_GROUP))
    written_s, usable, since = 0.0, 0, time.perf_counter()

    def flush(following: int) -> None:
        nonlocal written_s, usable
        started = time.perf_counter()
        parts.add(waiting, usable, following, plan.skipped.unique())
        waiting.clear()
        usable = 0
        written_s += time.perf_counter() - started

    for block in plan.blocks(progress, parts.state.following):
        if block.count() > waiting.room():
            flush(block.number)
        waiting.append(block)
        usable += block.count_usable()
    flush(len(plan.pieces))
    return time.perf_counter() - since - written_s, written_s


@dataclass(frozen=True)
class _State:
    """What the parts so far hold, and the block that follows them."""

    digest: str
    following: int = 0
    parts: int = 0
    rows: int = 0
    usable: int = 0
    skipped: tuple[str, ...] = ()


class _Parts:
    """A folder of Parquet files, one a row group, and a file that says how far they reach."""

    def __init__(self, folder: Path, state: _State) -> None:
        self.folder, self.state = folder, state

    @classmethod
    def of(cls, folder: Path, digest: str) -> _Parts:
        """The parts of the same sweep, if it was interrupted, and else none."""
        try:
            kept = _State(**json.loads((folder / "state.json").read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError):
            kept = None
        if kept is not None and kept.digest == digest:
            return cls(folder, replace(kept, skipped=tuple(kept.skipped)))
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        return cls(folder, _State(digest))

    def add(self, columns: Columns, usable: int, following: int, skipped: list[str]) -> None:
        """Write rows as one part; the state is renamed into place once it is there."""
        state = self.state
        if columns.rows or not state.parts:
            with Writer(self._path(state.parts)) as writer:
                writer.write(columns.arrays())
        self.state = _State(
            state.digest,
            following,
            state.parts + bool(columns.rows or not state.parts),
            state.rows + columns.rows,
            state.usable + usable,
            tuple(dict.fromkeys([*state.skipped, *skipped])),
        )
        replace_text(self.folder / "state.json", json.dumps(asdict(self.state)))

    def join(self, path: Path) -> list[str]:
        """All parts as one file in the place of an earlier one; its columns."""
        whole = self.folder / f"whole{path.suffix}"
        with WRITERS[path.suffix](whole) as writer:
            for k in range(self.state.parts):
                columns = copy_rows(self._path(k), writer)
        whole.replace(path)
        return columns

    def _path(self, k: int) -> Path:
        return self.folder / f"{k:05}.parquet"


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
