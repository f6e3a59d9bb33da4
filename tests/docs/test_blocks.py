"""Blocks of code on the pages are executed, each in a folder that holds the files which the pages take for granted.

A block is executed as it stands, and by the slow tests alone where it takes long (`LONG`) or where `SMALLER` says what
a fast test puts in the place of some words: a small table, a short range. Lines that other tests execute (`ELSEWHERE`)
are left to the parser, which takes every line. Cells of notebooks are executed where the site is built (`make docs`),
the README's example in `test_pages.py`.
"""

from __future__ import annotations

import glob
import io
import json
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

import numpy as np
import pytest
from _pytest.mark import ParameterSet
from safetensors.numpy import save_file

from fastquery.cli import _parser, main
from quantize.tables import open_table

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")), *sorted((ROOT / "docs" / "tutorials").glob("*.md"))]
BUILT_IN = ROOT / "costmodel" / "data" / "machine.toml"
FENCED = re.compile(r"^```([^\n]*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
INDENTED = re.compile(r"(?<=\n\n)(?:    [^\n]*\n)+")
KINDS = {"", "text", "sh", "ini", "dockerfile", "python", "toml", "{code-cell}", "{toctree}", "{eval-rst}", "{include}"}
SUBCOMMAND = re.compile(r"(?:^|[\s/])fastquery (?=[a-z])(.+)")
KEYS = [f"model.layers.0.self_attn.{part}_proj.weight" for part in "qkv"]
SPELLED = {"FILE.safetensors:KEY": "FILE.safetensors:model.embed_tokens.weight", "KEY,KEY,KEY": ",".join(KEYS)}
"""By what a page leaves to the reader, what a reader would say."""
SMALLER = {
    "--table minilm": "--table 8000x24",
    "q=30:60": "q=50:51",
    "1:1000Mbit/s": "9:10Mbit/s",
}
"""By what a page says, what a fast test says in its place."""
LONG = ("calibrate", "optimize", "quantize", "serve", "validate")
"""Starts of commands of blocks that only the slow tests execute."""
ELSEWHERE = {
    "explore": "tests/fastquery/page",
    "serve --table /srv/": "tests/protocol/test_tls.py",
    "validate --netem": "tests/validate/test_kernel_link.py",
    "sweep --protocol all --ring N=2048:4096,q=30:60 --scheduler": "tests/fastquery/test_workers.py",
}
"""By the start of a command, the tests that execute it: it needs a browser, certificates, root, or several machines."""


def fenced(page: Path) -> list[tuple[str, str]]:
    """Language and text of every fenced block."""
    return FENCED.findall(page.read_text("utf-8"))


def shown(page: Path) -> list[list[str]]:
    """Lines of every fenced and of every indented block but Python's, continued lines joined."""
    whole = page.read_text("utf-8")
    blocks = [text for kind, text in fenced(page) if kind not in ("python", "{code-cell}", "text")]
    blocks += INDENTED.findall(FENCED.sub("", whole))
    return [[line.strip() for line in text.replace("\\\n", " ").splitlines()] for text in blocks]


def of_line(line: str) -> str:
    """Arguments of the `fastquery` of a line, without what a shell does around it; an empty text where it has none."""
    found = SUBCOMMAND.search(line.split("#")[0])
    return re.split(r" [|&>]|;", found[1])[0].strip() if found else ""


def blocks() -> list[list[str]]:
    """The lines with commands of every block that has some."""
    found = ([line for line in lines if of_line(line)] for page in PAGES for lines in shown(page))
    return [lines for lines in found if lines]


def replaced(line: str, words: Mapping[str, str]) -> str:
    """A line with other words."""
    for said, put in words.items():
        line = line.replace(said, put)
    return line


def of_blocks() -> Iterator[ParameterSet]:
    """Blocks with commands that no other test executes, made small, and slowly as they stand where that is more."""
    for lines in blocks():
        here = [line for line in lines if not of_line(line).startswith(tuple(ELSEWHERE))]
        if not here:
            continue
        name = " ".join(of_line(here[0]).split()[:2])
        small = [replaced(line, SMALLER) for line in here]
        long = of_line(here[0]).startswith(LONG)
        if not long:
            yield pytest.param(small, id=name)
        if long or small != here:
            yield pytest.param(here, id=f"{name}, in full", marks=[pytest.mark.slow, pytest.mark.timeout(7200)])


def test_every_block_has_a_language_that_a_test_knows() -> None:
    assert {kind.split()[0] if kind else "" for page in PAGES for kind, _ in fenced(page)} <= KINDS


def test_the_parser_takes_every_command() -> None:
    commands = {of_line(line) for lines in blocks() for line in lines}
    assert len(commands) > 40
    for command in commands:
        # `auto` is a file that this machine may lack or hold of an older version.
        words = [str(BUILT_IN) if word == "auto" else word for word in shlex.split(command)]
        assert _parser(words[0]).parse_args(words).subcommand == words[0]


def estimates() -> list[str]:
    """Every `estimate` of a block, long blocks included."""
    return [command for lines in blocks() for line in lines if (command := of_line(line)).startswith("estimate ")]


@pytest.mark.parametrize("command", estimates())
def test_every_estimate_can_be_had(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(shlex.split(command)) == 0
    assert "latency" in capsys.readouterr().out


def test_commands_that_are_executed_elsewhere_are_on_the_pages() -> None:
    commands = {of_line(line) for lines in blocks() for line in lines}
    assert all(any(command.startswith(start) for command in commands) for start in ELSEWHERE)
    assert all((ROOT / tests).exists() for tests in ELSEWHERE.values())


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where a reader of the pages stands: a model of its own, token counts, a campaign, what others have sent."""
    monkeypatch.chdir(tmp_path)
    generator = np.random.default_rng(0)
    tensors = {"model.embed_tokens.weight": open_table("200x32", 1).read(0, 200)}
    for key, outputs in zip(KEYS, (32, 8, 8), strict=True):
        tensors[key] = generator.standard_normal((outputs, 32), np.float32)
    tensors["model.layers.0.input_layernorm.weight"] = np.ones(32, np.float32)
    for file in ("path/to/model-folder/model.safetensors", "FILE.safetensors"):
        Path(file).parent.mkdir(parents=True, exist_ok=True)
        save_file(tensors, file)
    Path("COUNTS").write_text("\n".join(str(1000 // (1 + k)) for k in range(200)))
    campaign = Path("results/campaign")
    campaign.mkdir(parents=True)
    shutil.copy(ROOT / "validate/data/campaign.csv", campaign / "runs.csv")
    Path("submissions").symlink_to(tmp_path)
    return tmp_path


@contextmanager
def serving(command: str) -> Iterator[str]:
    """A server in a process of its own, at a free port; its address."""
    words = [sys.executable, "-m", "fastquery", *shlex.split(command), "--listen", "127.0.0.1:0", "--json"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            line = "".join(iter(process.stdout.readline, "}\n")) + "}"
            yield f"127.0.0.1:{json.loads(line)['port']}"
        finally:
            process.kill()


def executed(line: str, monkeypatch: pytest.MonkeyPatch) -> int:
    """The exit code of a line's command in this process, fed by what stands before it, its patterns expanded."""
    before, bar, _ = line.partition("| fastquery ")
    fed = subprocess.run(before, shell=True, capture_output=True, text=True, check=True).stdout if bar else ""
    monkeypatch.setattr("sys.stdin", io.StringIO(fed))
    words = [file for word in shlex.split(of_line(line)) for file in (sorted(glob.glob(word)) or [word])]
    return main(words)


@pytest.mark.parametrize("lines", list(of_blocks()))
def test_commands_do_what_they_say(
    lines: list[str], folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    if of_line(lines[0]).startswith(("calibrate", "validate")):  # these make a profile or a campaign of their own
        monkeypatch.setenv("XDG_CACHE_HOME", str(folder / "cache"))
        shutil.rmtree("results")
    address = "127.0.0.1:9000"
    with ExitStack() as servers:
        for line in lines:
            line = replaced(line, SPELLED)
            if of_line(line).startswith("serve "):
                address = servers.enter_context(serving(of_line(line)))
                continue
            code = executed(line.replace("127.0.0.1:9000", address), monkeypatch)
            printed = capsys.readouterr()
            # A campaign whose verdicts fail on a busy machine is measured, and its report written, all the same.
            assert code == 0 or (of_line(line).startswith("validate") and "report" in printed.out), printed.err
            assert printed.out
            written = re.search(r"--output (\S+)", line)
            assert written is None or Path(written[1]).exists()


@pytest.mark.parametrize(
    ("page", "code"),
    [
        pytest.param(page, text, id=f"{page.name}-{k}")
        for page in PAGES[1:]
        for k, (kind, text) in enumerate(fenced(page))
        if kind == "python"
    ],
)
def test_python_runs(page: Path, code: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if "panel" in code:
        pytest.importorskip("panel", reason="the example needs the extra page")
    monkeypatch.chdir(tmp_path)
    exec(compile(code, str(page), "exec"), {})


def test_a_unit_of_systemd_names_the_credentials_that_it_loads() -> None:
    (unit,) = (text for kind, text in fenced(ROOT / "docs" / "deploy.md") if kind == "ini")
    # A unit repeats options; their values are joined here.
    options: dict[str, list[str]] = {}
    for line in unit.replace("\\\n", " ").splitlines():
        if "=" in line and not line.startswith("#"):
            name, _, value = line.partition("=")
            options.setdefault(name, []).append(value)
    loaded = {one.partition(":")[0] for one in options["LoadCredential"]}
    assert set(re.findall(r"\$\{CREDENTIALS_DIRECTORY\}/(\S+)", options["ExecStart"][0])) == loaded


def test_an_image_copies_files_of_the_repository() -> None:
    (recipe,) = (text for kind, text in fenced(ROOT / "docs" / "deploy.md") if kind == "dockerfile")
    named = re.findall(r"/src/(\S+\.txt)", recipe)
    assert named
    assert all((ROOT / one).is_file() for one in named)
