"""The page's state: words, addresses, commands and calls that all mean the same."""

from __future__ import annotations

import ast
import json
import shlex
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

import fastquery as fq
from costmodel.link import PRESETS
from fastquery.cli import main
from fastquery.page import INSTALL, require_page
from fastquery.page.held import Held, Refusal, hold
from fastquery.page.limits import reasons
from fastquery.page.offers import OFFERS
from fastquery.page.state import State
from fastquery.words import link_of

STATES = st.builds(
    State,
    table=st.sampled_from(["llama-7b", "gpt2", "1000x96"]),
    tokens=st.integers(1, 64),
    workload=st.sampled_from(["", "prompt=16", "prompt=8,generated=64,rate=2"]),
    link=st.sampled_from(["9Mbit/s,40ms", "lan", "123.4kbit/s,7ms"]),
    designs=st.lists(st.sampled_from(list(OFFERS)), unique=True).map(tuple),
    focus=st.sampled_from(list(OFFERS)),
    N=st.none() | st.sampled_from([2048, 4096]),
    p=st.none() | st.integers(2, 40),
    q=st.sampled_from(["", "39", "48+48"]),
    packing=st.sampled_from(["", "4,3,3"]),
    flooding_bits=st.integers(0, 60),
    failure=st.floats(-100, -1),
    prepared=st.booleans(),
    align_bits=st.sampled_from([0, 37]),
    queries=st.integers(1, 10**6),
    most_bytes=st.none() | st.floats(1, 1e9),
    hidden=st.booleans(),
)


@given(STATES)
def test_an_address_restores_the_state(state: State) -> None:
    assert State.of_address("?" + state.address()) == state


def test_the_first_state_has_a_bare_address() -> None:
    assert State().address() == ""


@pytest.mark.parametrize(
    "query", ["colour=red", "tokens=many", "designs=nobody", "hidden=yes", "link=fast", "workload=prompt"]
)
def test_an_address_that_cannot_be_names_the_field(query: str) -> None:
    with pytest.raises(ValueError, match=query.split("=")[0].rstrip("s")):
        State.of_address(query)


@pytest.mark.parametrize("design", ["cheetah", "fastquery-paper", "fastquery"])
@pytest.mark.parametrize("link", ["lan", "9Mbit/s,40ms", "2.5Gbit/s,0.3ms"])
def test_command_call_and_held_ledger_give_the_same_figures(
    design: str, link: str, capsys: pytest.CaptureFixture[str]
) -> None:
    state = State(table="5000x300", tokens=3, link=link, flooding_bits=20, N=4096, q="45+45", align_bits=0)
    held = hold(state, design)
    assert isinstance(held, Held)
    figures = held.figures(link_of(link))
    call = ast.parse(state.call(design), mode="eval").body
    assert isinstance(call, ast.Call)
    words = {one.arg: ast.literal_eval(one.value) for one in call.keywords if one.arg}
    assert fq.estimate(**words).figures == figures
    assert main([*shlex.split(state.command(design))[1:], "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert {name: printed[name] for name in figures} == pytest.approx(figures, rel=1e-15)


def test_another_link_prices_the_held_ledger_again() -> None:
    state = State(table="5000x300")
    held = hold(state, "cheetah")
    assert isinstance(held, Held)
    assert hold(replace(state, link="lan"), "cheetah") is held
    on_wan = held.figures(PRESETS["wan"])
    assert on_wan == fq.estimate(table="5000x300", protocol="cheetah", link="wan").figures


@pytest.mark.parametrize("design", ["cheetah", "folded", "bucketed", "compressed"])
def test_a_session_has_the_figures_of_its_command(design: str, capsys: pytest.CaptureFixture[str]) -> None:
    state = State(table="1000x96", workload="prompt=4,generated=16", link="9Mbit/s,40ms", designs=(design,))
    held = hold(state, design)
    assert isinstance(held, Held)
    found = held.session(state.session, state.over)
    assert main([*shlex.split(state.command(design))[1:], "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert {name: printed[name] for name in found} == pytest.approx(found, rel=1e-15)
    assert set(found) > {"total_bytes", "first_share_s", "share_s", "security_bits"}


def test_a_design_that_cannot_be_says_why() -> None:
    refused = hold(State(table="5000x300", N=1024, q="27"), "fastquery")
    assert isinstance(refused, Refusal)
    assert "ring" in refused


def test_what_holds_every_bound_has_no_reasons() -> None:
    held = hold(State(table="5000x300"), "fastquery")
    assert isinstance(held, Held)
    figures = held.figures(PRESETS["lan"])
    assert reasons(figures, State(hidden=True)) == []
    assert len(reasons(figures, State(most_bytes=1.0, most_s=1e-9, most_setup_bytes=1.0))) == 3


def test_without_the_extra_one_line_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "panel", None)
    with pytest.raises(ValueError, match=r"pip install 'fastquery\[page\]'"):
        require_page()
    assert main(["explore", "--no-browser"]) == 2
    assert capsys.readouterr().err == f"fastquery explore: {INSTALL}\n"


def test_a_document_of_the_page_is_whole(caplog: pytest.LogCaptureFixture) -> None:
    """What Bokeh checks of every document by default, and the server of the page leaves to this test."""
    pytest.importorskip("panel", reason="the page's views need the extra page")
    from bokeh.document import Document

    from fastquery.page.serve import Pages

    document = Document()
    Pages(State(table="1000x96", designs=("cheetah", "folded"), workload="prompt=4,generated=2")).fill(document)
    document.validate()
    assert [one.getMessage() for one in caplog.records if one.name.startswith("bokeh")] == []


def test_the_first_page_is_built_before_it_is_asked_for() -> None:
    pytest.importorskip("panel", reason="the page's views need the extra page")
    from bokeh.document import Document

    from fastquery.page.serve import Pages

    pages, documents = Pages(State(table="1000x96", designs=("cheetah",))), (Document(), Document())
    ready = pages._ready
    for document in documents:
        pages.fill(document)
    assert ready is not None
    assert documents[0].roots == [ready.layout]
    assert documents[1].roots != documents[0].roots


def test_a_drag_sends_data_once_and_lays_nothing_out() -> None:
    """The browser lays the page out again for every property but data; texts are data here."""
    pytest.importorskip("panel", reason="the page's views need the extra page")
    from bokeh.document import Document
    from bokeh.models import ColumnDataSource, Slider, Span, TextInput

    from fastquery.page.serve import Pages

    pages, document = Pages(State(table="1000x96", designs=("cheetah",), focus="cheetah")), Document()
    page = pages._ready
    assert page is not None
    pages.fill(document)
    sent: list[object] = []
    document.on_change(lambda event: sent.append(event.model))
    page.controls.rate.value = 8.0
    assert page.state.link == "100Mbit/s,40ms"
    assert "over 100Mbit/s,40ms" in page.told.source.data["headline"][0]
    assert page.told.source in sent
    assert {type(one) for one in sent} == {ColumnDataSource, Slider, Span, TextInput}
    assert len(sent) == len(set(sent))


@pytest.mark.parametrize(
    ("text", "found"),
    [("", ["cheetah", "iron", "folded"]), ("FOLD", ["folded"]), ("fold cheetah", []), ("2^14", []), ("8192", ["iron"])],
)
def test_a_search_leaves_designs_with_all_its_words(text: str, found: list[str]) -> None:
    pytest.importorskip("panel", reason="the page's views need the extra page")
    from fastquery.page.view import Page

    page = Page(State(table="1000x96", designs=("cheetah", "iron", "folded")))
    page.designs.search.value_input = text
    assert page.designs.source.data["name"] == found
    page.controls.set(link="lan")
    assert page.designs.source.data["name"] == found


def test_every_design_can_be_drawn() -> None:
    pytest.importorskip("panel", reason="the page's views need the extra page")
    from fastquery.page.view import Page

    page = Page(State(table="1000x96", designs=tuple(OFFERS)))
    assert page.designs.source.data["name"] == list(OFFERS)
    assert page.refused == {}
