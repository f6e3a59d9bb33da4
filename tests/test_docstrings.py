"""Every example of a docstring runs."""

from __future__ import annotations

import doctest
import pkgutil
from importlib import import_module
from importlib.util import find_spec

import pytest

import fastquery as fq

PACKAGES = ("costmodel", "protocol", "quantize", "validate", "plots", "fastquery")


def modules() -> list[str]:
    found = []
    for package in PACKAGES:
        root = import_module(package)
        found += [package, *(one.name for one in pkgutil.walk_packages(root.__path__, f"{package}."))]
    return [name for name in found if not name.endswith("__main__")]


@pytest.mark.parametrize("name", fq.__all__)
def test_every_public_name_has_an_example_that_runs(name: str) -> None:
    examples = doctest.DocTestParser().get_examples(getattr(fq, name).__doc__)
    assert [one for one in examples if doctest.SKIP not in one.options]


@pytest.mark.parametrize("name", modules())
def test_examples_run(name: str) -> None:
    if find_spec("openfhe") is None and name.startswith(
        ("protocol", "validate", "fastquery.api", "fastquery.runs", "fastquery.sessions", "fastquery.workload_runs")
    ):
        pytest.skip("OpenFHE is not installed")
    if find_spec("panel") is None and name.startswith("fastquery.page"):
        pytest.skip("the extra page is not installed")
    module = import_module(name)
    finder, runner = doctest.DocTestFinder(exclude_empty=True), doctest.DocTestRunner(optionflags=doctest.ELLIPSIS)
    for one in finder.find(module):
        if one.examples:
            runner.run(one)
    assert runner.summarize(verbose=False).failed == 0
