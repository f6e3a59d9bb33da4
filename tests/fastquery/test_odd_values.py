"""Values at the edges of what a question takes: each is read, or refused in one line that names it."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fastquery as fq
from costmodel.files import replace_private, replaced
from fastquery.cli import main
from fastquery.sessions import ids_of

SMALL = {"table": "300x24", "protocol": "cheetah"}


@pytest.mark.parametrize(
    ("same", "words"),
    [
        ({"link": "wan"}, [{"link": "WAN"}, {"bandwidth": " Wan "}, {"link": fq.Link(100e6, 0.04, "wan")}]),
        ({"link": "44MB/s,40us"}, [{"link": "44MBps,40µs"}, {"link": ("44MB/s", "40us")}]),
        ({"link": (1e6, 0.5)}, [{"link": np.array([1e6, 0.5])}, {"link": ["1Mbit/s", "500ms"]}]),
        ({"table": "300x24"}, [{"table": "300 X 24"}, {"table": "300×24"}, {"m": "3e2", "n": 24.0}]),
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
        lambda: fq.Ring(4096.0, (39,), 2**13),
        lambda: fq.Ring(4096, (39.5,), 2**13),
        lambda: fq.Packing(4),
        lambda: fq.Packing("433"),
        lambda: fq.Link("1e6", 0.0, "x"),
        lambda: fq.Link(1e6, None, "x"),
        lambda: fq.Workload("3"),
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
    assert main(["sweep", "--table", "300X24", "--protocol", "Iron", "--link", "WAN", "--link", "lan", "--json"]) == 0


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
