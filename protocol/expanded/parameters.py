"""The parameters of a configuration's expanded query, the same for both parties."""

from __future__ import annotations

from typing import TypeVar

from costmodel.expanded.parameters import Expanded
from costmodel.parameters import Configuration

Parameters = TypeVar("Parameters", bound=Expanded)


def parameters_of(configuration: Configuration, kind: type[Parameters]) -> Parameters:
    """Return a configuration's parameters, of the kind that its engine executes.

    Raises
    ------
    ValueError
        If the configuration holds none, or those of another kind.
    """
    chosen = configuration.expanded
    if not isinstance(chosen, kind):
        raise ValueError(f"parameters are {type(chosen).__name__}; the engine executes {kind.__name__}")
    return chosen
