"""The page's server ends by any signal, whoever reads its words."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest

pytest.importorskip("panel")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP], ids=lambda one: one.name)
def test_a_signal_ends_a_server_whose_reader_has_left(number: signal.Signals) -> None:
    with subprocess.Popen(
        [sys.executable, "-m", "fastquery", "explore", "--no-browser"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    ) as process:
        assert process.stdout
        assert process.stderr
        try:
            assert process.stdout.readline().startswith("http://127.0.0.1:")
            process.stdout.close()
            process.send_signal(number)
            assert process.wait(120) == 128 + number
            assert process.stderr.read() == "fastquery explore: interrupted\n"
        finally:
            process.kill()
