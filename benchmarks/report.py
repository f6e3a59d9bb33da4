"""Markdown that benchmarks write into documents, each between markers of its own."""

from __future__ import annotations

from collections.abc import Iterable, Sequence


def replaced(document: str, name: str, text: str) -> str:
    """The document with the text between ``<!-- name -->`` and ``<!-- /name -->``.

    Raises
    ------
    ValueError
        If it does not have both markers, in order.
    """
    opening, closing = f"<!-- {name} -->", f"<!-- /{name} -->"
    before, start, rest = document.partition(opening)
    _, end, after = rest.partition(closing)
    if not (start and end):
        raise ValueError(f"document has no {opening} ... {closing} to fill")
    return f"{before}{opening}\n{text.strip()}\n{closing}{after}"


def table(heads: Sequence[str], rows: Iterable[Sequence[str]], texts: int = 1) -> str:
    """A table whose first columns are text and whose others are numbers."""
    rules = ["---"] * texts + ["---:"] * (len(heads) - texts)
    return "\n".join("| " + " | ".join(cells) + " |" for cells in (heads, rules, *rows))


def shown(value: float | None, form: str) -> str:
    """A number, or nothing where there is none."""
    return "" if value is None else format(value, form)
