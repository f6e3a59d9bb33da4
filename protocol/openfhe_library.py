"""OpenFHE, loaded the way this project needs it, or a clear word why it cannot be.

OpenFHE parallelises over limbs with OpenMP; with the one or two limbs used here the threads only cost, fifty times
and more, so the thread count is set to one before the library is loaded.

Its random generator does not notice a fork: parent and children would draw the same keys, the same a and the same
noise. So a process that was forked from one that had loaded the library does not get it.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
from typing import Any

SUPPORTED = "CPython 3.10 on Ubuntu 22.04 or Debian 12, and CPython 3.12 on Ubuntu 24.04"


_loaded_by: set[int] = set()
"""The process that loaded the library; its forks inherit the entry."""


class OpenFHEUnavailable(Exception):
    """OpenFHE is not installed or does not load here."""


def check_process() -> None:
    """Refuse a process that was forked from one that had loaded the library.

    Raises
    ------
    OpenFHEUnavailable
        If this is one.
    """
    if _loaded_by - {os.getpid()}:
        raise OpenFHEUnavailable(
            "openfhe was loaded before this process was forked, and would repeat its random numbers; "
            "start processes by spawn, multiprocessing.get_context('spawn')"
        )


def load_openfhe() -> Any:
    """The ``openfhe`` module.

    Raises
    ------
    OpenFHEUnavailable
        If it cannot be imported; the message says for which interpreters a wheel exists. If a process was forked
        after it was loaded.
    """
    check_process()
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    try:
        library = importlib.import_module("openfhe")
    except ImportError as error:
        reason = "is not installed" if importlib.util.find_spec("openfhe") is None else f"does not load ({error})"
        raise OpenFHEUnavailable(f"openfhe {reason}; its wheels exist for {SUPPORTED}") from None
    _loaded_by.add(os.getpid())
    return library
