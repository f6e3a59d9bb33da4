"""A workload: what a session costs that is set up once, looks a prompt up, and then token after token.

With B(k), S(k), L(k) the bytes, the server's CPU seconds and the latency of a lookup of k tokens, B_0 the bytes and L_0
the wall seconds of the set-up, P tokens of the prompt and G generated ones, the session takes

    bytes in all       B_0 + B(P) + G B(1)
    server seconds     S(P) + G S(1)
    first share        L_0 + L(P)
    generated share    L(1)
    sessions a core    1/(rate S(1))
    memory a client    M_0 + M(1)

with M_0 of the client's keys at the server, ready for use, and M(1) of a token's preparation (``Design.memory``).

The prompt follows the set-up at once, so that it is looked up whole. Generated tokens are prepared in the meantime
where the configuration is prepared: S(1) has the preparation in it and L(1) has not. A lookup that comes before its
preparation is ready waits as :mod:`costmodel.preparation` has it, with one preparation held ready. Under Delphi's
split nothing is looked up whole, and L(P) includes the preparation of the prompt.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from costmodel.checks import real_between, whole_number
from costmodel.estimate import LINK_MODELS, Estimate, Links, estimate, evaluate, terms, wall_seconds
from costmodel.expanded.bucketed.parameters import BucketedParameters
from costmodel.grid import Grid
from costmodel.latency import latency_s
from costmodel.ledger import Phase, Work
from costmodel.limits import LOG2_FAILURE
from costmodel.link import PRESETS, Link
from costmodel.machine import Machine, default_machine
from costmodel.parameters import Configuration, Table
from costmodel.preparation import preparation_wait
from costmodel.results import Result
from costmodel.systems import configuration, design_of

if TYPE_CHECKING:
    import pandas as pd

MOST_PROMPT, MOST_GENERATED, MOST_CLIENTS = 2**16, 2**30, 2**30


@dataclass(frozen=True)
class Workload:
    """What clients do in a session each.

    Attributes
    ----------
    prompt
        Tokens looked up together after the set-up.
    generated
        Tokens looked up one by one after the prompt.
    clients
        Sessions of this kind, side by side; those who may pool their answers.
    rate
        Generated tokens of a client a second, while it generates.

    Raises
    ------
    ValueError
        If a number is out of its bounds; the message names it.

    Examples
    --------
    >>> Workload(prompt=128, generated=64).tokens
    192
    """

    prompt: int
    generated: int = 0
    clients: int = 1
    rate: float = 1.0

    def __post_init__(self) -> None:
        bounds = {"prompt": (1, MOST_PROMPT), "generated": (0, MOST_GENERATED), "clients": (1, MOST_CLIENTS)}
        for name, (low, high) in bounds.items():
            value = whole_number(f"workload.{name}", getattr(self, name))
            if not low <= value <= high:
                raise ValueError(f"workload.{name} is {value}; it must be a whole number from {low} to {high}")
            object.__setattr__(self, name, value)
        if not real_between("workload.rate", self.rate, 0.0, 1e6):
            raise ValueError(f"workload.rate is {self.rate}; it must be above 0 and at most 1e6 tokens a second")

    @property
    def tokens(self) -> int:
        """Tokens of a session, over which its set-up is spread."""
        return self.prompt + self.generated

    @property
    def queries(self) -> int:
        """Tokens of all clients, over which the distances of the flooding add up."""
        return self.clients * self.tokens


def prompt_of(one: Configuration, workload: Workload) -> Configuration:
    """The lookup of the prompt in a session of a configuration: whole, since it follows the set-up at once."""
    return one.updated(table=replace(one.table, tokens=workload.prompt), prepared=False)


def generated_of(one: Configuration) -> Configuration:
    """The lookup of a generated token in a session of a configuration."""
    return one.updated(table=replace(one.table, tokens=1))


def lookups_of(one: Configuration, workload: Workload | None) -> tuple[Configuration, ...]:
    """The different lookups of a session: the configuration's own, or the prompt's and a generated token's.

    Examples
    --------
    >>> from costmodel.systems import executed
    >>> one = executed("fastquery", Table(300, 24, 2))
    >>> [each.table.tokens for each in lookups_of(one, Workload(2, 5))], lookups_of(one, None) == (one,)
    ([2, 1], True)
    """
    if workload is None:
        return (one,)
    return (prompt_of(one, workload), generated_of(one))[: 2 if workload.generated else 1]


def session_configurations(
    protocol: str, table: Table, workload: Workload, log2_failure: float = LOG2_FAILURE, **wishes: Any
) -> tuple[Configuration, ...]:
    """Configurations that serve a workload, for lookups of as many tokens as the prompt has.

    Parameters of an expanded query are chosen twice: for lookups of the prompt's tokens, whose answers may share a
    polynomial, and for single tokens at the failure target of the prompt. The workload decides between both. Buckets
    are made for the prompt, and look a generated token up as a short one.

    Parameters
    ----------
    protocol, table, wishes
        As :func:`costmodel.systems.configuration`.
    log2_failure
        Target of the failure probability of a lookup of the prompt.

    Raises
    ------
    ValueError
        If a value cannot be, or nothing holds.

    Examples
    --------
    >>> several = session_configurations("folded", Table(3000, 96), Workload(16, 8))
    >>> [one.expanded.answer_together for one in several]
    [4, 1]
    """
    whole = replace(table, tokens=workload.prompt)
    asked = {**wishes, "queries": max(int(wishes.get("queries", 1)), workload.queries)}
    first = configuration(protocol, whole, log2_failure=log2_failure, **asked)
    if first.expanded is None or isinstance(first.expanded, BucketedParameters) or workload.prompt == 1:
        return (first,)
    target = log2_failure - (workload.prompt - 1).bit_length()
    try:
        single = configuration(protocol, replace(table, tokens=1), log2_failure=target, **asked)
        second = single.updated(table=whole, log2_failure=log2_failure)
        terms(Grid.of(second))
    except ValueError:  # nothing holds with an a for every answer, or buckets of a single token take no prompt
        return (first,)
    return (first, second) if second != first else (first,)


def session_s(
    grid: Grid, phase: Phase, link: Links = PRESETS["lan"], machine: Machine | None = None, link_model: str = "tcp"
) -> NDArray[np.float64]:
    """Wall seconds of the set-up of a session, or of a preparation: the phase ``setup`` or ``offline``.

    The set-up's greeting is a round trip of its own; its few bytes are on the line with the keys'. The table is encoded
    before any session.
    """
    profile, model = machine or default_machine(), LINK_MODELS[link_model]
    ledger = [term for term in terms(grid) if not (isinstance(term, Work) and term.operation == "encode table")]
    found = latency_s(
        ledger,
        lambda work: wall_seconds(work, profile.unit(grid.engine, work.operation), profile.threads),
        lambda size: model(size, link.rate_bit_per_s, link.round_trip_s),
        link.round_trip_s,
        phase,
    )
    return np.asarray(found + (link.round_trip_s if phase == "setup" else 0.0), dtype=np.float64)


@dataclass(frozen=True, eq=False, repr=False)
class WorkloadEstimate(Result):
    """Figures of a session over one link, and the estimates of its lookups that they are made of.

    Attributes
    ----------
    workload
        What the session does.
    prompt, token
        Estimates of the prompt's lookup and of a generated token's.
    setup_bytes, up_bytes, down_bytes, total_bytes
        Bytes of the set-up; of the client and of the server in all lookups, preparations included; and all of these.
    client_s, server_s
        CPU seconds of all lookups, preparations included.
    setup_s
        Wall seconds from the connection until the client may look up.
    first_share_s
        Wall seconds from the connection to both shares of the prompt.
    share_s
        Wall seconds from a generated token to both its shares, its preparation ready where there is one.
    preparation_s
        Wall seconds of a generated token's preparation; 0 where there is none.
    unprepared, wait_s
        Share of the generated tokens that find no preparation ready at the rate, and the mean wait of all of them; the
        wait is infinite where preparations come more slowly than tokens.
    client_bytes
        Memory of the session at the server between lookups: keys ready for use, and a generated token's preparation;
        NaN where a published library's is not known.
    sessions_per_core, cores
        Sessions whose generated tokens keep one of the server's cores busy, and cores that all clients' keep busy.
    tokens, queries
        Over how many tokens the set-up is spread, and over how many the distance of the flooding is stated.

    Examples
    --------
    >>> from costmodel.systems import configuration
    >>> found = estimate_workload(configuration("folded", Table(3000, 96, 16)), Workload(16, 8))
    >>> found.total_bytes == found.setup_bytes + found.prompt.up_bytes + found.prompt.down_bytes + 8 * (
    ...     found.token.up_bytes + found.token.down_bytes
    ... )
    True
    """

    workload: Workload
    prompt: Estimate
    token: Estimate
    setup_bytes: float
    up_bytes: float
    down_bytes: float
    total_bytes: float
    client_s: float
    server_s: float
    setup_s: float
    first_share_s: float
    share_s: float
    preparation_s: float
    unprepared: float
    wait_s: float
    client_bytes: float
    sessions_per_core: float
    cores: float
    tokens: float
    queries: float

    def headline(self) -> dict[str, str]:
        """The session, and its totals."""
        return {
            "protocol": self.configuration.protocol,
            "session": f"{self.workload.prompt} and {self.workload.generated} token(s)",
            "bytes in all": f"{self.total_bytes:,.0f}",
            "first share": f"{self.first_share_s:.3g} s",
            "generated share": f"{self.share_s:.3g} s",
        }

    def tables(self) -> dict[str, pd.DataFrame]:
        """The ledgers of both lookups."""
        return {"prompt": self.prompt.ledger, "token": self.token.ledger}

    @property
    def ledger(self) -> pd.DataFrame:
        """The session's ledger: set-up 0, prompt 1, and every generated token under the number of its lookup."""
        # Loaded here: totals and sweeps need no frame.
        import pandas as pd

        token = self.token.ledger
        once = token[token["lookup"] > 0]
        later = (once.assign(lookup=2 + number) for number in range(self.workload.generated))
        return pd.concat([self.prompt.ledger, *later], ignore_index=True)

    @property
    def configuration(self) -> Configuration:
        """The configuration of the session, for lookups of as many tokens as the prompt has."""
        return self.prompt.configuration.updated(prepared=self.token.configuration.prepared)

    @cached_property
    def figures(self) -> dict[str, float]:
        """Every figure by its name."""
        return {name: getattr(self, name) for name in WORKLOAD_FIGURES}

    def document(self) -> dict[str, Any]:
        """Everything as plain values."""
        worst = self.prompt.figures
        stated = ("security_bits", "log2_failure", "flooding_bits", "noise_bits", "table_bytes")
        return {
            "workload": asdict(self.workload),
            **self.figures,
            **{name: worst[name] for name in stated},
            "log2_planned_distance": worst["log2_planned_distance"],
            "configuration": asdict(self.configuration),
            "prompt": self.prompt.document(),
            "token": self.token.document(),
        }


WORKLOAD_FIGURES = tuple(one.name for one in fields(WorkloadEstimate) if one.type == "float")
"""Names of the figures of a session."""


def estimate_workload(
    one: Configuration,
    workload: Workload,
    link: Link = PRESETS["lan"],
    machine: Machine | None = None,
    link_model: str = "tcp",
) -> WorkloadEstimate:
    """Estimate a session of a configuration.

    Raises
    ------
    ValueError
        If the machine lacks a unit cost.
    """
    profile = machine or default_machine()
    planned = _planned(one, workload)
    first, later = (
        estimate(each, link, profile, link_model) for each in (prompt_of(planned, workload), generated_of(planned))
    )
    grids = Grid.of(first.configuration), Grid.of(later.configuration)
    waits = _waits(*grids, workload, link, profile, link_model)
    figures = _session(first.figures, later.figures, waits, _client_bytes(grids[1]), workload)
    stated = {"tokens": workload.tokens, "queries": planned.queries}
    return WorkloadEstimate(
        workload, first, later, **{name: float(value) for name, value in {**figures, **stated}.items()}
    )


def _planned(one: Configuration, workload: Workload) -> Configuration:
    """The configuration with the distance of its flooding stated for all clients' tokens."""
    queries = max(one.queries, workload.queries)
    if one.expanded is None:
        return one.updated(queries=queries)
    return one.updated(queries=queries, expanded=replace(one.expanded, queries=max(one.expanded.queries, queries)))


def evaluate_workload(
    grid: Grid,
    workload: Workload,
    link: Links = PRESETS["lan"],
    machine: Machine | None = None,
    link_model: str = "tcp",
) -> dict[str, NDArray[np.float64]]:
    """Every figure of a session of a grid's configurations; see :func:`costmodel.estimate.evaluate`.

    Returns
    -------
    dict
        Figures of a lookup by their names, of the prompt: ``log2_failure`` and flooding are those of the most tokens.
        In their place the figures of the session where these have the same names, and the latency of a generated
        token with its interval. ``prompt_`` and ``token_`` before a name: the same of the prompt's lookup and of a
        generated token's.
    """
    profile = machine or default_machine()
    planned = replace(grid, queries=np.maximum(grid.queries, workload.queries))
    first = replace(planned, tokens=np.full_like(grid.tokens, workload.prompt), prepared=False)
    later = replace(planned, tokens=np.ones_like(grid.tokens))
    prompt, token = (evaluate(each, link, profile, link_model) for each in (first, later))
    waits = _waits(first, later, workload, link, profile, link_model)
    session = _session(prompt, token, waits, _client_bytes(later), workload)
    shape = token["latency_s"].shape
    taken = {name: token[name] for name in ("latency_s", "latency_low_s", "latency_high_s")}
    named = {f"{which}_{name}": of[name] for which, of in (("prompt", prompt), ("token", token)) for name in REPEATED}
    figures = {**prompt, **session, **named, **taken}
    return {name: np.broadcast_to(values, shape) for name, values in figures.items()}


REPEATED = ("up_bytes", "down_bytes", "client_s", "server_s", "latency_s")
"""Figures of a lookup that a session has as often as lookups."""


class _Waits(NamedTuple):
    """Wall seconds of the set-up, of the prompt's preparation and of a generated token's; how often and how long a
    generated token waits for it.
    """

    setup_s: Any
    prompt_s: Any
    token_s: Any
    unprepared: Any
    mean_s: Any


def _waits(first: Grid, later: Grid, workload: Workload, link: Links, machine: Machine, link_model: str) -> _Waits:
    setup = session_s(first, "setup", link, machine, link_model)
    before, preparation = (session_s(grid, "offline", link, machine, link_model) for grid in (first, later))
    if not np.any(preparation > 0):
        return _Waits(setup, before, preparation, 0.0, 0.0)
    wait = preparation_wait(workload.rate, preparation)
    return _Waits(setup, before, preparation, wait.probability, wait.mean_s)


def _client_bytes(token: Grid) -> NDArray[np.float64]:
    """Memory of a session at the server, with what is prepared of a generated token."""
    memory = design_of(token).memory(token)
    return np.asarray(memory.keys_bytes + memory.prepared_bytes, dtype=np.float64)


def _session(
    prompt: Mapping[str, Any], token: Mapping[str, Any], waits: _Waits, client_bytes: Any, workload: Workload
) -> dict[str, Any]:
    """Figures of a session from those of its lookups."""
    sums = {name: prompt[name] + workload.generated * token[name] for name in REPEATED if name != "latency_s"}
    busy = workload.rate * token["server_s"]
    with np.errstate(divide="ignore"):
        sessions = np.divide(1.0, busy)
    return {
        **sums,
        "setup_bytes": prompt["setup_bytes"],
        "total_bytes": prompt["setup_bytes"] + sums["up_bytes"] + sums["down_bytes"],
        "setup_s": waits.setup_s,
        "first_share_s": waits.setup_s + waits.prompt_s + prompt["latency_s"],
        "share_s": token["latency_s"],
        "preparation_s": waits.token_s,
        "unprepared": waits.unprepared,
        "wait_s": waits.mean_s,
        "client_bytes": client_bytes,
        "sessions_per_core": sessions,
        "cores": workload.clients * busy,
    }


def session_configuration(protocol: str, table: Table, workload: Workload, **wishes: Any) -> Configuration:
    """The configuration of :func:`session_configurations` whose session has the fewest bytes in all.

    Raises
    ------
    ValueError
        If a value cannot be, or nothing holds.
    """
    several = session_configurations(protocol, table, workload, **wishes)
    if len(several) == 1:
        return several[0]
    return min(several, key=lambda one: estimate_workload(one, workload).total_bytes)
