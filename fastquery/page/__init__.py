"""A page to explore designs, parameters and links by hand (extra ``page``)."""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fastquery.page.view import Page

INSTALL = "the page needs Panel and Bokeh: pip install 'fastquery[page]'"


def require_page() -> None:
    """Refuse where Panel or Bokeh is missing.

    Raises
    ------
    ValueError
        Saying what to install.
    """
    # Found, not imported: once Panel is imported, Bokeh sends its scripts to every browser.
    if not (find_spec("bokeh") and find_spec("panel")):
        raise ValueError(INSTALL)


def explore(**state: Any) -> Page:
    """The page as an object that a notebook shows; ``fastquery explore`` serves the same in a browser.

    Parameters
    ----------
    state
        Fields of :class:`fastquery.page.state.State`: ``table``, ``tokens``, ``link``, ``designs``, ``N``, ``q``, ...

    Raises
    ------
    ValueError
        If Panel or Bokeh is missing, or a value cannot be.

    Examples
    --------
    >>> import fastquery as fq
    >>> page = fq.explore(table="gpt2", link="wan", designs=("cheetah", "folded"), focus="folded")
    >>> page.figures["folded"] == fq.estimate(table="gpt2", protocol="folded", link="wan").figures
    True
    """
    require_page()
    from fastquery.page.state import State
    from fastquery.page.view import Page

    return Page(State(**state))
