"""A diagram a protocol, drawn from its ledger: who computes and who sends, phase by phase."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape

import fastquery as fq
from costmodel.estimate import Entry
from costmodel.systems import SYSTEMS
from fastquery.page.texts import bytes_text, seconds_text

WIDTH, CLIENT, SERVER, ROW, LINE = 760, 210, 550, 30, 21
"""Pixels: of the picture, where the lines of client and server stand, between arrows, and between lines of text."""
PHASES = {"setup": "once a client", "offline": "before the token", "online": "the lookup"}
INTRODUCTION = """# Protocols, one by one

Every diagram is drawn from the ledger of one lookup in LLaMA-7B's table. Arrows are messages with their bytes. Beside
the lines stands the work of either party with its CPU seconds, in the order of the ledger.
"""


def page() -> str:
    """The page of all systems."""
    parts = [INTRODUCTION]
    for system in SYSTEMS:
        entries = fq.estimate(table="llama-7b", protocol=system.name).entries
        parts.append(f"## {system.legend}\n\n```{{raw}} html\n{diagram(entries, system.legend)}\n```\n")
    return "\n".join(parts)


def diagram(entries: tuple[Entry, ...], name: str) -> str:
    """The ledger as an SVG in the colours of its surroundings."""
    drawn, top = [], 40
    for phase, meaning in PHASES.items():
        within = [one for one in entries if one.phase == phase]
        if not any(one.bytes or one.seconds for one in within):
            continue
        drawn.append(_text(WIDTH / 2, top, f"{phase}: {meaning}", "middle", "font-weight='600'"))
        top += 12
        sent = [one for one in within if one.bytes]
        done = {
            party: [one for one in within if one.seconds is not None and one.count and one.party == party]
            for party in ("client", "server")
        }
        for k, one in enumerate(sent):
            drawn += _arrow(one, top + ROW * k + 20)
        for party, x, anchor in (("client", CLIENT - 12, "end"), ("server", SERVER + 12, "start")):
            for k, one in enumerate(done[party]):
                spent = f", {seconds_text(one.seconds)}" if one.seconds else ""
                drawn.append(_text(x, top + LINE * k + 20, f"{one.item}{spent}", anchor))
        top += max(ROW * len(sent), *(LINE * len(one) for one in done.values())) + 26
    lines = [
        f"<line x1='{x}' y1='24' x2='{x}' y2='{top - 20}' stroke='currentColor' stroke-opacity='.35'/>"
        + _text(x, 16, party, "middle", "font-weight='600'")
        for x, party in ((CLIENT, "client"), (SERVER, "server"))
    ]
    return (
        f"<svg viewBox='0 0 {WIDTH} {top - 14}' role='img' aria-label='{escape(name)}: messages and work' "
        f"fill='currentColor' style='max-width:{WIDTH}px' font-size='13' font-family='system-ui, sans-serif'>"
        + "".join([*lines, *drawn])
        + "</svg>"
    )


def _arrow(one: Entry, y: int) -> Iterator[str]:
    start, end, back = (CLIENT, SERVER, -9) if one.party == "client" else (SERVER, CLIENT, 9)
    yield f"<line x1='{start}' y1='{y}' x2='{end}' y2='{y}' stroke='currentColor'/>"
    yield f"<path d='M{end} {y} l{back} -4 v8 z'/>"
    yield _text(WIDTH / 2, y - 5, f"{one.item}, {bytes_text(one.bytes)}", "middle")


def _text(x: float, y: float, text: str, anchor: str, more: str = "") -> str:
    return f"<text x='{x:g}' y='{y:g}' text-anchor='{anchor}' {more}>{escape(text)}</text>"
