"""HTML: templates that lie beside the code of each package, filled by Jinja2."""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jinja2 import Environment


def filled(template: str, **values: Any) -> str:
    """A template with its values in their places, every text escaped.

    Parameters
    ----------
    template
        Package and file, ``validate/report.html`` for ``validate/templates/report.html``. A template that extends or
        includes another names it alike.
    values
        By the names that the template has.

    Raises
    ------
    jinja2.TemplateNotFound
        If the package has no such template.
    jinja2.UndefinedError
        If the template has a name that no value has.

    Examples
    --------
    >>> print(filled("costmodel/result.html", headline={"table": "<300x24>"}, tables={}))
    <table>
    <tr><th>table</th><td>&lt;300x24&gt;</td></tr>
    </table>
    """
    return _environment().get_template(template).render(values)


@cache
def _environment() -> Environment:
    from jinja2 import Environment, FunctionLoader, StrictUndefined  # of no use to a command that writes no HTML

    return Environment(
        loader=FunctionLoader(_source), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )


def _source(template: str) -> str | None:
    package, _, name = template.partition("/")
    place = files(package) / "templates" / name
    return place.read_text(encoding="utf-8") if place.is_file() else None
