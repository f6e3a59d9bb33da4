"""The best configurations of a lookup: every system, ring, packing and wire under constraints, and the Pareto front.

Systems that this project executes are searched: rings, layouts, channel widths, digits of the keys; the bits on the
wire follow from the target failure probability. Systems as published have no choice and stand as they are.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd

from costmodel.checks import real_between
from costmodel.estimate import Estimate, estimate
from costmodel.machine import Machine
from costmodel.packing import required_plaintext_bits
from costmodel.parameters import Configuration, Table
from costmodel.results import Result
from costmodel.security import LEVELS
from costmodel.systems import NAMES, configuration
from costmodel.systems.fastquery import PAPER_WIDTHS
from costmodel.workload import Workload, WorkloadEstimate, estimate_workload
from fastquery.axes import one_of
from fastquery.candidates import candidates, packings_of
from fastquery.goals import OBJECTIVES, Constraints, Goal, Widths, errors_by_widths
from fastquery.search import Search, why
from fastquery.sweeps import blocks
from fastquery.winners import winners_frame
from fastquery.words import DEFAULT_TABLE, count, link_of, machine_of, nearest, real, shape_of, workload_of


@dataclass(frozen=True, eq=False, repr=False)
class Optimum(Result):
    """The best configuration, and those that nothing beats in both objectives.

    Attributes
    ----------
    configuration, estimate
        The best by the objective; of a workload its prompt's lookup.
    session
        The estimate of the best's session, where there is a workload.
    pareto
        A row for every point of the front, in order of the first objective: both objectives, what the configuration is,
        its figures, and ``ties``, how many configurations came to the same point (the one shown has the most security,
        then the least failure).
    configurations
        Of the rows of ``pareto``.
    queries
        Tokens of a client, over which its setup is spread.
    searched
        Configurations.
    skipped
        Why systems have none.
    winners
        See :func:`fastquery.winners.winners_frame`.
    break_even
        See :meth:`fastquery.search.Search.break_even`.

    Examples
    --------
    >>> import fastquery as fq
    >>> best = fq.optimize("300x24", protocol="folded", link="9Mbit/s,40ms")
    >>> bool(best.estimate.latency_s == best.pareto["latency_s"].min())
    True
    >>> len(best.configurations) == len(best.pareto)
    True
    """

    configuration: Configuration
    estimate: Estimate
    pareto: pd.DataFrame
    configurations: tuple[Configuration, ...]
    queries: float
    searched: int
    skipped: tuple[str, ...]
    winners: pd.DataFrame
    break_even: pd.DataFrame
    session: WorkloadEstimate | None = None

    def headline(self) -> dict[str, str]:
        """The best lookup, and among how many."""
        return {**self.estimate.headline(), "searched": f"{self.searched:,}", "queries": f"{self.queries:g}"}

    def tables(self) -> dict[str, pd.DataFrame]:
        """The front and the winners."""
        return {"pareto": self.pareto, "winners": self.winners, "break-even": self.break_even}

    def document(self) -> dict[str, Any]:
        """Everything as plain values."""
        return {
            "best": {
                "configuration": asdict(self.configuration),
                "estimate": (self.session or self.estimate).document(),
            },
            "pareto": [
                {"configuration": asdict(one), **row}
                for one, row in zip(self.configurations, self.pareto.to_dict(orient="records"), strict=True)
            ],
            "winners": self.winners.to_dict(orient="records"),
            "queries": self.queries,
            "break_even": self.break_even.to_dict(orient="records"),
            "searched": self.searched,
            "skipped": list(self.skipped),
        }


def optimize(
    table: Any = DEFAULT_TABLE,
    *,
    protocol: str | Sequence[str] = "all",
    tokens: int = 1,
    workload: Workload | Mapping[str, Any] | str | None = None,
    link: Any = "lan",
    machine: Machine | str | Path | None = None,
    threads: int = 1,
    queries: float | None = None,
    objective: str = "latency",
    pareto: tuple[str, str] = ("bytes", "latency"),
    packing: Any = None,
    errors: pd.DataFrame | Mapping[Widths, float] | None = None,
    **constraints: Any,
) -> Optimum:
    """The best configuration of a lookup and the Pareto front of two objectives.

    Parameters
    ----------
    table, protocol, tokens, link, machine, threads
        As :func:`fastquery.estimate` takes them; ``all`` is every system of the model.
    workload
        What a session does, in the place of ``tokens``: a :class:`Workload`, a mapping of its fields, or
        ``prompt=128,generated=64``.
    queries
        Tokens that are looked up in all, over which the keys and the rest of a client's setup are spread and the
        distances of the flooding add up. With a workload the setup is spread over the session's tokens, and the
        distances add up over all clients' if left out.
    objective, pareto
        Of ``OBJECTIVES``: the figure that is minimised, and the two axes of the front.
    packing
        Channel widths of a coefficient, one tuple or several; every even packing of 1 to 5 channels of 2 to 8 bits if
        left out.
    errors
        Quantisation error by channel widths, or a frame with the columns ``bits`` and ``weighted_error``; then these
        are the packings.
    constraints
        Fields of :class:`fastquery.goals.Constraints`.

    Raises
    ------
    ValueError
        If a name or bound cannot be, or nothing satisfies the constraints.

    Examples
    --------
    >>> import fastquery as fq
    >>> best = fq.optimize("gpt2", protocol=["cheetah", "folded"], packing=(4, 3), queries=100)
    >>> best.configuration.protocol
    'folded'
    >>> chat = fq.optimize("gpt2", protocol=["cheetah", "folded"], packing=(4, 3), workload="prompt=16,generated=64")
    >>> chat.session.tokens, chat.break_even["objective"].unique().tolist()
    (80.0, ['bytes'])
    """
    if constraints.get("distance") and constraints.get("flooding_bits") is not None:
        raise ValueError("distance and flooding_bits are both named; the width follows from the distance")
    needs = Constraints.of(constraints)
    real_between("security", needs.security, 0, LEVELS[-1])
    for name, most in needs.at_most.items():
        real_between(f"at_most.{name}", most, -math.inf, math.inf)
    asked = 1.0 if queries is None else real("queries", queries)
    if not asked > 0:
        raise ValueError(f"queries is {asked}; it must be above 0")
    session = None if workload is None else workload_of(workload)
    if session is not None:
        if tokens != 1:
            raise ValueError("workload and tokens are both named; the workload says how many tokens are looked up")
        tokens = session.prompt
    tokens = count("tokens", tokens)
    spread = max(1.0, asked) if session is None else session.tokens
    planned = math.ceil(asked) if session is None else max(math.ceil(asked), session.queries)
    first, second = _front(pareto)
    for name in (objective, first, second):
        if name not in OBJECTIVES:
            known = ", ".join(OBJECTIVES)
            raise ValueError(f"objective is {name!r}; it must be one of {known}{nearest(name, OBJECTIVES)}")
    shape = replace(shape_of(table)[1], tokens=tokens)
    names = one_of("protocol", protocol, [*NAMES, "all"])
    as_published = configuration("fastquery", shape, ablation="packlwes", log2_failure=needs.log2_failure)
    as_published.updated(flooding_bits=needs.flooding_bits, align_bits=needs.align_bits)  # refuses bad values
    by_widths = errors_by_widths(errors)
    goal = Goal(link_of(link), spread, by_widths, tokens, session, planned)
    bound = goal.error(PAPER_WIDTHS) * (1 + 1e-9) if needs.max_error is None else needs.max_error
    needs = replace(needs, max_error=bound)
    packings = [w for w in packings_of(packing, by_widths) if goal.error(w) <= bound]
    if packing is None and "error" not in (
        objective,
        first,
        second,
    ):  # wider channels than needed cost and gain nothing
        packings = list({len(w): w for w in sorted(packings, key=required_plaintext_bits, reverse=True)}.values())
    if not packings:
        raise ValueError(f"max_error is {bound:.3g}; no packing has so small a quantisation error")
    profile = replace(machine_of(machine), threads=count("threads", threads))
    search = Search(goal, (objective, first, second), needs)
    names = list(NAMES) if "all" in names else names
    skipped = _search(search, names, shape, packings, needs, profile, packing is not None)
    try:
        best = search.best()
    except ValueError as error:
        raise ValueError("; ".join([str(error), *skipped])) from None
    front, configurations = search.front()
    found = None if session is None else estimate_workload(best, session, goal.link, profile)
    return Optimum(
        best,
        estimate(best, goal.link, profile) if found is None else found.prompt,
        front,
        configurations,
        spread,
        search.searched,
        skipped,
        winners_frame(search.best_of_designs(), as_published, goal, profile),
        search.break_even(),
        found,
    )


def _front(pareto: Sequence[str]) -> tuple[str, str]:
    if isinstance(pareto, str) or len(pareto) != 2:
        raise ValueError(f"pareto is {pareto!r}; it must be two of {', '.join(OBJECTIVES)}, such as bytes and latency")
    return pareto[0], pareto[1]


def _search(
    search: Search,
    names: Sequence[str],
    table: Table,
    packings: Sequence[Widths],
    needs: Constraints,
    machine: Machine,
    named: bool,
) -> tuple[str, ...]:
    """Search every system; why some have nothing.

    Raises
    ------
    ValueError
        If no system has anything, all for one reason.
    """
    left_out: dict[str, list[str]] = {}
    for name in names:
        try:
            spaces = candidates(name, table, packings, search.goal, needs, named)
            missed = [search.add(block) for space in spaces for block in blocks(space, machine)]
        except ValueError as error:
            if len(names) == 1:
                raise
            left_out.setdefault(str(error), []).append(name)
            continue
        if None not in missed:
            left_out.setdefault(why(missed), []).append(name)
    if len(left_out) == 1 and set(names) == set(next(iter(left_out.values()))):
        raise ValueError(next(iter(left_out)))
    return tuple(f"{', '.join(those)}: {reason}" for reason, those in left_out.items())
