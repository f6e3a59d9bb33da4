"""Links between namespaces: what shapes them, what is said where there are none, and the kernel's TCP over one."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import threading
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pandas as pd
import pytest

from costmodel.link import PRESETS, Link
from fastquery.cli import main
from validate import kernel_link as module
from validate import tcp
from validate.kernel_link import NotPossible, carry, kernel_link
from validate.tcp import measured_exchanges, sizes, summary

LINK = Link(8e6, 40e-3, "a link")
LONG_LINK = Link(8e6, 200e-3, "a link so long that a busy machine adds little")


@pytest.mark.parametrize(
    ("uid", "found", "said"), [(1000, "/bin/ip", "need root"), (0, None, "`ip` is missing; install iproute2")]
)
def test_it_is_said_why_there_is_no_link(
    uid: int, found: str | None, said: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(module.os, "geteuid", lambda: uid)
    monkeypatch.setattr(module.shutil, "which", lambda name: found)
    assert main(["validate", "--netem"]) == 1
    assert said in capsys.readouterr().err


class Commands:
    """Commands that a link gives, of which those with a word fail."""

    def __init__(self, failing: str, patch: pytest.MonkeyPatch) -> None:
        self.given: list[str] = []
        self.failing = failing
        patch.setattr(module.os, "geteuid", lambda: 0)
        patch.setattr(module.shutil, "which", lambda name: f"/sbin/{name}")
        patch.setattr(module.subprocess, "run", self.run)

    def run(self, words: Any, **options: Any) -> SimpleNamespace:
        self.given.append(" ".join(words))
        failed = self.failing in self.given[-1]
        return SimpleNamespace(returncode=int(failed), stderr="Specified qdisc kind is unknown." if failed else "")


def test_netem_shapes_both_ends_where_the_kernel_has_it(monkeypatch: pytest.MonkeyPatch) -> None:
    commands = Commands("nothing fails", monkeypatch)
    with kernel_link(LINK) as made:
        assert made.shaper == "netem"
        assert made.command("client", ["true"])[:3] == ["ip", "netns", "exec"]
    shaped = [one for one in commands.given if "netem limit" in one]
    assert len(shaped) == 2
    assert all("delay 20000us rate 8000000bit" in one for one in shaped)
    assert any("gso_max_segs 1" in one for one in commands.given)
    added, taken = ([one.split()[-1] for one in commands.given if f"netns {verb}" in one] for verb in ("add", "del"))
    assert len(set(added)) == 2
    assert sorted(added) == sorted(taken)


def test_without_netem_and_tun_both_are_named_and_nothing_stays(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    commands = Commands("netem", monkeypatch)
    monkeypatch.setattr(module, "TUN", str(tmp_path / "tun"))
    with pytest.raises(NotPossible, match=r"neither netem nor .*tun: No such file"), kernel_link(LINK):
        pass
    assert sum("netns del" in one for one in commands.given) == 2


def test_packets_are_held_back_to_the_rate_and_the_delay() -> None:
    pairs = [socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET) for _ in range(2)]
    (near, source), (sink, far) = pairs
    ended = threading.Event()
    thread = threading.Thread(target=carry, args=(source.fileno(), sink.fileno(), LINK, ended))
    thread.start()
    try:
        start = time.monotonic()
        for index in range(20):
            near.send(bytes([index]) + bytes(1489))
        received = [(far.recv(2000)[0], time.monotonic() - start) for _ in range(20)]
    finally:
        ended.set()
        thread.join()
        for one in (near, source, sink, far):
            one.close()
    assert [index for index, _ in received] == list(range(20))
    packet_s = 1500 * 8 / LINK.rate_bit_per_s
    for index, after_s in received:
        assert after_s >= LINK.round_trip_s / 2 + (index + 1) * packet_s - 1e-4
    assert received[-1][1] < 10.0  # however busy the machine


@pytest.fixture(scope="module")
def exchanges() -> pd.DataFrame:
    try:
        return measured_exchanges([LONG_LINK], [(1_000, 1_000), (60_000, 1_000)], 2)
    except NotPossible as error:
        pytest.skip(str(error))


def test_the_kernels_tcp_starts_slowly_on_a_new_connection_and_not_on_a_warm_one(exchanges: pd.DataFrame) -> None:
    """By the round trips that tell them apart; their exact times are the command's to measure, on an idle machine."""
    seconds = exchanges.set_index(["connection", "up_bytes"])["measured_s"]
    small, large = (seconds["fresh", up] - seconds["warm", up] for up in (1_000, 60_000))
    assert small > 0.5 * LONG_LINK.round_trip_s  # the connection is opened first
    assert large > small
    assert (exchanges["measured_s"] > 0.9 * exchanges["predicted_s"]).all()
    left = subprocess.run(["ip", "netns", "list"], check=True, capture_output=True, text=True).stdout
    assert f"fastquery-{os.getpid()}" not in left


def test_sizes_are_those_of_executed_lookups() -> None:
    assert len(sizes()) == len(tcp.SIZES) + 3
    assert min(map(min, sizes())) > 0
    assert PRESETS.keys() >= set(tcp.LINKS)


@pytest.mark.parametrize(("error", "code"), [(0.04, 0), (0.06, 1)])
def test_the_command_fails_where_the_model_is_out_of_bounds(
    error: float, code: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [{"link": "wan", "shaper": "netem", "connection": one, "error": error} for one in ("fresh", "warm")]
    monkeypatch.setattr(tcp, "measured_exchanges", lambda progress: pd.DataFrame(rows))
    assert main(["validate", "--netem", "--json"]) == code
    document = json.loads(capsys.readouterr().out)
    assert document["tcp_error_max"] == error == summary(pd.DataFrame(rows))["tcp_warm_error_median"]
