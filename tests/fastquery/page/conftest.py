"""The browser that tests of the page look through."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

CHROMIUM = Path("/usr/bin/chromium")
FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking",
         "--disable-component-update", "--no-first-run"]  # fmt: skip


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """Debian's Chromium; a test that asks for it is skipped where it or the extra page is missing."""
    pytest.importorskip("panel", reason="the page's tests need the extra page")
    playwright = pytest.importorskip("playwright.sync_api", reason="the page's tests need playwright")
    if not CHROMIUM.exists():
        pytest.skip(f"the page's tests need {CHROMIUM} (Debian's package chromium)")
    with playwright.sync_playwright() as driver:
        started = driver.chromium.launch(executable_path=str(CHROMIUM), args=FLAGS)
        yield started
        started.close()
