"""Every system that the model prices, by the name that commands and results use."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType

import numpy as np

from costmodel.grid import Grid
from costmodel.ledger import Number
from costmodel.protocols import compressed, folded
from costmodel.systems import (
    bumblebee,
    cham,
    cheetah,
    ciphergpt,
    cryptflow2,
    fastquery,
    iron,
    spu,
)

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
    "compressed": compressed,
}
"""Each module has ``terms(grid)``, the predicted ledger, and ``noise(grid)``, an answer's error variance over (q/t)^2.
Where keys lie under a larger modulus than the ciphertexts that travel, ``key_log2_q(grid)`` gives its bits; where
answers come back in another ring, ``answer_ring(grid)`` gives its degree and the bits of its modulus.
"""


def key_log2_q(grid: Grid) -> Number:
    """Bits of the largest modulus of a grid's protocol, which its security rests on."""
    module = PROTOCOLS[grid.protocol]
    bits: Number = module.key_log2_q(grid) if hasattr(module, "key_log2_q") else grid.log2_q
    return bits


def security(grid: Grid, level: Callable[..., Number]) -> Number:
    """Level of the weakest ring of a grid's protocol by a table: ``level(degree, log2_q, secret)``."""
    module = PROTOCOLS[grid.protocol]
    bits = level(grid.degree, key_log2_q(grid), grid.secret)
    if hasattr(module, "answer_ring"):
        return np.minimum(bits, level(*module.answer_ring(grid), grid.secret))
    return bits
