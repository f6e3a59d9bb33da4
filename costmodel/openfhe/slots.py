"""CrypTFlow2's product as executed on OpenFHE: SIMD slots, rotations, and whole ciphertexts.

With N slots, M = min(pow2(m), N/2) rows of the table lie in a ciphertext, repeated; ceil(m/M) ciphertexts are a query.
N/M copies meet as many groups of D = max(pow2(min(n', N)) M / N, 1) columns each, so that ceil(n' M / (D N)) answers
come back. Every query ciphertext is rotated by 0 to D - 1 and multiplied by a diagonal of the table for each answer;
log2(M/D) rotations of an answer add partial sums up (:mod:`costmodel.slots`). The published system
(:mod:`costmodel.systems.cryptflow2`) treats every pair of parts of a larger table as a product of its own.

Keys are OpenFHE's, switching by digits without a special prime, one a rotation that is made and not for all powers of
two. Diagonals have coefficients uniform modulo t, which OpenFHE takes as unsigned, and so does not centre them.

References
----------
.. [1] Rathee et al. CrypTFlow2. CCS 2020; SCI, ``LinearHE/fc-field.cpp`` (``fc_online``, ``matrix_multiplication``).
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from costmodel.design import NO_FLOODING, RESIDUE_BYTES, Design, Floats, Flooding, Memory, RingUse
from costmodel.formulas import Symbol, Symbols
from costmodel.grid import Grid
from costmodel.ledger import Number, Term, Work
from costmodel.noise import (
    key_switch_variance,
    plaintext_product_variance,
    secret_key_encryption_variance,
    unsigned_uniform_mean_square,
)
from costmodel.noise import (
    log2_failure as log2_failure_of,
)
from costmodel.openfhe.sizes import bv_digits
from costmodel.openfhe.work import SLOT_RESIDUES, overhead_bytes, switched_residues
from costmodel.session import ciphertexts_sent, keys_sent, overhead_terms, residues, ring_bytes, setup_terms
from costmodel.sizes import query_symbol, size_format, switching_key_symbol
from costmodel.slots import log2_of_power, next_power_of_two, rotation_key_switches, rotation_keys
from costmodel.symbols import grid_symbols

_SOURCE = "SCI, fc-field.cpp"
_WORST_OVER_UNIFORM = 3.0
"""Square of the largest unsigned coefficient, t, over the mean square of uniform ones."""


class Slots(NamedTuple):
    """How a table lies in slots; int64 arrays."""

    period: Any  # M
    diagonals: Any  # D
    inputs: Any
    outputs: Any

    @property
    def group(self) -> Any:
        """Rotations that add partial sums up."""
        return log2_of_power(self.period) - log2_of_power(self.diagonals)


def slots(rows: ArrayLike, columns: ArrayLike, degree: ArrayLike) -> Slots:
    """Lay a table of m rows by n' columns out in N slots."""
    m, n, N = (np.asarray(a, dtype=np.int64) for a in (rows, columns, degree))
    period = np.minimum(next_power_of_two(m), N // 2)
    diagonals = np.maximum(next_power_of_two(np.minimum(n, N)) * period // N, 1)
    return Slots(period, diagonals, -(-m // period), -(-n * period // (diagonals * N)))


def terms(grid: Grid) -> tuple[Term, ...]:
    """Predicted ledger of a private lookup by slots and rotations."""
    plan = slots(grid.rows, grid.coefficients, grid.degree)
    sizes, size, tokens = size_format(grid), residues(grid), grid.tokens
    keys = rotation_keys(plan.diagonals, plan.period)
    digits = bv_digits(grid.limb_bits, grid.digit_bits)
    sent = keys * sizes.switching_key(grid)
    inputs, answers = tokens * plan.inputs, tokens * plan.outputs
    up, down = inputs * sizes.query(grid), answers * sizes.query(grid)
    encoded = plan.inputs * plan.outputs * plan.diagonals
    outputs = "ceil(n'*M/(D*N))"
    rotations = inputs * rotation_key_switches(plan.diagonals, plan.period) + answers * plan.group
    # Rotations and sums of products; reading; mask, difference and writing.
    operations = rotations + inputs * plan.diagonals + inputs + 3 * answers
    made = "log2(M) + max(log2(D) - 1, 0)"
    return (
        *setup_terms(grid),
        keys_sent(keys, sent, f"({made})*switching_key", "SEAL, evaluator.cpp"),
        Work("setup", "client", "generate switching key", keys, size * digits, made, _SOURCE),
        Work("setup", "server", "read keys", keys, size * digits, made, _SOURCE),
        Work(
            "setup",
            "server",
            "encode table",
            encoded,
            SLOT_RESIDUES * grid.degree,
            f"ceil(m/M)*{outputs}*D",
            _SOURCE,
            kept=size,
        ),
        ciphertexts_sent(grid, "client", "query", inputs, up, "tokens*ceil(m/M)*ciphertext", _SOURCE),
        ciphertexts_sent(grid, "server", "answer", answers, down, f"tokens*{outputs}*ciphertext", _SOURCE),
        Work("online", "client", "encrypt", inputs, size, "tokens*ceil(m/M)", _SOURCE),
        Work("online", "client", "write ciphertext", inputs, size, "tokens*ceil(m/M)", _SOURCE),
        Work("online", "server", "read ciphertext", inputs, size, "tokens*ceil(m/M)", _SOURCE),
        Work(
            "online",
            "server",
            "rotate",
            rotations,
            switched_residues(size, digits),
            f"tokens*(ceil(m/M)*rotations + {outputs}*log2(M/D))",
            "SCI, fc-field.cpp; SEAL, evaluator.cpp",
            key_switches=rotations,
        ),
        Work(
            "online",
            "server",
            "multiply-accumulate",
            tokens * encoded,
            size,
            f"tokens*ceil(m/M)*{outputs}*D",
            _SOURCE,
            products=tokens * encoded,
        ),
        Work("online", "server", "draw mask", answers, grid.degree, f"tokens*{outputs}", _SOURCE),
        Work("online", "server", "subtract mask", answers, size, f"tokens*{outputs}", _SOURCE),
        Work("online", "server", "write ciphertext", answers, size, f"tokens*{outputs}", _SOURCE),
        Work("online", "client", "read ciphertext", answers, size, f"tokens*{outputs}", _SOURCE, 1),
        Work("online", "client", "decrypt", answers, size, f"tokens*{outputs}", _SOURCE, 1),
        *overhead_terms(grid, "setup", {"client": ring_bytes(grid) + sent, "server": sent}),
        *overhead_terms(
            grid,
            "online",
            {
                "client": overhead_bytes(up + down, inputs, answers, 2 * inputs + 2 * answers),
                "server": overhead_bytes(up + down, answers, inputs, operations, rotations=rotations),
            },
        ),
    )


def symbols(grid: Grid) -> Symbols:
    """Symbols of the ledger's formulas."""
    plan = slots(grid.rows, grid.coefficients, grid.degree)
    rotations = rotation_key_switches(plan.diagonals, plan.period)
    return {
        **grid_symbols(grid),
        "M": Symbol(plan.period, "rows of a ciphertext, repeated in its slots"),
        "D": Symbol(plan.diagonals, "diagonals of a group of columns"),
        "rotations": Symbol(rotations, "key switches of rotations by 0 to D - 1: digits of their non-adjacent forms"),
        "ciphertext": query_symbol(grid),
        "switching_key": switching_key_symbol(grid),
    }


def noise(grid: Grid) -> Number:
    """Variance of an answer coefficient's error over (q/t)^2, pooled over all coefficients of an answer.

    With V of a key switch, S key switches for D rotations and g sums,
    ((m/M) N t^2/3 (D sigma^2 + S V) + N^2 t^2/48 + V) 2^g - V.

    The second term is that OpenFHE encodes by rounding down, 1/2 too low in the mean, and multiplies by t/2 in the
    mean; automorphisms scatter the signs, so that it arises where the query is not rotated.
    """
    plan = slots(grid.rows, grid.coefficients, grid.degree)
    product, switch = _variances(grid, plan)
    variance = (product + switch) * np.exp2(plan.group.astype(np.float64)) - switch
    return variance * np.exp2(2.0 * (grid.log2_plaintext_modulus - grid.log2_q))


def log2_failure(grid: Grid) -> Number:
    """log2 of the probability that an answer decrypts wrongly, for the worst table.

    The sums double errors at those coefficients that their automorphisms keep, 4^g in the variance, and a wrong
    coefficient is wrong in every slot: all coefficients of an answer count.
    """
    plan = slots(grid.rows, grid.coefficients, grid.degree)
    product, switch = _variances(grid, plan)
    kept = np.exp2(2.0 * plan.group.astype(np.float64))
    variance = (_WORST_OVER_UNIFORM * product + switch) * kept
    sigma = np.sqrt(variance) * np.exp2(grid.log2_plaintext_modulus - grid.log2_q)
    return log2_failure_of(sigma, 0.5, grid.tokens * plan.outputs * grid.degree)


def _variances(grid: Grid, plan: Slots) -> tuple[Number, Number]:
    """Of an answer before its partial sums are added, and of a key switch, in units of 1 at q."""
    switch = sum(
        key_switch_variance(grid.degree, bits, np.maximum(grid.digit_bits, 1), grid.sigma) for bits in grid.limb_bits
    )
    fresh = plan.diagonals * secret_key_encryption_variance(grid.sigma)
    rotated = fresh + rotation_key_switches(plan.diagonals, plan.period) * switch
    square = unsigned_uniform_mean_square(grid.plaintext_modulus)
    product = plaintext_product_variance(rotated, plan.inputs * grid.degree, square)
    return product + np.square(grid.degree * np.exp2(grid.log2_plaintext_modulus)) / 48, switch


class SlotsDesign(Design):
    """CrypTFlow2's product executed through OpenFHE's API alone."""

    name = "openfhe slots"

    def ledger(self, grid: Grid) -> tuple[Term, ...]:
        """Predicted transfers and operations."""
        return terms(grid)

    def symbols(self, grid: Grid) -> Symbols:
        """Symbols of the ledger's formulas."""
        return symbols(grid)

    def noise(self, grid: Grid) -> Floats:
        """Variance of an answer coefficient's error over (q/t)^2."""
        return np.asarray(noise(grid))

    def failure(self, grid: Grid) -> Floats:
        """log2 of the probability that an answer decrypts wrongly, for the worst table."""
        return np.asarray(log2_failure(grid))

    def flooding(self, grid: Grid) -> Flooding:
        """None: OpenFHE's API draws no flooding."""
        return NO_FLOODING

    def rings(self, grid: Grid) -> tuple[RingUse, ...]:
        """Keys switch by digits and have no special prime."""
        return (RingUse("query, keys and answer", grid.degree, grid.log2_q),)

    def memory(self, grid: Grid) -> Memory:
        """Both halves of every digit of the automorphism keys."""
        plan = slots(grid.rows, grid.coefficients, grid.degree)
        keys = rotation_keys(plan.diagonals, plan.period)
        digits = bv_digits(grid.limb_bits, grid.digit_bits)
        return Memory(2 * RESIDUE_BYTES * keys * digits * residues(grid), np.float64(0))
