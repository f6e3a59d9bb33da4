"""The documentation site as built: nothing comes from another host, links lead somewhere, and all is two clicks away.

``make docs`` and ``make docs-check`` run it on the folder that Sphinx has written:
``python tools/check_site.py docs/_build/html``.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

CLICKS = 2
"""From the front page to any other, at most."""
BESIDE = ("genindex.html", "py-modindex.html", "search.html")
"""Pages of Sphinx's own: the theme's search opens in place."""
FETCHED = {"script": "src", "img": "src", "source": "src", "iframe": "src", "object": "data", "link": "href"}
"""By element, the attribute whose address a browser asks for by itself."""
URL = re.compile(r"""url\(\s*["']?([^"')]+)|@import\s+["']([^"']+)""")


class Page(HTMLParser):
    """Addresses that a page fetches, addresses that it links to, and the places that links to it may name."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.fetched: list[str] = []
        self.links: list[str] = []
        self.places: set[str] = set()
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note what an element names."""
        given = {name: value for name, value in attrs if value}
        self.places |= {given[name] for name in ("id", "name") if name in given}
        if tag == "a" and "href" in given:
            self.links.append(given["href"])
        if FETCHED.get(tag) in given:
            self.fetched.append(given[FETCHED[tag]])
        self.fetched += _urls(given.get("style", ""))


def _urls(sheet: str) -> list[str]:
    return [one or other for one, other in URL.findall(sheet)]


def is_elsewhere(address: str) -> bool:
    """Whether an address is of another host."""
    return bool(urlsplit(address).netloc)


def target(page: Path, address: str) -> tuple[Path, str]:
    """File and place that a relative address on a page leads to."""
    parts = urlsplit(address)
    return (page.parent / unquote(parts.path)).resolve() if parts.path else page, unquote(parts.fragment)


def problems(site: Path) -> Iterator[str]:
    """Everything that is wrong with a site, a line each."""
    pages = {path: Page(path) for path in sorted(site.rglob("*.html")) if "_static" not in path.parts}
    for path, page in pages.items():
        name = path.relative_to(site)
        yield from (f"{name} fetches {one} from another host" for one in page.fetched if is_elsewhere(one))
        for link in page.links:
            if urlsplit(link).scheme or is_elsewhere(link):
                continue
            file, place = target(path, link)
            if not file.exists():
                yield f"{name} links to {link}, which is no file of the site"
            elif place and file in pages and place not in pages[file].places:
                yield f"{name} links to {link}, which is no place of that page"
    for path in site.rglob("*.css"):
        for one in _urls(path.read_text(encoding="utf-8")):
            if is_elsewhere(one):
                yield f"{path.relative_to(site)} fetches {one} from another host"
    front = site / "index.html"
    reached, edge = {front}, {front}
    for _ in range(CLICKS):
        edge = {target(path, link)[0] for path in edge & pages.keys() for link in pages[path].links} - reached
        reached |= edge
    yield from (f"{path.relative_to(site)} is more than {CLICKS} clicks from the front page" for path in pages
                if path not in reached and path.name not in BESIDE)  # fmt: skip


def main(arguments: list[str]) -> int:
    """Print everything that is wrong; 0 only if nothing is."""
    site = Path(arguments[0]).resolve()
    if not (site / "index.html").is_file():
        print(f"{site} has no index.html: build the site first (make docs)", file=sys.stderr)
        return 2
    found = sorted(set(problems(site)))
    print("\n".join(found), end="\n" if found else "")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
