"""The parameters of a configuration's expanded query, the same for both parties."""

from __future__ import annotations

from typing import TypeVar

from costmodel.expanded import Expanded
from costmodel.parameters import Configuration
from costmodel.protocols import compressed, folded

Parameters = TypeVar("Parameters", bound=Expanded)

_SEARCHES = {"folded": folded.parameters_of, "compressed": compressed.parameters_of}


def parameters_of(configuration: Configuration, kind: type[Parameters]) -> Parameters:
    """Return a configuration's parameters, of the kind that its engine executes.

    Raises
    ------
    ValueError
        If none hold on its ring, or they are of another kind.
    """
    chosen = _SEARCHES[configuration.protocol](configuration)
    if not isinstance(chosen, kind):
        raise ValueError(f"parameters are {type(chosen).__name__}; the engine executes {kind.__name__}")
    return chosen
