"""Two ways to the first layer's queries, keys and values, over bandwidth."""

from plots.bandwidth import bandwidth as first_layer

__all__ = ["first_layer"]
