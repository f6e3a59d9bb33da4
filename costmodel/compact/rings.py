"""The ring with the fewest bytes a query that holds a target failure probability for every table."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from costmodel.compact.wire import bytes_a_query, columns_that_hold
from costmodel.errors import Incompatible
from costmodel.grid import Grid
from costmodel.limits import LOG2_FAILURE
from costmodel.parameters import Configuration, Ring, Wire
from costmodel.security import max_log2_q

DEGREES = (2048, 4096, 8192)
SMALLEST_LIMB_BITS, LARGEST_LIMB_BITS = 30, 60


def candidate_rings(plaintext_modulus: int, degrees: Sequence[int] = DEGREES) -> Iterator[Ring]:
    """Rings of OpenFHE with 128 bits of security by both tables, of one limb and of two equal ones."""
    for degree in degrees:
        bound = int(max_log2_q(degree, 128))
        for limbs in (1, 2):
            largest = min(bound // limbs, LARGEST_LIMB_BITS)
            smallest = max(SMALLEST_LIMB_BITS, (plaintext_modulus.bit_length() + 1) // limbs + 1)
            for bits in range(largest, smallest - 1, -1) if limbs == 2 else [largest]:
                if bits >= smallest:
                    yield Ring(degree, (bits,) * limbs, plaintext_modulus)


def compact_configuration(
    configuration: Configuration, log2_target: float = LOG2_FAILURE, degrees: Sequence[int] = DEGREES
) -> Configuration:
    """The configuration on the ring with the fewest bytes a query that holds the target, its wire chosen.

    Raises
    ------
    ValueError
        If none of these ring degrees does.
    """
    best: tuple[float, Configuration] | None = None
    rings = list(candidate_rings(configuration.ring.plaintext_modulus, degrees))
    for ring, wire, size in _that_hold(configuration, rings, log2_target):
        if best is None or size < best[0]:
            best = size, configuration.updated(ring=ring, engine="residue", wire=wire)
        elif best[1].ring.degree < ring.degree:
            break
    if best is None:
        raise Incompatible(
            f"ring is left to be chosen, but none of N={', '.join(map(str, degrees))} holds "
            f"t={configuration.ring.plaintext_modulus} with flooding_bits {configuration.flooding_bits} at a "
            f"failure of 2^{log2_target:g}; take fewer flooding bits or a smaller plaintext modulus, or name q"
        )
    return best[1]


def _that_hold(
    configuration: Configuration, rings: Sequence[Ring], log2_target: float
) -> Iterator[tuple[Ring, Wire, float]]:
    """Rings that hold the target, in their order, each with its wire and its bytes a query."""
    found: dict[int, tuple[Wire, float]] = {}
    for limbs in (1, 2):  # a grid has one number of limbs
        places = [k for k, ring in enumerate(rings) if len(ring.limb_bits) == limbs]
        if not places:
            continue
        degree = np.array([rings[k].degree for k in places])
        limb_bits = tuple(np.array([rings[k].limb_bits for k in places]).T)
        first = configuration.updated(ring=rings[places[0]], engine="residue", size="native")
        grid = Grid.of(first, degree=degree, limb_bits=limb_bits)
        chosen, holds = columns_that_hold(grid, log2_target)
        columns: dict[str, Any] = dict(chosen)
        sizes = np.broadcast_to(bytes_a_query(replace(grid, **columns)), grid.shape)
        for at in np.flatnonzero(holds):
            wire = Wire(**{name: int(values[at]) for name, values in columns.items()})
            found[places[at]] = wire, float(sizes[at])
    return ((rings[k], *found[k]) for k in sorted(found))
