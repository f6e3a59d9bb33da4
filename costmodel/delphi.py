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

from costmodel.design import RESIDUE_BYTES, Design, Floats, Flooding, Memory, RingUse
from costmodel.formulas import Symbols
from costmodel.grid import Grid
from costmodel.ledger import Term, Transfer, Work
from costmodel.parameters import EXECUTING_ENGINES
from costmodel.payloads import plain_bytes
from costmodel.session import overhead_terms
from costmodel.wire import FRAME_HEADER_BYTES

SOURCE = "FastQuery, section 2.2 and figure 2"
ROW_ENTRIES = 29
"""Entries of the table whose products take as long as the rest of a row: it is unpacked, and summed as a long integer.

0.082 us a row and 2.8 ns an entry, CPU seconds of 800 to 12601 rows and 8 to 512 columns, by turns.
"""
_OFFLINE_ITEMS = {"query": "announcement", "answer": "first halves"}
"""Names of the encrypted product's messages where it is executed ahead."""


class Delphi(Design):
    """A design whose product of an encrypted vector with the table is taken offline.

    Noise, failure, flooding and rings are those of the product.
    """

    def __init__(self, product: Design) -> None:
        self.product = product

    def ledger(self, grid: Grid) -> tuple[Term, ...]:
        """The product's ledger with its online entries before the token is known, and the masked vector after it."""
        ledger = self.product.ledger(grid)
        return _executed(ledger, grid) if grid.engine in EXECUTING_ENGINES else _published(ledger, grid)

    def symbols(self, grid: Grid) -> Symbols:
        """Symbols of the ledger's formulas."""
        return self.product.symbols(grid)

    def noise(self, grid: Grid) -> Floats:
        """Variance of an answer coefficient's error over (q/t)^2."""
        return self.product.noise(grid)

    def failure(self, grid: Grid) -> Floats:
        """log2 of the probability that any coefficient of any token's answer decrypts wrongly."""
        return self.product.failure(grid)

    def flooding(self, grid: Grid) -> Flooding:
        """Flooding of the product's answers."""
        return self.product.flooding(grid)

    def rings(self, grid: Grid) -> tuple[RingUse, ...]:
        """Rings of the product."""
        return self.product.rings(grid)

    def memory(self, grid: Grid) -> Memory:
        """The product's, and the server's shares of a vector's product."""
        product = self.product.memory(grid)
        return product._replace(prepared_bytes=RESIDUE_BYTES * grid.tokens * grid.coefficients)


def _published(ledger: tuple[Term, ...], grid: Grid) -> tuple[Term, ...]:
    moved = tuple(term._replace(phase="offline") if term.phase == "online" else term for term in ledger)
    vector = grid.tokens * plain_bytes(grid.rows, grid.plaintext_bits)
    return (
        *moved,
        Transfer(
            "online",
            "client",
            "masked query",
            grid.tokens,
            vector,
            "tokens*ceil(m*share_bits/8)",
            SOURCE,
            unit="vectors",
        ),
        Work("online", "server", "plain product", grid.tokens, grid.rows * grid.coefficients, "tokens", SOURCE),
    )


def _executed(ledger: tuple[Term, ...], grid: Grid) -> tuple[Term, ...]:
    """The same in this project's frames: all tokens' masked vectors in one."""
    moved = tuple(_ahead(term) for term in ledger)
    header = 0 if grid.size == "ideal" else FRAME_HEADER_BYTES
    vectors = header + plain_bytes(grid.tokens * grid.rows, grid.plaintext_bits)
    entries = grid.rows * (grid.coefficients + ROW_ENTRIES)
    return (
        *moved,
        Transfer(
            "online",
            "client",
            "query",
            grid.tokens,
            vectors,
            f"{'' if grid.size == 'ideal' else 'header + '}ceil(tokens*m*share_bits/8)",
            SOURCE,
            unit="vectors",
        ),
        Work("online", "client", "mask query", grid.tokens, grid.rows, "tokens", SOURCE),
        Work("online", "server", "plain product", grid.tokens, entries, "tokens", SOURCE),
        *overhead_terms(grid, "online", {"client": vectors, "server": vectors}),
    )


def _ahead(term: Term) -> Term:
    if term.phase != "online":
        return term
    if isinstance(term, Transfer):
        return term._replace(phase="offline", item=_OFFLINE_ITEMS.get(term.item, term.item))
    return term._replace(phase="offline")
