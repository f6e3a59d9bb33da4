"""Packages that only some sources need."""

from __future__ import annotations

from importlib import import_module
from typing import Any


def require(module: str, purpose: str) -> Any:
    """Import ``module``, or say in one line how to get it.

    Raises
    ------
    ValueError
        If it is not installed.
    """
    try:
        return import_module(module)
    except ImportError as error:
        raise ValueError(
            f"{purpose} needs the package {module.split('.')[0]!r}: install fastquery with its 'data' extra"
        ) from error
