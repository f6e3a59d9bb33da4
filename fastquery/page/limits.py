"""Why a design is excluded: every bound of the state that its figures do not hold."""

from __future__ import annotations

from collections.abc import Mapping

from costmodel.limits import SECURITY_FLOOR_BITS
from fastquery.page.state import State
from fastquery.page.texts import bytes_text, seconds_text


def bytes_of_query(figures: Mapping[str, float], queries: int) -> float:
    """Bytes up and down, and a query's share of the setup."""
    return figures["up_bytes"] + figures["down_bytes"] + figures["setup_bytes"] / queries


def reasons(figures: Mapping[str, float], state: State) -> list[str]:
    """Every bound that the figures do not hold, in words; none where the design may be taken.

    Examples
    --------
    >>> figures = dict(up_bytes=2e6, down_bytes=0.0, setup_bytes=0.0, latency_s=1.0, security_bits=141.0,
    ...                log2_failure=-50.0, flooding_bits=0.0)
    >>> reasons(figures, State(most_bytes=1e6, hidden=True))
    ['2 MB a query; at most 1 MB is allowed', 'answers without flooding; the table must be hidden']
    """
    found = []
    if figures["security_bits"] < SECURITY_FLOOR_BITS:
        found.append(f"{figures['security_bits']:.0f} bits of security; at least {SECURITY_FLOOR_BITS} are needed")
    if figures["log2_failure"] > state.failure:
        found.append(f"fails with 2^{figures['log2_failure']:.1f}; at most 2^{state.failure:g} is allowed")
    size = bytes_of_query(figures, state.queries)
    if state.most_bytes is not None and size > state.most_bytes:
        found.append(f"{bytes_text(size)} a query; at most {bytes_text(state.most_bytes)} is allowed")
    if state.most_setup_bytes is not None and figures["setup_bytes"] > state.most_setup_bytes:
        found.append(
            f"{bytes_text(figures['setup_bytes'])} of keys; at most {bytes_text(state.most_setup_bytes)} is allowed"
        )
    if state.most_s is not None and figures["latency_s"] > state.most_s:
        found.append(
            f"{seconds_text(figures['latency_s'])} of latency; at most {seconds_text(state.most_s)} is allowed"
        )
    if state.hidden and not figures["flooding_bits"]:
        found.append("answers without flooding; the table must be hidden")
    return found
