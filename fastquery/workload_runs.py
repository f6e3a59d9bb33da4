"""A workload's run: the session of one client executed by two processes and held against its prediction."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, ClassVar

import numpy as np
import pandas as pd

from costmodel.estimate import Estimate
from costmodel.ledger import KEY_COLUMNS, totals
from costmodel.link import PRESETS, Link
from costmodel.machine import Machine
from costmodel.parameters import Configuration
from costmodel.systems import require_executed
from costmodel.workload import Workload, WorkloadEstimate, estimate_workload
from fastquery.runs import (
    BYTES,
    Executed,
    Progress,
    as_executed,
    drawn_tokens,
    on_threads,
    opened,
    processors,
    relayed,
    require_threads,
)
from validate.compare import compare

MOST_LOOKUPS = 2**16
"""Of a session that is executed: the ledgers have an entry of each."""
TIMES = ("setup_s", "first_share_s", "share_s", "preparation_s")
"""Wall seconds of a session, predicted and measured."""


@dataclass(frozen=True, eq=False, repr=False, kw_only=True)
class WorkloadRun(Executed[WorkloadEstimate]):
    """A session that was executed, its prediction, and whether both agree.

    ``rows`` are those of the prompt's tokens and then of the generated ones, ``latency_s`` is of the prompt's lookup,
    ``noise_bits`` of the lookup with the largest error.

    Attributes
    ----------
    workload
        What the session did. The next token is looked up as soon as its preparation is there, whatever the rate.
    setup_s, first_share_s
        Measured: wall seconds from the connection until the client might look up, and until both parties had their
        shares of the prompt, but for ``loading_s``.
    loading_s
        Measured: wall seconds in which the client loaded OpenFHE's rings and the kernels for the server's parameters,
        as it does once in its life.
    share_s, preparation_s
        Measured: median wall seconds from a generated token to both its shares, and of its preparation; NaN where no
        token is generated, 0 where none is prepared.

    Examples
    --------
    >>> import fastquery as fq
    >>> done = fq.run("300x24", protocol="folded", workload="prompt=2,generated=1")
    >>> done.correct, done.agrees, done.rows.shape
    (True, True, (3, 24))
    >>> done.document()["total_bytes"] == done.prediction.total_bytes
    True
    """

    workload: Workload
    loading_s: float
    setup_s: float
    first_share_s: float
    share_s: float
    preparation_s: float

    entry_columns: ClassVar[tuple[str, ...]] = ("lookup", "phase", "party", "item")

    @property
    def predicted_lookup(self) -> Estimate:
        """The prediction of the prompt's lookup."""
        return self.prediction.prompt

    @property
    def looked_up(self) -> str:
        """How many tokens, in words."""
        return f"a prompt of {self.workload.prompt} token(s), then {self.workload.generated} one by one"

    @property
    def wall_seconds(self) -> dict[str, str]:
        """Names of the measured wall seconds in the document, with the words for them."""
        generated = {"share_s": "token"} if self.workload.generated else {}
        prepared = {"preparation_s": "preparation"} if self.preparation_s else {}
        return {"setup_s": "to set up", "first_share_s": "first share", "latency_s": "prompt", **generated, **prepared}

    def headline(self) -> dict[str, str]:
        """The session, whether it came out as predicted, and what it took."""
        measured = totals(self.ledger)
        return {
            "protocol": self.configuration.protocol,
            "session": f"{self.workload.prompt} and {self.workload.generated} token(s)",
            **self.verdicts(),
            "bytes in all": f"{sum(measured[name] for name in BYTES):,.0f} B",
            "first share": f"{self.first_share_s:.3g} s over {self.link.name}",
            "generated share": f"{self.share_s:.3g} s",
        }

    def document(self) -> dict[str, Any]:
        """Everything as plain values, enough to run again with :func:`fastquery.runs.again`."""
        document, predicted = super().document(), self.prediction.figures
        return {
            **document,
            "workload": asdict(self.workload),
            "lookups": 1 + self.workload.generated,
            "loading_s": self.loading_s,
            "total_bytes": sum(document[name] for name in BYTES),
            "predicted_total_bytes": predicted["total_bytes"],
            **{name: getattr(self, name) for name in TIMES},
            **{f"predicted_{name}": predicted[name] for name in TIMES},
        }

    def entries(self) -> pd.DataFrame:
        """The comparison with the entries of all generated tokens added up, ``lookup`` in words."""
        number = self.comparison["lookup"]
        words = np.select([number == 0, number == 1], ["set-up", "prompt"], "tokens")
        numbers = [f"{name}_{of}" for name in ("count", "bytes", "seconds") for of in ("measured", "predicted")]
        named = self.comparison.assign(lookup=words).groupby(KEY_COLUMNS, sort=False, as_index=False)
        return named[numbers].sum(min_count=1)


def run_workload(
    configuration: Configuration,
    table: str,
    workload: Workload,
    tokens: Sequence[int] | None = None,
    *,
    seed: int = 0,
    machine: Machine | None = None,
    link: Link = PRESETS["loopback"],
    allow_insecure: bool = False,
    progress: Progress | None = None,
    threads: int = 1,
) -> WorkloadRun:
    """Execute a workload's session of one client and compare it with its prediction.

    Parameters
    ----------
    configuration
        What to execute; its table has the named table's shape and the prompt's tokens.
    workload
        What the session does. Generated tokens are prepared where the configuration is.
    tokens
        Ids of the prompt's tokens and of the generated ones; drawn if left out.
    table, seed, machine, link, allow_insecure, progress, threads
        As :func:`fastquery.runs.run`.

    Raises
    ------
    ValueError
        If the workload has more than one client or too many lookups, there are more or fewer tokens than it has, one is
        outside the vocabulary, or nothing here executes the configuration.
    protocol.openfhe_library.OpenFHEUnavailable
        If OpenFHE does not load.
    protocol.errors.ProtocolError
        If a party fails.

    Examples
    --------
    >>> from costmodel.parameters import Table
    >>> from costmodel.systems import executed
    >>> done = run_workload(executed("fastquery", Table(300, 24, 3)), "300x24", Workload(3, 2))
    >>> done.correct, done.agrees, sorted(set(done.ledger["lookup"]))
    (True, True, [0, 1, 2, 3])
    """
    from protocol.execute import channel_differences, execute_session, session_batches
    from protocol.lookup import MAX_TOKENS
    from protocol.server import load_table

    require_executed(configuration)
    require_threads(configuration, threads)
    _require_executable(workload)
    if workload.prompt > MAX_TOKENS:
        raise ValueError(f"workload.prompt is {workload.prompt}; a lookup is of {MAX_TOKENS} tokens at most")
    drawn = drawn_tokens(configuration, workload.tokens if tokens is None else tokens, seed)
    if len(drawn) != workload.tokens:
        raise ValueError(f"tokens are {len(drawn)}; the workload has {workload.tokens}, its prompt's first")
    batches = session_batches(configuration, workload, drawn)
    session = execute_session(configuration, table, batches, seed, allow_insecure, progress, relayed(link), threads)
    plain = load_table(configuration, table, seed)
    profile = on_threads(machine, threads)
    prediction = estimate_workload(as_executed(configuration, plain), workload, link, profile, link_model="relay")
    ledger = pd.concat([one.ledger for one in session.lookups], ignore_index=True)
    each = zip(session.lookups, batches, strict=True)
    differences = np.concatenate([channel_differences(one, configuration, plain, batch.tokens) for one, batch in each])
    generated = session.lookups[1:]
    return WorkloadRun(
        configuration=configuration,
        workload=workload,
        table=table,
        tokens=tuple(drawn),
        seed=seed,
        link=link,
        **opened(plain, drawn, differences),
        latency_s=session.lookups[0].latency_s,
        loading_s=session.loading_s,
        setup_s=session.setup_s,
        first_share_s=session.first_share_s,
        share_s=_median(one.latency_s for one in generated),
        preparation_s=_median(session.preparations_s[1:]) if batches[-1].prepared else 0.0,
        noise_bits=max(one.noise_bits for one in session.lookups),
        peak_memory_bytes=session.lookups[-1].peak_memory_bytes,
        ledger=ledger,
        prediction=prediction,
        comparison=compare(prediction.ledger, ledger),
        threads=threads,
        **processors(machine),
    )


def _require_executable(workload: Workload) -> None:
    if workload.clients > 1:
        raise ValueError(
            f"workload.clients is {workload.clients}; a run has the session of one client: leave clients out, or price "
            "all of them with estimate"
        )
    if workload.generated >= MOST_LOOKUPS:
        raise ValueError(
            f"workload.generated is {workload.generated}; a run looks up {MOST_LOOKUPS - 1} tokens at most"
        )


def _median(values: Any) -> float:
    found = list(values)
    return statistics.median(found) if found else float("nan")
