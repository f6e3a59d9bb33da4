"""Prompts placed in buckets beside the bound of their failure: 100,000 random ones of every size, counted.

`python -m benchmarks.placement [--rows 32000] [--prompts 100000] [--tokens 5 128 1024]` prints two lines of JSON a
size: one with the buckets that the product takes for it, and one with so few that prompts fail and the bound says how
often. Fewer tokens in the same buckets fail no more often, since a part of what is placed is placed. A line is `held`
unless as many failures have a probability below 10^-7 under the bound (exact, binomial); the program ends with 1 if one
is not.
"""

from __future__ import annotations

import argparse
import json
import sys

import numba
import numpy as np
from numpy.typing import NDArray
from scipy.stats import beta, binom

from costmodel.expanded.bucketed.placement import HASHES, choose_group, hashes_of, log2_failure

LOG2_TARGET = -41.0
"""Of placements: half of the failures that are allowed by default."""
SIZES = (5, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512, 768, 1024)
OFTEN = -6.0
"""log2 of the bound that buckets are taken away up to, so that failures are seen."""
LARGEST_OFTEN = 128
"""Tokens up to which this is done: the bound of larger prompts is far above what is seen there."""
CHANCE = 1e-7
A_TABLE = 1000
"""Prompts that are placed by the same hash functions."""


@numba.njit
def count_failures(buckets: NDArray[np.int64], total: int, chosen: NDArray[np.int64]) -> int:
    """Prompts whose tokens do not all find a bucket of their own, by augmenting paths.

    Parameters
    ----------
    buckets : of every row, (m, h)
    total : B
    chosen : distinct rows of the prompts, (prompts, tokens)
    """
    failed = 0
    owner, seen = np.empty(total, np.int64), np.empty(total, np.int64)
    before, queue = np.empty(total, np.int64), np.empty(total, np.int64)
    for prompt in range(chosen.shape[0]):
        owner[:], seen[:] = -1, -1
        for place in range(chosen.shape[1]):
            token, head, tail, free, came_from = chosen[prompt, place], 0, 0, -1, -1
            while free < 0:
                for bucket in buckets[token]:
                    if seen[bucket] != place:
                        seen[bucket], before[bucket] = place, came_from
                        if owner[bucket] < 0:
                            free = bucket
                            break
                        queue[tail] = bucket
                        tail += 1
                if free >= 0 or head == tail:
                    break
                came_from = queue[head]
                head += 1
                token = owner[came_from]
            if free < 0:
                failed += 1
                break
            while before[free] >= 0:  # every token on the way moves one bucket on
                owner[free] = owner[before[free]]
                free = before[free]
            owner[free] = chosen[prompt, place]
    return failed


def place(tokens: int, hashes: int, group: int, bucket_rows: int, prompts: int, seed: int) -> dict[str, object]:
    """Place random prompts of distinct tokens in tables whose buckets are full, and hold the failures to the bound."""
    rng, rows, failed = np.random.default_rng(seed), group * bucket_rows, 0
    for first in range(0, prompts, A_TABLE):
        order = np.stack([rng.permutation(rows) for _ in range(hashes)], axis=1)
        buckets = order // bucket_rows + group * np.arange(hashes)
        some = min(A_TABLE, prompts - first)
        chosen = np.stack([rng.choice(rows, tokens, replace=False, shuffle=False) for _ in range(some)])
        failed += count_failures(buckets, hashes * group, chosen)
    log2_bound = log2_failure(tokens, hashes, group, bucket_rows)
    # Above how often they fail with a probability of CHANCE at most.
    limit = float(beta.ppf(1.0 - CHANCE, failed + 1, prompts - failed)) if failed < prompts else 1.0
    return {
        "tokens": tokens,
        "buckets": hashes * group,
        "bucket_rows": bucket_rows,
        "prompts": prompts,
        "failed": failed,
        "log2_limit": round(float(np.log2(limit)), 1),
        "log2_bound": round(log2_bound, 1),
        "held": bool(binom.sf(failed - 1, prompts, min(1.0, 2.0**log2_bound)) >= CHANCE),
    }


def too_few(rows: int, tokens: int) -> int:
    """Fewest buckets of a hash function with which the bound of a prompt's failure is at most 2^OFTEN."""
    group = -(-tokens // HASHES)
    while log2_failure(tokens, HASHES, group, -(-rows // group)) > OFTEN:
        group += 1
    return group


def main() -> int:
    """Print what was placed; 1 if a bound is not held."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=32000)
    parser.add_argument("--prompts", type=int, default=100_000)
    parser.add_argument("--tokens", type=int, nargs="+", default=SIZES)
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args()
    held = True
    for tokens in asked.tokens:
        hashes = hashes_of(tokens)
        groups = [choose_group(asked.rows, tokens, LOG2_TARGET)]
        if HASHES < tokens <= LARGEST_OFTEN:
            groups.append(too_few(asked.rows, tokens))
        for group in groups:
            found = place(tokens, hashes, group, -(-asked.rows // group), asked.prompts, asked.seed)
            print(json.dumps(found), flush=True)
            held = held and bool(found["held"])
    return 0 if held else 1


if __name__ == "__main__":
    sys.exit(main())
