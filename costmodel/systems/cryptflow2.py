"""CrypTFlow2: SIMD slots, the input rotated once for every packed diagonal of the table.

SCI keeps the whole input in one ciphertext of ``slots = clamp(2 pow2(m), 8192, 65536)`` slots and packs
``slots / pow2(m)`` columns of the table beside each other, so that ``D = ceil(pow2(n) pow2(m) / slots)`` diagonals are
left: D rotations, D products, and log2(pow2(m) / D) rotations that add partial sums up. A rotation by i takes one key
switch for each digit of i's non-adjacent form, since only keys for powers of two are made. Encryptions are public-key
ones of two polynomials, three limbs up and, after flooding, one limb down. pow2 is the next power of two.

The degree follows from the table and not from the grid. A call takes at most 65536 rows and as many columns as there
are slots; a larger product is as many calls on equal parts of it, whose shares add up. Executed, it has its own
layout and sizes (:mod:`costmodel.openfhe.slots`). Primes are those of
OpenCheetah's copy of SCI, {60, 60, 60, 49}; EzPC's own has 38 bits in the last.

References
----------
.. [1] Rathee et al. CrypTFlow2. CCS 2020; SCI, ``LinearHE/fc-field.cpp`` (``configure``, ``fc_online``,
   ``matrix_multiplication``) and ``utils-HE.cpp`` (``generate_new_keys``, ``flood_ciphertext``).
.. [2] Microsoft SEAL 3.7.2, ``evaluator.cpp`` (``rotate_internal``), ``util/galois.cpp`` (``get_elts_all``).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from costmodel import payloads
from costmodel.design import UNKNOWN_MEMORY, Design, Floats, Flooding, Memory, RingUse, failure_of_answers
from costmodel.formulas import Symbol, Symbols
from costmodel.grid import Grid
from costmodel.ledger import Number, Term, Work
from costmodel.noise import flooding_variance, plaintext_product_variance, public_key_encryption_variance
from costmodel.openfhe.rings import keyed_configuration, rings_of_degree, slot_ring
from costmodel.openfhe.slots import SlotsDesign
from costmodel.packing import check_packing
from costmodel.parameters import SIRNN_OPTIONS, Configuration, Packing, Ring, Table
from costmodel.sizes import sent_symbol
from costmodel.slots import Layout, layout, log2_of_power
from costmodel.symbols import grid_symbols
from costmodel.system import Wishes
from costmodel.systems import looks
from costmodel.systems.accounting import Counted, Objects, exchange_terms, hiding, key_terms
from costmodel.systems.onehot import check_openfhe_wishes
from costmodel.systems.priced import PricedSystem

SOURCE = "SCI, fc-field.cpp"
LIMBS = (60, 60, 60)
"""OpenCheetah's copy of SCI, ``utils-HE.cpp``; a prime of 49 bits more for the keys."""
SPECIAL_LIMB_BITS = 49
PLAINTEXT_BITS = 37
FLOODING_BITS = 100 - 37
"""SMUDGING_BITLEN of a share of 37 bits."""


class _ObjectBytes(NamedTuple):
    """Bytes of what is sent."""

    public_key: Number
    rotation_keys: Number
    query: Number
    answer: Number


_KEYS = "2*log2(slots)"
"""Keys: the public one, one of the rows' swap, and rotations by all powers of two, both ways."""


def _rotation_keys(plan: Layout) -> Number:
    """Rotations by all powers of two, both ways, and the swap of the slots' rows."""
    return 2 * (log2_of_power(plan.slots) - 1) + 1


def _object_bytes(grid: Grid, plan: Layout) -> _ObjectBytes:
    keyed = (*grid.limb_bits, np.asarray(SPECIAL_LIMB_BITS))
    return _ObjectBytes(
        payloads.public_key_bytes(grid, plan.slots, keyed),
        payloads.switching_keys_bytes(grid, plan.slots, keyed, _rotation_keys(plan)),
        payloads.whole_bytes(grid, plan.slots, grid.limb_bits),
        payloads.whole_bytes(grid, plan.slots, grid.limb_bits[:1]),
    )


class PublishedSlots(Design):
    """SCI's product by slots and rotations, token by token."""

    def ledger(self, grid: Grid) -> tuple[Term, ...]:
        """Predicted transfers and operations."""
        plan = layout(grid.rows, grid.coefficients)
        limbs, calls = grid.limb_bits, grid.tokens * plan.calls
        sizes = _object_bytes(grid, plan)
        keys = Objects(
            1 + _rotation_keys(plan), sizes.public_key + sizes.rotation_keys, _KEYS, "public_key + rotation_keys"
        )
        size = plan.slots * len(limbs)
        return (
            *key_terms(SOURCE, size, keys),
            *exchange_terms(
                SOURCE,
                size,
                plan.slots,
                Objects.alike(calls, sizes.query, "tokens*calls", "query"),
                Objects.alike(calls, sizes.answer, "tokens*calls", "answer"),
                Counted(calls * plan.diagonals, "tokens*calls*D"),
                Counted(plan.calls * plan.diagonals, "calls*D"),
            ),
            Work(
                "online",
                "server",
                "rotate",
                calls * (plan.key_switches + plan.sums),
                size,
                "tokens*calls*(rotations + sums)",
                "SCI, fc-field.cpp; SEAL, evaluator.cpp",
                key_switches=calls * (plan.key_switches + plan.sums),
            ),
        )

    def symbols(self, grid: Grid) -> Symbols:
        """Symbols of the ledger's formulas."""
        plan = layout(grid.rows, grid.coefficients)
        sizes = _object_bytes(grid, plan)
        key = f"ceil(slots*(log2_q + {SPECIAL_LIMB_BITS})/8)"
        rotations = f"(2*log2(slots) - 1)*limbs*{key}"
        return {
            **grid_symbols(grid),
            "calls": Symbol(plan.calls, "products that a larger one is cut into"),
            "slots": Symbol(plan.slots, "slots of a ciphertext"),
            "D": Symbol(plan.diagonals, "diagonals of the table"),
            "rotations": Symbol(
                plan.key_switches, "key switches of rotations by 0 to D - 1: digits of their non-adjacent forms"
            ),
            "sums": Symbol(plan.sums, "rotations that add partial sums, log2 of the padded rows over D"),
            "public_key": sent_symbol(grid, sizes.public_key, "a public key with the special prime", key),
            "rotation_keys": sent_symbol(
                grid, sizes.rotation_keys, "the keys of rotations by all powers of two, both ways", rotations
            ),
            "query": sent_symbol(grid, sizes.query, "a ciphertext of two polynomials", "2*ceil(slots*log2_q/8)"),
            "answer": sent_symbol(grid, sizes.answer, "a ciphertext under the first prime", "2*ceil(slots*q1/8)"),
        }

    def noise(self, grid: Grid) -> Floats:
        """Variance of an answer coefficient's error over (q/t)^2: product, flooding, and the switch to one limb.

        A plaintext of slots has coefficients uniform modulo t; every sum over rotations adds ciphertexts. The rounding
        of the key switches' special prime is below the product by the bits of t and left out.
        """
        plan, log2_t = layout(grid.rows, grid.coefficients), grid.log2_plaintext_modulus
        product = self._product_variance(grid, plan) * np.exp2(2.0 * (log2_t - grid.log2_q))
        secret = 1 + 2 * plan.slots / 3
        flooded = grid.log2_q - grid.limb_bits[-1]
        flooding = flooding_variance(1.0, FLOODING_BITS - 1) * secret * np.exp2(2.0 * (log2_t - flooded))
        return np.asarray(product + flooding + secret / 12 * np.exp2(2.0 * (log2_t - grid.limb_bits[0])))

    def failure(self, grid: Grid) -> Floats:
        """log2 of the probability that any coefficient of any token's answer decrypts wrongly."""
        return failure_of_answers(self.noise(grid), grid)

    def flooding(self, grid: Grid) -> Flooding:
        """Uniform noise of 63 bits, added after a limb is dropped, and the distance that it leaves."""
        plan = layout(grid.rows, grid.coefficients)
        rounding = (1 + 2 * plan.slots / 3) / 12
        hidden = self._product_variance(grid, plan) * np.exp2(-2.0 * grid.limb_bits[-1]) + rounding
        return hiding(FLOODING_BITS, hidden, grid)

    def rings(self, grid: Grid) -> tuple[RingUse, ...]:
        """Queries and answers under q, keys under a special prime besides."""
        slots = layout(grid.rows, grid.coefficients).slots
        return (
            RingUse("query and answer", slots, grid.log2_q),
            RingUse("keys", slots, grid.log2_q + SPECIAL_LIMB_BITS),
        )

    def memory(self, grid: Grid) -> Memory:
        """Not known: the library keeps its keys in a form of its own."""
        return UNKNOWN_MEMORY

    def _product_variance(self, grid: Grid, plan: Layout) -> Floats:
        fresh = public_key_encryption_variance(grid.sigma, plan.slots)
        square = np.exp2(2.0 * grid.log2_plaintext_modulus) / 12
        sums = plan.diagonals * np.exp2(plan.sums.astype(np.float64))
        return np.asarray(plaintext_product_variance(fresh, plan.slots * sums, square))


class CrypTFlow2(PricedSystem):
    """CrypTFlow2: SCI's product as published, its slots and rotations on OpenFHE where it is executed."""

    name = "cryptflow2"
    legend = "CrypTFlow2"
    source = SOURCE
    look = looks.CRYPTFLOW2
    engines = ("openfhe",)
    library = "seal"
    accepts = SIRNN_OPTIONS | {"delphi"}
    projects = True

    def ring(self, table: Table) -> Ring:
        """SCI's primes, and as many slots as the table asks for."""
        return Ring(int(layout(table.rows, table.channels).slots), LIMBS, 2**PLAINTEXT_BITS)

    def executed(self, table: Table, wishes: Wishes, engine: str) -> Configuration:
        """The smallest ring with slots that holds the failure target."""
        check_openfhe_wishes(wishes)
        packing = wishes.packing(Packing((16,), "system", "ciphertexts"), table.channels)
        columns = -(-table.channels // len(packing.widths))
        given = slot_ring(wishes.ring, table, columns, PLAINTEXT_BITS)
        check_packing(packing.widths, given["plaintext_modulus"], packing.levels)
        base = Configuration(
            self.name,
            table,
            Ring(**{"degree": 4096, "limb_bits": (53, 53), **given}),
            packing,
            engine=engine,
            options=wishes.options,
            log2_failure=wishes.log2_failure,
        )
        rings = [base.ring] if "limb_bits" in given else rings_of_degree(base.ring)
        return keyed_configuration(base, rings, SlotsDesign())

    def base_design(self, grid: Grid) -> Design:
        """Slots on OpenFHE, or the published ones."""
        return SlotsDesign() if grid.engine == "openfhe" else PublishedSlots()

    def published_design(self, grid: Grid) -> Design:
        """SCI's product."""
        return PublishedSlots()
