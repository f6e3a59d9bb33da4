"""A notebook's cell that ends in `fq.explore(...)` shows the page, without a request to another host."""

from __future__ import annotations

from pathlib import Path

import pytest

nbformat = pytest.importorskip("nbformat", reason="notebooks need the extra docs")
nbclient = pytest.importorskip("nbclient", reason="notebooks need the extra docs")
pytest.importorskip("panel", reason="the page's tests need the extra page")
playwright = pytest.importorskip("playwright.sync_api", reason="the page's tests need playwright")
CHROMIUM = Path("/usr/bin/chromium")
if not CHROMIUM.exists():
    pytest.skip(f"the page's tests need {CHROMIUM} (Debian's package chromium)", allow_module_level=True)

pytestmark = pytest.mark.slow
CELLS = (
    "import panel as pn\npn.extension(inline=True)",
    "import fastquery as fq\nfq.explore(table='2000x96', designs=('cheetah',), focus='cheetah')",
)


def test_a_cell_shows_the_page(tmp_path: Path) -> None:
    book = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in CELLS])
    nbclient.NotebookClient(book, timeout=200, kernel_name="python3").execute()
    shown = [output["data"] for cell in book.cells for output in cell.outputs if "data" in output]
    assert "estimate --table 2000x96" in shown[-1]["text/html"]
    page = tmp_path / "notebook.html"
    page.write_text(
        "".join(f"{one.get('text/html', '')}<script>{one.get('application/javascript', '')}</script>" for one in shown)
    )
    asked: list[str] = []
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(
            executable_path=str(CHROMIUM), args=["--headless", "--no-sandbox", "--disable-gpu"]
        )
        visit = browser.new_page()
        visit.on("request", lambda one: asked.append(one.url))
        visit.goto(page.as_uri())
        visit.wait_for_selector("[data-figure=latency_s]", timeout=60_000)
        browser.close()
    assert [url for url in asked if not url.startswith(("file:", "data:", "blob:"))] == []
