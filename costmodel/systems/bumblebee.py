"""BumbleBee: interleaved or packed answers in the ring of 64 bits.

The authors' artifact is SPU's CHEETAH: its parameters, tile rule and choice between interleaving and PackLWEs are those
of SPU's FM64 line by line, so that this system has the figures of ``spu-fm64`` with private operands. The protocol
multiplies whole matrices; the splitting of large operands belongs to SPU's runtime and is not taken over here.

Executed here, its tile rule and its choice of packing meet this project's own ring and format
(:mod:`costmodel.compact`): fewer bits of everything, token by token, and no trace of what a partly filled
answer has at its unused coefficients, which are not sent.

References
----------
.. [1] Lu, Huang, Gu, Li, Liu, Ren, Hong, Wei, Chen. BumbleBee. NDSS 2025, ePrint 2023/1678.
.. [2] OpenBumbleBee, commit b9c9c86a, ``libspu/mpc/cheetah/arith/cheetah_dot.cc`` and ``matmat_prot.cc``.
"""

from __future__ import annotations

from costmodel.design import Design
from costmodel.grid import Grid
from costmodel.parameters import LOW_BITS_OPTIONS, SIRNN_OPTIONS, Configuration, Packing, Table
from costmodel.system import Wishes
from costmodel.systems import looks
from costmodel.systems.cheetah import CHANNEL_BITS, PLAINTEXT_BITS
from costmodel.systems.onehot import OneHotSystem
from costmodel.systems.spu import FM64_RING, SpuProductDesign

SOURCE = "OpenBumbleBee, cheetah_dot.cc"


class BumbleBee(OneHotSystem):
    """BumbleBee: SPU's product as published; its tiles and packing on residues where it is executed."""

    name = "bumblebee"
    legend = "BumbleBee"
    source = SOURCE
    look = looks.BUMBLEBEE
    engines = ("residue",)
    library = "spu"
    accepts = SIRNN_OPTIONS | LOW_BITS_OPTIONS | {"delphi"}
    projects = True

    def published(self, table: Table, ablation: str | None = None) -> Configuration:
        """OpenBumbleBee's ring."""
        packing = Packing((CHANNEL_BITS,), "system", "system")
        return Configuration(self.name, table, FM64_RING, packing, engine="spu")

    def execution(self, wishes: Wishes, engine: str) -> tuple[Packing, int | None]:
        """SPU's tiles, answers packed."""
        return Packing((CHANNEL_BITS,), "spu", "packlwes"), PLAINTEXT_BITS

    def published_design(self, grid: Grid) -> Design:
        """SPU's product of 64 bits."""
        return SpuProductDesign(64, SOURCE)
