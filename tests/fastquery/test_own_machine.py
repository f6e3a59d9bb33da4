"""The profile of this processor: where it is kept, who may have put it there, and who takes it."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest

import fastquery as fq
from costmodel.machine import default_machine
from fastquery import own_machine, processor
from fastquery.cli import main
from fastquery.cli.run import machine_text
from fastquery.own_machine import keep
from fastquery.processor import Processor, this_processor, vector_bits


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setattr(own_machine.tempfile, "gettempdir", lambda: str(tmp_path / "tmp"))
    return tmp_path


def slow(factor: float) -> fq.Machine:
    base = default_machine()
    units = {key: replace(unit, element_s=factor * unit.element_s) for key, unit in base.units.items()}
    return replace(base, name="mine", units=units)


def test_what_is_kept_is_what_auto_takes(cache: Path) -> None:
    path = keep(slow(3.0), this_processor())
    assert path.is_relative_to(cache / "cache" / "fastquery")
    found, built_in = (fq.estimate(table="minilm", engine="residue", machine=one) for one in ("auto", None))
    assert found.machine == "mine"
    assert found.server_s > 2 * built_in.server_s
    assert (found.up_bytes, found.down_bytes) == (built_in.up_bytes, built_in.down_bytes)


@pytest.mark.usefixtures("cache")
def test_without_a_profile_auto_says_how_to_make_one(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ValueError, match=r"no profile of this processor .* `fastquery calibrate --quick`"):
        fq.estimate(table="minilm", machine="auto")
    with pytest.raises(SystemExit) as ended:
        main(["estimate", "--table", "minilm", "--machine", "auto"])
    assert ended.value.code != 0
    assert "calibrate --quick" in capsys.readouterr().err


def test_a_profile_of_another_processor_is_not_taken(cache: Path) -> None:
    assert cache.exists()
    keep(slow(3.0), replace(this_processor(), revision="another"))
    with pytest.raises(ValueError, match="no profile"):
        own_machine.own_machine()


@pytest.mark.usefixtures("cache")
def test_a_profile_of_an_older_version_is_refused_before_anything_runs() -> None:
    path = keep(slow(3.0), this_processor())
    path.write_text(path.read_text().replace(own_machine._built_in(), "0" * 12))
    with pytest.raises(ValueError, match=r"made by another version; .*calibrate --quick"):
        own_machine.own_machine()
    path.write_text("\n".join(line for line in path.read_text().splitlines() if "built_in" not in line))
    with pytest.raises(ValueError, match=r"made by another version; .*calibrate --quick"):
        own_machine.own_machine()


def test_without_a_home_the_temporary_folder_serves(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setattr(own_machine.os.path, "expanduser", lambda path: path)
    path = keep(slow(3.0), this_processor())
    assert path.is_relative_to(cache / "tmp")
    assert own_machine.own_machine().name == "mine"


def test_a_file_that_is_another_users_is_passed_over(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert cache.exists()
    keep(slow(3.0), this_processor())
    other = os.geteuid() + 1
    monkeypatch.setattr(own_machine.os, "geteuid", lambda: other)
    with pytest.raises(ValueError, match="no profile"):
        own_machine.own_machine()


def test_where_nothing_can_be_written_the_remedy_is_named(cache: Path) -> None:
    for name in ("cache", "home", "tmp"):
        (cache / name).write_text("a file where a folder should be")
    with pytest.raises(ValueError, match="XDG_CACHE_HOME"):
        keep(slow(3.0), this_processor())


def test_unknown_is_said_where_the_system_says_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("CPUINFO", "CACHES"):
        monkeypatch.setattr(processor, name, tmp_path / "nothing")
    found = this_processor()
    assert (found.revision, found.caches, found.vector_bits) == ("unknown", (), 0)
    facts = found.facts()
    assert facts["caches"] == facts["vector_bits"] == facts["revision"] == "unknown"
    assert processor.memory_bytes_per_s(found) > 1e8


def test_caches_are_read_from_the_system(tmp_path: Path) -> None:
    for index, (level, kind, size) in enumerate(
        (("1", "Data", "32K"), ("1", "Instruction", "64K"), ("3", "Unified", "8M"))
    ):
        folder = tmp_path / f"index{index}"
        folder.mkdir()
        for name, value in (("level", level), ("type", kind), ("size", size)):
            (folder / name).write_text(value + "\n")
    assert processor._caches(tmp_path) == (("L1d", 32768), ("L3", 8 * 2**20))


def test_the_length_of_scalable_vectors_is_the_kernels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stated = tmp_path / "sve"
    stated.write_text("32\n")
    monkeypatch.setattr(processor, "SVE", stated)
    assert vector_bits({"Features": "fp asimd sve"}) == 256


def test_processors_that_differ_in_anything_but_cores_have_files_of_their_own() -> None:
    one = Processor("AMD EPYC", "family 25", 2, (("L3", 2**25),), 256)
    assert replace(one, cores=8).key == one.key
    changes = ({"name": "AMD"}, {"revision": "family 26"}, {"caches": ()}, {"vector_bits": 512})
    assert len({one.key, *(replace(one, **change).key for change in changes)}) == 5


def test_a_run_says_whose_unit_costs_it_has_and_how_far_off_they_were() -> None:
    result = fq.run(table="500x24", machine=slow(1.0))
    ratio = result.server_over_predicted
    document = result.document()
    assert document["server_over_predicted"] == ratio
    assert document["processor"] == this_processor().name
    assert document["machine_processor"] == default_machine().provenance["processor"]
    elsewhere = replace(result, machine_processor="another", processor="this one")
    assert elsewhere.foreign
    said = machine_text(elsewhere)
    assert "measured on another; this is this one" in said
    assert f"{ratio:.2f} times the predicted" in said
    assert "calibrate --quick" in said
    ledger = result.ledger.assign(seconds=result.ledger["seconds"] / ratio)
    near = replace(result, ledger=ledger, machine_processor="one", processor="one")
    assert near.server_over_predicted == pytest.approx(1.0)
    assert not near.foreign
    assert "calibrate" not in machine_text(near)
