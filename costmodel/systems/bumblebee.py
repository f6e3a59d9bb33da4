"""BumbleBee: interleaved or packed answers in the ring of 64 bits.

The authors' artifact is SPU's CHEETAH: its parameters, tile rule and choice between interleaving and PackLWEs are those
of SPU's FM64 line by line, so that this system has the figures of ``spu-fm64`` with private operands. The protocol
multiplies whole matrices; the splitting of large operands belongs to SPU's runtime and is not taken over here.

Executed here, its tile rule and its choice of packing meet this project's own ring and format
(:mod:`costmodel.compact.ledger`): fewer bits of everything, token by token, and no trace of what a partly filled
answer has at its unused coefficients, which are not sent.

References
----------
.. [1] Lu, Huang, Gu, Li, Liu, Ren, Hong, Wei, Chen. BumbleBee. NDSS 2025, ePrint 2023/1678.
.. [2] OpenBumbleBee, commit b9c9c86a, ``libspu/mpc/cheetah/arith/cheetah_dot.cc`` and ``matmat_prot.cc``.
"""

from __future__ import annotations

from costmodel.compact import ledger as compact
from costmodel.grid import Grid
from costmodel.ledger import Number, Term
from costmodel.systems import spu

SOURCE = "OpenBumbleBee, cheetah_dot.cc"


def terms(grid: Grid) -> tuple[Term, ...]:
    """Predicted ledger of BumbleBee's private lookup.

    Raises
    ------
    ValueError
        If an option of SPU's runtime is asked for.
    """
    if compact.applies(grid):
        return compact.terms(grid)
    for option in ("shares", "split"):
        if option in grid.options:
            raise ValueError(f"options has {option!r}; it belongs to spu-fm32 and spu-fm64, not to bumblebee")
    return tuple(term._replace(source=SOURCE) for term in spu.terms(grid))


def key_log2_q(grid: Grid) -> Number:
    """Bits of the largest modulus that is encrypted under, the keys'."""
    return grid.log2_q if compact.applies(grid) else spu.key_log2_q(grid)


def noise(grid: Grid) -> Number:
    """Variance of an answer coefficient's error over (q/t)^2."""
    return compact.noise(grid) if compact.applies(grid) else spu.noise(grid)
