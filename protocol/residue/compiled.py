"""Typed forms of numba's decorators, so that compiled kernels keep their Python signatures."""

from __future__ import annotations

from quantize.compiled import Function, compiled


def kernel(function: Function) -> Function:
    """Compile a function that runs without the interpreter lock; see :mod:`quantize.compiled` for where it is kept."""
    return compiled(function, nogil=True)


def inlined(function: Function) -> Function:
    """Compile a helper that is inlined into the kernels that call it."""
    return compiled(function, inline="always", nogil=True)
