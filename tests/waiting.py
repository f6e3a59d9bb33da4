"""Waiting for what happens in another thread or process, on a machine that may be slow or busy."""

from __future__ import annotations

import time
from collections.abc import Callable

PATIENCE_S = 120.0
"""How long a test waits for what takes milliseconds on an idle machine: below the time limit of a test."""


def wait_until(holds: Callable[[], object]) -> None:
    """Wait until something holds, which it must within :data:`PATIENCE_S`."""
    deadline = time.monotonic() + PATIENCE_S
    while not holds():
        assert time.monotonic() < deadline, f"does not hold after {PATIENCE_S:.0f} s"
        time.sleep(0.005)
