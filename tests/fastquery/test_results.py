"""Everything that a user of the API holds is a plain value: it copies, pickles, compares, and shows in one line.

The classes are found by walking the API: its classes, results of its functions, and all that these hold. A class
without an example below fails the first test.
"""

from __future__ import annotations

import copy
import dataclasses
import importlib
import inspect
import pickle
import pkgutil
import sys
import typing
from collections.abc import Iterator, Mapping
from functools import cached_property
from types import ModuleType
from typing import Any

import numpy as np
import pandas as pd
import pytest

import fastquery as fq
import quantize
from costmodel.results import Result
from fastquery.quantization import Job, Pricing, Quantization, apply
from fastquery.runs import Executed
from tests.validate.test_submissions import campaign, written
from validate.pool import Pool
from validate.submissions import read_submission

pytest.importorskip("openfhe")

PACKAGES = ("costmodel", "quantize", "protocol", "validate", "fastquery")
LEFT_OUT = ("fastquery.page", "fastquery.__main__", "fastquery.demo")
HOLDS_A_CONNECTION = (fq.Session, fq.Server)
NEVER_MADE = (Executed, quantize.TableSource)
"""Common parts of other classes."""


def modules() -> Iterator[ModuleType]:
    for package in PACKAGES:
        for found in pkgutil.walk_packages(importlib.import_module(package).__path__, f"{package}."):
            if not found.name.startswith(LEFT_OUT):
                yield importlib.import_module(found.name)


def own(kind: Any) -> bool:
    return isinstance(kind, type) and kind.__module__.split(".")[0] in PACKAGES


def classes_of(hint: Any) -> Iterator[type]:
    yield from (one for one in (hint, typing.get_origin(hint)) if own(one))
    for part in typing.get_args(hint):
        yield from classes_of(part)


def hinted(what: Any, names: Mapping[str, Any]) -> dict[str, Any]:
    """Annotations of a function or class, those of modules that are not loaded at run time included."""
    return typing.get_type_hints(what, localns={**names, **vars(sys.modules[what.__module__])})


def held_by(kind: type, names: Mapping[str, Any]) -> Iterator[type]:
    found = list(hinted(kind, names).values())
    for name, member in inspect.getmembers(kind):
        read = getattr(member, "fget", None) or (member.func if isinstance(member, cached_property) else None)
        if read is not None and not name.startswith("_"):
            found.append(hinted(read, names).get("return"))
    for hint in found:
        yield from classes_of(hint)


def subclasses(kind: type) -> Iterator[type]:
    for one in kind.__subclasses__():
        yield one
        yield from subclasses(one)


def api_classes() -> set[type]:
    every = {name: value for module in modules() for name, value in vars(module).items() if own(value)}
    names = {**every, "pd": pd, "np": np}
    todo = [*subclasses(Result)]
    for public in [getattr(api, name) for api in (fq, quantize) for name in api.__all__]:
        if own(public):
            todo.append(public)
        elif callable(public) and public is not fq.explore:
            todo += classes_of(hinted(public, names).get("return"))
    found: set[type] = set()
    while todo:
        kind = todo.pop()
        if kind not in found:
            found.add(kind)
            todo += held_by(kind, names)
    return found


def parts_of(value: Any) -> Iterator[Any]:
    """A value and all values that it holds."""
    yield value
    if dataclasses.is_dataclass(value):
        inner = [getattr(value, one.name) for one in dataclasses.fields(value)]
        inner += [getattr(value, name, None) for name in ("symbols", "shared_answer")]
    elif isinstance(value, Mapping):
        inner = [*value.keys(), *value.values()]
    else:
        inner = list(value) if isinstance(value, (tuple, list)) else []
    for one in inner:
        yield from parts_of(one)


@pytest.fixture(scope="module")
def examples(tmp_path_factory: pytest.TempPathFactory) -> dict[type, Any]:
    """One value of each class."""
    cheap: dict[str, Any] = {"table": "300x24", "protocol": "cheetah"}
    words: dict[str, Any] = {"protocol": "folded", "align_bits": 32}
    with fq.Server("300x24", **words) as server, fq.connect(server.address, tokens=1) as session:
        held = [session.hello, session.lookup([299]), next(server.shares())]
    made = [
        fq.estimate(**cheap),
        fq.estimate(table="300x24", low_bits=True),
        *(fq.estimate(table="300x24", protocol=name) for name in ("folded", "compressed")),
        fq.estimate(table="300x24", tokens=64, protocol="bucketed"),
        fq.estimate(**cheap, workload="prompt=2,generated=0"),
        fq.optimize(**cheap),
        fq.optimize_each(**cheap),
        fq.run("300x24", 1, protocol="folded"),
        fq.run("300x24", protocol="folded", workload="prompt=1,generated=1"),
        fq.quantize("300x32", "hadamard-ten-levels"),
        apply("fastquery", Job("300x24").workbench(), pricing=Pricing("folded")),
        quantize.Quantizer((16, 8, 8)),
        fq.Link(1e6, 0.01, "mine"),
        importlib.import_module("costmodel.machine").default_machine(),
        Pool([campaign(importlib.import_module("costmodel.machine").default_machine(), off) for off in (1.1, 1.2)]),
        read_submission(written(tmp_path_factory.mktemp("submissions"), "one")),
        *held,
    ]
    return {type(one): one for value in made for one in parts_of(value) if own(type(one))}


def test_every_class_of_the_api_has_an_example(examples: dict[type, Any]) -> None:
    missing = api_classes() - set(examples) - {*HOLDS_A_CONNECTION, *NEVER_MADE}
    assert not missing, f"extend the examples of this file by values of {missing}"


def test_every_value_copies_pickles_compares_and_shows_in_one_line(examples: dict[type, Any]) -> None:
    for kind, value in examples.items():
        for again in (pickle.loads(pickle.dumps(value)), copy.copy(value), copy.deepcopy(value)):
            assert type(again) is kind
            assert again == value, kind
        assert value != object(), kind
        text = repr(value)
        assert "\n" not in text, kind
        assert len(text) < 1500, (kind, text)


def test_every_result_shows_as_a_small_table(examples: dict[type, Any]) -> None:
    results = [value for value in examples.values() if isinstance(value, (Result, quantize.PackedTable))]
    assert {fq.Share, fq.Run, fq.WorkloadRun, Quantization, quantize.PackedTable} <= set(map(type, results))
    for value in results:
        page = value._repr_html_()
        assert page.startswith("<table"), value
        assert 2 <= page.split("</table>")[0].count("<tr") <= 20, value
        assert len(repr(value)) < 700, value


def test_a_share_shows_none_of_its_values(examples: dict[type, Any]) -> None:
    share = examples[fq.Share]
    known = {str(value) for value in share.values.reshape(-1).tolist() if value > 10**4}
    assert known
    assert not [value for value in known if value in repr(share) + share._repr_html_()]


def test_what_holds_a_connection_shows_in_one_line_and_is_not_copied() -> None:
    with fq.Server("300x24", protocol="folded") as server, fq.connect(server.address, tokens=1) as session:
        assert repr(session) == "Session(folded, 300x24, 0 lookup(s))"
        assert repr(server) == f"Server({server.address}, folded, 300x24)"
        for one in (session, server):
            for made in (copy.copy, copy.deepcopy, pickle.dumps):
                with pytest.raises(TypeError, match="is not copied"):
                    made(one)
    assert repr(session) == "Session(folded, 300x24, closed)"
