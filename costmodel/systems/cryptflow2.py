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

import numpy as np

from costmodel import payloads
from costmodel.design import Design, Floats, Flooding, RingUse, failure_of_answers
from costmodel.grid import Grid
from costmodel.ledger import Term, Work
from costmodel.noise import flooding_variance, plaintext_product_variance, public_key_encryption_variance
from costmodel.openfhe.rings import keyed_configuration, rings_of_degree, slot_ring
from costmodel.openfhe.slots import SlotsDesign
from costmodel.packing import check_packing
from costmodel.parameters import Configuration, Packing, Ring, Table
from costmodel.slots import Layout, layout, log2_of_power
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


class PublishedSlots(Design):
    """SCI's product by slots and rotations, token by token."""

    def ledger(self, grid: Grid) -> tuple[Term, ...]:
        """Predicted transfers and operations."""
        plan = layout(grid.rows, grid.coefficients)
        limbs, calls = grid.limb_bits, grid.tokens * plan.calls
        keyed = (*limbs, np.asarray(SPECIAL_LIMB_BITS))
        count = 2 * (log2_of_power(plan.slots) - 1) + 1
        keys = payloads.public_key_bytes(grid, plan.slots, keyed)
        keys = keys + payloads.switching_keys_bytes(grid, plan.slots, keyed, count)
        query = payloads.whole_bytes(grid, plan.slots, limbs)
        answer = payloads.whole_bytes(grid, plan.slots, limbs[:1])
        size = plan.slots * len(limbs)
        return (
            *key_terms(SOURCE, size, Objects(1 + count, keys, "public key; rotations by all powers of two, both ways")),
            *exchange_terms(
                SOURCE,
                size,
                plan.slots,
                Objects.alike(calls, query, "tokens calls"),
                Objects.alike(calls, answer, "tokens calls"),
                Counted(calls * plan.diagonals, "tokens calls D"),
                Counted(plan.calls * plan.diagonals, "calls D"),
            ),
            Work(
                "online",
                "server",
                "rotate",
                calls * (plan.key_switches + plan.sums),
                size,
                "tokens calls (digits of 0..D-1 in non-adjacent form + log2(pow2(m)/D))",
                "SCI, fc-field.cpp; SEAL, evaluator.cpp",
                key_switches=calls * (plan.key_switches + plan.sums),
            ),
        )

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
    accepts = frozenset({"delphi", "sirnn-iknp", "sirnn-ferret"})
    projects = True

    def ring(self, table: Table) -> Ring:
        """SCI's primes, and as many slots as the table asks for."""
        return Ring(int(layout(table.rows, table.channels).slots), LIMBS, 2**PLAINTEXT_BITS)

    def executed(self, table: Table, wishes: Wishes, engine: str) -> Configuration:
        """The smallest ring with slots that holds the failure target."""
        check_openfhe_wishes(wishes)
        packing = wishes.packing(Packing((16,), "system", "ciphertexts"))
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
