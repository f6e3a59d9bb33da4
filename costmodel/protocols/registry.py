"""Every system that the model prices, by the name that commands and results use."""

from __future__ import annotations

from types import ModuleType

from costmodel.grid import Grid
from costmodel.ledger import Number
from costmodel.protocols import bumblebee, cham, cheetah, ciphergpt, cryptflow2, fastquery, folded, iron, spu

PROTOCOLS: dict[str, ModuleType] = {
    "cheetah": cheetah,
    "fastquery": fastquery,
    "iron": iron,
    "bumblebee": bumblebee,
    "cham": cham,
    "cryptflow2": cryptflow2,
    "ciphergpt": ciphergpt,
    "spu-fm32": spu,
    "spu-fm64": spu,
    "folded": folded,
}
"""Each module has ``terms(grid)``, the predicted ledger, and ``noise(grid)``, an answer's error variance over (q/t)^2.
Where keys lie under a larger modulus than the ciphertexts that travel, ``key_log2_q(grid)`` gives its bits.
"""


def key_log2_q(grid: Grid) -> Number:
    """Bits of the largest modulus of a grid's protocol, which its security rests on."""
    module = PROTOCOLS[grid.protocol]
    bits: Number = module.key_log2_q(grid) if hasattr(module, "key_log2_q") else grid.log2_q
    return bits
