"""Real texts for perplexities: what test data of the package gensim carries, or any file.

gensim is under the LGPL, its extract of Wikipedia under CC BY-SA 3.0: both are installed, and neither is part of this
project.
"""

from __future__ import annotations

import bz2
import html
import re
from collections.abc import Callable
from pathlib import Path
from typing import Final, NamedTuple

from quantize._optional import packaged_file
from quantize.files import require_digest

PACKAGE: Final = "gensim"
VERSION: Final = "4.4.0"
SHORTEST_PARAGRAPH: Final = 200  # characters: shorter lines are lists, captions and headings


class Text(NamedTuple):
    """A text of the package: its file, the file's hash, how it is read, and words for reports."""

    file: str
    sha256: str
    read: Callable[[bytes], str]
    says: str


def read_text(name: str) -> str:
    """A text by name, or of a file in UTF-8.

    Parameters
    ----------
    name : str
        A name of `TEXTS` or a path.

    Raises
    ------
    ValueError
        If it is neither, the package is missing, or its file is another than the one that was measured.
    """
    if name in TEXTS:
        text = TEXTS[name]
        path = packaged_file(PACKAGE, text.file, f"text {name!r}", VERSION)
        require_digest(path, text.sha256, f"text {name!r}")
        return text.read(path.read_bytes())
    path = Path(name)
    if not path.is_file():
        raise ValueError(f"text: {name!r} is no file; valid are {', '.join(TEXTS)}, and a path to a file in UTF-8")
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise ValueError(f"text: {name!r} is not in UTF-8 ({error})") from error


def wikipedia_paragraphs(dump: str) -> str:
    """Titles and paragraphs of the articles of an XML dump of Wikipedia, without its markup.

    Templates, tables, references and links' targets go; lists, headings and short lines go as well.
    """
    articles = []
    for title, body in re.findall(r"<title>(.*?)</title>.*?<text[^>]*>(.*?)</text>", dump, flags=re.DOTALL):
        if body.lower().startswith("#redirect"):
            continue
        lines = (line.strip() for line in _without_markup(html.unescape(body)).split("\n"))
        paragraphs = [line for line in lines if len(line) > SHORTEST_PARAGRAPH and line[0] not in "*|!#;:{}="]
        if paragraphs:
            articles.append("\n\n".join([html.unescape(title), *paragraphs]))
    return "\n\n".join(articles)


def _without_markup(body: str) -> str:
    for _ in range(6):  # templates within templates
        body = re.sub(r"\{\{[^{}]*\}\}", "", body)
        body = re.sub(r"\{\|[^{}]*?\|\}", "", body)
    body = re.sub(r"<ref[^>]*/>|<(ref|gallery|math)\b.*?</\1>|<!--.*?-->", "", body, flags=re.DOTALL)
    body = re.sub(r"<[^>]+>", "", body)
    body = re.sub(r"\[\[(?:File|Image|Category)[^\[\]]*(?:\[\[[^\]]*\]\][^\[\]]*)*\]\]", "", body)
    body = re.sub(r"\[\[(?:[^\]|]*\|)?([^\]]*)\]\]", r"\1", body)
    body = re.sub(r"\[https?://\S+ ?([^\]]*)\]", r"\1", body)
    return body.replace("'''", "").replace("''", "")


def _wikipedia(content: bytes) -> str:
    return wikipedia_paragraphs(bz2.decompress(content).decode("utf-8"))


def _news(content: bytes) -> str:
    return content.decode("utf-8").replace("\r\n", "\n").replace("\n", "\n\n")


TEXTS: Final[dict[str, Text]] = {
    "wikipedia": Text(
        "test_data/enwiki-latest-pages-articles1.xml-p000000010p000030302-shortened.bz2",
        "a53f4648dec40467ebdcbc7a1307eddb51fe6e28e9309f6ebde81ba0d04bea2d",
        _wikipedia,
        "97 articles of the English Wikipedia",
    ),
    "news": Text(
        "test_data/lee_background.cor",
        "5d78d6dafd953bbf65797bef09a9ffb9ec430583381be705f8fd460000f370fb",
        _news,
        "300 news items of the Australian Broadcasting Corporation",
    ),
}
