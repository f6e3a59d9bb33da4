"""Keys of an expanded query: what a client makes for expansion, squaring, ring switch and flooding, and its use."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from costmodel.expanded.parameters import Expanded
from protocol.expanded.expansion import expansion_exponents
from protocol.expanded.gadget import GadgetKey, generate_key
from protocol.meter import Tally
from protocol.residue.ciphertext import SecretKey, expand_many, sample_noise
from protocol.residue.keyswitch import apply_automorphism
from protocol.residue.ring import Ring
from protocol.residue.shared_switch import SharedSwitch


class Labels(NamedTuple):
    """Under which the a of keys and queries are expanded from a client's seed."""

    keys: str
    public_key: str
    ring_switch: str
    query: str

    @classmethod
    def of(cls, name: str) -> Labels:
        """Return the labels of a query by its name."""
        return cls(f"{name} keys", f"{name} public key", f"{name} ring switch", f"{name} query")


def query_rows(
    parameters: Expanded, secret: SecretKey, seed: bytes, labels: Labels, tally: Tally
) -> NDArray[np.uint64]:
    """Return the b of the automorphism keys by level, one for those that share it, then of the key from s^2.

    All are (rows, limbs, N).

    The tally is told of every row.
    """
    p, ring = parameters, secret.ring
    first = p.repeated_level
    sources = [apply_automorphism(secret.residues, g) for g in expansion_exponents(p.degree)[first:]]
    sources.append(secret.multiply(secret.residues))
    rows, index = [], 0
    for source, gadget in zip(sources, (*p.expansion[first:], p.square), strict=True):
        a = expand_many(ring, seed, labels.keys, gadget.digits, index)
        rows.append(generate_key(secret, source, gadget, a))
        tally.add(len(rows[-1]))
        index += gadget.digits
    return np.concatenate(rows)


def public_row(secret: SecretKey, seed: bytes, labels: Labels, tally: Tally) -> NDArray[np.uint64]:
    """Return the b of the public key, (1, limbs, N); the tally is told of it."""
    ring = secret.ring
    a = expand_many(ring, seed, labels.public_key, 1)
    tally.add(len(a))
    return ring.subtract(ring.forward(sample_noise(ring, (1,))), secret.multiply(a))


class QueryKeys(NamedTuple):
    """A client's keys as its server uses them: by level, from s^2, and to the answers' secrets if there are any."""

    expansion: list[GadgetKey]
    square: GadgetKey
    ring_switch: SharedSwitch | None

    @classmethod
    def of(
        cls,
        parameters: Expanded,
        ring: Ring,
        seed: bytes,
        labels: Labels,
        rows: NDArray[np.uint64],
        ring_switch: NDArray[np.uint64],
        tally: Tally,
    ) -> QueryKeys:
        """Return the keys of what :func:`query_rows`, perhaps with more rows, returns, and of the ring switch's b.

        The tally is told of every row modulo Q.
        """
        p = parameters
        keys, index = [], 0
        for gadget in (*p.expansion[p.repeated_level :], p.square):
            a = expand_many(ring, seed, labels.keys, gadget.digits, index)
            keys.append(GadgetKey.of(ring, gadget, rows[index : index + gadget.digits], a))
            tally.add(len(a))
            index += gadget.digits
        expansion = [*keys[:1] * p.repeated_level, *keys[:-1]]
        if not p.switches_ring:
            return cls(expansion, keys[-1], None)
        switch = SharedSwitch(p.shared_answer, ring_switch, seed, labels.ring_switch)
        return cls(expansion, keys[-1], switch)


def public_key(ring: Ring, row: NDArray[np.uint64], seed: bytes, labels: Labels) -> NDArray[np.uint64]:
    """Return the public key (2, limbs, N) of its b, (limbs, N)."""
    return np.stack([row, expand_many(ring, seed, labels.public_key, 1)[0]])
