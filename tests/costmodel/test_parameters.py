"""Configurations: equality, hashing, TOML, and errors that name field, value and bound."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from costmodel.parameters import Configuration, Packing, Ring, Table
from costmodel.security import RingUse, require_security
from costmodel.systems import configuration

widths = st.lists(st.integers(1, 6), min_size=1, max_size=4).map(tuple)


@st.composite
def configurations(draw: st.DrawFn) -> Configuration:
    fields = draw(widths)
    bits = sum(width + 1 for width in fields)
    return Configuration(
        draw(st.sampled_from(["fastquery", "cheetah"])),
        Table(draw(st.integers(1, 10**6)), draw(st.integers(1, 10**4)), draw(st.integers(1, 128))),
        Ring(2 ** draw(st.integers(10, 14)), (60, 49), 2 ** draw(st.integers(bits, 37))),
        Packing(fields, draw(st.sampled_from(["column", "cheetah"]))),
        prepared=draw(st.booleans()),
    )


@given(configurations())
def test_toml_gives_an_equal_configuration_back(configuration: Configuration) -> None:
    read = Configuration.from_toml(configuration.to_toml())
    assert read == configuration
    assert hash(read) == hash(configuration)


@pytest.mark.parametrize(
    ("build", "words"),
    [
        (lambda: Table(0, 5), ["table.rows", "0", "1"]),
        (lambda: Ring(3000, (50,), 8192), ["ring.N", "3000", "power of two"]),
        (lambda: Ring(4096, (), 8192), ["ring.q"]),
        (lambda: Ring(4096, (20,), 2**25), ["ring.q", "20", "26"]),
        (lambda: Packing((4, 3, 3), "diagonal"), ["packing.tile", "diagonal", "column"]),
        (
            lambda: configuration("fastquery", Table(10, 10), widths=(4, 3, 3), ring={"plaintext_modulus": 2**12}),
            ["4,3,3", "13", "12"],
        ),
        (lambda: configuration("bfv", Table(10, 10)), ["protocol", "bfv", "cheetah"]),
        (lambda: configuration("cheetah", Table(9, 9), ablation="packing"), ["ablation", "fastquery"]),
        (lambda: require_security([RingUse("keys", 2048, 60)]), ["ring.q", "60", "53", "--allow-insecure"]),
        (lambda: Configuration.from_toml("protocol = 'cheetah'\ncolour = 3\n"), ["colour"]),
        (lambda: Configuration.from_dict({"protocol": "cheetah", "table": {"rows": "many"}}), ["table.rows", "many"]),
    ],
)
def test_errors_name_the_field_the_value_and_the_bound(build, words) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(ValueError, match=re.escape(words[0])) as raised:
        build()
    for word in words:
        assert word in str(raised.value)
    assert "\n" not in str(raised.value)


def test_insecure_ring_is_allowed_when_asked_for() -> None:
    require_security([RingUse("keys", 2048, 60)], allow_insecure=True)
