"""The ring with the fewest bytes a query that holds a target failure probability for every table."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from costmodel.compact.wire import bytes_a_query, compact_wire
from costmodel.errors import Incompatible
from costmodel.grid import Grid
from costmodel.limits import LOG2_FAILURE
from costmodel.parameters import Configuration, Ring
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
    for ring in candidate_rings(configuration.ring.plaintext_modulus, degrees):
        on_ring = configuration.updated(ring=ring, engine="residue")
        try:
            chosen = on_ring.updated(wire=compact_wire(on_ring, log2_target))
        except ValueError:
            continue
        size = float(bytes_a_query(Grid.of(chosen)))
        if best is None or size < best[0]:
            best = size, chosen
        elif best[1].ring.degree < ring.degree:
            break
    if best is None:
        raise Incompatible(
            f"ring is left to be chosen, but none of N={', '.join(map(str, degrees))} holds "
            f"t={configuration.ring.plaintext_modulus} with flooding_bits {configuration.flooding_bits}"
        )
    return best[1]
