"""The best configuration of every table over every link, shared out over processes or a cluster."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, NamedTuple

import pandas as pd

from costmodel.link import Link
from costmodel.parameters import Table
from costmodel.results import Result
from fastquery.axes import link_axis, table_axis
from fastquery.optimizer import Optimum, optimize
from fastquery.winners import design_of
from fastquery.words import DEFAULT_TABLE, count, machine_of
from fastquery.workers import evaluated_parts

FIGURES = ("up_bytes", "down_bytes", "setup_bytes", "server_s", "latency_s")


class Question(NamedTuple):
    """A table, by its name and its shape, over a link."""

    name: str
    table: Table
    link: Link


@dataclass(frozen=True, eq=False, repr=False)
class Optima(Result):
    """The best of several tables and links.

    Attributes
    ----------
    questions
        Tables over links, tables first.
    optima
        The answer to each.

    Examples
    --------
    >>> import fastquery as fq
    >>> found = fq.optimize_each("300x24", link=["lan", "9Mbit/s"], protocol="cheetah")
    >>> [one.configuration.protocol for one in found.optima]
    ['cheetah', 'cheetah']
    >>> found.best[["table", "link", "design"]].shape
    (2, 3)
    """

    questions: tuple[Question, ...]
    optima: tuple[Optimum, ...]

    @property
    def best(self) -> pd.DataFrame:
        """A row for every question: table, link, threads, design, channel widths, ring and figures of the best."""
        return pd.DataFrame(
            {
                "table": asked.name,
                "link": asked.link.name,
                "threads": found.estimate.threads,
                "design": design_of(found.configuration),
                "widths_bits": ",".join(map(str, found.configuration.packing.widths)),
                "ring_degree": found.configuration.ring.degree,
                **{name: found.estimate.figures[name] for name in FIGURES},
            }
            for asked, found in zip(self.questions, self.optima, strict=True)
        )

    def headline(self) -> dict[str, str]:
        """How many, and which designs win."""
        wins = self.best["design"].value_counts()
        return {
            "questions": f"{len(self.questions)}",
            "best": ", ".join(f"{design} {times} times" for design, times in wins.items()),
        }

    def tables(self) -> dict[str, pd.DataFrame]:
        """The best of every question."""
        return {"best": self.best}

    def document(self) -> dict[str, Any]:
        """Everything as plain values."""
        return {
            "optima": [
                {"table": asked.name, "link": asdict(asked.link), **found.document()}
                for asked, found in zip(self.questions, self.optima, strict=True)
            ]
        }


def optimize_each(
    table: Any = DEFAULT_TABLE,
    *,
    link: Any = "lan",
    machine: Any = None,
    jobs: int = 1,
    scheduler: str | None = None,
    progress: Callable[[int, int], None] | None = None,
    **options: Any,
) -> Optima:
    """The best configuration of every table over every link.

    Parameters
    ----------
    table, link
        One or several, as :func:`fastquery.sweep` takes them.
    machine, options
        As :func:`fastquery.optimize` takes them, the same for all.
    jobs, scheduler
        Processes, or the address of a Dask scheduler whose workers share the work, as :func:`fastquery.sweep` takes
        them. The results are the same with any.
    progress
        Called with the number of answers so far and in all.

    Raises
    ------
    ValueError
        As :func:`fastquery.optimize`, naming table and link.

    Examples
    --------
    >>> import fastquery as fq
    >>> found = fq.optimize_each(["gpt2", "300x24"], link=["lan", "9Mbit/s"], protocol=["cheetah", "folded"])
    >>> found.best[["table", "link", "design"]].shape
    (4, 3)
    """
    shapes, links = table_axis(table), link_axis(link)
    for name, values in (("table", shapes), ("link", links)):
        if not values:
            raise ValueError(f"{name} has no value; name at least one")
    questions = tuple(Question(name, shape, on) for name, shape in shapes for on in links)
    shared = questions, {**options, "machine": machine_of(machine)}
    found: dict[int, Optimum] = {}
    for number, one in evaluated_parts(_answer, shared, range(len(questions)), count("jobs", jobs), scheduler):
        found[number] = one
        if progress:
            progress(len(found), len(questions))
    return Optima(questions, tuple(found[number] for number in range(len(questions))))


def _answer(shared: tuple[tuple[Question, ...], Mapping[str, Any]], number: int) -> Optimum:
    questions, options = shared
    asked = questions[number]
    try:
        return optimize(replace(asked.table, tokens=1), link=asked.link, **options)
    except ValueError as error:
        raise ValueError(f"table {asked.name} over {asked.link.name}: {error}") from None
