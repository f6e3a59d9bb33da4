"""Texts that change as one drags, put into their places by the browser itself."""

from __future__ import annotations

from collections.abc import Mapping

from bokeh.models import ColumnDataSource, CustomJS, Div

from fastquery.page.shape import text
from fastquery.page.style import put

PUT = """
for (const name of Object.keys(places)) {
  const view = Bokeh.index.find_one(places[name]), html = cb_obj.data[name][0]
  if (places[name].text == html) continue
  places[name].setv({text: html}, {silent: true})
  if (view?.markup_el != null) view.markup_el.innerHTML = html
}
"""


class Told:
    """Texts by name.

    Bokeh lays out the whole page again for every text that it is given. These texts reach the browser as the data of a
    source, and stand in their places without that.

    Parameters
    ----------
    classes
        The CSS class of each text's place, by the text's name; an empty one for none.

    Attributes
    ----------
    places
        What to put on the page, by name.
    """

    def __init__(self, classes: Mapping[str, str]) -> None:
        self.places: dict[str, Div] = {name: text("", *one.split()) for name, one in classes.items()}
        self.source = ColumnDataSource({name: [""] for name in classes})
        self.source.js_on_change("data", CustomJS(args={"places": self.places}, code=PUT))
        for place in self.places.values():
            place.tags = [self.source]  # with its places the source becomes a part of the document
        self._told: dict[str, str] = dict.fromkeys(classes, "")

    def tell(self, **texts: str) -> None:
        """Change texts, as HTML; :meth:`send` puts them into their places."""
        self._told |= texts

    def send(self) -> None:
        """Put all texts that were told into their places, in one message to the browser."""
        if self.source.document is None:
            for name, html in self._told.items():
                self.places[name].text = html
        put(self.source, {name: [html] for name, html in self._told.items()})
