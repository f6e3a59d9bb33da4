"""An installation, a home and a current folder that cannot be written to: commands work nevertheless."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = ("costmodel", "quantize", "protocol", "validate", "plots", "fastquery")
AS_OTHERS = ["setpriv", "--bounding-set=-dac_override,-dac_read_search"]
"""Before a command of root's: permissions bind it as they bind others."""


def bound(command: list[str]) -> list[str]:
    """A command that permissions bind."""
    return [*AS_OTHERS, *command] if os.geteuid() == 0 else command


def make(folder: Path, writable: bool) -> None:
    for place, _, files in os.walk(folder):
        for name in files:
            Path(place, name).chmod(0o644 if writable else 0o444)
        Path(place).chmod(0o755 if writable else 0o555)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with a copy of the packages and a home, which nothing can be written to."""
    folder = tmp_path_factory.mktemp("read_only")
    for name in PACKAGES:
        shutil.copytree(ROOT / name, folder / "site" / name, ignore=shutil.ignore_patterns("__pycache__"))
    (folder / "home").mkdir()
    make(folder, writable=False)
    tried = None
    try:
        tried = subprocess.run(
            bound(["touch", str(folder / "home" / "x")]), capture_output=True, text=True, check=False
        )
    except OSError as error:
        pytest.skip(f"root's rights cannot be laid down here: {error}")
    if "Permission denied" not in tried.stderr:
        pytest.skip(f"nothing here makes a folder unwritable: {tried.stderr or 'it was written to'}")
    yield folder
    make(folder, writable=True)


def executed(place: Path, arguments: list[str], temporary: Path, cwd: Path | None = None) -> str:
    """Standard output of Python in the installation, which must end well."""
    environment = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(place / "site"),
        "HOME": str(place / "home"),
        "TMPDIR": str(temporary),
        "OMP_NUM_THREADS": "1",
    }
    done = subprocess.run(
        bound([sys.executable, *arguments]),
        cwd=cwd or place / "home",
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
    )
    assert done.returncode == 0, (arguments, done.stderr)
    assert "Traceback" not in done.stderr
    return done.stdout


@pytest.mark.parametrize(
    "arguments",
    [
        ["estimate", "--protocol", "folded"],
        ["quantize", "--help"],
        ["explore", "--help"],
    ],
    ids=" ".join,
)
def test_a_command_works_where_nothing_can_be_written(place: Path, arguments: list[str], tmp_path: Path) -> None:
    assert executed(place, ["-m", "fastquery", *arguments], tmp_path)


@pytest.mark.parametrize(
    "arguments",
    [
        ["sweep", "--table", "gpt2", "--output"],
        pytest.param(["plot", "bandwidth", "--table", "gpt2", "--output"], marks=pytest.mark.slow),
    ],
)
def test_outputs_alone_are_written(place: Path, arguments: list[str], tmp_path: Path) -> None:
    output = tmp_path / ("a.csv" if arguments[0] == "sweep" else "a.png")
    (tmp_path / "temporary").mkdir()
    executed(place, ["-m", "fastquery", *arguments, str(output)], tmp_path / "temporary")
    assert output.stat().st_size > 100


def test_the_installation_is_the_copy(place: Path, tmp_path: Path) -> None:
    found = executed(place, ["-c", "import protocol; print(protocol.__file__)"], tmp_path)
    assert Path(found.strip()).is_relative_to(place)
    assert not list(place.rglob("__pycache__"))
