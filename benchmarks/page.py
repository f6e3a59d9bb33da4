"""How long the page takes in a browser: to its first figures, and from a drag to what the drag changes.

`python -m benchmarks.page [--loads K] [--moves K]` serves the page and opens it in Debian's Chromium.

A load lasts from the request to the paint of the last figure. Its CPU seconds are those of the server and of Chromium.
A drag moves the handle of the bandwidth by the mouse, one pixel at a time or as fast as events come; an event is
answered when the figure of the latency is painted with its mark on the rate that the handle shows. A ring degree is
answered when the figure is painted with a curve of the new degree.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

CHROMIUM = Path("/usr/bin/chromium")
FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run"]
TICKS_PER_S = os.sysconf("SC_CLK_TCK")
READY = """() => {
  const figures = [...(window.Bokeh?.documents[0]?._all_models.values() ?? [])]
    .filter((one) => one.renderers != null && one.toolbar != null)
  return figures.length > 0 && figures.every((one) => Bokeh.index.find_one(one)?._render_count > 0)
}"""
"""Script that says whether every figure is painted."""

PROBE = """() => {
  const models = [...Bokeh.documents[0]._all_models.values()]
  const figure = models.find((one) => one.name == "bandwidth" && one.renderers != null)
  const slider = models.find((one) => one.type == "Slider" && one.title == "Bandwidth")
  const marks = figure.renderers.find((one) => one.name == "at the link").data_source
  const view = Bokeh.index.find_one(figure), paint = view._actual_paint.bind(view)
  const curves = () => figure.renderers.filter((one) => one.visible && one.name != "at the link")
    .map((one) => one.data_source.data)
  const probe = window.probe = {asked: null, answers: [], paints: 0}
  slider.properties.value.change.connect(() => { probe.asked ??= performance.now() })
  probe.ask = () => { probe.before = curves(); probe.asked = performance.now() }
  view._actual_paint = () => {
    paint()
    probe.paints += 1
    if (probe.asked == null) return
    const answered = probe.before == null
      ? Math.abs(Math.log10(marks.data.rate[0]) - slider.value) < 1e-3
      : curves().some((one, k) => one != probe.before[k])
    if (answered) {
      probe.answers.push(performance.now() - probe.asked)
      probe.asked = probe.before = null
    }
  }
}"""
"""Script that notes the milliseconds from a question to the paint that answers it."""


def cpu_s(pid: int) -> float:
    """CPU seconds of a process and of its living descendants."""
    found = 0.0
    with suppress(OSError):
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        found = (int(fields[11]) + int(fields[12])) / TICKS_PER_S
        for task in Path(f"/proc/{pid}/task").iterdir():
            found += sum(cpu_s(int(child)) for child in (task / "children").read_text().split())
    return found


@contextmanager
def served(*arguments: str) -> Iterator[tuple[str, int]]:
    """The page's address, and the process that serves it."""
    command = [sys.executable, "-m", "fastquery", "explore", "--no-browser", "--json", *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        said = ""
        for line in server.stdout:
            said += line
            with suppress(json.JSONDecodeError):
                url = json.loads(said)["url"]
                break
        try:
            yield url, server.pid
        finally:
            server.terminate()
            server.communicate()


def loaded(browser: Any, url: str, server: int) -> tuple[Any, dict[str, float]]:
    """The page in a window of its own, without anything in its cache, and what that took."""
    page = browser.new_context(viewport={"width": 1280, "height": 900}).new_page()
    before_s, server_s, start = cpu_s(os.getpid()), cpu_s(server), time.perf_counter()
    page.goto(url, wait_until="commit")
    shown_s = time.perf_counter() - start
    page.wait_for_function(READY, timeout=120_000)
    wall_s = time.perf_counter() - start
    spent = {
        "first byte": shown_s,
        "painted": wall_s,
        "server CPU": cpu_s(server) - server_s,
        "browser CPU": cpu_s(os.getpid()) - before_s - (cpu_s(server) - server_s),
    }
    return page, spent


def dragged_ms(page: Any, moves: int) -> list[float]:
    """Milliseconds from each of so many moves of the handle, one after the other, to its paint."""
    page.evaluate(PROBE)
    box = page.locator(".noUi-handle").first.bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(x, y)
    page.mouse.down()
    for k in range(moves):
        x += 1 if k % 40 < 20 else -1
        page.mouse.move(x, y)
        with suppress(Exception):  # a pixel may be less than a step of the slider
            page.wait_for_function("() => window.probe.asked == null", timeout=5000)
        page.wait_for_timeout(40)
    page.mouse.up()
    return list(page.evaluate("window.probe.answers"))


def chosen_ms(page: Any, degrees: list[str]) -> list[float]:
    """Milliseconds from each choice of a ring degree to the paint of its curve."""
    for degree in degrees:
        page.evaluate("window.probe.ask()")
        page.get_by_label("Ring degree N").select_option(degree)
        page.wait_for_function("() => window.probe.asked == null", timeout=30_000)
        page.wait_for_timeout(200)
    return list(page.evaluate("window.probe.answers"))[-len(degrees) :]


def said(name: str, values: list[float], unit: str, form: str = ".0f") -> None:
    """One line: median, best and worst."""
    print(f"{name:24} {statistics.median(values):{form}} {unit} "
          f"({min(values):{form}} to {max(values):{form}}, {len(values)} times)", flush=True)  # fmt: skip


def main(arguments: list[str] | None = None) -> int:
    """Measure, and print a line a quantity."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--loads", type=int, default=5, help="loads of the page (default 5)")
    parser.add_argument("--moves", type=int, default=40, help="moves of the bandwidth (default 40)")
    chosen = parser.parse_args(arguments)
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        print("the page is timed by playwright: pip install 'fastquery[test]'", file=sys.stderr)
        return 2
    if not CHROMIUM.exists():
        print(f"the page is timed in {CHROMIUM}: apt install chromium", file=sys.stderr)
        return 2
    with served() as (url, server), sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=str(CHROMIUM), args=FLAGS)
        loads = []
        for _ in range(chosen.loads):
            page, spent = loaded(browser, url, server)
            loads.append(spent)
            page.wait_for_timeout(500)
            if len(loads) < chosen.loads:
                page.context.close()
        for name in loads[0]:
            said(f"load, {name}", [one[name] for one in loads], "s", ".2f")
        said("drag of the bandwidth", dragged_ms(page, chosen.moves), "ms")
        said("choice of N", chosen_ms(page, ["8192", "2048", "4096", "8192", "4096"]), "ms")
        browser.close()
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
