"""The budget of distance: counted before answers leave, over restarts, servers and kills."""

from __future__ import annotations

import math
import os
import random
import sqlite3
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest

from protocol.budget import BudgetSpent, DistanceBudget, table_digest
from protocol.records import RecordUnusable
from quantize.quantizers import quantize_table
from quantize.tables import open_table


def budget(path: Path, digest: str = "table", rows: int = 8) -> DistanceBudget:
    return DistanceBudget(digest, -30.0, -30.0 + math.log2(rows), path)


def test_what_is_spent_is_spent_for_every_server_of_the_table(tmp_path: Path) -> None:
    path = tmp_path / "state" / "budgets.sqlite"
    with closing(budget(path)) as one, closing(budget(path)) as other, closing(budget(path, "another")) as apart:
        assert (one.rows_left, one.log2_spent) == (8, -math.inf)
        one.spend(5)
        assert (other.rows_left, other.rows_answered, apart.rows_left) == (3, 5, 8)
        with pytest.raises(BudgetSpent, match="used up"):
            other.require(4)
        with pytest.raises(BudgetSpent, match="used up"):
            other.spend(4)
        other.require(3)
        other.spend(3)
        with pytest.raises(BudgetSpent):
            one.spend(1)
        assert one.log2_spent == one.log2_most
    with closing(budget(path)) as later:
        assert later.rows_left == 0
        assert path.stat().st_mode & 0o777 == 0o600
    with closing(budget(path, rows=16)) as more:
        more.spend(1)


def test_squares_of_distances_add_up(tmp_path: Path) -> None:
    """Of a distance of 2^-20 a row a budget of 2^-10 holds 2^20 rows, where distances that add up would leave 2^10."""
    path = tmp_path / "budgets.sqlite"
    with closing(DistanceBudget("table", -20.0, -10.0, path, power=2)) as smooth:
        assert smooth.rows_left == 1 << 20
        smooth.spend((1 << 20) - 1)
        smooth.spend(1)
        assert smooth.log2_spent == pytest.approx(-10.0)
        assert smooth.log2_of(1 << 20) == pytest.approx(-10.0)
        with pytest.raises(BudgetSpent):
            smooth.spend(1)


def test_answers_of_both_kinds_share_a_budget(tmp_path: Path) -> None:
    path = tmp_path / "budgets.sqlite"
    with (
        closing(DistanceBudget("table", -10.0, -2.0, path, power=2)) as smooth,
        closing(DistanceBudget("table", -4.0, -2.0, path)) as uniform,
    ):
        uniform.spend(2)
        assert smooth.rows_left == 1 << 14
        smooth.spend(1 << 12)
        assert (uniform.rows_left, uniform.rows_answered) == (1, 2 + (1 << 12))
        assert smooth.log2_spent == uniform.log2_spent == math.log2(2 * 2**-4 + 2**-4)


def test_a_record_of_before_squares_were_counted_is_taken_over(tmp_path: Path) -> None:
    path = tmp_path / "budgets.sqlite"
    with closing(budget(path)) as one:
        one.spend(5)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("DROP TABLE spent_squares")
    with closing(budget(path)) as one:
        assert (one.rows_left, one.rows_answered) == (3, 5)
    with pytest.raises(ValueError, match="power is 3"):
        DistanceBudget("table", -30.0, -10.0, path, power=3)


SPENDING = """
import sys
from pathlib import Path
from protocol.budget import DistanceBudget
budget = DistanceBudget("table", -30.0, -10.0, Path(sys.argv[1]))
while True:
    budget.spend(1)
    print("answered", flush=True)
"""


@pytest.mark.parametrize("answers", [1, 7, 40])
def test_a_server_that_is_killed_never_answered_more_than_it_counted(tmp_path: Path, answers: int) -> None:
    path = tmp_path / "budgets.sqlite"
    process = subprocess.Popen([sys.executable, "-c", SPENDING, str(path)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    for _ in range(answers):
        assert process.stdout.readline() == "answered\n"
    process.kill()
    answered = answers + len(process.stdout.readlines())
    process.wait()
    process.stdout.close()
    with closing(DistanceBudget("table", -30.0, -10.0, path)) as after:
        assert answered <= after.rows_answered <= answered + 1


def test_a_record_that_is_none_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "budgets.sqlite"
    path.write_bytes(b"")
    with pytest.raises(RecordUnusable, match="emptied; restore"):
        budget(path)
    path.unlink()
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE spent (digest TEXT, distance REAL, rows INTEGER)")
    with pytest.raises(RecordUnusable, match="something else"):
        budget(path)


@pytest.mark.parametrize("reopened", [False, True])
@pytest.mark.parametrize("left", [0, 1, 50, 4096, 5000, 8192, -4000, -9, -1])
def test_a_record_that_was_cut_short_is_refused(tmp_path: Path, left: int, reopened: bool) -> None:
    path = tmp_path / "budgets.sqlite"

    def opened() -> DistanceBudget:
        return DistanceBudget("table", -10.0, -1.0, path, power=2)

    one = opened()
    with closing(one):
        one.spend(600)
        os.truncate(path, left % path.stat().st_size)
        with pytest.raises(RecordUnusable), closing(opened() if reopened else one) as other:
            other.spend(1)


def test_rows_that_find_no_room_on_the_disk_are_not_answered(tmp_path: Path) -> None:
    """The process may write no more, as on a full disk; other processes find what was counted before."""
    path = tmp_path / "budgets.sqlite"
    with closing(budget(path)) as one:
        one.spend(5)
    bounded = "import resource, signal; signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n" + SPENDING.replace(
        "while", "resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))\nwhile"
    )
    done = subprocess.run([sys.executable, "-c", bounded, str(path)], capture_output=True, text=True)
    assert done.returncode == 1
    assert "answered" not in done.stdout
    assert "RecordUnusable" in done.stderr
    with closing(budget(path)) as after:
        assert after.rows_answered == 5


@pytest.mark.parametrize("kills", [1, pytest.param(40, marks=[pytest.mark.slow, pytest.mark.timeout(900)])])
def test_two_servers_that_race_and_are_killed_answer_no_more_than_was_counted(tmp_path: Path, kills: int) -> None:
    path, chance, answered = tmp_path / "budgets.sqlite", random.Random(kills), 0
    with closing(DistanceBudget("table", -30.0, -10.0, path)) as counted:
        for _ in range(kills):
            pair = [subprocess.Popen([sys.executable, "-c", SPENDING, str(path)], stdout=subprocess.PIPE) for _ in "ab"]
            for process in pair:
                assert process.stdout is not None
                assert process.stdout.readline()
                answered += 1
            time.sleep(chance.uniform(0, 0.2))
            for process in pair:
                process.kill()
                process.wait()
                assert process.stdout is not None
                answered += len(process.stdout.readlines())
                process.stdout.close()
        assert answered <= counted.rows_answered <= answered + 2 * kills


def test_servers_that_race_for_the_last_rows_answer_them_once(tmp_path: Path) -> None:
    path = tmp_path / "budgets.sqlite"
    budgets = [budget(path, rows=256) for _ in range(4)]

    def spend(one: DistanceBudget) -> int:
        with closing(one):
            for answered in range(257):
                try:
                    one.spend(1)
                except BudgetSpent:
                    return answered
        return 257

    with ThreadPoolExecutor(4) as pool:
        assert sum(pool.map(spend, budgets)) == 256


@pytest.mark.parametrize("log2_most", [-31.0, 0.5, math.nan])
def test_budgets_that_cannot_be_are_refused(log2_most: float) -> None:
    with pytest.raises(ValueError, match="distance-budget"):
        DistanceBudget("table", -30.0, log2_most)


def test_a_table_is_known_by_what_is_in_it() -> None:
    tables = [quantize_table(open_table("30x9", seed), (4, 3, 3)) for seed in (0, 0, 1)]
    first, again, other = map(table_digest, tables)
    assert first == again != other
