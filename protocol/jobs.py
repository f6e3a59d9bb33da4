"""How the two processes of a run are told what to do, and how they report."""

from __future__ import annotations

import json
import os
import resource
import sys
from pathlib import Path
from typing import Any


def party_environment() -> dict[str, str]:
    """Environment of a party's process: one thread for OpenFHE, and small pages unless the caller asked for others.

    Where a hypervisor takes freed memory back, the first use of a huge page waits for it: 4 ms a megabyte in the place
    of 0.6 were measured, a second of a first lookup of 16 tokens, which no unit cost knows.
    """
    return {"NUMPY_MADVISE_HUGEPAGE": "0", **os.environ, "OMP_NUM_THREADS": "1"}


def read_job() -> dict[str, Any]:
    """The job: one JSON document on standard input, so that no token shows in a process list."""
    job: dict[str, Any] = json.load(sys.stdin)
    return job


def emit(event: str, **values: Any) -> None:
    """Report an event as one JSON line on standard output; end where nobody reads it: the caller was killed."""
    try:
        print(json.dumps({"event": event, **values}), flush=True)
    except BrokenPipeError:
        os._exit(1)


def shares_path(folder: str, party: str, number: int) -> Path:
    """Where a party writes its shares of a lookup, counted from 0."""
    return Path(folder, f"{party}-{number}.npy")


def peak_memory_bytes() -> int:
    """Largest resident set of this process so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
