"""Typed forms of numba's decorators, so that compiled kernels keep their Python signatures.

Numba notices a changed kernel by the modification time of its own file only: after editing a function that
other modules inline, remove the ``__pycache__`` folders.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba

Function = TypeVar("Function", bound=Callable[..., Any])


def kernel(function: Function) -> Function:
    """Compile a function that runs without the interpreter lock and is kept in numba's file cache."""
    return cast(Function, numba.njit(nogil=True, cache=True)(function))


def inlined(function: Function) -> Function:
    """Compile a helper that is inlined into the kernels that call it."""
    return cast(Function, numba.njit(inline="always", nogil=True, cache=True)(function))
