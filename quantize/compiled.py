"""Compiled kernels, kept in a folder of their user that no other version of the kernels shares.

The compiler's own cache looks at the file of a kernel alone, so that code outlives a fix of a helper inlined from
another file. Here the folder's name is a digest of every source of the package that has kernels, and of the versions
of the compiler and the interpreter: whatever changes, another folder is used.

What lies in it is machine code that is run. A folder that belongs to somebody else, or that others can write to, is
not used. Candidates in order: ``fastquery`` in ``$NUMBA_CACHE_DIR`` and in ``$XDG_CACHE_HOME``, ``~/.cache/fastquery``,
a folder of this user's in the system's temporary folder; where none can be written to, every process compiles anew.
"""

from __future__ import annotations

import hashlib
import os
import platform
import stat
import sys
import tempfile
from collections.abc import Callable, Iterator
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal, TypeVar, cast

import numba

Function = TypeVar("Function", bound=Callable[..., Any])

_MARKS = (b"numba", b".compiled import")
"""One of which every source that has kernels or helpers of them mentions."""


def compiled(function: Function, inline: Literal["never", "always"] = "never", nogil: bool = False) -> Function:
    """Compile a function when it is first called, or load it from the cache of its package's kernels.

    Parameters
    ----------
    function
        What numba compiles.
    inline
        ``always`` for a helper that becomes part of the kernels that call it.
    nogil
        Run without the interpreter's lock.
    """
    folder = cache_folder(function.__module__.partition(".")[0])
    # The folder is read where the cache is made, below, and nowhere later: other packages keep theirs.
    settings: Any = numba.config
    before, settings.CACHE_DIR = settings.CACHE_DIR, str(folder or "")
    try:
        made = numba.njit(inline=inline, nogil=nogil, cache=folder is not None)(function)
    finally:
        settings.CACHE_DIR = before
    return cast(Function, made)


@cache
def cache_folder(package: str) -> Path | None:
    """Where the kernels of a package that is being imported are kept, or nothing if no folder is fit for it."""
    root = Path(str(sys.modules[package].__file__)).parent
    name = f"{package}-{kernels_digest(root)}"
    return next((made for place in _places() if (made := _own_folder(place, name)) is not None), None)


def kernels_digest(root: Path) -> str:
    """Digest of the sources below a folder that have kernels, and of what compiles them.

    Examples
    --------
    >>> len(kernels_digest(Path(__file__).parent))
    32
    """
    digest = hashlib.sha256(Path(__file__).read_bytes())
    for package in ("numba", "llvmlite", "numpy"):
        digest.update(f"{package} {version(package)}\n".encode())
    digest.update(f"{platform.python_implementation()} {platform.python_version()}\n".encode())
    for path in sorted(root.rglob("*.py")):
        source = path.read_bytes()
        if any(mark in source for mark in _MARKS):
            digest.update(f"{path.relative_to(root).as_posix()} {len(source)}\n".encode() + source)
    return digest.hexdigest()[:32]


def _places() -> Iterator[Path]:
    for variable in ("NUMBA_CACHE_DIR", "XDG_CACHE_HOME"):
        if os.path.isabs(os.environ.get(variable, "")):
            yield Path(os.environ[variable], "fastquery")
    home = os.path.expanduser("~")
    if os.path.isabs(home):
        yield Path(home, ".cache", "fastquery")
    yield Path(tempfile.gettempdir(), f"fastquery-{os.geteuid()}")


def _own_folder(place: Path, name: str) -> Path | None:
    """A folder in a place, both this user's alone to write to, or nothing."""
    try:
        for folder in (place, place / name):
            folder.mkdir(mode=0o700, parents=folder == place, exist_ok=True)
            # Not through a link: in a folder that everybody may write to, anybody may have put one there.
            found = folder.lstat()
            if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid() or found.st_mode & 0o022:
                return None
        tempfile.TemporaryFile(dir=place / name).close()
    except OSError:
        return None
    return place / name
