"""SecretFlow SPU's CHEETAH as executed, in its rings of 32 and 64 bits.

FM32 has limbs {59, 37} at N = 4096 and no special prime: answers are switched to the first limb and never packed. FM64
has {59, 55, 49} at N = 8192 and a special prime of 49 bits: answers have two limbs and are packed
(:mod:`costmodel.systems.spu_product`). Inputs are seeded secret-key encryptions; what is not read of b is zero after
an encryption of zero under the client's public key and a mask uniform modulo q have been added. Both parties send a
public key and, where answers are packed, log2 N automorphism keys; the server encodes the table anew for every query.

Options of a configuration: ``shares`` takes both operands as additive shares, which costs a second product in the
other direction; ``split`` lets SPU cut operands of 256 MiB and more, which it does unless
``experimental_disable_mmul_split`` is set. Without them inputs are private to their owners and the product is whole.

SPU rounds both parties' shares on their own, so a result is off by one in the last place where a share lies within
the noise of a rounding boundary; the failure modelled here is that of a decryption.

References
----------
.. [1] SPU 0.9.5, ``libspu/mpc/cheetah/arith/cheetah_dot.cc``: ``DecideSEALParameters``, ``LazyInit``, ``H2A``.
.. [2] ``libspu/mpc/cheetah/arithmetic.cc``: ``MatMulVVS`` (private operands), ``MatMulAA`` (shares).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from costmodel import payloads
from costmodel.design import NO_FLOODING, Design, Floats, Flooding, RingUse, failure_of_answers
from costmodel.grid import Grid
from costmodel.ledger import Party, Term, Work
from costmodel.noise import (
    packlwes_variance,
    plaintext_product_variance,
    public_key_encryption_variance,
    secret_key_encryption_variance,
)
from costmodel.parameters import SHARE_MODULUS, Ring, Table
from costmodel.systems import looks
from costmodel.systems.accounting import Counted, Objects, exchange_terms, key_terms, other
from costmodel.systems.priced import PricedSystem
from costmodel.systems.spu_product import Block, SpuProduct, split, spu_product

SOURCE = "SPU 0.9.5, cheetah_dot.cc"
SPECIAL_LIMB_BITS = 49
"""Special prime of FM64 [1]_."""


class SpuProductDesign(Design):
    """SPU's product of shares of so many bits.

    Parameters
    ----------
    share_bits
        32 or 64. Without the special prime of 64 bits answers are never packed.
    source
        Of the counts.
    """

    def __init__(self, share_bits: int, source: str = SOURCE) -> None:
        self.share_bits, self.source = share_bits, source

    @property
    def packs(self) -> bool:
        """Whether the ring has a special prime, without which answers are never packed."""
        return self.share_bits > 32

    def products(self, grid: Grid) -> list[tuple[Any, SpuProduct]]:
        """Sub-products of the tokens x m by m x n' product, each with how often it occurs."""
        rows, inner, columns = np.broadcast_arrays(grid.tokens, grid.rows, grid.coefficients)
        blocks = [Block(np.int64(1), rows, inner, columns)]
        if "split" in grid.options:
            blocks = list(split(rows, inner, columns, self.share_bits // 8))
        return [(b.count, spu_product(b.rows, b.inner, b.columns, grid.degree, self.packs)) for b in blocks]

    def ledger(self, grid: Grid) -> tuple[Term, ...]:
        """Predicted ledger of SPU's product of the one-hot rows with the table.

        Each party has entries as the one who encrypts; for one token it is the client, with shares both.
        """
        counted = self.products(grid)
        left = [(np.where(product.left_encrypts, count, 0), product) for count, product in counted]
        right = [(np.where(product.left_encrypts, 0, count), product) for count, product in counted]
        if "shares" in grid.options:
            left = right = counted
        return (
            *self._key_terms(grid, counted, "client"),
            *self._key_terms(grid, counted, "server"),
            *self._exchange_terms(grid, left, "client"),
            *self._exchange_terms(grid, right, "server"),
        )

    def noise(self, grid: Grid) -> Floats:
        """Variance of an answer coefficient's error over (q/t)^2, the worst block where the product is split.

        Product and the last limb's rounding, an encryption of zero, and the key switches, each of which leaves the
        rounding by the special prime. Private table entries are the grid's; shares of them are uniform modulo 2^k.
        """
        bits = self.share_bits
        square = np.exp2(2.0 * bits) / 12 if "shares" in grid.options else grid.element_mean_square
        dropped = grid.limb_bits[-1]
        rounding = (1 + 2 * grid.degree / 3) / 12
        zero = public_key_encryption_variance(grid.sigma, grid.degree)
        worst = np.float64(0)
        for count, product in self.products(grid):
            fresh = secret_key_encryption_variance(grid.sigma)
            variance = plaintext_product_variance(fresh, product.entries, square) * np.exp2(-2.0 * dropped)
            answer = variance + rounding + zero + packlwes_variance(rounding, product.depth)
            worst = np.maximum(worst, np.where(count > 0, answer, 0.0))
        return np.asarray(worst * np.exp2(2.0 * (bits - grid.log2_q + dropped)))

    def failure(self, grid: Grid) -> Floats:
        """log2 of the probability that any coefficient decrypts wrongly, for a table of the grid's spread."""
        return failure_of_answers(self.noise(grid), grid)

    def flooding(self, grid: Grid) -> Flooding:
        """An encryption of zero and a mask, but no noise beyond it."""
        return NO_FLOODING

    def rings(self, grid: Grid) -> tuple[RingUse, ...]:
        """Queries and answers under q, keys under a special prime besides where there is one."""
        used = RingUse("query and answer", grid.degree, grid.log2_q)
        return (used, RingUse("keys", grid.degree, grid.log2_q + SPECIAL_LIMB_BITS)) if self.packs else (used,)

    def _key_terms(self, grid: Grid, counted: list[tuple[Any, SpuProduct]], party: Party) -> tuple[Term, ...]:
        limbs = (*grid.limb_bits, np.asarray(SPECIAL_LIMB_BITS)) if self.packs else grid.limb_bits
        needed = np.bool_(self.packs and "shares" in grid.options)
        for count, product in counted:
            needed = needed | (product.packed & (count > 0))
        keys = np.where(needed, np.round(np.log2(grid.degree)).astype(np.int64), 0)
        sent = payloads.public_key_bytes(grid, grid.degree, limbs)
        sent = sent + payloads.switching_keys_bytes(grid, grid.degree, limbs, keys)
        formula = "a public key, and log2 N automorphism keys where answers are packed"
        return key_terms(self.source, grid.degree * len(limbs), Objects(1 + keys, sent, formula), party)

    def _exchange_terms(self, grid: Grid, counted: list[tuple[Any, SpuProduct]], encryptor: Party) -> tuple[Term, ...]:
        """The products of which one party encrypts its operand."""
        limbs = grid.limb_bits[:-1]
        whole = payloads.whole_bytes(grid, grid.degree, limbs)
        answer_bytes: Any = np.float64(0)
        for count, product in counted:
            bare = payloads.extracted_bytes(grid, grid.degree, limbs, product.used)
            answer_bytes = answer_bytes + count * product.answers * np.where(product.packed, whole, bare)

        def occurring(field: str) -> Any:
            return sum((count * getattr(product, field) for count, product in counted), np.int64(0))

        size, answer_size = grid.degree * grid.limbs, grid.degree * len(limbs)
        query = payloads.seeded_bytes(grid, grid.degree, grid.limb_bits)
        answered = "b0 b2, ceil(b0 b2 / d1) interleaved, ceil(tokens n' / N) packed"
        return (
            *exchange_terms(
                self.source,
                size,
                answer_size,
                Objects.alike(occurring("inputs"), query, "min(b0, b2) b1 seeded ciphertexts"),
                Objects(occurring("answers"), answer_bytes, answered),
                Counted(occurring("products"), "b0 b1 b2"),
                Counted(occurring("encoded"), "b1 max(b0, b2)"),
                encryptor=encryptor,
                table_phase="online",
            ),
            Work(
                "online",
                other(encryptor),
                "merge",
                occurring("automorphisms"),
                answer_size,
                "nodes of the trees, and the trace of PackLWEs",
                self.source,
                key_switches=occurring("automorphisms"),
            ),
        )


class SpuFM32(PricedSystem):
    """SPU in its ring of 32 bits."""

    name = "spu-fm32"
    legend = "SPU (FM32)"
    source = SOURCE
    look = looks.SPU_FM32
    library = "spu"
    accepts = frozenset({"delphi", "shares", "split", "sirnn-iknp", "sirnn-ferret"})
    projects = True

    def ring(self, table: Table) -> Ring:
        """SPU 0.9.5, DecideSEALParameters."""
        return Ring(4096, (59, 37), 2**32)

    def published_design(self, grid: Grid) -> Design:
        """SPU's product."""
        return SpuProductDesign(32)


class SpuFM64(SpuFM32):
    """SPU in its ring of 64 bits."""

    name = "spu-fm64"
    legend = "SPU (FM64)"
    look = looks.SPU_FM64

    def ring(self, table: Table) -> Ring:
        """SPU 0.9.5, DecideSEALParameters."""
        return FM64_RING

    def published_design(self, grid: Grid) -> Design:
        """SPU's product, answers packed."""
        return SpuProductDesign(64)


FM64_RING = Ring(8192, (59, 55, 49), SHARE_MODULUS)
"""SPU 0.9.5 and OpenBumbleBee, DecideSEALParameters."""
