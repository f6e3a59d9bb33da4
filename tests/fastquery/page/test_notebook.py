"""A notebook's cell that ends in `fq.explore(...)` shows the page, without a request to another host."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

nbformat = pytest.importorskip("nbformat", reason="notebooks need the extra docs")
nbclient = pytest.importorskip("nbclient", reason="notebooks need the extra docs")

pytestmark = pytest.mark.slow
CELLS = (
    "import panel as pn\npn.extension(inline=True)",
    "import fastquery as fq\nfq.explore(table='2000x96', designs=('cheetah',), focus='cheetah')",
)


def test_a_cell_shows_the_page(tmp_path: Path, browser: Any) -> None:
    book = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in CELLS])
    nbclient.NotebookClient(book, timeout=200, kernel_name="python3").execute()
    shown = [output["data"] for cell in book.cells for output in cell.outputs if "data" in output]
    assert "estimate --table 2000x96" in shown[-1]["text/html"]
    page = tmp_path / "notebook.html"
    page.write_text(
        "".join(f"{one.get('text/html', '')}<script>{one.get('application/javascript', '')}</script>" for one in shown)
    )
    asked: list[str] = []
    visit = browser.new_page()
    visit.on("request", lambda one: asked.append(one.url))
    visit.goto(page.as_uri())
    visit.wait_for_selector("[data-figure=latency_s]", timeout=60_000)
    assert [url for url in asked if not url.startswith(("file:", "data:", "blob:"))] == []
