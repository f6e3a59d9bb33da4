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
from costmodel.design import NO_FLOODING, UNKNOWN_MEMORY, Design, Floats, Flooding, Memory, RingUse, failure_of_answers
from costmodel.formulas import Symbol, Symbols
from costmodel.grid import Grid
from costmodel.ledger import Number, Party, Term, Work
from costmodel.noise import (
    packlwes_variance,
    plaintext_product_variance,
    public_key_encryption_variance,
    secret_key_encryption_variance,
)
from costmodel.parameters import SHARE_MODULUS, SIRNN_OPTIONS, Ring, Table
from costmodel.sizes import sent_symbol
from costmodel.symbols import grid_symbols
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
        return (
            *self._key_terms(grid, counted, "client"),
            *self._key_terms(grid, counted, "server"),
            *self._exchange_terms(grid, self._encrypted(grid, counted, "client"), "client"),
            *self._exchange_terms(grid, self._encrypted(grid, counted, "server"), "server"),
        )

    def symbols(self, grid: Grid) -> Symbols:
        """Symbols of the ledger's formulas, numbered by block where the product is split."""
        counted = self.products(grid)
        keys, public, automorphisms = self._keys(grid, counted)
        key = f"ceil(N*(log2_q + {SPECIAL_LIMB_BITS})/8)" if self.packs else "ceil(N*log2_q/8)"
        query = payloads.seeded_bytes(grid, grid.degree, grid.limb_bits)
        found = {
            **grid_symbols(grid),
            "keys": Symbol(keys, "automorphism keys of a party, log2 N where answers are packed"),
            "public_key": sent_symbol(grid, public, "a public key", key),
            "automorphism_keys": sent_symbol(grid, automorphisms, "the automorphism keys", f"keys*limbs*{key}"),
            "query": sent_symbol(grid, query, "a seeded ciphertext", "ceil(N*log2_q/8)"),
        }
        for block, (_, product) in zip(_blocks(counted), counted, strict=True):
            answer = f"ceil((N + used{block})*(log2_q - q{grid.limbs})/8)"
            found |= {
                f"inputs{block}": Symbol(product.inputs, "ciphertexts of a product's operand, min(b0, b2) b1"),
                f"answers{block}": Symbol(product.answers, "ciphertexts of a product's result"),
                f"used{block}": Symbol(product.used, "coefficients of an answer's b that are sent"),
                f"answer{block}": sent_symbol(grid, self._answer_bytes(grid, product), "an answer", answer),
                f"products{block}": Symbol(product.products, "products of a ciphertext and a plaintext, b0 b1 b2"),
                f"encoded{block}": Symbol(product.encoded, "plaintext polynomials, b1 max(b0, b2)"),
                f"nodes{block}": Symbol(
                    product.automorphisms, "key switches of a product: nodes of the trees, and the trace of PackLWEs"
                ),
            }
        parties: tuple[Party, ...] = ("client", "server")
        for party in parties:
            for block, (count, _) in zip(_blocks(counted), self._encrypted(grid, counted, party), strict=True):
                found[f"{party}{block}"] = Symbol(count, f"products whose operand the {party} encrypts")
        return found

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

    def memory(self, grid: Grid) -> Memory:
        """Not known: the library keeps its keys in a form of its own."""
        return UNKNOWN_MEMORY

    def _encrypted(
        self, grid: Grid, counted: list[tuple[Any, SpuProduct]], party: Party
    ) -> list[tuple[Any, SpuProduct]]:
        """Sub-products, each with how often a party encrypts its operand; with shares both parties do."""
        if "shares" in grid.options:
            return counted
        left, right = (1, 0) if party == "client" else (0, 1)
        return [(count * np.where(product.left_encrypts, left, right), product) for count, product in counted]

    def _key_terms(self, grid: Grid, counted: list[tuple[Any, SpuProduct]], party: Party) -> tuple[Term, ...]:
        keys, public, automorphisms = self._keys(grid, counted)
        sent = public + automorphisms
        objects = Objects(1 + keys, sent, "1 + keys", "public_key + automorphism_keys")
        return key_terms(self.source, grid.degree * self._key_limbs(grid), objects, party)

    def _key_limbs(self, grid: Grid) -> int:
        """Primes of a key, the special one among them where there is one."""
        return grid.limbs + self.packs

    def _keys(self, grid: Grid, counted: list[tuple[Any, SpuProduct]]) -> tuple[Number, Number, Number]:
        """Automorphism keys of a party, 0 where no answers are packed, and bytes of the public key and of these."""
        limbs = (*grid.limb_bits, np.asarray(SPECIAL_LIMB_BITS)) if self.packs else grid.limb_bits
        needed = np.bool_(self.packs and "shares" in grid.options)
        for count, product in counted:
            needed = needed | (product.packed & (count > 0))
        keys = np.where(needed, np.round(np.log2(grid.degree)).astype(np.int64), 0)
        public = payloads.public_key_bytes(grid, grid.degree, limbs)
        return keys, public, payloads.switching_keys_bytes(grid, grid.degree, limbs, keys)

    def _answer_bytes(self, grid: Grid, product: SpuProduct) -> Number:
        """Bytes of an answer: a whole ciphertext where it is packed, else what is read of it."""
        limbs = grid.limb_bits[:-1]
        bare = payloads.extracted_bytes(grid, grid.degree, limbs, product.used)
        return np.where(product.packed, payloads.whole_bytes(grid, grid.degree, limbs), bare)

    def _exchange_terms(self, grid: Grid, counted: list[tuple[Any, SpuProduct]], encryptor: Party) -> tuple[Term, ...]:
        """The products of which one party encrypts its operand."""
        blocks = _blocks(counted)
        answer_bytes: Any = np.float64(0)
        for count, product in counted:
            answer_bytes = answer_bytes + count * product.answers * self._answer_bytes(grid, product)

        def occurring(field: str) -> Any:
            return sum((count * getattr(product, field) for count, product in counted), np.int64(0))

        def summed(*factors: str) -> str:
            return " + ".join("*".join(f"{name}{block}" for name in (encryptor, *factors)) for block in blocks)

        size, answer_size = grid.degree * grid.limbs, grid.degree * (grid.limbs - 1)
        query = payloads.seeded_bytes(grid, grid.degree, grid.limb_bits)
        asked = summed("inputs")
        return (
            *exchange_terms(
                self.source,
                size,
                answer_size,
                Objects.alike(occurring("inputs"), query, asked if len(blocks) == 1 else f"({asked})", "query"),
                Objects(occurring("answers"), answer_bytes, summed("answers"), summed("answers", "answer")),
                Counted(occurring("products"), summed("products")),
                Counted(occurring("encoded"), summed("encoded")),
                encryptor=encryptor,
                table_phase="online",
            ),
            Work(
                "online",
                other(encryptor),
                "merge",
                occurring("automorphisms"),
                answer_size,
                summed("nodes"),
                self.source,
                key_switches=occurring("automorphisms"),
            ),
        )


def _blocks(counted: list[tuple[Any, SpuProduct]]) -> list[str]:
    """Numbers of the blocks as their symbols have them, none for a product that is whole."""
    return [str(place) for place in range(1, len(counted) + 1)] if len(counted) > 1 else [""]


class SpuFM32(PricedSystem):
    """SPU in its ring of 32 bits."""

    name = "spu-fm32"
    legend = "SPU (FM32)"
    source = SOURCE
    look = looks.SPU_FM32
    library = "spu"
    accepts = SIRNN_OPTIONS | {"delphi", "shares", "split"}
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
