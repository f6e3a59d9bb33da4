"""Values at the edges of what a question takes: each is read, or refused in one line that names it."""

from __future__ import annotations

import re
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fastquery as fq
from costmodel.files import replace_private, replaced
from fastquery.cli import main
from fastquery.page.state import State
from fastquery.sessions import ids_of
from protocol.errors import ProtocolError

SMALL = {"table": "300x24", "protocol": "cheetah"}


@pytest.mark.parametrize(
    ("same", "words"),
    [
        ({"link": "wan"}, [{"link": "WAN"}, {"bandwidth": " Wan "}, {"link": fq.Link(100e6, 0.04, "wan")}]),
        ({"link": "44MB/s,40us"}, [{"link": "44MBps,40µs"}, {"link": ("44MB/s", "40us")}]),
        ({"link": (1e6, 0.5)}, [{"link": np.array([1e6, 0.5])}, {"link": ["1Mbit/s", "500ms"]}]),
        ({"table": "300x24"}, [{"table": (300, 24)}, {"m": "3e2", "n": 24.0}]),
        ({"table": "gpt2"}, [{"table": "GPT2"}, {"table": Path("Gpt2")}]),
        ({"protocol": "cheetah"}, [{"protocol": "Cheetah"}, {"protocol": "CHEETAH"}]),
        ({"engine": "residue"}, [{"engine": "Residue"}]),
        ({"ring": {"N": 8192}}, [{"ring": {"degree": "8192"}}, {"N": 8192.0}]),
        ({"queries": 1_000_000}, [{"queries": "1e6"}, {"queries": 1e6}]),
    ],
)
def test_spellings_of_one_question_give_one_answer(same: dict[str, Any], words: list[dict[str, Any]]) -> None:
    def figures(more: dict[str, Any]) -> Any:
        table = {} if "m" in more else {"table": "300x24"}
        return fq.estimate(**{**table, "protocol": "cheetah", **more}).figures

    for other in words:
        assert figures(other) == figures(same)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ({"link": float("inf")}, "must be positive, and lie between"),
        ({"link": "1e400bit/s"}, "must be positive, and lie between"),
        ({"link": "1e-9bit/s"}, "must be positive, and lie between"),
        ({"link": True}, "link is True"),
        ({"link": 10**400}, "it must be a number"),
        ({"link": {"rate": 1}}, "it must be a preset"),
        ({"ring": "N=4096,N=8192"}, "says degree twice"),
        ({"ring": "p=13,t=8000"}, "says plaintext_modulus twice"),
        ({"p": 37, "t": 8000}, "t and p are both named"),
        ({"ring": {"degree": None}}, "ring.N is None"),
        ({"packing": []}, "packing has no channel widths"),
        ({"packing": 10**30}, "at most 60"),
        ({"packing": "²,3"}, "packing is '²,3'; it must look like"),
        ({"options": 5}, "option is 5"),
        ({"options": ("sirnn-iknp", "sirnn-ferret")}, "an extension is one of them"),
        ({"tokens": [-1]}, "between 0 and 299"),
        ({"tokens": [300]}, "between 0 and 299"),
        ({"tokens": [10**30]}, "between 0 and 299"),
        ({"queries": 10**30}, "queries is 1"),
        ({"failure": 10**400}, "failure is"),
        ({"workload": "prompt=1,prompt=2"}, "names a part twice"),
        ({"protocol": "folded", "distance": -26, "flooding_bits": 40}, "name one of them"),
        ({"protocol": "folded", "distance": -1000}, "distance is -1000"),
        ({"protocol": "folded", "flooding_bits": 10**6}, "flooding_bits is 1000000"),
        ({"protocol": "folded", "queries": 10**30}, "queries is 1"),
        ({"protocol": "foldedd"}, "did you mean 'folded'"),
        ({"table": "lama-7b"}, "did you mean 'llama-7b'"),
        ({"table": "0x5"}, "rows and channels are numbers from 1"),
    ],
)
def test_a_value_that_cannot_be_is_refused_in_one_line_that_names_it(words: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message) as found:
        fq.estimate(**{**SMALL, **words})
    assert "\n" not in str(found.value)


@pytest.mark.parametrize(
    "make",
    [
        lambda: fq.Table(300.5, 24),
        lambda: fq.Table("300", 24),
        lambda: fq.Table(True, 24),
        lambda: fq.Table(300, None),
        lambda: fq.Ring(4096, 39, 2**13),
        lambda: fq.Ring(4096, "39", 2**13),
        lambda: fq.Ring(4096.5, (39,), 2**13),
        lambda: fq.Ring(4096, (39.5,), 2**13),
        lambda: fq.Packing(4),
        lambda: fq.Packing("433"),
        lambda: fq.Link("1e6", 0.0, "x"),
        lambda: fq.Link(1e6, None, "x"),
        lambda: fq.Workload("3"),
        lambda: fq.Workload(3, 0.5),
        lambda: fq.Workload(True),
        lambda: fq.Workload(3, rate="fast"),
    ],
)
def test_public_classes_refuse_values_of_another_kind(make: Any) -> None:
    with pytest.raises(ValueError, match=r"^(table|ring|packing|link|workload)\S* .*it must be"):
        make()


def test_public_classes_hold_numbers_of_numpy_as_plain_ones() -> None:
    table = fq.Table(np.int32(300), np.uint8(24), np.int64(2))
    ring = fq.Ring(np.int64(4096), [np.int8(39)], np.int64(8192))  # type: ignore[arg-type]
    assert (table, hash(table)) == (fq.Table(300, 24, 2), hash(fq.Table(300, 24, 2)))
    assert (ring, hash(ring)) == (fq.Ring(4096, (39,), 8192), hash(fq.Ring(4096, (39,), 8192)))
    assert fq.Packing([4, 3]) == fq.Packing((4, 3))  # type: ignore[arg-type]
    assert {type(one) for one in (table.rows, table.channels, ring.degree)} == {int}
    assert fq.Workload(np.int64(3), np.int64(4)) == fq.Workload(3, 4)


@pytest.mark.parametrize(
    "argv",
    [
        ["estimate", "--link", "lan", "--bandwidth", "wan"],
        ["estimate", "-N", "4096", "-N", "8192"],
        ["optimize", "--objective", "bytes", "--objective", "time"],
    ],
)
def test_an_option_named_twice_is_refused(argv: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(argv)
    assert "it is named twice; name it once" in capsys.readouterr().err


def test_repeatable_options_and_names_of_either_case_are_taken(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["estimate", "--table", "300x24", "--protocol", "Cheetah", "--engine", "Residue", "--json"]) == 0
    assert '"engine": "residue"' in capsys.readouterr().out
    assert main(["sweep", "--table", "300x24", "--protocol", "Iron", "--link", "WAN", "--link", "lan", "--json"]) == 0


@pytest.mark.parametrize(
    ("axes", "message"),
    [
        ({"ring": "N=4096,N=2048"}, "says degree twice"),
        ({"ring": "p=13,t=8000"}, "says plaintext_modulus twice"),
        ({"table": "1:10000000x1:10000000"}, "at most 100000"),
        ({"link": "1:10000Mbit/s,1:10000ms"}, "at most"),
    ],
)
def test_axes_that_contradict_themselves_or_are_too_long_are_refused(axes: dict[str, str], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        fq.sweep(**{**SMALL, **axes})


@pytest.mark.parametrize("tokens", [0, -1, True, 1.5, "many", None, 1025, 10**30])
def test_a_session_is_opened_for_a_number_of_rows(tokens: Any) -> None:
    with pytest.raises(ValueError, match=r"tokens is .*(whole number|between 1 and 1024)"):
        fq.connect("127.0.0.1:1", tokens=tokens)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ({"on_share": 5}, "on_share is 5; it must be a function"),
        ({"plaintext": "no", "listen": "0.0.0.0:0"}, "plaintext is 'no'; it must be True or False"),
        ({"threads": "many"}, "threads is 'many'; it must be a whole number"),
        ({"seed": "a"}, "seed is 'a'; it must be a whole number"),
        ({"distance_budget": "much"}, "distance_budget is 'much'; it must be a number"),
        ({"limits": 5}, "limits is 5; it must be"),
        ({"listen": 9000}, "address is 9000; it must look like"),
    ],
)
def test_a_server_refuses_values_of_another_kind(words: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        fq.Server("300x24", **words)


def test_a_server_says_that_it_serves_inside_its_context() -> None:
    server = fq.Server("300x24", protocol="folded", flooding_bits=0)
    with pytest.raises(ValueError, match="inside its context"):
        fq.connect(server.address)
    with server, fq.connect(server.address) as session:
        mine, theirs = session.lookup([7]), next(server.shares())
    for use in (lambda: session.lookup([7]), session.prepare, session.wait_prepared):
        with pytest.raises(ValueError, match="the session is closed; connect again"):
            use()
    with pytest.raises(ValueError, match="serves once"):
        server.__enter__()
    for other in (None, "a.npz", Path("a.npz"), mine.values):
        with pytest.raises(ValueError, match=r"Share\.load"):
            fq.open(mine, other)
    assert fq.open(mine, theirs).shape == (1, 24)


def test_a_session_whose_server_is_gone_says_so_every_time() -> None:
    with fq.Server("300x24", protocol="folded", flooding_bits=0) as server:
        session = fq.connect(server.address)
    with session:
        for _ in range(3):
            with pytest.raises(ProtocolError):
                session.lookup([7])
    with pytest.raises(ValueError, match="the session is closed"):
        session.lookup([7])


def test_a_full_disk_names_the_program_and_an_address_names_a_field_once() -> None:
    command = [sys.executable, "-m", "fastquery", "--completion", "bash"]
    with Path("/dev/full").open("w") as disk:
        full = subprocess.run(command, stdout=disk, stderr=subprocess.PIPE)
    assert (full.returncode, full.stderr) == (2, b"fastquery: No space left on device\n")
    with pytest.raises(ValueError, match="names table twice"):
        State.of_address("table=300x24&table=gpt2")


@pytest.mark.parametrize(
    ("bits", "fraction_bits", "message"),
    [
        (7.5, 0, "bits is 7.5; it must be a whole number"),
        (True, 0, "bits is True; it must be a whole number"),
        ("7", 0, "bits is '7'; it must be a whole number"),
        (0, 0, "bits is 0; it must lie between 1 and 32"),
        (33, 0, "bits is 33; it must lie between 1 and 32"),
        (1, 0, "bits is 1; embeddings of up to .* steps need at least"),
        (32, -1, "fraction_bits is -1; it must lie between 0 and"),
        (32, 1.5, "fraction_bits is 1.5; it must be a whole number"),
        (32, 60, "bits is 32; embeddings of up to .* steps need at least"),
    ],
)
def test_bits_of_an_embedding_are_named(
    aligned: tuple[fq.Share, fq.Share], bits: Any, fraction_bits: Any, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        aligned[0].embedding(bits, fraction_bits)


def test_an_embedding_opens_at_the_fewest_bits_that_it_names(aligned: tuple[fq.Share, fq.Share]) -> None:
    mine, theirs = aligned
    with pytest.raises(ValueError, match="need at least") as refused:
        mine.embedding(1)
    fewest = int(re.findall(r"at least (\d+)", str(refused.value))[0])
    for bits in (fewest, 31, 32):
        total = (mine.embedding(bits) + theirs.embedding(bits)) & np.uint64((1 << bits) - 1)
        signed = total.astype(np.int64) - ((total >> np.uint64(bits - 1)).astype(np.int64) << bits)
        assert np.array_equal(signed * mine.unit(), fq.open(mine, theirs).astype(np.float64))


@pytest.fixture(scope="module")
def aligned() -> tuple[fq.Share, fq.Share]:
    """Both shares, modulo 2^32, of three rows."""
    with fq.Server("300x24", align_bits=32) as server, fq.connect(server.address, tokens=3) as session:
        return session.lookup([0, 7, 299]), next(server.shares())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--token-file", "NEGATIVE"], "token is outside the vocabulary"),
        (["--token-file", "UNDERSCORE"], "every line must hold token ids"),
        (["--token-file", "TWO", "--output", "x.npy"], "output takes one lookup's share"),
        (["--token-file", "-", "--tokens", "-4"], "tokens is -4; it must lie between 1 and 1024"),
        (["--token", "5", "--output", "FOLDER"], "is no regular file"),
        (["--token", "5", "--shares", "TWO"], "is no folder"),
        (["--token", "5", "--failure", "nan"], "failure is nan; it must lie between -1000 and 0"),
        (["--token", "5", "--failure", "5"], "failure is 5"),
        (["--token", "5", "--flooding-bits", "-1"], "flooding_bits is -1; it must lie between 0 and 128"),
    ],
)
def test_a_query_refuses_before_it_connects(
    options: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "NEGATIVE").write_text("1\n-3\n")
    (tmp_path / "UNDERSCORE").write_text("1_0\n")
    (tmp_path / "TWO").write_text("1\n2\n")
    (tmp_path / "FOLDER").mkdir()
    named = [str(tmp_path / one) if one.isupper() else one for one in options]
    assert main(["query", "--connect", "127.0.0.1:1", *named]) == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        ("validate --submit FOLDER", "output is 'FOLDER', which is no regular file"),
        ("explore --table nosuch --no-browser", "table: 'nosuch' is unknown"),
        ("explore --link 5 --no-browser", "link rate '5' has no unit"),
        ("explore --machine absent.toml --no-browser", "machine is 'absent.toml'"),
        ("optimize --table 300x24 --protocol cheetah --security 10000", "security is 10000; it must lie between 0"),
        ("optimize --table 300x24 --protocol cheetah --at-most bytes=nan", "at_most.bytes is nan"),
        ("plot noise --table 300x24 --xlim 1,inf --output x.png", "xlim is 1,inf; it must rise, and be finite"),
        ("quantize --table EMPTY.npy --output x.safetensors", "valid are 1 to"),
        ("quantize --table TEXT.npy --output x.safetensors", "numpy.save writes one"),
        ("quantize --table FOLDER.npy --output x.safetensors", "is no regular file"),
        ("quantize --table TABLE.csv --output x.safetensors", "is a file of no form that is read"),
        ("quantize --table TINY.npy --output x.safetensors", "scales: channel 0's"),
        ("quantize --table HUGE.npy --output x.safetensors", "row 0, channel 0 is inf, not a finite number"),
    ],
)
@pytest.mark.filterwarnings("error::RuntimeWarning")
def test_a_command_refuses_before_it_works_and_without_a_warning(
    argv: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    for folder in ("FOLDER", "FOLDER.npy"):
        Path(folder).mkdir()
    Path("TEXT.npy").write_text("1 2")
    Path("TABLE.csv").write_text("1,2")
    for name, values in (
        ("EMPTY", np.ones((0, 12), np.float32)),
        ("TINY", np.full((20, 12), 1e-40, np.float32)),
        ("HUGE", np.full((20, 12), 1e300)),
    ):
        np.save(name, values)
    assert main(argv.split()) == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize("ids", [[1.5], [True, 2], ["a"], [None], {7}, b"7", [float("nan")], [[1], [2, 3]]])
def test_ids_that_are_no_whole_numbers_are_refused_and_not_repeated(ids: Any) -> None:
    with pytest.raises(ValueError, match=r"^a token id is no whole number; it must be one from 0$"):
        ids_of(ids)


def test_ids_of_any_holder_are_read_whole() -> None:
    for ids in (
        [7, 299],
        (7, 299),
        range(7, 300, 292),
        np.array([7, 299], np.uint16),
        np.array([[7], [299]]),
        [7.0, 299],
    ):
        assert ids_of(ids) == [7, 299]
    assert ids_of([2**64]) == [2**64]


def test_two_threads_that_write_one_output_leave_one_of_theirs(tmp_path: Path) -> None:
    place, meet = tmp_path / "out.txt", threading.Barrier(2)

    def write(letter: str) -> None:
        with replaced(place) as beside:
            beside.write_text(letter * 10)
            meet.wait()

    writers = [threading.Thread(target=write, args=(letter,)) for letter in "ab"]
    for one in writers:
        one.start()
    for one in writers:
        one.join()
    assert place.read_text() in ("a" * 10, "b" * 10)
    assert [one.name for one in tmp_path.iterdir()] == ["out.txt"]


def test_a_private_file_replaces_regular_files_alone(tmp_path: Path) -> None:
    kept, link, folder = tmp_path / "kept.npz", tmp_path / "link.npz", tmp_path / "folder"
    kept.write_bytes(b"old")
    link.symlink_to(kept)
    folder.mkdir()
    replace_private(link, lambda file: file.write(b"new"))
    assert (link.is_symlink(), kept.read_bytes(), kept.stat().st_mode & 0o777) == (True, b"new", 0o600)
    for other in (folder, Path("/dev/null"), kept / "below.npz"):
        with pytest.raises(ValueError, match="output is"):
            replace_private(other, lambda file: file.write(b"new"))
