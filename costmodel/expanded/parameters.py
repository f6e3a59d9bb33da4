"""A query that is one ciphertext, expanded into one ciphertext a coefficient: what such queries have in common."""

from __future__ import annotations

from typing import NamedTuple

from costmodel.wire import FRAME_HEADER_BYTES, SEED_BYTES

MOST_LIMBS = 3
MOST_KEPT_BITS = 130
"""That the digits of a residue hold: its fraction of Q is known to 132 with limbs of 60 bits."""


class Gadget(NamedTuple):
    """The ``digits`` uppermost digits of ``bits`` bits of a residue modulo Q; what is below them is rounded off."""

    digits: int
    bits: int

    @property
    def kept_bits(self) -> int:
        """Bits of the residue that the digits hold."""
        return self.digits * self.bits


class Expanded:
    """Parameters of a query with used coefficients at every multiple of a stride, and of its answer.

    Subclasses are dataclasses with these fields.
    """

    rows: int  # m
    row_coefficients: int  # n', packed coefficients of a row
    element_bound: int  # largest magnitude of a centred packed element
    plaintext_modulus: int  # t
    degree: int  # N
    limb_bits: tuple[int, ...]  # of Q, one to three primes
    expansion: tuple[Gadget, ...]  # of the automorphism keys, one a level from X -> X^(N+1) on
    square: Gadget  # of the key from s^2
    answer_degree: int  # N', N or, after the ring switch, half or a quarter of it
    ring_switch: Gadget  # of the key to the ring of degree N'; (0, 0) without a switch
    answer_a_bits: int  # kept of a coefficient of the answer's a
    answer_b_bits: int  # and of its b
    flooding_bits: int  # asked for; 0 leaves the table unprotected from the client
    flooding_log2_bound: int  # the flooding is uniform in [-2^this, 2^this)
    sigma: float  # noise of encryptions and keys

    @property
    def query_coefficients(self) -> int:
        """K, coefficients of a query that hold anything."""
        raise NotImplementedError

    @property
    def query_bytes(self) -> int:
        """Body of a query: its counter and the used coefficients of N*b."""
        raise NotImplementedError

    @property
    def key_groups(self) -> tuple[tuple[int, int], ...]:
        """Rows of the client's keys in the order they are sent, and the first limbs of Q that they are modulo."""
        raise NotImplementedError

    @property
    def answers(self) -> int:
        """Answer ciphertexts of degree N'."""
        raise NotImplementedError

    @property
    def limbs(self) -> int:
        """Primes of Q."""
        return len(self.limb_bits)

    @property
    def log2_q(self) -> int:
        """Bits of Q."""
        return sum(self.limb_bits)

    @property
    def expansion_levels(self) -> int:
        """Automorphisms on the way to a leaf, log2 N."""
        return self.degree.bit_length() - 1

    @property
    def split_levels(self) -> int:
        """Last levels, at which nodes are split: ceil(log2 K)."""
        return (self.query_coefficients - 1).bit_length()

    @property
    def stride(self) -> int:
        """Distance of the used coefficients of a query."""
        return self.degree >> self.split_levels

    @property
    def expansion_nodes(self) -> tuple[int, ...]:
        """Nodes of every level, each with one key switch."""
        single = self.expansion_levels - self.split_levels
        return (1,) * single + tuple(min(1 << depth, self.query_coefficients) for depth in range(self.split_levels))

    @property
    def expansion_switches(self) -> int:
        """Key switches of the expansion."""
        return sum(self.expansion_nodes)

    @property
    def switches_ring(self) -> bool:
        """Whether answers come back in a ring of smaller degree."""
        return self.answer_degree < self.degree

    @property
    def answer_bytes(self) -> int:
        """Body of an answer: all of a, the used coefficients of b."""
        return packed_bytes(self.answers * self.answer_degree, self.answer_a_bits) + packed_bytes(
            self.row_coefficients, self.answer_b_bits
        )

    @property
    def ring_switch_rows(self) -> int:
        """Rows modulo the first limb of the key to the ring of degree N'."""
        return self.ring_switch.digits if self.switches_ring else 0

    @property
    def key_bytes(self) -> int:
        """Body of the keys: a seed, then the residues of every limb in exact bits."""
        return SEED_BYTES + sum(
            packed_bytes(rows * self.degree, bits) for rows, limbs in self.key_groups for bits in self.limb_bits[:limbs]
        )

    @property
    def up_bytes(self) -> int:
        """A query with its frame."""
        return FRAME_HEADER_BYTES + self.query_bytes

    @property
    def down_bytes(self) -> int:
        """An answer with its frame."""
        return FRAME_HEADER_BYTES + self.answer_bytes

    def require(self, name: str, low: int, high: int) -> None:
        """Hold a field to its bounds.

        Raises
        ------
        ValueError
            Naming field, value and bounds.
        """
        value = getattr(self, name)
        if not low <= value <= high:
            raise ValueError(f"{name} is {value}; it must lie between {low} and {high}")

    def check_ring(self) -> None:
        """Hold ring, keys and answer to their bounds.

        Raises
        ------
        ValueError
            Naming field, value and what would be valid.
        """
        self.require("degree", 16, 1 << 15)
        if self.degree & (self.degree - 1):
            raise ValueError(f"degree is {self.degree}; it must be a power of two")
        if not 1 <= self.limbs <= MOST_LIMBS or not all(20 <= bits <= 60 for bits in self.limb_bits):
            raise ValueError(f"limb_bits is {self.limb_bits}; it must be one to three sizes from 20 to 60 bits")
        if len(self.expansion) != self.expansion_levels:
            raise ValueError(
                f"expansion has {len(self.expansion)} levels; it must have log2 N = {self.expansion_levels}"
            )
        for name, gadget in (("square", self.square), *(("expansion", one) for one in self.expansion)):
            require_gadget(name, gadget, self.log2_q, min(self.limb_bits) - 2)
        if self.answer_degree not in (self.degree, self.degree // 2, self.degree // 4):
            raise ValueError(f"answer_degree is {self.answer_degree}; it must be N={self.degree}, a half or a quarter")
        if self.switches_ring:
            require_gadget("ring_switch", self.ring_switch, self.limb_bits[0], self.limb_bits[0] - 2)
        for name in ("answer_a_bits", "answer_b_bits"):
            self.require(name, 1, min(self.limb_bits) - 1)
        if not 0.5 <= self.sigma <= 1000:
            raise ValueError(f"sigma is {self.sigma}; it must lie between 0.5 and 1000")


def packed_bytes(count: int, bits: int) -> int:
    """Bytes of so many integers of so many bits, one after the other."""
    return -(-count * bits // 8)


def require_gadget(name: str, gadget: Gadget, log2_modulus: int, widest: int) -> None:
    """Hold a gadget to its bounds.

    Raises
    ------
    ValueError
        Naming field, value and bounds.
    """
    digits, bits = gadget
    most = min(log2_modulus, MOST_KEPT_BITS)
    if digits < 1 or not 2 <= bits <= widest or digits * bits > most:
        raise ValueError(
            f"{name} is {digits} digits of {bits} bits; it must be at least one of 2 to {widest} bits, "
            f"{most} bits in all"
        )
