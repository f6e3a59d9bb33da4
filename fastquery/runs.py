"""A run: a configuration executed by two processes and held against its prediction."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, Generic, TypeVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from costmodel.estimate import Estimate, estimate
from costmodel.ledger import totals
from costmodel.link import PRESETS, Link
from costmodel.machine import Machine, default_machine
from costmodel.parameters import Configuration
from costmodel.results import Result, lookup_headline
from costmodel.systems import require_executed
from costmodel.workload import Workload, WorkloadEstimate
from fastquery.processor import UNKNOWN, this_processor
from fastquery.provenance import provenance
from quantize.packed import PackedTable
from quantize.packing import unpack
from validate.compare import compare

BYTES = ("up_bytes", "down_bytes", "setup_bytes")
Progress = Callable[[str, int, int], None]
FAR_OFF = 1.5
"""Measured over predicted server seconds, or the reverse, from which on a profile is not this machine's."""


Prediction = TypeVar("Prediction", Estimate, WorkloadEstimate)


@dataclass(frozen=True, eq=False, repr=False)
class Executed(Result, Generic[Prediction]):
    """Lookups that were executed, their prediction, and whether both agree.

    Attributes
    ----------
    configuration, table, tokens, seed, link
        Everything that the run depends on: :meth:`document` holds enough of it to run again.
    rows
        The rows that both parties' shares open to, (tokens, n), in the model's own channel order.
    mismatches, worst_difference, channels
        Channels that open to another level than the plaintext table's, the largest difference in levels, and all
        channels.
    latency_s, noise_bits, peak_memory_bytes
        Measured: wall seconds until both parties had their shares of the first lookup, log2 of the answers' error over
        q/t, and the memory of both processes.
    ledger, prediction, comparison
        Measured ledger, predicted figures, and both ledgers joined.
    threads
        Threads of the server that shared the work.
    machine_processor, processor
        Names of the processors that the prediction's unit costs are of, and that the run was on.
    """

    configuration: Configuration
    table: str
    tokens: tuple[int, ...]
    seed: int
    link: Link
    rows: NDArray[np.float32]
    mismatches: int
    worst_difference: int
    channels: int
    latency_s: float
    noise_bits: float
    peak_memory_bytes: int
    ledger: pd.DataFrame
    prediction: Prediction
    comparison: pd.DataFrame
    threads: int = 1
    machine_processor: str = UNKNOWN
    processor: str = UNKNOWN

    entry_columns: ClassVar[tuple[str, ...]] = ("phase", "party", "item")

    @property
    def predicted_lookup(self) -> Estimate:
        """The prediction of the first lookup."""
        raise NotImplementedError

    @property
    def looked_up(self) -> str:
        """How many tokens, in words."""
        return f"{len(self.tokens)} token(s)"

    @property
    def wall_seconds(self) -> dict[str, str]:
        """Names of the measured wall seconds in the document, with the words for them."""
        return {"latency_s": "latency"}

    def entries(self) -> pd.DataFrame:
        """The comparison as people read it, each row named by the entry columns."""
        return self.comparison

    @property
    def server_over_predicted(self) -> float:
        """Measured over predicted CPU seconds of the server."""
        return float(totals(self.ledger)["server_s"] / self.prediction.server_s)

    @property
    def foreign(self) -> bool:
        """Whether the unit costs are of another processor, or too far off to be of this one as it runs now."""
        ratio = self.server_over_predicted
        return self.machine_processor != self.processor or not 1 / FAR_OFF <= ratio <= FAR_OFF

    def verdicts(self) -> dict[str, str]:
        """Whether the rows are right and the ledgers agree, in words."""
        return {
            "rows": "right" if self.correct else f"{self.mismatches} channels WRONG",
            "ledgers": "agree" if self.agrees else "do NOT agree",
        }

    def tables(self) -> dict[str, pd.DataFrame]:
        """Both ledgers side by side."""
        return {"comparison": self.comparison}

    @property
    def correct(self) -> bool:
        """Whether every channel of every row opened to the plaintext table's."""
        return self.mismatches == 0

    @property
    def agrees(self) -> bool:
        """Whether every entry of the ledgers has its counterpart with the same count and bytes."""
        return bool(self.comparison["agrees"].all())

    def document(self) -> dict[str, Any]:
        """Everything as plain values, enough to run again with :func:`again`."""
        measured, predicted, stated = totals(self.ledger), self.prediction.figures, self.predicted_lookup.figures
        return {
            "configuration": asdict(self.configuration),
            "protocol": self.configuration.protocol,
            "table": self.table,
            "tokens": list(self.tokens),
            "seed": self.seed,
            "link": asdict(self.link),
            "machine": self.predicted_lookup.machine,
            "machine_processor": self.machine_processor,
            "processor": self.processor,
            "server_over_predicted": self.server_over_predicted,
            "correct": self.correct,
            "mismatches": self.mismatches,
            "worst_difference_levels": self.worst_difference,
            "ledgers_agree": self.agrees,
            **{name: measured[name] for name in BYTES},
            **{f"predicted_{name}": predicted[name] for name in BYTES},
            **{name: measured[name] for name in ("server_s", "client_s", "table_s", "offline_s")},
            "online_s": online_s(self.ledger),
            "latency_s": self.latency_s,
            "predicted_server_s": predicted["server_s"],
            "predicted_latency_s": stated["latency_s"],
            "noise_bits": self.noise_bits,
            "predicted_noise_bits": stated["noise_bits"],
            "security_bits": stated["security_bits"],
            "log2_failure": stated["log2_failure"],
            "flooding_bits": self.configuration.flooding_bits,
            "log2_statistical_distance": stated["log2_statistical_distance"],
            "log2_planned_distance": stated["log2_planned_distance"],
            "align_bits": self.configuration.align_bits,
            "engine": self.configuration.engine,
            "threads": self.threads,
            "peak_memory_bytes": self.peak_memory_bytes,
            "table_protected_from_client": self.configuration.flooding_bits > 0,
            "ledger": self.comparison,
            "provenance": provenance(self.threads),
        }


class Run(Executed[Estimate]):
    """A lookup that was executed, its prediction, and whether both agree.

    Examples
    --------
    >>> import fastquery as fq
    >>> done = fq.run("300x24", [7, 299], protocol="folded")
    >>> done.correct, done.agrees, done.rows.shape
    (True, True, (2, 24))
    >>> sent = done.comparison[done.comparison["kind"] == "transfer"]
    >>> bool((sent["bytes_measured"] == sent["bytes_predicted"]).all())
    True
    """

    @property
    def predicted_lookup(self) -> Estimate:
        """The prediction."""
        return self.prediction

    def headline(self) -> dict[str, str]:
        """The lookup, whether it came out as predicted, and what it took."""
        measured = totals(self.ledger)
        return {
            **lookup_headline(self.configuration),
            **self.verdicts(),
            "up": f"{measured['up_bytes']:,.0f} B",
            "down": f"{measured['down_bytes']:,.0f} B",
            "latency": f"{self.latency_s:.3g} s over {self.link.name}",
        }


def run(
    configuration: Configuration,
    table: str,
    tokens: Sequence[int] | int = 1,
    *,
    seed: int = 0,
    machine: Machine | None = None,
    link: Link = PRESETS["loopback"],
    threads: int = 1,
    allow_insecure: bool = False,
    progress: Progress | None = None,
) -> Run:
    """Execute a configuration and compare it with its prediction.

    Parameters
    ----------
    configuration
        What to execute; its table's shape must be the named table's.
    table
        Preset, ``MxN`` or ``FILE.safetensors:KEY``; the server loads it.
    tokens
        Token ids, or how many to draw.
    seed
        Of a random table and of drawn tokens.
    machine
        What the prediction is made for.
    link
        What lies between the parties, by a relay; the loopback interface is left as it is.
    threads
        Threads of the server that share the work of the lookup.
    allow_insecure
        Execute a ring below the security table.
    progress
        Called with what is being done, how much is done, and of how much.

    Raises
    ------
    ValueError
        If a token is outside the vocabulary, or nothing here executes the configuration.
    protocol.openfhe_library.OpenFHEUnavailable
        If OpenFHE does not load.
    protocol.errors.ProtocolError
        If a party fails.
    """
    from protocol.execute import channel_differences, execute
    from protocol.server import load_table

    require_executed(configuration)
    require_threads(configuration, threads)
    drawn = drawn_tokens(configuration, tokens, seed)
    executed = execute(configuration, table, drawn, seed, allow_insecure, progress, relayed(link), threads)
    plain = load_table(configuration, table, seed)
    prediction = estimate(as_executed(configuration, plain), link, on_threads(machine, threads), link_model="relay")
    return Run(
        configuration=configuration,
        table=table,
        tokens=tuple(drawn),
        seed=seed,
        link=link,
        **opened(plain, drawn, channel_differences(executed, configuration, plain, drawn)),
        latency_s=executed.latency_s,
        noise_bits=executed.noise_bits,
        peak_memory_bytes=executed.peak_memory_bytes,
        ledger=executed.ledger,
        prediction=prediction,
        comparison=compare(prediction.ledger, executed.ledger),
        threads=threads,
        **processors(machine),
    )


def require_threads(configuration: Configuration, threads: int) -> None:
    """Refuse more threads than one where an engine computes on one.

    Raises
    ------
    ValueError
        If it does.
    """
    if threads > 1 and configuration.engine == "openfhe":
        raise ValueError(f"threads is {threads}; engine openfhe computes on one, engine residue on many")


def drawn_tokens(configuration: Configuration, tokens: Sequence[int] | int, seed: int) -> list[int]:
    """Token ids, or so many drawn ones.

    Raises
    ------
    ValueError
        If one is outside the vocabulary.
    """
    rows = configuration.table.rows
    drawn = np.random.default_rng(seed).integers(0, rows, tokens).tolist() if isinstance(tokens, int) else list(tokens)
    for token in drawn:
        if not 0 <= token < rows:
            raise ValueError(f"token is {token}; it must lie between 0 and {rows - 1}, the table's last row")
    return drawn


def relayed(link: Link) -> Link | None:
    """What a relay shows the parties; none is between them on the loopback interface."""
    return None if link == PRESETS["loopback"] else link


def as_executed(configuration: Configuration, plain: PackedTable) -> Configuration:
    """The configuration that a run is predicted by: in this project's sizes, with the spread of the table at hand."""
    from protocol.elements import element_spread

    spread = element_spread(plain.coefficients, plain.public.field_moduli)
    return configuration.updated(size="native", table=replace(configuration.table, spread=spread))


def opened(plain: PackedTable, tokens: Sequence[int], differences: NDArray[np.int64]) -> dict[str, Any]:
    """Fields of a result that are about the rows that both shares open to."""
    return {
        "rows": _opened_rows(plain, tokens, differences),
        "mismatches": int(np.count_nonzero(differences)),
        "worst_difference": int(np.abs(differences).max()),
        "channels": differences.size,
    }


def on_threads(machine: Machine | None, threads: int) -> Machine:
    """A machine, the built-in one if there is none, on so many threads."""
    return replace(machine or default_machine(), threads=threads)


def processors(machine: Machine | None) -> dict[str, Any]:
    """Fields of a result that name the prediction's processor and this one."""
    known = (machine or default_machine()).provenance
    return {"machine_processor": str(known.get("processor", UNKNOWN)), "processor": this_processor().name}


def again(path: Path) -> dict[str, Any]:
    """Arguments of :func:`run` from the JSON document of an earlier run, a session's workload among them.

    Raises
    ------
    ValueError
        If the file is no such document.
    """
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        session = {"workload": Workload(**document["workload"])} if "workload" in document else {}
        return {
            **session,
            "configuration": Configuration.from_dict(document["configuration"]),
            "table": str(document["table"]),
            "tokens": [int(token) for token in document["tokens"]],
            "seed": int(document["seed"]),
            "link": Link(**document["link"]),
            "threads": int(document.get("threads", 1)),
        }
    except OSError as error:
        raise ValueError(f"from is {str(path)!r}, which cannot be read: {error.strerror}") from None
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"from is {str(path)!r}, which is no document of a run: {error}") from None


def online_s(ledger: pd.DataFrame) -> float:
    """CPU seconds of the server once the tokens are known."""
    found = (ledger["kind"] == "work") & (ledger["party"] == "server") & (ledger["phase"] == "online")
    return float(ledger.loc[found, "seconds"].sum())


def _opened_rows(plain: PackedTable, tokens: Sequence[int], differences: NDArray[np.int64]) -> NDArray[np.float32]:
    """Float rows of the levels that the shares open to."""
    public = plain.public
    expected = unpack(plain.coefficients[list(tokens)], public.field_moduli, public.channels)
    levels = expected.astype(np.int64) + differences
    opened = public.open_fields(levels.astype(np.int64))
    return public.dequantize(opened)
