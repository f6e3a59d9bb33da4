"""The state of the page: what is chosen, as words of a question, as an address, as a command and as a call."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Hashable, Mapping
from dataclasses import MISSING, dataclass, fields
from functools import cached_property
from typing import Any
from urllib.parse import parse_qsl, urlencode

from costmodel.limits import FLOODING_BITS, LOG2_FAILURE
from costmodel.link import Link
from costmodel.workload import Workload
from fastquery.page.offers import OFFERS, PAPER
from fastquery.words import link_of, real, whole, workload_of

Words = Mapping[str, Hashable]

RING_WORDS = ("N", "p", "q")
"""Of FastQuery as this project executes it; the other designs choose their rings themselves."""
OWN_WORDS = ("packing", "flooding_bits", "failure", "prepared")
"""Of designs that this project executes."""


@dataclass(frozen=True)
class State:
    """Everything that the page lets a user choose.

    Attributes
    ----------
    table, tokens, workload, link, machine
        As :func:`fastquery.estimate` takes them; no machine is the built-in one, and a workload takes the place of
        the tokens.
    designs, focus
        Names of offers, and the one whose figures are spelled out.
    N, p, q, packing, flooding_bits, failure, prepared, align_bits
        Words of a configuration; None and empty ones are left to be chosen.
    queries
        Tokens of one client that its keys are spread over.
    most_bytes, most_setup_bytes, most_s
        Upper bounds of a query's bytes, of the keys' bytes and of the latency; None is none.
    hidden
        Exclude designs that send their answers without flooding.

    Raises
    ------
    ValueError
        If a value cannot be; the message names the field.

    Examples
    --------
    >>> state = State.of_address("link=9Mbit/s&designs=cheetah+folded")
    >>> state.words("cheetah")
    {'table': 'llama-7b', 'protocol': 'cheetah', 'link': '9Mbit/s'}
    >>> State.of_address(state.address()) == state
    True
    """

    table: str = "llama-7b"
    tokens: int = 1
    workload: str = ""
    link: str = "44Mbit/s,40ms"
    machine: str = ""
    designs: tuple[str, ...] = ("cheetah", "bumblebee", PAPER, "fastquery", "folded")
    focus: str = "fastquery"
    N: int | None = None
    p: int | None = None
    q: str = ""
    packing: str = ""
    flooding_bits: int = FLOODING_BITS
    failure: float = LOG2_FAILURE
    prepared: bool = False
    align_bits: int = 0
    queries: int = 100
    most_bytes: float | None = None
    most_setup_bytes: float | None = None
    most_s: float | None = None
    hidden: bool = False

    def __post_init__(self) -> None:
        for name in (*self.designs, self.focus):
            if name not in OFFERS:
                raise ValueError(f"designs has {name!r}; it must be one of {', '.join(OFFERS)}")
        if not self.queries >= 1:
            raise ValueError(f"queries is {self.queries}; it must be at least 1")
        _ = self.over, self.session  # read at once, so that a text that cannot be is refused

    @cached_property
    def over(self) -> Link:
        """The link, read."""
        return link_of(self.link)

    @cached_property
    def session(self) -> Workload | None:
        """The workload, read; None where tokens are looked up."""
        return workload_of(self.workload) if self.workload else None

    @classmethod
    def of_address(cls, query: str) -> State:
        """The state that an address's query holds; what it leaves out stands at its default.

        Raises
        ------
        ValueError
            If the query names an unknown field, or one twice, or a value cannot be.
        """
        given: dict[str, Any] = {}
        for name, text in parse_qsl(query.removeprefix("?"), keep_blank_values=True):
            if name not in _READERS:
                raise ValueError(f"the address has {name!r}; it must be one of {', '.join(_READERS)}")
            if name in given:
                raise ValueError(f"the address names {name} twice; name it once")
            given[name] = _READERS[name](name, text)
        return cls(**given)

    def address(self) -> str:
        """The query of an address that restores the state, without what stands at its default."""
        changed = {name: _text(getattr(self, name)) for name in _READERS if getattr(self, name) != DEFAULTS[name]}
        return urlencode(changed, safe="/,")

    def words(self, design: str) -> dict[str, Hashable]:
        """The words of a question that prices a design."""
        offer = OFFERS[design]
        names = ["workload" if self.workload else "tokens", "machine", "align_bits", *(OWN_WORDS if offer.own else ())]
        names += RING_WORDS if design == "fastquery" else ()
        chosen = {name: getattr(self, name) for name in names if getattr(self, name) != DEFAULTS[name]}
        return {"table": self.table, **offer.words, "link": self.link, **chosen}

    def command(self, design: str) -> str:
        """The command line that prices a design.

        Examples
        --------
        >>> State(N=4096, q="48+48").command("fastquery")
        'fastquery estimate --table llama-7b --protocol fastquery --link 44Mbit/s,40ms -N 4096 -q 48+48'
        """
        parts = ["fastquery", "estimate"]
        for name, value in self.words(design).items():
            parts.append(f"-{name}" if len(name) == 1 else f"--{name.replace('_', '-')}")
            parts += [] if value is True else [f"{value:g}" if isinstance(value, float) else str(value)]
        return shlex.join(parts)

    def call(self, design: str) -> str:
        """The Python call that prices a design.

        Examples
        --------
        >>> State(tokens=8).call("folded")
        "fq.estimate(table='llama-7b', protocol='folded', link='44Mbit/s,40ms', tokens=8)"
        """
        return f"fq.estimate({', '.join(f'{name}={value!r}' for name, value in self.words(design).items())})"


DEFAULTS: dict[str, Any] = {one.name: one.default for one in fields(State) if one.default is not MISSING}


def _text(value: Any) -> str:
    if isinstance(value, tuple):
        return " ".join(value)
    if isinstance(value, float):
        return repr(value)
    return str(int(value)) if isinstance(value, bool) else str(value)


def _truth(name: str, text: str) -> bool:
    if text not in ("0", "1"):
        raise ValueError(f"{name} is {text!r}; it must be 0 or 1")
    return text == "1"


_KINDS: dict[str, Callable[[str, str], Any]] = {
    "str": lambda _, text: text,
    "int": whole,
    "int | None": whole,
    "float": real,
    "float | None": real,
    "bool": _truth,
    "tuple[str, ...]": lambda _, text: tuple(text.split()),
}
_READERS = {one.name: _KINDS[str(one.type)] for one in fields(State)}
"""By field, how its text in an address is read."""
