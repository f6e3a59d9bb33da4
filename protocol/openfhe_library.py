"""OpenFHE, loaded the way this project needs it, or a clear word why it cannot be.

OpenFHE parallelises over limbs with OpenMP; with the one or two limbs used here the threads only cost, fifty times
and more, so the thread count is set to one before the library is loaded.

Its random generator does not notice a fork: parent and children would draw the same keys, the same a and the same
noise. Rings, roots and the check of their security owe nothing to it, and this project's own kernels draw from the
operating system; where OpenFHE itself makes keys or encrypts, the process must be the one that loaded the library,
and must have loaded it here, where it was noticed.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import sys
from typing import Any

SUPPORTED = "CPython 3.10 on Ubuntu 22.04 or Debian 12, and CPython 3.12 on Ubuntu 24.04"
_WAY_OUT = "start processes by spawn, multiprocessing.get_context('spawn'), or take --engine residue"

_loaded_by: set[int] = set()
"""The process that loaded the library here; its forks inherit the entry."""
_loaded_elsewhere = False
"""Whether somebody else had loaded it before: this process may be a fork of theirs."""
_forked_since = False
"""Whether this process was forked after that; process numbers come again, this does not."""


def _note_fork() -> None:
    global _forked_since
    _forked_since = bool(_loaded_by) or "openfhe" in sys.modules


os.register_at_fork(after_in_child=_note_fork)


class OpenFHEUnavailable(Exception):
    """OpenFHE is not installed or does not load here, or its random numbers may not be new ones."""


def check_generator() -> None:
    """Refuse to draw from OpenFHE's generator where its state may be another process's too.

    Raises
    ------
    OpenFHEUnavailable
        If the library was loaded before this process was forked, or by others before it was loaded here.
    """
    if _forked_since or _loaded_by - {os.getpid()}:
        raise OpenFHEUnavailable(
            f"openfhe was loaded before this process was forked, and would repeat its random numbers; {_WAY_OUT}"
        )
    if _loaded_elsewhere:
        raise OpenFHEUnavailable(
            "openfhe was imported before this project loaded it: whether this process was forked since, and would "
            f"repeat its random numbers, is not known; import nothing of openfhe before, or {_WAY_OUT}"
        )


def load_openfhe() -> Any:
    """The ``openfhe`` module.

    Raises
    ------
    OpenFHEUnavailable
        If it cannot be imported; the message says for which interpreters a wheel exists.
    """
    global _loaded_elsewhere
    if not _loaded_by and "openfhe" in sys.modules:
        _loaded_elsewhere = True
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    try:
        library = importlib.import_module("openfhe")
    except ImportError as error:
        if error.__cause__ is not None and not isinstance(error.__cause__, Exception):
            raise error.__cause__ from None  # a signal that interrupts the import is no lack of OpenFHE
        reason = "is not installed" if importlib.util.find_spec("openfhe") is None else f"does not load ({error})"
        raise OpenFHEUnavailable(f"openfhe {reason}; its wheels exist for {SUPPORTED}") from None
    _loaded_by.add(os.getpid())
    return library
