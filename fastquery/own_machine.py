"""The profile of this machine's processor, kept in the user's cache folder by the processor's name."""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path

from costmodel.files import replace_text
from costmodel.machine import Machine, default_machine, load_machine, machine_toml
from fastquery.processor import Processor, this_processor

AUTO = "auto"
"""Names this profile in the place of a file."""
REMEDY = "`fastquery calibrate --quick` measures one in seconds"
BUILT_IN = "built_in"
"""Provenance of a kept profile: the digest of the built-in profile that it was rescaled from."""


def own_machine() -> Machine:
    """The profile of this processor that was kept last.

    Raises
    ------
    ValueError
        If none is kept, or one that was rescaled from another built-in profile, whose operations may have had other
        sizes; the message says how to make one.
    """
    processor = this_processor()
    for path in _paths(processor):
        if _is_own(path):
            return _current(load_machine(path), path)
    raise ValueError(f"machine is {AUTO!r}, and no profile of this processor ({processor.name}) is kept; {REMEDY}")


def keep(machine: Machine, processor: Processor) -> Path:
    """Write the profile of a processor where :func:`own_machine` finds it.

    Raises
    ------
    ValueError
        If no folder can be written to.
    """
    stamped = replace(machine, provenance={**machine.provenance, BUILT_IN: _built_in()})
    for path in _paths(processor):
        try:
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            replace_text(path, machine_toml(stamped))
        except (OSError, ValueError):
            continue
        return path
    raise ValueError("no cache folder can be written to; set XDG_CACHE_HOME, or name a file with --output")


def _paths(processor: Processor) -> Iterator[Path]:
    """Where a profile may lie: in ``$XDG_CACHE_HOME``, in ``~/.cache``, in the system's temporary folder."""
    name = Path("machines", f"{processor.key}.toml")
    home = os.path.expanduser("~")
    for folder in (os.environ.get("XDG_CACHE_HOME", ""), os.path.join(home, ".cache")):
        if os.path.isabs(folder):
            yield Path(folder, "fastquery") / name
    yield Path(tempfile.gettempdir(), f"fastquery-{os.geteuid()}") / name


def _current(kept: Machine, path: Path) -> Machine:
    """A kept profile, if it is today's built-in one rescaled."""
    if kept.provenance.get(BUILT_IN) != _built_in():
        raise ValueError(f"machine is {AUTO!r}, and {str(path)!r} was made by another version; {REMEDY}")
    return kept


@cache
def _built_in() -> str:
    return hashlib.sha256(machine_toml(default_machine()).encode()).hexdigest()[:12]


def _is_own(path: Path) -> bool:
    """Whether a file is there and this user's: anybody may put one into the temporary folder."""
    try:
        return path.lstat().st_uid == os.geteuid() and path.is_file()
    except OSError:
        return False
