"""Output files: checked before the work, written beside their place, and renamed into it."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO


def output_path(path: str | Path, *inputs: str | Path | None) -> Path:
    """The place of an output, symbolic links followed; nothing is made yet.

    Parameters
    ----------
    path
        Of the output.
    inputs
        Files that are read; None is none.

    Raises
    ------
    ValueError
        If the path is an input, or there is anything but a regular file, or its folder cannot be written to.
    """
    place = Path(os.path.realpath(path))
    if os.fspath(path).endswith(os.sep) or (place.exists() and not place.is_file()):
        raise ValueError(f"output is {str(path)!r}, which is no regular file; name a new file or one to replace")
    for one in inputs:
        if one is not None and place.exists() and Path(one).exists() and place.samefile(Path(one)):
            raise ValueError(f"output is {str(path)!r}, which is an input too; name another file")
    folder = next(folder for folder in place.parents if folder.exists())
    if not folder.is_dir():
        raise ValueError(f"output is {str(path)!r}, which cannot be written: {str(folder)!r} is no folder")
    if not os.access(folder, os.W_OK):
        raise ValueError(f"output is {str(path)!r}, which cannot be written: its folder is not writable")
    return place


def unwritable(path: str | Path, error: OSError) -> ValueError:
    """The error of an output that cannot be written."""
    return ValueError(f"output is {str(path)!r}, which cannot be written: {error.strerror or error}")


@contextmanager
def replaced(path: str | Path, *inputs: str | Path | None) -> Iterator[Path]:
    """A path beside an output; what is written there takes the output's place at the end, or is removed.

    Every writer has a path of its own, in threads too, so that two writers leave the file of one of them.

    Raises
    ------
    ValueError
        As :func:`output_path`; or if the file cannot be written.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     with replaced(Path(folder, "a.txt")) as beside:
    ...         _ = beside.write_text("whole")
    ...     Path(folder, "a.txt").read_text()
    'whole'
    """
    place = output_path(path, *inputs)
    beside = place.with_name(f".{place.stem}.{os.getpid()}-{threading.get_ident()}{place.suffix}")
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        yield beside
        beside.replace(place)
    except OSError as error:
        raise unwritable(path, error) from None
    finally:
        beside.unlink(missing_ok=True)


def replace_private(path: str | Path, write: Callable[[BinaryIO], None]) -> None:
    """Write a file that its user alone can read by :func:`replaced`.

    Parameters
    ----------
    path
        Of the file.
    write
        Called with the open file.

    Raises
    ------
    ValueError
        As there.
    """
    with (
        replaced(path) as beside,
        os.fdopen(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file,
    ):
        write(file)


def replace_text(path: str | Path, text: str) -> None:
    """Write a text file by :func:`replaced`.

    Raises
    ------
    ValueError
        As there.
    """
    with replaced(path) as beside:
        beside.write_text(text, encoding="utf-8")
