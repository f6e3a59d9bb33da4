"""Entries of widening the shares of packed channels to ``align_bits``, where a configuration asks for it.

One channel a coefficient with a plaintext as wide as asked for needs none: its shares are aligned as they are.

By default this project's own protocol: every carry out of a field of a coefficient is one correlated oblivious
transfer, made by SoftSpokenOT with blocks of k bits (k = 1 is IKNP). The server's message depends on its share alone
and travels with the answer; the client's answers it after its own share is there. Options ``sirnn-iknp`` and
``sirnn-ferret`` price SiRNN's extension channel by channel instead, as the published systems would run it: with IKNP
as its code does in two exchanges, or with correlations that Ferret made offline in one.

Base transfers, from which all others are extended, are made once a session and counted in ``setup``.

References
----------
.. [1] Rathee et al. SiRNN. IEEE S&P 2021; SCI, ``aux-protocols.cpp``.
.. [2] Roy. SoftSpokenOT. CRYPTO 2022. Ishai, Kilian, Nissim, Petrank. CRYPTO 2003 (IKNP).
.. [3] Yang, Weng, Lan, Zhang, Wang. Ferret. CCS 2020; parameters of emp-ot.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from costmodel.alignment.formulas import (
    SECURITY_PARAMETER,
    ferret_bits_per_correlation,
    ferret_bytes,
    ferret_correlation_bytes,
    iknp_bytes,
)
from costmodel.alignment.formulas import sirnn_bytes as sirnn_total_bytes
from costmodel.errors import Incompatible
from costmodel.formulas import Symbol, Symbols
from costmodel.grid import Grid
from costmodel.ledger import Number, Party, Phase, Term, Transfer, Work
from costmodel.parameters import BLOCK_BITS, SIRNN_OPTIONS, Configuration
from costmodel.wire import FRAME_HEADER_BYTES

STREAM_START = {"extend transfers": 1.6, "correct carries": 1.2}
"""Transfers that take as long as a stream of a block's seeds takes to start.

Fitted to both operations with blocks of one to eight bits, timed in turns in one run on shared cores."""
STREAM_SHARE = {"extend transfers": 0.12, "correct carries": 0.06}
"""Of a transfer's seconds, what its bits of all streams take, with blocks of four bits."""

POINT_BYTES = 32
LEVEL_BYTES = 32
"""Two masked sums of 16 bytes."""

SOURCE = "this project's alignment: one correlated transfer a carry"


class Messages(NamedTuple):
    """Bytes of each message's payload."""

    base_ot_point: Number  # server
    base_ot_choices: Number  # client
    seed_tree_sums: Number  # server; none with blocks of one bit
    ot_extension: Number  # server
    carry_corrections: Number  # client


def message_bytes(
    coefficients: Any, fields: int, last_modulus: Any, target_bits: Any, block_bits: Any = BLOCK_BITS
) -> Messages:
    """Payloads of one session with one alignment.

    With f fields, n = f coefficients transfers, L = ``target_bits``, k = ``block_bits`` and 2^v the largest power of
    two that divides the last field's modulus:

        base_ot_point      32
        base_ot_choices    128 * 32
        seed_tree_sums     32 (128 - ceil(128/k))
        ot_extension       ceil(128/k) ceil(n / 8)
        carry_corrections  ceil((f-1) coefficients L / 8) + ceil(coefficients max(0, L - v) / 8)

    where n = (f - 1) coefficients if v >= L: the last carry is then not needed.

    Parameters
    ----------
    coefficients : array_like of int
        Shares that go in, of all tokens.
    fields : int
        Fields of a coefficient.
    last_modulus : array_like of int
        Of the last field, which fills the plaintext modulus.
    target_bits : array_like of int
        L, at least 1.
    block_bits : array_like of int
        k, 1 to 8.
    """
    count = np.asarray(coefficients, dtype=np.int64)
    bits = np.asarray(target_bits, dtype=np.int64)
    needed = np.maximum(bits - _twos(last_modulus), 0)
    transfers = count * (fields - 1 + (needed > 0))
    columns = -(-SECURITY_PARAMETER // np.asarray(block_bits, dtype=np.int64))
    return Messages(
        np.int64(POINT_BYTES),
        np.int64(SECURITY_PARAMETER * POINT_BYTES),
        (LEVEL_BYTES * (SECURITY_PARAMETER - columns))[()],
        (columns * -(-transfers // 8))[()],
        (-(-count * (fields - 1) * bits // 8) - (-count * needed // 8))[()],
    )


def needs_transfers(fields: int, last_modulus: Any, target_bits: Any) -> Any:
    """Whether shares of packed coefficients have carries to correct before they are shares modulo 2^L of channels.

    One channel a coefficient modulo a multiple of 2^L has none: its shares are reduced modulo 2^L where they lie.
    """
    last = np.asarray(last_modulus, dtype=np.int64)
    return (fields > 1) | ((last & -last) < np.exp2(target_bits))


def aligns_by_transfers(configuration: Configuration) -> bool:
    """Whether a configuration's shares are aligned, and that by oblivious transfers."""
    *lower, _ = moduli = configuration.packing.field_moduli
    last = min(configuration.ring.plaintext_modulus // math.prod(lower), 2**62)
    return configuration.align_bits > 0 and bool(needs_transfers(len(moduli), last, configuration.align_bits))


def alignment_terms(grid: Grid) -> tuple[Term, ...]:
    """Entries of the alignment, none where no grid point asks for it.

    Raises
    ------
    ValueError
        If the plaintext modulus is no multiple of the moduli of all fields but the last.
    """
    if not np.any(grid.align_bits > 0):
        return ()
    if SIRNN_OPTIONS.intersection(grid.options):
        return _sirnn_terms(grid)
    coefficients = grid.tokens * grid.coefficients
    bits, last = np.maximum(grid.align_bits, 1), _last_modulus(grid)
    wanted = (grid.align_bits > 0) & needs_transfers(grid.fields, last, bits)
    if not np.any(wanted):
        return ()
    messages = message_bytes(coefficients, grid.fields, last, bits, grid.block_bits)
    return (
        _message(grid, wanted, "setup", "server", "base_ot_point", messages.base_ot_point, "32", 0),
        _message(grid, wanted, "setup", "client", "base_ot_choices", messages.base_ot_choices, "128*32", 0),
        _message(
            grid,
            wanted,
            "setup",
            "server",
            "seed_tree_sums",
            messages.seed_tree_sums,
            "32*(128 - ceil(128/k))",
            0,
        ),
        _message(
            grid, wanted, "online", "server", "ot_extension", messages.ot_extension, "ceil(128/k)*ceil(transfers/8)", 1
        ),
        _message(
            grid,
            wanted,
            "online",
            "client",
            "carry_corrections",
            messages.carry_corrections,
            "ceil(tokens*(fields - 1)*n'*aligned/8) + ceil(tokens*n'*carry_bits/8)",
            2,
        ),
        *_work(grid, np.where(wanted, coefficients * grid.fields, 0)),
    )


def alignment_symbols(grid: Grid) -> Symbols:
    """Symbols of the formulas of :func:`alignment_terms` beside those of every ledger."""
    if not np.any(grid.align_bits > 0):
        return {}
    found = {
        "aligned": Symbol(grid.align_bits, "bits of an aligned share"),
        "correlation_bits": Symbol(ferret_bits_per_correlation(), "bits of a transfer made by Ferret, amortised"),
    }
    if SIRNN_OPTIONS.intersection(grid.options):
        return found
    twos = _twos(_last_modulus(grid))
    needed = np.maximum(grid.align_bits - twos, 0)
    return {
        **found,
        "k": Symbol(grid.block_bits, "bits of SoftSpokenOT's blocks"),
        "twos": Symbol(twos, "how often 2 divides the modulus of the last field"),
        "carry_bits": Symbol(needed, "bits of the last field's carry", "max(0, aligned - twos)"),
        "transfers": Symbol(
            grid.tokens * grid.coefficients * (grid.fields - 1 + (needed > 0)),
            "correlated transfers, one a carry",
            "tokens*n'*(fields - 1 + min(1, carry_bits))",
        ),
    }


def _twos(modulus: Any) -> Any:
    """How often 2 divides a modulus."""
    last = np.asarray(modulus, dtype=np.int64)
    return np.frexp((last & -last).astype(np.float64))[1].astype(np.int64) - 1


def _elements(operation: str, transfers: Number, block_bits: Any) -> Any:
    """Transfers with blocks of four bits that take as long as so many with other blocks."""
    streams, usual = _streams(block_bits), _streams(BLOCK_BITS)
    each = 1.0 + STREAM_SHARE[operation] * (streams / usual - 1.0)
    found = np.asarray(transfers) * each + STREAM_START[operation] * (streams - usual)
    return np.where(np.asarray(transfers) > 0, np.maximum(found, 0.0), 0.0)[()]


def _streams(block_bits: Any) -> Any:
    """Streams of seeds of all blocks: 2^k of each, fewer of a last one that is shorter."""
    k = np.asarray(block_bits, dtype=np.int64)
    whole, rest = SECURITY_PARAMETER // k, SECURITY_PARAMETER % k
    return whole * np.exp2(k) + np.where(rest > 0, np.exp2(rest), 0.0)


def _work(grid: Grid, transfers: Number) -> tuple[Term, ...]:
    """Base transfers and the alignment itself of both parties, where this project executes them."""
    if grid.engine not in ("openfhe", "residue"):
        return ()
    once = np.where(transfers > 0, 1, 0)
    parties: tuple[Party, ...] = ("client", "server")
    return (
        *(Work("setup", party, "base transfers", once, np.int64(0), "1", SOURCE) for party in parties),
        Work(
            "online",
            "server",
            "extend transfers",
            once,
            _elements("extend transfers", transfers, grid.block_bits),
            "1",
            SOURCE,
            1,
        ),
        Work(
            "online",
            "client",
            "correct carries",
            once,
            _elements("correct carries", transfers, grid.block_bits),
            "1",
            SOURCE,
            2,
        ),
        Work("online", "server", "take corrections", once, transfers, "1", SOURCE, 2),
    )


def _message(
    grid: Grid, wanted: Any, phase: Phase, party: Party, item: str, size: Number, formula: str, exchange: int
) -> Transfer:
    """A message in a frame of this project, or bare in a published system's own format and ideally."""
    framed = grid.engine in ("openfhe", "residue") and grid.size != "ideal"
    # Only the seed trees of blocks of one bit send nothing at all; other messages are framed even if empty.
    sent = wanted & ((np.asarray(size) > 0) | (item != "seed_tree_sums"))
    total = np.where(sent, size + (FRAME_HEADER_BYTES if framed else 0), 0)
    count = np.where(sent, 1, 0)
    named = f"header + {formula}" if framed else formula
    return Transfer(phase, party, item.replace("_", " "), count, total, named, SOURCE, exchange, messages=count)


def _sirnn_terms(grid: Grid) -> tuple[Term, ...]:
    values, bits, wanted = grid.tokens * grid.channels, np.maximum(grid.align_bits, 1), grid.align_bits > 0
    count = np.where(wanted, values, 0)

    def entry(phase: Phase, party: Party, item: str, size: Number, formula: str, source: str, exchange: int) -> Term:
        sent = np.where(wanted, size, 0)
        return Transfer(
            phase,
            party,
            item,
            count,
            sent,
            formula,
            source,
            exchange,
            unit="transfers",
            messages=np.where(wanted, 1, 0),
        )

    if "sirnn-ferret" in grid.options:
        online = ferret_bytes(values, bits)
        made = ferret_correlation_bytes(values)
        return (
            entry("offline", "server", "correlations", made, "ceil(tokens*n*correlation_bits/8)", "[3]", 0),
            entry("online", "server", "wrap choices", online.receiver, "ceil(tokens*n/8)", "[1], [3]", 1),
            entry("online", "client", "wrap corrections", online.sender, "ceil(tokens*n*aligned/8)", "[1], [3]", 2),
        )
    both = sirnn_total_bytes(values, bits)
    second = iknp_bytes(values, bits)
    return (
        entry("online", "server", "wrap choices", both.receiver - second.receiver, "ceil(tokens*n*128/8)", "[1]", 1),
        entry("online", "client", "wrap corrections", both.sender - second.sender, "ceil(tokens*n*2/8)", "[1]", 2),
        entry("online", "server", "conversion choices", second.receiver, "ceil(tokens*n*128/8)", "[1]", 2),
        entry("online", "client", "conversion corrections", second.sender, "ceil(tokens*n*aligned/8)", "[1]", 3),
    )


def check_alignment(field_moduli: Sequence[int], plaintext_modulus: int, align_bits: int) -> None:
    """Refuse shares that cannot be extended: the fields of a coefficient have to fill its plaintext modulus.

    Raises
    ------
    ValueError
        Naming the plaintext modulus, and the multiple that it has to be.
    """
    lower = math.prod(field_moduli[:-1])
    if align_bits and (plaintext_modulus % lower or plaintext_modulus // lower < field_moduli[-1]):
        raise Incompatible(
            f"ring.t is {plaintext_modulus}; shares of fields modulo {tuple(field_moduli)} align only if it is "
            f"{lower}, the product of all moduli but the last, times an integer of at least {field_moduli[-1]}"
        )


def _last_modulus(grid: Grid) -> Any:
    lower = math.prod(grid.field_moduli[:-1])
    if np.any(grid.plaintext_modulus % lower):
        raise Incompatible(
            f"ring.t is {grid.plaintext_modulus}; shares of fields modulo {grid.field_moduli} align only if it is a "
            f"multiple of {lower}, the moduli of all fields but the last"
        )
    return grid.plaintext_modulus // lower
