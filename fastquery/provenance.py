"""Where a result comes from: commit, versions, processor, threads."""

from __future__ import annotations

import os
import platform
import subprocess
from importlib import metadata
from pathlib import Path
from typing import Any

from fastquery.processor import this_processor

PACKAGES = ("fastquery", "numpy", "scipy", "numba", "openfhe")


def provenance(threads: int = 1) -> dict[str, Any]:
    """Commit, versions of what computed it, processor and threads of a lookup."""
    return {
        "commit": _commit(),
        "python": platform.python_version(),
        "versions": {name: _version(name) for name in PACKAGES},
        **this_processor().facts(),
        "cores": os.cpu_count(),
        "threads": threads,
    }


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _commit() -> str | None:
    try:
        described = subprocess.run(
            ["git", "describe", "--always", "--dirty", "--abbrev=12"],
            cwd=Path(__file__).parent,
            capture_output=True,
            text=True,
            timeout=5,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return described.stdout.strip()
