"""Outputs take their place whole, and replace nothing but files."""

import os
from pathlib import Path

import pytest

from costmodel.files import output_path, replace_text, replaced


def test_an_output_that_fails_leaves_the_earlier_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    replace_text(path, "earlier")

    def write_half() -> None:
        with replaced(path) as beside:
            beside.write_text("half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_half()
    assert path.read_text() == "earlier"
    assert list(tmp_path.iterdir()) == [path]


def test_a_symbolic_link_stays_and_its_file_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "link.txt").symlink_to(tmp_path / "file.txt")
    replace_text(tmp_path / "link.txt", "new")
    assert (tmp_path / "link.txt").is_symlink()
    assert (tmp_path / "file.txt").read_text() == "new"


def test_only_regular_files_are_replaced(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "pipe")
    for name in ("pipe", "folder", "link", "new/"):
        with pytest.raises(ValueError, match="no regular file"):
            output_path(f"{tmp_path}/{name}")
    (tmp_path / "file").write_text("")
    with pytest.raises(ValueError, match="cannot be written"):
        output_path(tmp_path / "file" / "x.txt")


@pytest.mark.parametrize("make", [os.link, os.symlink])
def test_an_input_is_no_output_by_any_name(tmp_path: Path, make: object) -> None:
    (tmp_path / "table").write_text("weights")
    make(tmp_path / "table", tmp_path / "other")  # type: ignore[operator]
    with pytest.raises(ValueError, match="is an input too"):
        output_path(tmp_path / "other", None, tmp_path / "table")
    assert output_path(tmp_path / "new", tmp_path / "table") == tmp_path / "new"


@pytest.mark.skipif(not Path("/dev/full").is_char_device(), reason="needs a device that is always full")
def test_a_full_disk_is_told_with_the_outputs_name(tmp_path: Path) -> None:
    def fill() -> None:
        with replaced(tmp_path / "a.txt"), Path("/dev/full").open("w") as full:
            full.write("x" * 100_000)

    with pytest.raises(ValueError, match=r"a\.txt.*No space left"):
        fill()
