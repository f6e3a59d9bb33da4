"""A run: a configuration executed by two processes and held against its prediction."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from costmodel.estimate import Estimate, estimate
from costmodel.ledger import totals
from costmodel.link import PRESETS, Link
from costmodel.machine import Machine
from costmodel.parameters import Configuration
from fastquery.provenance import provenance
from validate.compare import compare

BYTES = ("up_bytes", "down_bytes", "setup_bytes")
Progress = Callable[[str, int, int], None]


@dataclass(frozen=True, eq=False)
class Run:
    """What was measured, what was predicted, and whether both agree."""

    configuration: Configuration
    mismatches: int
    worst_difference: int
    channels: int
    latency_s: float
    noise_bits: float
    peak_memory_bytes: int
    ledger: pd.DataFrame
    prediction: Estimate
    comparison: pd.DataFrame

    @property
    def correct(self) -> bool:
        """Whether every channel of every row opened to the plaintext table's."""
        return self.mismatches == 0

    @property
    def agrees(self) -> bool:
        """Whether every entry of the ledgers has its counterpart with the same count and bytes."""
        return bool(self.comparison["agrees"].all())

    def document(self) -> dict[str, Any]:
        """What ``--json`` prints."""
        measured, predicted = totals(self.ledger), self.prediction.figures
        return {
            "correct": self.correct,
            "mismatches": self.mismatches,
            "worst_difference_levels": self.worst_difference,
            "ledgers_agree": self.agrees,
            **{name: measured[name] for name in BYTES},
            **{f"predicted_{name}": predicted[name] for name in BYTES},
            **{name: measured[name] for name in ("server_s", "client_s", "table_s", "offline_s")},
            "latency_s": self.latency_s,
            "predicted_server_s": predicted["server_s"],
            "predicted_latency_s": predicted["latency_s"],
            "noise_bits": self.noise_bits,
            "predicted_noise_bits": predicted["noise_bits"],
            "security_bits": predicted["security_bits"],
            "log2_failure": predicted["log2_failure"],
            "flooding_bits": self.configuration.flooding_bits,
            "log2_statistical_distance": predicted["log2_statistical_distance"],
            "align_bits": self.configuration.align_bits,
            "engine": self.configuration.engine,
            "peak_memory_bytes": self.peak_memory_bytes,
            "table_protected_from_client": self.configuration.flooding_bits > 0,
            "ledger": self.comparison,
            "provenance": provenance(),
        }


def run(
    configuration: Configuration,
    table: str,
    tokens: Sequence[int] | int = 1,
    *,
    seed: int = 0,
    machine: Machine | None = None,
    link: Link = PRESETS["loopback"],
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
    allow_insecure
        Execute a ring below the security table.
    progress
        Called with what is being done, how much is done, and of how much.

    Raises
    ------
    ValueError
        If a token is outside the vocabulary or the engine cannot make the ring.
    protocol.openfhe_library.OpenFHEUnavailable
        If OpenFHE does not load.
    protocol.errors.ProtocolError
        If a party fails.
    """
    from protocol.elements import element_spread
    from protocol.execute import channel_differences, execute
    from protocol.server import load_table

    rows = configuration.table.rows
    drawn = np.random.default_rng(seed).integers(0, rows, tokens).tolist() if isinstance(tokens, int) else list(tokens)
    for token in drawn:
        if not 0 <= token < rows:
            raise ValueError(f"token is {token}; it must lie between 0 and {rows - 1}, the table's last row")
    relayed = None if link == PRESETS["loopback"] else link
    executed = execute(configuration, table, drawn, seed, allow_insecure, progress, relayed)
    plain = load_table(configuration, table, seed)
    spread = element_spread(plain.coefficients, plain.public.field_moduli)
    sized = configuration.updated(size="native", table=replace(configuration.table, spread=spread))
    prediction = estimate(sized, link, machine, link_model="relay")
    differences = channel_differences(executed, configuration, plain, drawn)
    return Run(
        configuration=configuration,
        mismatches=int(np.count_nonzero(differences)),
        worst_difference=int(np.abs(differences).max()),
        channels=differences.size,
        latency_s=executed.latency_s,
        noise_bits=executed.noise_bits,
        peak_memory_bytes=executed.peak_memory_bytes,
        ledger=executed.ledger,
        prediction=prediction,
        comparison=compare(prediction.ledger, executed.ledger),
    )
