"""The ledger that all expanded queries have: keys, a query a token, an answer a token, and sizes of operations."""

from __future__ import annotations

import numpy as np

from costmodel.expanded.gadgets import switch_counts
from costmodel.expanded.noise import Floats
from costmodel.expanded.parameters import COUNTER_BYTES, Array, Columns, GadgetColumns
from costmodel.formulas import Symbol
from costmodel.grid import Grid
from costmodel.ledger import Entries, Number, Party, Term, Transfer, Work
from costmodel.session import overhead_terms, residues, setup_terms
from costmodel.symbols import grid_symbols
from costmodel.wire import FRAME_HEADER_BYTES

# Sizes of operations count polynomials that are transformed, or work that takes as long. Measured by
# `python -m benchmarks.kernels` (single kernels) and `python -m benchmarks.folded` (whole queries):
SWITCH_ENDS = 4  # reading the input of a key switch and adding its result, in digits
PRODUCT_ENDS = 12  # the ends of an external product, in digits
RING_WORDS = 110_000  # a client's rings: 2 ms of 27 sessions' set-ups, where a word of a message took 18 ns
BIT_ROW = 10  # preparing a row of an encrypted bit before it is multiplied by, in digits
SWITCHED_MODULUS = 1.3  # a residue of a result, in residues of an answer
LONG_MODULUS = 18  # the same modulo three primes, whose integers are too long for two words
ROUNDED_ANSWER = 8.5  # shares, low bits and bytes, a coefficient of an answer's a, in residues of an answer
SWITCHED_ROW = 0.1  # a coefficient of a row of the ring switch, in residues of an answer
LONG_INTEGER = 100  # rounding a used coefficient of a query as a long integer, in residues
# Of two campaigns:
FLOODING = 1.34  # the encryption of zero and the flooding of an answer, a residue, in residues of an encryption of zero
FLOODING_ENDS = 24000  # what of it does not grow with the ring, in residues
READ_PUBLIC_ROW = 3.7  # reading a residue of a packing key or the public key, in residues of an expansion key
READ_RING_SWITCH = 2.3  # the same of a row of the ring switch
SECRETS = 4.3  # drawing the secrets that queries and answers are under, in residues of a secret key
SECRET_ENDS = 15000  # what of it does not grow with the ring, in residues
# The parties' time for a query outside of their operations, in words of a message:
CLIENT_QUERY_WORDS, SERVER_QUERY_WORDS = 10000, 30000


def node_size(columns: Columns) -> Floats:
    """Polynomials of a key switch of the expansion, on average."""
    found: Floats = (
        np.sum(switch_counts(columns) * (SWITCH_ENDS + columns.expansion.digits), axis=0) / columns.expansion_switches
    )
    return found


def square_size(columns: Columns) -> Array:
    """Polynomials of the key switch from s^2."""
    return SWITCH_ENDS + columns.square.digits


def product_size(gadget: GadgetColumns, bits_each: Array | float = 1.0) -> Floats:
    """Polynomials of an external product by a bit, and of the part of a bit that has to be prepared for it."""
    found: Floats = PRODUCT_ENDS + 2 * gadget.digits + BIT_ROW * gadget.digits * bits_each
    return found


def flooding_size(residues: Number) -> Floats:
    """Residues of an encryption of zero that take as long as one of so many, and the flooding of an answer with it."""
    found: Floats = FLOODING_ENDS + FLOODING * residues
    return found


def ring_switch_residues(columns: Columns) -> Array:
    """Residues of the key to the answers' secrets, the a of a row and its b under every secret."""
    found: Array = columns.ring_switch_rows * (1 + columns.answer_outputs) * columns.answer_degree
    return found


def answer_size(columns: Columns, limbs: Array) -> Floats:
    """Residues that take as long as an answer: its ciphertexts modulo q', and the products with the ring switch's key.

    Of one of its polynomials a, from results modulo so many primes.
    """
    each = np.where(limbs > 2, LONG_MODULUS, SWITCHED_MODULUS)
    switched = each * limbs * columns.degree * columns.answer_together
    rounded = ROUNDED_ANSWER * columns.answer_degree
    found: Floats = switched + rounded + SWITCHED_ROW * ring_switch_residues(columns)
    return found


def expanded_symbols(grid: Grid, p: Columns) -> dict[str, Symbol]:
    """Symbols of the formulas that all expanded queries share."""
    return {
        **grid_symbols(grid),
        "counter": Symbol(COUNTER_BYTES, "bytes of a query's counter"),
        "key_rows": Symbol(p.key_groups[0][0], "rows of the keys modulo q"),
        "ring_switch_rows": Symbol(p.ring_switch_rows, "rows of the key to the answers' secrets"),
        "outputs": Symbol(p.answer_outputs, "secrets of the answers under one a"),
        "answer_q": Symbol(p.answer_modulus_bits, "bits of the answers' modulus"),
        "T": Symbol(p.answer_tokens, "rows of an answer"),
        "answers": Symbol(p.answers, "polynomials a of an answer"),
        "N'": Symbol(p.answer_degree, "ring degree of an answer"),
        "a_pair_bits": Symbol(p.answer_half_bits, "bits of two rounded coefficients of an answer's a"),
        "low_bits": Symbol(p.answer_low_bits, "bits sent of a coefficient of b"),
        "flooded": Symbol(p.flooded, "1 where answers are flooded, else 0"),
    }


def expansion_symbols(p: Columns) -> dict[str, Symbol]:
    """Symbols of the expansion of a query."""
    return {
        "K": Symbol(p.query_coefficients, "coefficients of a query that hold anything"),
        "nodes": Symbol(p.expansion_switches, "key switches of the expansion, repeated ones included"),
    }


class ExpandedLedger:
    """Entries that every expanded query has, in parts that a design puts its own between.

    Parameters
    ----------
    grid, columns
        The configurations and their chosen parameters.
    entries
        Of the design's formulas.
    queries
        Queries of all tokens; one a token if left out.
    sent
        Bytes of these queries with their frames; a frame each if left out.
    messages, counted
        Answers to all of them, and their number in the ledger's symbols; as few as hold the tokens' rows if left out.
    """

    def __init__(
        self,
        grid: Grid,
        columns: Columns,
        entries: Entries,
        queries: Number = None,
        sent: Number = None,
        messages: Number = None,
        counted: str = "ceil(tokens/T)",
    ) -> None:
        self.grid, self.columns, self.entries, self.counted = grid, columns, entries, counted
        self.size: Number = residues(grid)
        self.queries: Number = grid.tokens if queries is None else queries
        self.sent: Number = self.queries * columns.up_bytes if sent is None else sent
        self.messages: Number = -(-grid.tokens // columns.answer_tokens) if messages is None else messages

    def keys(self, formula: str) -> tuple[Term, ...]:
        """The session's setup and the client's keys."""
        size = FRAME_HEADER_BYTES + self.columns.key_bytes
        rows = sum(group for group, _ in self.columns.key_groups) + self.columns.ring_switch_rows
        sent = self.entries.transfer("setup", "client", "keys", rows, size, formula, unit="key rows")
        secrets = SECRET_ENDS + SECRETS * self.size
        return (*setup_terms(self.grid, secrets), sent)

    def read_keys(self, rows: Number, public_residues: Number = 0) -> Work:
        """Reading so many rows of expansion keys, and the residues of other keys with them."""
        others = READ_PUBLIC_ROW * public_residues + READ_RING_SWITCH * ring_switch_residues(self.columns)
        each = self.size + others / np.maximum(rows, 1)
        return self.entries.work("setup", "server", "read keys", rows, each, "key_rows")

    def query(self, formula: str) -> tuple[Term, ...]:
        """The query and its encryption: its polynomial, and its used coefficients as long integers."""
        p, tokens, sent = self.columns, self.queries, self.sent
        handled = p.degree * p.limbs + LONG_INTEGER * p.query_coefficients
        return (
            self.entries.transfer(
                "online", "client", "query", tokens, sent, formula, tokens, unit="ciphertexts", messages=tokens
            ),
            self.entries.work("online", "client", "encrypt selectors", tokens, handled, "tokens"),
        )

    def answer(self) -> tuple[Term, ...]:
        """The answer and its decryption."""
        messages = self.messages
        sent, answers = messages * self.columns.down_bytes, messages * self.columns.answers
        formula = f"{self.counted}*(header + answers*ceil(N'/2*a_pair_bits/8) + ceil(T*n'*low_bits/8))"
        return (
            self.entries.transfer(
                "online", "server", "answer", answers, sent, formula, unit="ciphertexts", messages=messages
            ),
            self.entries.work("online", "client", "decrypt row", messages, self.size, self.counted, 1),
        )

    def compress(self, limbs: Array) -> Work:
        """Making the answers of what queries become, modulo so many primes."""
        count, size = self.messages * self.columns.answers, answer_size(self.columns, limbs)
        return self.entries.work("online", "server", "compress", count, size, f"{self.counted}*answers")

    def overhead(self) -> tuple[Term, ...]:
        """Each party's seconds outside of its operations."""
        grid, p = self.grid, self.columns
        both = self.sent + self.messages * p.down_bytes
        client, server = CLIENT_QUERY_WORDS * self.queries, SERVER_QUERY_WORDS * self.queries
        online: dict[Party, Number] = {"client": both + 8 * client, "server": both + 8 * server}
        offline: dict[Party, Number] = {"client": np.int64(0), "server": 8 * server}
        # Of the same set-ups: keys leave in one frame, and a server copies more of it than a client.
        keys = p.key_bytes
        made: dict[Party, Number] = {"client": 8 * RING_WORDS + keys // 3, "server": 5 * keys // 6}
        return (
            *overhead_terms(grid, "setup", made),
            *overhead_terms(grid, "offline", offline if grid.prepared else {}),
            *overhead_terms(grid, "online", online),
        )

    def held(self, terms: tuple[Term, ...]) -> tuple[Term, ...]:
        """The terms, NaN where no parameters hold."""
        held = self.columns.held
        return tuple(
            term._replace(count=held(term.count), size_bytes=held(term.size_bytes), messages=held(term.messages))
            if isinstance(term, Transfer)
            else term._replace(
                count=held(term.count),
                size=held(term.size),
                products=held(term.products),
                key_switches=held(term.key_switches),
            )
            for term in terms
        )
