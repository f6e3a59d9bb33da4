"""The smallest ring and wire that hold a target failure probability for every table, by the noise model alone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from costmodel.grid import Grid
from costmodel.ledger import Number
from costmodel.noise import key_switch_variance, log2_failure
from costmodel.parameters import Configuration, Ring, Wire
from costmodel.protocols import compact
from costmodel.security import max_log2_q

LOG2_FAILURE = -40.0
"""Default target for all answers of a query together."""

QUERIES_PER_CLIENT = 32
"""Queries over which a client's keys are spread when bytes are weighed: it decides how many digits keys have."""

SLACK = 0.01
"""Bytes that fewer digits, and so faster key switching, may cost."""

MAX_DIGITS = 8
DEGREES = (2048, 4096, 8192)
SMALLEST_LIMB_BITS, LARGEST_LIMB_BITS = 30, 60


def compact_wire(configuration: Configuration, log2_target: float = LOG2_FAILURE) -> Wire:
    """Bits of the compact format with the fewest bytes a query, the keys spread over 32 queries.

    Every number of dropped query bits is tried with every number of bits of a and b, for every number of digits; of
    what is within 1 % of the best, the fewest digits are taken.

    Raises
    ------
    ValueError
        If the ring's q is too small for the target with all bits kept.
    """
    base = configuration.updated(engine="residue", size="native")
    decompositions = _decompositions(configuration.ring) if configuration.packing.output == "packlwes" else [(0, 0)]
    found = [one for digits in decompositions for one in _smallest(base, *digits, log2_target)]
    if not found:
        ring = configuration.ring
        raise ValueError(
            f"ring.q has {ring.log2_q} bits; t={ring.plaintext_modulus} over {configuration.table.rows} rows with "
            f"flooding_bits {configuration.flooding_bits} needs more for a failure of 2^{log2_target:g}"
        )
    best = min(size for _, size in found)
    return max((wire for wire, size in found if size <= (1 + SLACK) * best), key=lambda wire: wire.digit_bits)


def bytes_a_query(grid: Grid) -> Number:
    """Query, answer, and the share of the keys."""
    online = compact.query_bytes(grid) + compact.answer_a_bytes(grid) + compact.answer_b_bytes(grid)
    return online + compact.keys_bytes(grid) / QUERIES_PER_CLIENT


def _decompositions(ring: Ring) -> list[tuple[int, int]]:
    """Width and dropped bits of the digits of switching keys: for every number of digits the pair with least noise."""
    bits, found = max(ring.limb_bits), []
    drops = np.arange(bits // 2 if len(ring.limb_bits) == 1 else 1)
    for count in range(1, MAX_DIGITS + 1):
        widths = -(-(bits - drops) // count)
        noise = np.where(
            widths <= min(ring.limb_bits) - 2,
            key_switch_variance(ring.degree, bits, widths, ring.sigma, drops),
            np.inf,
        )
        least = int(np.argmin(noise))
        if np.isfinite(noise[least]):
            found.append((int(widths[least]), int(drops[least])))
    return found


def _smallest(
    base: Configuration, digit_bits: int, dropped_bits: int, log2_target: float
) -> Iterator[tuple[Wire, float]]:
    ring, bits = base.ring, base.ring.log2_q
    query_bits = np.arange(1, bits + 1) if len(ring.limb_bits) == 1 else np.array([bits])
    most = min(ring.limb_bits) - 2
    a_bits, b_bits = np.arange(2, most + 1)[:, None, None], np.arange(2, most + 1)[:, None]
    grid = Grid.of(
        base.updated(wire=Wire(bits, most, most, digit_bits, dropped_bits)),
        query_bits=query_bits,
        answer_a_bits=a_bits,
        answer_b_bits=b_bits,
    )
    sigma = np.sqrt(compact.noise(grid.of_worst_table()))
    holds = log2_failure(sigma, 0.5, grid.tokens * grid.coefficients) <= log2_target
    if not holds.any():
        return
    size = np.where(holds, bytes_a_query(grid), np.inf)
    a, b, q = np.unravel_index(int(np.argmin(size)), size.shape)
    wire = Wire(int(query_bits[q]), int(a_bits[a, 0, 0]), int(b_bits[b, 0]), digit_bits, dropped_bits)
    yield wire, float(size[a, b, q])


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
        raise ValueError(
            f"ring is left to be chosen, but none of N={', '.join(map(str, degrees))} holds "
            f"t={configuration.ring.plaintext_modulus} with flooding_bits {configuration.flooding_bits}"
        )
    return best[1]
