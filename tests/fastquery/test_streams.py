"""Whatever ends a command, ends it without a traceback: signals, readers that leave, full disks, closed streams."""

import os
import random
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from fastquery.cli import guarded
from tests.waiting import wait_until

COMMANDS = {
    "estimate": ["estimate", "--explain"],
    "sweep": ["sweep", "--protocol", "all", "--ring", "N=2048:4096,q=30:60", "--output", "s.parquet"],
    "run": ["run", "--table", "5000x300"],
}


MOMENTS_S = {"estimate": 0.05, "sweep": 1.0, "run": 1.0}
"""When a command gets its signal at the latest: it takes several times as long."""


def handles_signals(process: int) -> bool:
    """Whether a process has taken over the last of the signals that end it."""
    (caught,) = re.findall(r"^SigCgt:\s*(\w+)$", Path(f"/proc/{process}/status").read_text(), re.MULTILINE)
    return bool(int(caught, 16) >> (signal.SIGHUP - 1) & 1)


def started(arguments: list[str], folder: Path, **streams: object) -> "subprocess.Popen[bytes]":
    return subprocess.Popen(
        [sys.executable, "-m", "fastquery", *arguments],
        cwd=folder,
        start_new_session=True,
        **{"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **streams},  # type: ignore[call-overload]
    )


@pytest.mark.parametrize(
    ("name", "number"),
    [("estimate", signal.SIGTERM), ("sweep", signal.SIGINT), ("run", signal.SIGTERM), ("run", signal.SIGHUP)],
)
def test_a_signal_ends_a_command_at_any_moment(name: str, number: signal.Signals, tmp_path: Path) -> None:
    """From where it handles signals: Python's start and end handle none."""
    with started(COMMANDS[name], tmp_path) as process:
        wait_until(lambda: handles_signals(process.pid))
        time.sleep(random.Random(name).uniform(0.0, MOMENTS_S[name]))
        process.send_signal(number)
        _, error = process.communicate()
    assert b"Traceback" not in error, error.decode()
    assert process.returncode in (0, 128 + number)
    with pytest.raises(ProcessLookupError):  # no party of a run is left
        os.killpg(process.pid, 0)


@pytest.mark.parametrize(("arguments", "taken"), [(["estimate", "--help"], 0), (["claims", "--explain"], 3000)])
def test_a_reader_that_leaves_is_not_spoken_of(arguments: list[str], taken: int, tmp_path: Path) -> None:
    with started(arguments, tmp_path) as process:
        assert process.stdout
        assert process.stderr
        process.stdout.read(taken)
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait(120) in (0, 128 + signal.SIGPIPE)


@pytest.mark.skipif(not Path("/dev/full").is_char_device(), reason="needs a device that is always full")
@pytest.mark.parametrize("arguments", [["--version"], ["estimate", "--table", "300x24"]])
def test_a_full_disk_takes_one_line(arguments: list[str], tmp_path: Path) -> None:
    with Path("/dev/full").open("wb") as full:
        process = started(arguments, tmp_path, stdout=full)
        _, error = process.communicate(timeout=120)
    assert process.returncode == 2
    assert error.count(b"\n") == 1
    assert b"No space left on device" in error


def test_a_missing_extra_is_named_in_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    def execute() -> int:
        raise ModuleNotFoundError("No module named 'nacl'", name="nacl.bindings")

    assert guarded("fastquery run", execute) == 1
    assert capsys.readouterr().err == "fastquery run: needs the package nacl: pip install 'fastquery[he]'\n"


def test_closed_streams_change_nothing_but_what_is_shown(tmp_path: Path) -> None:
    command = f"{sys.executable} -m fastquery estimate --table 300x24"
    for closing, expected in ((">&- 2>&-", 0), ("--tabel x 2>&-", 2)):
        done = subprocess.run(["sh", "-c", f"{command} {closing}"], cwd=tmp_path, capture_output=True, check=False)
        assert done.returncode == expected, closing
        assert b"Traceback" not in done.stderr


@pytest.mark.parametrize(
    "environment",
    [
        {"PYTHONIOENCODING": "ascii", "NO_COLOR": "1"},
        {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "COLUMNS": "60", "HOME": "/nonexistent"},
    ],
)
def test_any_environment_will_do(environment: dict[str, str], tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "fastquery", "claims", "--explain", "--match", "table"],
        env={**os.environ, **environment},
        cwd=tmp_path,
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode()
    assert done.stderr == b""
    assert b"\x1b[" not in done.stdout
