"""FastQuery's, Cheetah's and BumbleBee's products on seeded ciphertexts, in exactly as many bits as needed.

A query is a seed and, of each b, the coefficients that meet a row of the table, their lowest bits dropped. An answer
is a in few bits, whole, and b in few bits at the coefficients that hold a packed column. Keys are a seed and every b.
With the option ``low-bits`` the server draws no mask: its share is the whole part of b in cells of the plaintext, and
of the fraction the uppermost bits are sent (:mod:`costmodel.answers`).
With flooding, the answer takes on a fresh public-key encryption of zero and uniform noise before its modulus is
switched, so that what is left of the table in its noise and in its a is hidden.

Prepared, everything that depends on a is done before the token is known, and the a of the answer is sent then.

References
----------
.. [1] Lin et al. FastQuery. DAC 2024, sections 2.3, 2.4 and 4.2.
.. [2] Chen, Dai, Kim, Song. ePrint 2020/015: PackLWEs.
.. [3] Brakerski, Vaikuntanathan. FOCS 2011: modulus switching and key switching by digits.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from costmodel.formulas import Symbol, Symbols
from costmodel.grid import Grid
from costmodel.ledger import Number, Phase, Term, Transfer, Work
from costmodel.packing import packlwes_automorphism_keys, packlwes_merges, packlwes_outputs
from costmodel.session import overhead_terms, residues, ring_bytes, setup_terms
from costmodel.symbols import grid_symbols, tree_symbols
from costmodel.tiles import cheetah_tile, column_tile, spu_tile
from costmodel.wire import FRAME_HEADER_BYTES, SEED_BYTES

SHORT_PLAINTEXT_MODULUS = 2**16
"""Up to here centred table entries fit 16 bits."""

SUM_PRODUCTS = 4
"""Products that take as long as reducing and writing the sum that they are added to."""

ARRANGED_COLUMN, ARRANGED_TILE = 0.25, 1.0
"""Residues that take as long as bringing a coefficient of the table into its place, at any primes.

Columns are moved many at a time, tiles one by one.
"""

MERGE_ENDS = 2
"""Digits that take as long as the part of a merge that does not depend on the digits."""

READ_ROW = 4.0
"""Reading a row of a switching key, with a quotient a residue, over reading one of an expansion key."""
READ_PUBLIC_ROW = 1.4
"""Reading the row of the public key over the same; both of two campaigns."""
FLOODED_COEFFICIENT = 1.3
"""Drawing a coefficient of an encryption of zero, in residues that are transformed and added."""
MOVED_A_BYTES, MOVED_BYTES = 0.5, 5.0
"""Of a message, that take as long as moving a residue of a sum of products: of its a alone, or of both halves."""

_SOURCE = "compact format"


class Trees(NamedTuple):
    """How answers are packed: trees over leaves that are used at every multiple of a gap."""

    leaves: Number
    gap: Number  # N where the constant coefficient alone is used
    extracted: Number  # leaves made from a coefficient of an answer that is not its constant one


def answers(grid: Grid) -> Number:
    """Polynomial pairs that are sent back of one token."""
    if grid.output == "packlwes":
        packed = trees(grid)
        return packlwes_outputs(packed.leaves, packed.gap)
    return tile(grid).outputs


def tile(grid: Grid) -> Number:
    """The tile of the table by the grid's rule."""
    rule = {"cheetah": cheetah_tile, "column": column_tile, "spu": spu_tile}[grid.tile]
    return rule(grid.rows, grid.coefficients, grid.degree)


def trees(grid: Grid) -> Trees:
    """Trees that pack a token's answers, each used at multiples of the tile's d1.

    They are interleaved where d1 is below the number of results, or where there is only one answer; otherwise every
    result is extracted to a constant coefficient and packed (SPU's choice, which BumbleBee's artifact shares).
    """
    shape, interleaved = tile(grid), _interleaves(grid)
    return Trees(
        np.where(interleaved, shape.outputs, grid.coefficients)[()],
        np.where(interleaved, shape.d1, grid.degree)[()],
        np.where(interleaved, 0, grid.coefficients - shape.outputs)[()],
    )


def _interleaves(grid: Grid) -> NDArray[np.bool_]:
    shape = tile(grid)
    return np.asarray((shape.d1 < grid.coefficients) | (shape.outputs <= 1))


def key_digits(grid: Grid) -> Number:
    """Digits of a coefficient over all limbs, each of which a key switch transforms and multiplies."""
    width = np.maximum(grid.digit_bits, 1)
    return sum(-(-(bits - grid.digit_dropped_bits) // width) for bits in grid.limb_bits)


def key_rows(grid: Grid) -> Number:
    """Rows of all switching keys: one a key, limb and digit."""
    if grid.output != "packlwes":
        return np.int64(0)
    packed = trees(grid)
    return packlwes_automorphism_keys(packed.leaves, packed.gap) * key_digits(grid)


def sent_rows(grid: Grid) -> Number:
    """Rows of all switching keys, and the public key that flooding needs."""
    return key_rows(grid) + (grid.flooding_bits > 0)


def keys_bytes(grid: Grid) -> Number:
    """A seed, and N log2 q bits a row."""
    rows = sent_rows(grid)
    return np.where(rows > 0, SEED_BYTES + rows * grid.degree * grid.log2_q // 8, 0)


def keys_sent(grid: Grid) -> Number:
    """Automorphism keys of the packing trees, and the public key that flooding needs."""
    public = (grid.flooding_bits > 0).astype(np.int64)
    if grid.output != "packlwes":
        return public
    packed = trees(grid)
    return packlwes_automorphism_keys(packed.leaves, packed.gap) + public


def scalar_products(grid: Grid) -> Number:
    """1 where answers need the constant coefficients of the products of b alone and the table's entries are short.

    These are inner products of b with the table's columns, a tenth of the work of polynomial products.
    """
    constant = grid.tile == "column" and grid.output != "ciphertexts"
    return np.where(grid.plaintext_modulus <= SHORT_PLAINTEXT_MODULUS, int(constant), 0)


def query_coefficients(grid: Grid) -> Number:
    """Coefficients of b that a token's answer depends on: m with one column a polynomial, all of them otherwise."""
    shape = tile(grid)
    return np.where(shape.d0 == 1, grid.rows, shape.inputs * grid.degree)


def query_bytes(grid: Grid) -> Number:
    """Bits of the b coefficients that are sent, limb by limb where q has two."""
    coefficients = grid.tokens * query_coefficients(grid)
    if grid.limbs == 1:
        return -(-coefficients * grid.query_bits // 8)
    return sum(-(-coefficients * bits // 8) for bits in grid.limb_bits)


def answer_a_bytes(grid: Grid) -> Number:
    """Bits of every a of the answers, whole."""
    return -(-grid.tokens * answers(grid) * grid.degree * grid.answer_a_bits // 8)


def sends_low_bits(grid: Grid) -> bool:
    """Whether the server's share is the whole part of b in cells, and ``answer_b_bits`` are of the fraction alone."""
    return "low-bits" in grid.options


def answer_b_bytes(grid: Grid) -> Number:
    """Bits of b at the coefficients that hold a packed column, or of all where ciphertexts are sent whole."""
    whole = grid.output == "ciphertexts"
    used = answers(grid) * grid.degree if whole else grid.coefficients
    return -(-grid.tokens * used * grid.answer_b_bits // 8)


def terms(grid: Grid) -> tuple[Term, ...]:
    """Predicted ledger of this project's own lookup."""
    first: Phase = "offline" if grid.prepared else "online"
    up, down = query_bytes(grid), answer_b_bytes(grid)
    header, head = (0, "") if grid.size == "ideal" else (FRAME_HEADER_BYTES, "header + ")
    announced = header + SEED_BYTES
    halves = header + answer_a_bytes(grid)
    query = header + up + (0 if grid.prepared else SEED_BYTES)
    answer = header + down + (0 if grid.prepared else answer_a_bytes(grid))
    keys = keys_bytes(grid)
    sent = keys > 0
    # A client spends half as long on a byte as a server; both ratios are of two campaigns.
    scalar = scalar_products(grid)
    each = scalar * MOVED_A_BYTES + (1 - scalar) * MOVED_BYTES
    moved = np.floor(grid.tokens * tile(grid).outputs * residues(grid) * each).astype(np.int64)
    one = np.int64(1)
    inputs, returned = grid.tokens * tile(grid).inputs, grid.tokens * answers(grid)
    offline: tuple[Term, ...] = ()
    if grid.prepared:
        offline = (
            Transfer("offline", "client", "announcement", one, announced, f"{head}seed", _SOURCE),
            Transfer(
                "offline",
                "server",
                "first halves",
                returned,
                halves,
                f"{head}{_a_formula(grid)}",
                _SOURCE,
                unit="halves",
            ),
            *overhead_terms(grid, "offline", {"client": halves // 2, "server": halves + moved}),
        )
    return (
        *setup_terms(grid),
        Transfer(
            "setup",
            "client",
            "keys",
            keys_sent(grid),
            sent * (header + keys),
            f"min(1, key_rows)*({head}seed) + key_rows*N*log2_q/8",
            _SOURCE,
            unit="keys",
            messages=one * sent,
        ),
        *offline,
        Transfer(
            "online",
            "client",
            "query",
            inputs,
            query,
            head + ("" if grid.prepared else "seed + ") + _query_formula(grid),
            _SOURCE,
            unit="ciphertexts",
        ),
        Transfer(
            "online",
            "server",
            "answer",
            returned,
            answer,
            head + ("" if grid.prepared else f"{_a_formula(grid)} + ") + _b_formula(grid),
            _SOURCE,
            unit="ciphertexts",
        ),
        *_work(grid, first),
        *overhead_terms(grid, "setup", {"client": ring_bytes(grid) + keys, "server": keys}),
        *overhead_terms(
            grid,
            "online",
            {"client": (query + answer) // 2, "server": query + answer + (0 if grid.prepared else moved)},
        ),
    )


def symbols(grid: Grid) -> Symbols:
    """Symbols of the ledger's formulas."""
    shape = tile(grid)
    found = {
        **grid_symbols(grid),
        "d0": Symbol(shape.d0, "columns of a tile"),
        "d1": Symbol(shape.d1, "rows of a tile"),
        "sent": Symbol(
            query_coefficients(grid),
            "coefficients of b that meet the table: m with one column a polynomial, else all",
            "m" if grid.tile == "column" else "m + min(1, d0 - 1)*(N*ceil(m/d1) - m)",
        ),
        "query_bits": Symbol(grid.query_bits, "bits sent of a coefficient of the query's b"),
        "a_bits": Symbol(grid.answer_a_bits, "bits sent of a coefficient of the answer's a"),
        "b_bits": Symbol(grid.answer_b_bits, "bits sent of a coefficient of the answer's b"),
        "scalar": Symbol(scalar_products(grid), "1 where inner products with b take the place of products, else 0"),
        "key_rows": Symbol(
            sent_rows(grid),
            "rows of the switching keys, and the public key that flooding needs",
            ("depth*digits + " if grid.output == "packlwes" else "") + "min(1, flooding_bits)",
        ),
    }
    if grid.output != "packlwes":
        return found
    packed = trees(grid)
    leaves, gap = _tree_names(grid)
    return {
        **found,
        **tree_symbols(packed.leaves, leaves, packed.gap, gap),
        "interleaved": Symbol(
            _interleaves(grid).astype(np.int64), "1 where answers are interleaved, 0 where extracted"
        ),
        "leaves": Symbol(
            packed.leaves,
            "ciphertexts that the trees pack: answers interleaved, or results extracted",
            "n' + interleaved*(ceil(n'/d0) - n')",
        ),
        "gap": Symbol(packed.gap, "distance of what is used of a leaf", "N + interleaved*(d1 - N)"),
        "digits": Symbol(key_digits(grid), "digits of a coefficient over all limbs"),
    }


def _tree_names(grid: Grid) -> tuple[str, str]:
    """Symbols of leaves and gap; with one column a polynomial every result is a leaf."""
    return ("n'", "N") if grid.tile == "column" else ("leaves", "gap")


def _extracted_formula(grid: Grid) -> str:
    extracts = grid.output == "packlwes" and grid.tile != "column"
    return "tokens*(1 - interleaved)*(n' - ceil(n'/d0))" if extracts else "0"


def _answers_formula(grid: Grid) -> str:
    return "ceil({}/{})".format(*_tree_names(grid)) if grid.output == "packlwes" else "ceil(n'/d0)"


def _query_formula(grid: Grid) -> str:
    if grid.limbs == 1:
        return "ceil(tokens*sent*query_bits/8)"
    return " + ".join(f"ceil(tokens*sent*q{k}/8)" for k in range(1, grid.limbs + 1))


def _a_formula(grid: Grid) -> str:
    return f"ceil(tokens*{_answers_formula(grid)}*N*a_bits/8)"


def _b_formula(grid: Grid) -> str:
    used = "ceil(n'/d0)*N" if grid.output == "ciphertexts" else "n'"
    return f"ceil(tokens*{used}*b_bits/8)"


def _work(grid: Grid, first: Phase) -> tuple[Term, ...]:
    shape, tokens, size = tile(grid), grid.tokens, residues(grid)
    inputs, products = tokens * shape.inputs, tokens * shape.multiplications
    arranged = ARRANGED_COLUMN if grid.tile == "column" else ARRANGED_TILE
    returned = tokens * answers(grid)
    packed = trees(grid) if grid.output == "packlwes" else Trees(np.int64(1), np.int64(1), np.int64(0))
    merges = tokens * packlwes_merges(packed.leaves, packed.gap)
    flooded = returned * (grid.flooding_bits > 0)
    coefficients = tokens * query_coefficients(grid) * grid.limbs
    columns_each = grid.coefficients * grid.limbs / answers(grid)  # residues of b that are used of an answer
    answered = f"tokens*{_answers_formula(grid)}"
    opened = 0 if grid.prepared else size
    summed = size * (1 + SUM_PRODUCTS / shape.inputs)
    rows, public = sent_rows(grid), np.minimum(1, grid.flooding_bits)
    read = READ_ROW + (READ_PUBLIC_ROW - READ_ROW) * public / np.maximum(rows, 1)
    zero = size + FLOODED_COEFFICIENT * grid.degree
    mask = Work("online", "server", "draw mask", np.int64(1), tokens * grid.coefficients, "1", "[1]")
    online: list[Term] = [
        Work("online", "client", "encrypt", inputs, size, "tokens*ceil(m/d1)", "[1]"),
        Work("online", "client", "pack bits", np.int64(1), coefficients, "1", _SOURCE),
        Work("online", "server", "unpack bits", np.int64(1), coefficients, "1", _SOURCE),
        Work("online", "client", "decrypt", returned, columns_each + opened, answered, "[1]", 1),
    ]
    scalar = scalar_products(grid)
    columns = tokens * grid.coefficients * scalar
    online += [
        Work("online", "server", "inner product", columns, grid.rows * grid.limbs, "tokens*n'*scalar", "[1]"),
        Work(
            "online",
            "server",
            "transform query",
            inputs * (1 - scalar),
            size,
            "tokens*ceil(m/d1)*(1 - scalar)",
            "[1]",
        ),
    ]
    return (
        Work(
            "setup",
            "server",
            "encode table",
            shape.multiplications,
            size + arranged * grid.degree,
            "ceil(m/d1)*ceil(n'/d0)",
            "[1]",
            kept=size,
        ),
        Work("setup", "client", "generate switching key", rows, size, "key_rows", _SOURCE),
        Work("setup", "server", "read keys", rows, read * size, "key_rows", _SOURCE),
        Work(first, "server", "expand seed", inputs, size, "tokens*ceil(m/d1)", _SOURCE),
        Work(
            first,
            "server",
            "multiply-accumulate",
            products * (2 - scalar),
            summed,
            "tokens*ceil(m/d1)*ceil(n'/d0)*(2 - scalar)",
            "[1]",
            products=products,
        ),
        Work(
            first,
            "server",
            "extract",
            tokens * packed.extracted,
            size,
            _extracted_formula(grid),
            "[2]",
            tasks=tokens,
        ),
        Work(
            first,
            "server",
            "merge",
            merges,
            size * (key_digits(grid) + MERGE_ENDS),
            "tokens*nodes" if grid.output == "packlwes" else "0",
            "[2]",
            key_switches=merges,
            tasks=tokens,
        ),
        Work(first, "server", "flood", flooded, zero + columns_each, f"{answered}*min(1, flooding_bits)", "[3]"),
        Work(first, "server", "switch a", returned, size, answered, "[3]"),
        Work("online", "server", "switch b", returned, columns_each, answered, "[3]"),
        *(() if sends_low_bits(grid) else (mask,)),
        *online,
    )
