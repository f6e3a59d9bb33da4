"""Delphi's split: the homomorphic product on a random vector before the token is known, the rest in the clear.

Offline the client encrypts a random r and the server returns W r - s; online the client sends x - r modulo t and the
server adds W (x - r) + s to nothing: it keeps it as its share. Any product of a ciphertext with the table can be taken
offline so; what it costs is m log2 t bits and a pass over the plaintext table for every token.

References
----------
.. [1] FastQuery. DAC 2024, section 2.2 and figure 2, after Mishra, Lehmkuhl, Srinivasan, Zheng, Popa. Delphi. USENIX
   Security 2020.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from costmodel.grid import Grid
from costmodel.ledger import Term, Transfer, Work
from costmodel.payloads import plain_bytes
from costmodel.session import overhead_terms
from costmodel.systems.spu import RING_BITS
from costmodel.wire import FRAME_HEADER_BYTES

SOURCE = "FastQuery, section 2.2 and figure 2"
_OFFLINE_ITEMS = {"query": "announcement", "answer": "first halves"}
"""What the messages of the encrypted product are called where it is executed ahead."""


def offline(ledger: Iterable[Term], grid: Grid) -> tuple[Term, ...]:
    """The ledger with its online entries before the token is known, and what Delphi does once it is.

    Parameters
    ----------
    ledger
        Of a system that computes the product of an encrypted vector with the table.
    grid
        What the ledger was derived from.

    Raises
    ------
    ValueError
        If the system computes no product.
    """
    if grid.protocol == "ciphergpt":
        raise ValueError("options has 'delphi'; ciphergpt computes no product that could be taken offline")
    if grid.engine in ("residue", "openfhe"):
        return _executed(ledger, grid)
    moved = tuple(term._replace(phase="offline") if term.phase == "online" else term for term in ledger)
    bits = RING_BITS.get(grid.protocol, np.ceil(grid.log2_plaintext_modulus).astype(np.int64))
    vector = grid.tokens * plain_bytes(grid.rows, bits)
    return (
        *moved,
        Transfer("online", "client", "masked query", grid.tokens, vector, "tokens ceil(m log2 t / 8)", SOURCE),
        Work("online", "server", "plain product", grid.tokens, grid.rows * grid.coefficients, "a pass over W", SOURCE),
    )


def _executed(ledger: Iterable[Term], grid: Grid) -> tuple[Term, ...]:
    """The same in this project's frames: all tokens' masked vectors in one."""
    moved = tuple(_ahead(term) for term in ledger)
    bits = np.ceil(grid.log2_plaintext_modulus).astype(np.int64)
    header = 0 if grid.size == "ideal" else FRAME_HEADER_BYTES
    vectors = header + plain_bytes(grid.tokens * grid.rows, bits)
    one, entries = np.int64(1), grid.rows * grid.coefficients
    return (
        *moved,
        Transfer("online", "client", "query", one, vectors, "header + ceil(tokens m log2 t / 8)", SOURCE),
        Work("online", "client", "mask query", grid.tokens, grid.rows, "tokens", SOURCE),
        Work("online", "server", "plain product", grid.tokens, entries, "a pass over W a token", SOURCE),
        *overhead_terms(grid, "online", {"client": vectors, "server": vectors}),
    )


def _ahead(term: Term) -> Term:
    if term.phase != "online":
        return term
    if isinstance(term, Transfer):
        return term._replace(phase="offline", item=_OFFLINE_ITEMS.get(term.item, term.item))
    return term._replace(phase="offline")
