"""The page in Debian's Chromium: it opens, is dragged and clicked, and its numbers are those of `estimate --json`."""

from __future__ import annotations

import contextlib
import csv
import json
import os
import random
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from fastquery.cli import main
from fastquery.page.held import Refusal, hold
from fastquery.page.limits import reasons
from fastquery.page.offers import OFFERS
from fastquery.page.state import State
from fastquery.page.texts import seconds_text

pytestmark = pytest.mark.slow
READY = "[data-figure=latency_s]"
QUICK = ("cheetah", "fastquery-paper", "fastquery", "bumblebee", "iron", "cham")


@pytest.fixture(scope="module")
def url(browser: Any) -> Iterator[str]:
    command = [sys.executable, "-m", "fastquery", "explore", "--no-browser", "--json", "--table", "2000x96"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=dict(os.environ)) as server:
        assert server.stdout is not None
        said = ""
        for line in server.stdout:
            said += line
            with contextlib.suppress(json.JSONDecodeError):
                yield json.loads(said)["url"]
                break
        server.terminate()
        assert server.wait(120) == 128 + signal.SIGTERM


class Visit:
    """A page that remembers what it asked for and what it complained about."""

    def __init__(self, browser: Any, width: int = 1280, scheme: str = "light") -> None:
        self.page = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme).new_page()
        self.page.set_default_timeout(60_000)
        self.hosts: set[str] = set()
        self.paths: list[str] = []
        self.complaints: list[str] = []
        self.page.on("request", lambda one: self.hosts.add(urlsplit(one.url).hostname or urlsplit(one.url).scheme))
        self.page.on("request", lambda one: self.paths.append(urlsplit(one.url).path))
        self.page.on("console", lambda one: one.type == "error" and self.complaints.append(one.text))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))

    def open(self, url: str, query: str = "", ready: str = READY) -> None:
        self.page.goto(f"{url}?{query}")
        self.page.wait_for_selector(ready)

    def save(self, name: str, kind: str) -> bytes:
        chosen = self.page.locator(f"select[name=save-{name}]")
        # The choice goes back to the first once its file is made; the same choice again would be no change.
        self.page.wait_for_function("one => one.selectedIndex == 0", arg=chosen.element_handle())
        with self.page.expect_download() as waiting:
            chosen.select_option(kind)
        assert waiting.value.suggested_filename == f"{name}.{kind.lower()}"
        return Path(waiting.value.path()).read_bytes()

    def figures(self) -> dict[str, float]:
        cells = self.page.locator("[data-figure]").evaluate_all("all => all.map(one => ({...one.dataset}))")
        return {one["figure"]: float(one["value"]) for one in cells}

    def command(self) -> str:
        return str(self.page.locator("[data-copy=command]").inner_text())

    def rests(self) -> bool:
        """Whether nothing changes any more, and the address says the state."""
        before = self.command()
        self.page.wait_for_timeout(1500)
        state = State.of_address(urlsplit(self.page.url).query)
        return self.command() == before == state.command(state.focus)

    def wait_until(self, holds: Any) -> None:
        until = time.monotonic() + 60
        while not holds():
            assert time.monotonic() < until, "the page did not get there"
            self.page.wait_for_timeout(20)


def estimated(command: str, capsys: pytest.CaptureFixture[str]) -> dict[str, float]:
    assert main([*shlex.split(command)[1:], "--json"]) == 0
    found: dict[str, float] = json.loads(capsys.readouterr().out)
    return found


def test_it_opens_without_a_complaint_or_a_request_to_another_host(url: str, browser: Any) -> None:
    visit = Visit(browser)
    visit.open(url)
    for tab, shown in (("Published claims", "Verdict"), ("Measured campaign", "runs by two processes")):
        visit.page.get_by_text(tab, exact=True).click()
        visit.page.get_by_text(shown).first.wait_for()
    visit.page.wait_for_timeout(500)
    assert visit.hosts <= {"127.0.0.1", "blob", None}
    scripts = {path.removeprefix("/static/js/") for path in visit.paths if path.endswith(".js")}
    assert scripts == {"bokeh.min.js", "bokeh-widgets.min.js", "bokeh-tables.min.js"}
    assert visit.complaints == []


@pytest.mark.timeout(1200)
def test_numbers_are_those_of_estimate_for_twenty_states(
    url: str, browser: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    draw, visit = random.Random(21), Visit(browser)
    for _ in range(20):
        focus = draw.choice(QUICK)
        state = State(
            table=draw.choice(["2000x96", "30522x384", "llama-7b"]),
            tokens=draw.choice([1, 3, 16]),
            link=f"{draw.choice([1, 9, 44, 384, 2500])}Mbit/s,{draw.choice([0, 0.3, 40])}ms",
            designs=tuple(dict.fromkeys(["cheetah", focus])),
            focus=focus,
            flooding_bits=draw.choice([0, 20, 40]),
            N=draw.choice([None, 4096, 8192]),
            align_bits=draw.choice([0, 37]),
            queries=draw.choice([1, 1000]),
        )
        visit.open(url, state.address())
        assert visit.command() == state.command(focus)
        shown, printed = visit.figures(), estimated(state.command(focus), capsys)
        for name, value in shown.items():
            assert printed[name] == pytest.approx(value, rel=1e-12), (name, state)
    assert visit.complaints == []


def test_a_drag_of_the_bandwidth_and_its_address(url: str, browser: Any, capsys: pytest.CaptureFixture[str]) -> None:
    visit = Visit(browser)
    visit.open(url, "designs=cheetah+fastquery&focus=cheetah")
    before = visit.figures()["latency_s"]
    handle = visit.page.locator(".noUi-handle").first
    box = handle.bounding_box()
    visit.page.mouse.move(box["x"] + 5, box["y"] + 5)
    visit.page.mouse.down()
    visit.page.mouse.move(box["x"] - 45, box["y"] + 5, steps=6)
    visit.page.mouse.up()
    visit.wait_until(lambda: visit.figures()["latency_s"] > before)
    visit.wait_until(visit.rests)
    row = visit.page.locator(".slick-row").first.inner_text()
    assert seconds_text(visit.figures()["latency_s"]) in row
    assert estimated(visit.command(), capsys)["latency_s"] == pytest.approx(visit.figures()["latency_s"], rel=1e-12)
    again = Visit(browser)
    again.open(visit.page.url.split("?")[0], visit.page.url.split("?")[1])
    assert again.command() == visit.command()
    assert again.figures() == visit.figures()
    assert visit.complaints == again.complaints == []


def test_a_click_on_a_ring_takes_it(url: str, browser: Any) -> None:
    visit = Visit(browser)
    visit.open(url)
    assert " -N " not in visit.command()
    frame = visit.page.evaluate(
        """() => { const figure =
             [...Bokeh.documents[0]._all_models.values()].find((one) =>
               one.name == "rings" && one.renderers != null),
             view = Bokeh.index.find_one(figure)
             view.el.scrollIntoView({block: "center"})
             const box = view.canvas_view.el.getBoundingClientRect(), inner = view.frame.bbox
             return [box.left + inner.left + view.frame.x_scale.compute(100) - view.frame.x_scale.compute(23.5),
                     box.top + inner.top + inner.height * 0.5] }"""
    )
    visit.page.mouse.click(*frame)
    visit.wait_until(lambda: "-N 4096" in visit.command())
    assert "-q " in visit.command()
    assert visit.complaints == []


@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (1280, "dark"), (800, "light"), (800, "dark")])
def test_nothing_is_wider_than_the_window(url: str, browser: Any, width: int, scheme: str) -> None:
    visit = Visit(browser, width, scheme)
    visit.open(url)
    visit.wait_until(lambda: visit.page.evaluate("document.documentElement.dataset.ground === 'dark'")
                     == (scheme == "dark"))  # fmt: skip
    assert visit.page.evaluate("document.documentElement.scrollWidth") <= width
    assert visit.complaints == []


def test_a_keyboard_reaches_and_moves_the_bandwidth(url: str, browser: Any) -> None:
    visit = Visit(browser)
    visit.open(url, "designs=cheetah&focus=cheetah")
    before = visit.command()
    for _ in range(20):
        visit.page.keyboard.press("Tab")
        at = visit.page.evaluate(
            "() => { let at = document.activeElement; while (at?.shadowRoot?.activeElement) "
            "at = at.shadowRoot.activeElement; return at?.className ?? '' }"
        )
        if "noUi-handle" in at:
            break
    assert "noUi-handle" in at
    visit.page.keyboard.press("ArrowRight")
    visit.wait_until(lambda: visit.command() != before)
    assert visit.complaints == []


def test_an_address_that_cannot_be_is_said_and_the_page_opens(url: str, browser: Any) -> None:
    visit = Visit(browser)
    visit.open(url, "colour=red")
    visit.page.get_by_text("the address has 'colour'").wait_for()


def test_every_design_is_offered_to_the_browser(url: str, browser: Any) -> None:
    visit = Visit(browser)
    visit.open(url)
    for offer in OFFERS.values():
        assert visit.page.get_by_text(offer.legend, exact=True).count() >= 1


def test_a_session_is_selectable_and_has_the_figures_of_its_command(
    url: str, browser: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    state = State(table="2000x96", designs=("cheetah", "folded", "bucketed", "compressed"), focus="folded")
    visit = Visit(browser)
    visit.open(url, state.address())
    assert not visit.page.get_by_text("bytes in all").first.is_visible()
    typed = visit.page.get_by_label("Session, in the place of tokens")
    typed.fill("prompt=4,generated=16")
    typed.press("Enter")
    visit.wait_until(lambda: "first_share_s" in visit.figures())
    shown, printed = visit.figures(), estimated(visit.command(), capsys)
    assert "--workload prompt=4,generated=16" in visit.command()
    assert {name: printed[name] for name in shown} == pytest.approx(shown, rel=1e-12)
    assert visit.page.get_by_text("bytes in all").first.is_visible()
    again = Visit(browser)
    again.open(url, replace(state, workload="prompt=4,generated=16").address(), "[data-figure=first_share_s]")
    assert again.figures() == shown
    typed.fill("prompt=none")
    typed.press("Enter")
    visit.page.get_by_text("workload.prompt is 'none'").wait_for()
    assert visit.complaints == again.complaints == []


def test_figures_and_tables_are_saved(url: str, browser: Any) -> None:
    visit = Visit(browser)
    visit.open(url, "designs=cheetah+folded&focus=folded")
    assert visit.save("latency", "PNG").startswith(b"\x89PNG")
    assert visit.save("latency", "SVG").startswith(b"<svg")
    series = list(csv.reader(visit.save("latency", "CSV").decode().splitlines()))
    assert series[0][:1] == ["series"]
    assert {"Cheetah", "Folded query", "at the link"} <= {row[0] for row in series}
    rows = list(csv.DictReader(visit.save("designs", "CSV").decode().splitlines()))
    assert [row["name"] for row in rows] == ["cheetah", "folded"]
    assert float(rows[1]["latency_s"]) == pytest.approx(visit.figures()["latency_s"], rel=1e-12)
    assert visit.hosts <= {"127.0.0.1", "blob", None}
    assert visit.complaints == []


def test_a_search_of_the_designs_by_keyboard(url: str, browser: Any) -> None:
    visit = Visit(browser)
    visit.open(url, "designs=cheetah+folded&focus=folded")

    def designs() -> list[str]:
        return [row["name"] for row in csv.DictReader(visit.save("designs", "CSV").decode().splitlines())]

    assert designs() == ["cheetah", "folded"]
    visit.page.get_by_placeholder("Search all columns").focus()
    visit.page.keyboard.type("folded")
    visit.wait_until(lambda: designs() == ["folded"])
    for _ in "folded":
        visit.page.keyboard.press("Backspace")
    visit.wait_until(lambda: designs() == ["cheetah", "folded"])
    assert visit.complaints == []


def test_the_command_line_is_copied(url: str, browser: Any) -> None:
    visit = Visit(browser)
    visit.page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    visit.open(url, "designs=cheetah&focus=cheetah&link=9Mbit/s,40ms")
    for k, name in enumerate(("command", "call")):
        visit.page.get_by_role("button", name="Copy").nth(k).click()
        wanted = visit.page.locator(f"[data-copy={name}]").inner_text()
        visit.wait_until(lambda wanted=wanted: visit.page.evaluate("navigator.clipboard.readText()") == wanted)
    assert visit.complaints == []


def test_why_not_names_what_excludes_each_excluded_design(url: str, browser: Any) -> None:
    state = State(table="2000x96", designs=tuple(OFFERS), N=1024, q="27", hidden=True, most_setup_bytes=1.0)
    visit = Visit(browser)
    visit.open(url, state.address())
    said = {" ".join(row.split()) for row in visit.page.locator("ul.why-not li").all_inner_texts()}
    held = {name: hold(state, name) for name in OFFERS}
    why = {
        OFFERS[name].legend: str(one)
        if isinstance(one, Refusal)
        else "; ".join(reasons(one.figures(state.over), state))
        for name, one in held.items()
    }
    assert said == {" ".join(f"{legend} {text}".split()) for legend, text in why.items() if text}
    assert any(isinstance(one, Refusal) for one in held.values())
    assert visit.complaints == []


def test_a_search_of_rings_adds_its_front(url: str, browser: Any) -> None:
    visit = Visit(browser)
    visit.open(url, "table=2000x96&designs=folded&focus=folded")
    alone = visit.save("front", "CSV").count(b"\n")
    visit.page.get_by_role("button", name="Search rings").click()
    visit.wait_until(lambda: b"Folded query, searched" in visit.save("front", "CSV"))
    assert visit.save("front", "CSV").count(b"\n") > alone
    assert visit.complaints == []
