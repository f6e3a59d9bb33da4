"""Locked requirements: every dependency of a service is there, pinned to a version that fits, with hashes."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

HERE = Path(__file__).parents[1]
SERVED = ("he", "data", "serve")
"""Extras that a service needs."""


def locked(version: str) -> dict[str, tuple[str, int]]:
    """Version and number of hashes of every package that is locked."""
    text = (HERE / "requirements" / f"cpython-{version}.txt").read_text().replace("\\\n", " ")
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    found = {}
    for line in lines:
        pinned = re.match(r"([A-Za-z0-9_.-]+)(?:\[[^]]*\])?==([^\s;]+)", line)
        assert pinned, line
        hashes = re.findall(r"--hash=sha256:[0-9a-f]{64}\b", line)
        assert len(hashes) == line.count("--hash"), line
        found[canonicalize_name(pinned[1])] = pinned[2], len(hashes)
    assert len(found) == len(lines)
    return found


def wanted(version: str) -> list[Requirement]:
    """What a service of this interpreter needs."""
    project: dict[str, Any] = tomllib.loads((HERE / "pyproject.toml").read_text())["project"]
    texts = [*project["dependencies"], *(text for extra in SERVED for text in project["optional-dependencies"][extra])]
    target = {"python_version": version, "sys_platform": "linux", "platform_machine": "x86_64"}
    found = map(Requirement, texts)
    return [one for one in found if one.marker is None or one.marker.evaluate(target)]


@pytest.mark.parametrize("version", ["3.10", "3.12"])
def test_all_that_a_service_needs_is_locked_with_hashes(version: str) -> None:
    pinned = locked(version)
    assert all(hashes for _, hashes in pinned.values())
    needed = wanted(version)
    assert {one.name for one in needed} >= {"openfhe", "prometheus_client"}
    for one in needed:
        assert one.specifier.contains(pinned[canonicalize_name(one.name)][0]), one
