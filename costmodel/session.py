"""What every executed protocol has: the greeting, the public parameters, keys, and each party's own overhead."""

from __future__ import annotations

import numpy as np

from costmodel.grid import Grid
from costmodel.ledger import OVERHEAD, Number, Party, Phase, Term, Transfer, Work
from costmodel.parameters import EXECUTING_ENGINES
from costmodel.sizes import size_format

RING_WORDS = {"openfhe": (790_000, 130), "residue": (135_000, 33)}
"""By engine: once, and for each residue of a polynomial."""


def setup_terms(grid: Grid, secrets: Number = None) -> tuple[Term, ...]:
    """Setup of a session: hello and parameters, the client's keys, the server's table.

    The table's encoding is entered by the protocol, which knows its polynomials; the size of the client's secrets is
    that of a polynomial if left out.
    """
    sizes, one = size_format(grid), np.int64(1)
    formulas = sizes.session
    return (
        Transfer("setup", "client", "hello", one, sizes.hello(grid), formulas.hello, "frame format"),
        Transfer("setup", "server", "parameters", one, sizes.parameters(grid), formulas.parameters, "frame format"),
        Transfer("setup", "server", "ready", one, sizes.ready(grid), formulas.ready, "frame format"),
        Work(
            "setup",
            "client",
            "generate keys",
            one,
            residues(grid) if secrets is None else secrets,
            "1",
            "once a session",
        ),
    )


def request_terms(grid: Grid) -> tuple[Term, ...]:
    """What asks for a lookup, and for a preparation where there is one; published systems have neither."""
    if grid.engine not in EXECUTING_ENGINES:
        return ()
    sizes, one = size_format(grid), np.int64(1)
    size, formula = sizes.request(grid), sizes.session.request
    lookup = Transfer("online", "client", "lookup", one, size, formula, "frame format")
    if not (grid.prepared or "delphi" in grid.options):
        return (lookup,)
    return Transfer("offline", "client", "preparation", one, size, formula, "frame format"), lookup


def overhead_terms(grid: Grid, phase: Phase, bytes_each: dict[Party, Number]) -> tuple[Term, ...]:
    """A party's seconds outside of its operations: framing, checksums, copies; by the words that it handles.

    A client's are entered where it takes the answer, the larger part of it.
    """
    return tuple(
        Work(
            phase,
            party,
            OVERHEAD,
            np.int64(1),
            size // 8,
            "1",
            "measured",
            1 if party == "client" else 0,
        )
        for party, size in bytes_each.items()
    )


def ciphertexts_sent(
    grid: Grid, party: Party, item: str, count: Number, size: Number, formula: str, source: str
) -> Transfer:
    """Online ciphertexts in a frame each; executed, they leave as they are made. Published latencies add up."""
    pieces = np.maximum(count, 1) if grid.engine == "openfhe" else 1
    return Transfer(
        "online", party, item, count, size, formula, source, pieces=pieces, unit="ciphertexts", messages=pieces
    )


def keys_sent(count: Number, size: Number, formula: str, source: str) -> Transfer:
    """Switching keys of OpenFHE in a frame each, which leave while the next one is made."""
    pieces = np.maximum(count, 1)
    return Transfer("setup", "client", "keys", count, size, formula, source, pieces=pieces, unit="keys", messages=count)


def ring_bytes(grid: Grid) -> Number:
    """Bytes of messages that take as long as a client's ring: its context, roots of unity and tables of transforms.

    The numbers are ratios of CPU seconds, of 147 sessions' set-ups: 10 ms and 1.6 us a residue on OpenFHE, where a word
    of a message took 12.6 ns, and 2.4 ms and 0.6 us a residue on this project's kernels, where it took 18 ns.

    Examples
    --------
    >>> from costmodel.parameters import Table
    >>> from costmodel.systems import executed
    >>> int(ring_bytes(Grid.of(executed("fastquery", Table(300, 24)))))
    3242688
    """
    once, each = RING_WORDS.get(grid.engine, (0, 0))
    return 8 * (once + each * residues(grid))


def residues(grid: Grid) -> Number:
    """Residues of one polynomial, N times the limbs."""
    return grid.degree * grid.limbs
