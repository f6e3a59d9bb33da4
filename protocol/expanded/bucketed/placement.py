"""Which rows stand in which buckets, and a bucket of its own for every token of a prompt.

A hash function is a permutation of the table's rows cut into equal buckets, as
:mod:`costmodel.expanded.bucketed.placement` has it. The permutations come from the seed of the client's keys: random,
public, and drawn before any token is known.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array
from scipy.sparse.csgraph import maximum_bipartite_matching

from costmodel.expanded.bucketed.parameters import BucketedParameters

IntArray = NDArray[np.int64]
EMPTY = -1
"""In the place of a row."""


@dataclass(frozen=True, eq=False)
class Placement:
    """The buckets of a table's rows.

    Attributes
    ----------
    order : rows of the buckets of every hash function, one bucket after the other, (h, G, n); EMPTY where there is none
    rows : m
    """

    order: IntArray
    rows: int

    @classmethod
    def of(cls, parameters: BucketedParameters, seed: bytes) -> Placement:
        """Return the placement that a client's seed gives."""
        p = parameters
        places = p.group * p.bucket_rows
        order = np.empty((p.hashes, places), dtype=np.int64)
        for function in range(p.hashes):
            drawn = hashlib.shake_256(b"fastquery buckets" + bytes([function]) + seed).digest(8 * places)
            order[function] = np.argsort(np.frombuffer(drawn, dtype="<u8"), kind="stable")
        order[order >= p.rows] = EMPTY
        return cls(order.reshape(p.hashes, p.group, p.bucket_rows), p.rows)

    @property
    def buckets(self) -> IntArray:
        """Rows of every bucket, (B, n)."""
        return self.order.reshape(-1, self.order.shape[-1])

    @cached_property
    def _place(self) -> IntArray:
        """Where every row stands in the order of every hash function, (h, m)."""
        flat = self.order.reshape(len(self.order), -1)
        found = np.empty((len(flat), self.rows), dtype=np.int64)
        for function, order in enumerate(flat):
            held = np.flatnonzero(order != EMPTY)
            found[function, order[held]] = held
        return found

    def buckets_of(self, row: IntArray) -> IntArray:
        """Return the buckets that rows stand in, (rows, h)."""
        _, group, size = self.order.shape
        return (self._place[:, row] // size + group * np.arange(len(self.order))[:, None]).T

    def place_in(self, bucket: int, row: int) -> int:
        """Return where a row stands in one of its buckets."""
        _, group, size = self.order.shape
        return int(self._place[bucket // group, row]) % size

    def placed(self, distinct: IntArray) -> IntArray:
        """Return a bucket of its own for each of distinct rows, EMPTY for as few of them as possible."""
        found = self.buckets_of(distinct)
        count, functions = found.shape
        shape = (count, self.order.shape[0] * self.order.shape[1])
        edges = csr_array(
            (np.ones(found.size, dtype=np.int8), found.reshape(-1), np.arange(count + 1) * functions), shape
        )
        return np.asarray(maximum_bipartite_matching(edges, perm_type="column"), dtype=np.int64)
