"""The first projection of a model on both parties' shares: local products that open to W x.

python examples/next_layer.py
"""

from __future__ import annotations

import sys

import numpy as np

import fastquery as fq

BITS, FRACTION_BITS = 40, 8


def main() -> int:
    """Look two rows up, multiply each party's share by W, open, and compare."""
    weights = np.random.default_rng(1).integers(-128, 128, (16, 24))
    with fq.Server("300x24", align_bits=BITS) as server, fq.connect(server.address) as session:
        mine = session.lookup([5, 299])
        theirs = next(server.shares())
    projected = [share.embedding(BITS, FRACTION_BITS) @ weights.T.astype(np.uint64) for share in (mine, theirs)]
    shift = np.uint64(64 - BITS)
    signed = ((projected[0] + projected[1]) << shift).view(np.int64) >> np.int64(64 - BITS)
    expected = fq.open(mine, theirs) @ weights.T
    error = float(np.abs(signed * mine.unit(FRACTION_BITS) - expected).max() / np.abs(expected).max())
    print(f"W x of {len(mine)} rows from shares modulo 2^{BITS}: largest relative error {error:.1e}")
    return 0 if error < 2.0**-FRACTION_BITS else 1


if __name__ == "__main__":
    sys.exit(main())
