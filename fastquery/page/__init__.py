"""A page to explore designs, parameters and links by hand (extra ``page``)."""

from __future__ import annotations

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
    try:
        import bokeh  # noqa: F401
        import panel  # noqa: F401
    except ImportError:
        raise ValueError(INSTALL) from None


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
    >>> page = fq.explore(table="gpt2", link="wan")  # doctest: +SKIP
    """
    require_page()
    from fastquery.page.state import State
    from fastquery.page.view import Page

    return Page(State(**state))
