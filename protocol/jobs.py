"""How the two processes of a run are told what to do, and how they report."""

from __future__ import annotations

import json
import resource
import sys
from pathlib import Path
from typing import Any


def read_job() -> dict[str, Any]:
    """The job: one JSON document on standard input, so that no token shows in a process list."""
    job: dict[str, Any] = json.load(sys.stdin)
    return job


def emit(event: str, **values: Any) -> None:
    """Report an event as one JSON line on standard output."""
    print(json.dumps({"event": event, **values}), flush=True)


def shares_path(folder: str, party: str, number: int) -> Path:
    """Where a party writes its shares of a lookup, counted from 0."""
    return Path(folder, f"{party}-{number}.npy")


def peak_memory_bytes() -> int:
    """Largest resident set of this process so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
