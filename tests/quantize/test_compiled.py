"""Where compiled kernels are kept: a folder of one version, of one user, or none."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numba
import pytest

from quantize import compiled

ROOT = Path(__file__).parents[2]

USED = """
import sys
sys.path.insert(0, {folder!r})
from kernels.product import product
print(product(5))
"""
PRODUCT = """
from quantize.compiled import compiled
from kernels.helper import helper

@compiled
def product(x):
    return 2 * helper(x)
"""
HELPER = """
from quantize.compiled import compiled

def helper(x):
    return x + {added}

helper = compiled(helper, inline="always")
"""


def package(folder: Path, added: int) -> None:
    """A package with a kernel in one file and a helper that is inlined into it in another."""
    (folder / "kernels").mkdir(exist_ok=True)
    (folder / "kernels" / "__init__.py").write_text("")
    (folder / "kernels" / "product.py").write_text(PRODUCT)
    (folder / "kernels" / "helper.py").write_text(HELPER.format(added=added))


def used(folder: Path, **environment: str) -> str:
    surroundings = {name: value for name, value in os.environ.items() if not name.endswith(("CACHE_DIR", "CACHE_HOME"))}
    command = [sys.executable, "-B", "-c", USED.format(folder=str(folder))]
    return subprocess.run(
        command,
        env={**surroundings, "PYTHONPATH": str(ROOT), **environment},
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    ).stdout.strip()


def kept(cache: Path) -> set[str]:
    return {path.name for path in cache.iterdir()} if cache.exists() else set()


def test_a_fix_of_an_inlined_helper_is_what_runs(tmp_path: Path) -> None:
    package(tmp_path, 1)
    cache = tmp_path / "cache" / "fastquery"
    assert used(tmp_path, XDG_CACHE_HOME=str(tmp_path / "cache")) == "12"
    (before,) = kept(cache)
    assert before.startswith("kernels-")
    assert list((cache / before).rglob("*.nbi"))
    assert cache.stat().st_mode & 0o777 == 0o700
    package(tmp_path, 3)
    assert used(tmp_path, XDG_CACHE_HOME=str(tmp_path / "cache")) == "16"
    assert len(kept(cache)) == 2


def test_without_a_home_kernels_are_kept_in_a_folder_of_the_users_own(tmp_path: Path) -> None:
    package(tmp_path, 1)
    (tmp_path / "temporary").mkdir()
    assert used(tmp_path, HOME="/proc/none", TMPDIR=str(tmp_path / "temporary")) == "12"
    assert kept(tmp_path / "temporary") == {f"fastquery-{os.geteuid()}"}


def test_without_any_folder_to_write_to_kernels_still_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compiled, "_places", lambda: iter([Path("/proc/none"), Path("/dev/null")]))
    monkeypatch.setattr(compiled, "cache_folder", compiled.cache_folder.__wrapped__)
    assert compiled.cache_folder("quantize") is None
    kernel = compiled.compiled(twice)
    assert kernel(21) == 42
    assert kernel._cache.cache_path is None  # type: ignore[attr-defined]


def twice(x: int) -> int:
    return 2 * x


@pytest.mark.parametrize("mode", [0o777, 0o775])
def test_a_folder_that_others_can_write_to_is_not_used(tmp_path: Path, mode: int) -> None:
    (tmp_path / "open").mkdir()
    (tmp_path / "open").chmod(mode)
    assert compiled._own_folder(tmp_path / "open", "kernels") is None
    (tmp_path / "link").symlink_to(tmp_path)
    assert compiled._own_folder(tmp_path / "link", "kernels") is None
    assert compiled._own_folder(tmp_path / "own", "kernels") == tmp_path / "own" / "kernels"


@pytest.mark.skipif(os.geteuid() != 0, reason="gives a folder away")
def test_a_folder_of_another_user_is_not_used(tmp_path: Path) -> None:
    (tmp_path / "theirs").mkdir(mode=0o700)
    os.chown(tmp_path / "theirs", 65534, 65534)
    assert compiled._own_folder(tmp_path / "theirs", "kernels") is None


def test_other_packages_keep_their_own_cache() -> None:
    before = numba.config.CACHE_DIR
    compiled.compiled(twice)
    assert before == numba.config.CACHE_DIR
