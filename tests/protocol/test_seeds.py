"""The record of used seeds: what it remembers, and that nothing is looked up where it cannot be kept."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from costmodel.parameters import Table
from costmodel.systems import executed
from protocol.engines import engine_of
from protocol.meter import Meter
from protocol.seeds import SeedRecord, SeedRecordUnusable, SeedReused

SEED = bytes(range(32))


def test_a_seed_is_taken_once_by_whichever_process_comes_first(tmp_path: Path) -> None:
    path = tmp_path / "state" / "seeds.sqlite"
    with closing(SeedRecord(path)) as first, closing(SeedRecord(path)) as second:
        first.claim(SEED)
        for record in (first, second):
            with pytest.raises(SeedReused):
                record.claim(SEED)
        second.claim(SEED[::-1])
    with closing(SeedRecord(path)) as later, pytest.raises(SeedReused):
        later.claim(SEED[::-1])


def not_a_database(path: Path) -> None:
    path.write_bytes(b"these are not the seeds that you are looking for" * 100)


def corrupt(path: Path) -> None:
    with closing(SeedRecord(path)) as record:
        for number in range(20):
            record.claim(number.to_bytes(32, "little"))
    content = bytearray(path.read_bytes())
    content[100:] = b"\xff" * (len(content) - 100)
    path.write_bytes(content)


def another_table(path: Path) -> None:
    """One that would take every seed as often as it comes."""
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE used (digest BLOB)")


def emptied(path: Path) -> None:
    with closing(SeedRecord(path)) as record:
        record.claim(SEED)
    path.write_bytes(b"")


def without_an_entry(path: Path) -> None:
    with closing(SeedRecord(path)) as record:
        record.claim(SEED)
        record.claim(SEED[::-1])
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("DELETE FROM used WHERE digest = (SELECT MIN(digest) FROM used)")


def a_folder(path: Path) -> None:
    path.mkdir()


BROKEN: list[tuple[Callable[[Path], None], str]] = [
    (not_a_database, "not a database; restore it from a copy"),
    (corrupt, "restore it from a copy"),
    (another_table, "something else; restore it from a copy"),
    (emptied, "it was emptied; restore it from a copy"),
    (without_an_entry, "it lost entries: 1 of 2 are there; restore it from a copy"),
    (a_folder, "unable to open database file; make the file and its folder"),
]


@pytest.mark.parametrize(("breaks", "words"), BROKEN, ids=lambda value: getattr(value, "__name__", ""))
def test_what_is_no_record_is_refused_with_its_name_and_left_as_it_is(
    tmp_path: Path, breaks: Callable[[Path], None], words: str
) -> None:
    path = tmp_path / "seeds.sqlite"
    breaks(path)
    before = path.read_bytes() if path.is_file() else b""
    with pytest.raises(SeedRecordUnusable, match=words) as raised:
        SeedRecord(path)
    assert str(path) in str(raised.value)
    assert "\n" not in str(raised.value)
    assert before == (path.read_bytes() if path.is_file() else b"")


def test_the_record_is_its_users_alone(tmp_path: Path) -> None:
    path = tmp_path / "state" / "fastquery" / "seeds.sqlite"
    with closing(SeedRecord(path)) as record:
        record.claim(SEED)
        assert path.stat().st_mode & 0o777 == 0o600
        assert path.parent.stat().st_mode & 0o777 == 0o700
        assert [file.name for file in path.parent.iterdir()] == ["seeds.sqlite"]
    path.chmod(0o644)
    with closing(SeedRecord(path)):
        assert path.stat().st_mode & 0o777 == 0o600
    path.parent.chmod(0o777)
    with pytest.raises(SeedRecordUnusable, match="written to by other users; chmod"):
        SeedRecord(path)


@pytest.mark.skipif(os.geteuid() != 0, reason="gives a file away")
def test_a_record_of_another_user_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "seeds.sqlite"
    SeedRecord(path).close()
    os.chown(path, 65534, 65534)
    with pytest.raises(SeedRecordUnusable, match="another user's; move it away"):
        SeedRecord(path)


@pytest.mark.parametrize("replaced", [False, True])
def test_a_record_that_is_taken_away_in_use_is_noticed(tmp_path: Path, replaced: bool) -> None:
    path = tmp_path / "seeds.sqlite"
    with closing(SeedRecord(path)) as record:
        path.rename(tmp_path / "elsewhere")
        if replaced:
            SeedRecord(path).close()
        with pytest.raises(SeedRecordUnusable, match="replaced" if replaced else "removed"):
            record.claim(SEED)


def test_a_record_from_before_entries_were_counted_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "seeds.sqlite"
    with closing(SeedRecord(path)) as record:
        record.claim(SEED)
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("DROP TABLE entered")
    for _ in range(2):
        with closing(SeedRecord(path)) as record, pytest.raises(SeedReused):
            record.claim(SEED)


@pytest.mark.parametrize("engine", ["residue", "openfhe"])
@pytest.mark.parametrize("protocol", ["fastquery", "folded", "compressed"])
def test_every_engine_enters_what_its_keys_and_queries_come_from(
    engine: str, protocol: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("openfhe")
    if engine == "openfhe" and protocol != "fastquery":
        pytest.skip("not executed")
    configuration = executed(protocol, Table(300, 24), engine=engine, flooding_bits=0 if engine == "openfhe" else 40)
    entered: list[bytes] = []
    record = SeedRecord()
    monkeypatch.setattr(record, "claim", entered.append)
    client = engine_of(configuration).client(configuration, 1, Meter("client"), False, record)
    sent = b"".join((*client.keys(), *client.announce(), *client.encrypt([3])))
    if engine == "openfhe":
        (key,) = entered
        assert key == client.residues()[1].residues.tobytes()  # type: ignore[attr-defined]
    else:
        assert len(entered) == (2 if protocol == "fastquery" else 1)
        assert all(seed in sent for seed in entered)


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("a file")
    with pytest.raises(SeedRecordUnusable, match="state") as raised:
        SeedRecord(tmp_path / "state" / "fastquery" / "seeds.sqlite")
    assert "writable" in str(raised.value)


def test_a_record_that_another_program_holds_is_waited_for_and_then_said(tmp_path: Path) -> None:
    path = tmp_path / "seeds.sqlite"
    with closing(SeedRecord(path, patience_s=0.05)) as record, closing(sqlite3.connect(path)) as other:
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(SeedRecordUnusable, match="locked; another program holds it"):
            record.claim(SEED)
        with pytest.raises(SeedRecordUnusable, match="locked"):
            SeedRecord(path, patience_s=0.05)
        other.rollback()
        record.claim(SEED)


@pytest.mark.parametrize(
    ("limit", "words"),
    [("PRAGMA query_only = 1", "readonly database; make the file"), ("PRAGMA max_page_count = 1", "full; make room")],
)
def test_a_seed_that_cannot_be_entered_is_not_used(tmp_path: Path, limit: str, words: str) -> None:
    def claim_many(record: SeedRecord) -> None:
        for number in range(200):
            record.claim(number.to_bytes(32, "little"))

    with closing(SeedRecord(tmp_path / "seeds.sqlite")) as record:
        record._record.connection.execute(limit)
        with pytest.raises(SeedRecordUnusable, match=words):
            claim_many(record)


ASKED = """
import sys
from fastquery.cli import main
sys.exit(main(["run", "--table", "30x9", "--tokens", "1"]))
"""


def test_a_client_without_its_record_ends_with_one_line(tmp_path: Path) -> None:
    pytest.importorskip("openfhe")
    record = tmp_path / "fastquery" / "seeds.sqlite"
    record.parent.mkdir()
    not_a_database(record)
    ended = subprocess.run(
        [sys.executable, "-c", ASKED],
        capture_output=True,
        text=True,
        env={**os.environ, "XDG_STATE_HOME": str(tmp_path), "OMP_NUM_THREADS": "1"},
    )
    assert ended.returncode == 1
    assert "Traceback" not in ended.stderr
    (line,) = ended.stderr.strip().splitlines()
    assert str(record) in line
    assert "restore it" in line
    assert not ended.stdout or "correct" not in json.dumps(ended.stdout)
