"""Preparation ahead of lookups: how often a lookup finds nothing prepared, and how long it waits.

A protocol with a preparation (Delphi's split, or the first halves of this project's answers) makes work before a token
is known, and every lookup uses one preparation up. Lookups arrive as a Poisson process of rate lambda; the server makes
one preparation after the other, each in P seconds of work and transfer, and rests once K of them lie ready.

Each lookup orders the replacement of the preparation that it takes, so that the orders that are not made yet are the
customers L of an M/D/1 queue of load rho = lambda P. A lookup waits if it finds L >= K orders. Lookup i takes the
preparation of order i - K, ready S seconds after that order; the K lookups after lookup i - K arrive within an Erlang
time E_K, the last of them being lookup i:

    P(wait) = P(L >= K)        W = max(0, S - E_K)        E[W] = E[max(0, L - K)] / lambda

the last by Little's law for the lookups that wait. L has the distribution of the queue left behind by a service, which
follows from the number A of arrivals in a service, Poisson of mean rho, by cutting the chain between j and j + 1:

    pi_0 = 1 - rho
    pi_(j+1) P(A = 0) = pi_0 P(A > j) + sum_(k=1..j) pi_k P(A > j - k + 1)

a recursion of positive terms. From rho = 1 on every lookup waits in the long run, and ever longer.

References
----------
.. [1] K. Garimella, Z. Ghodsi, N. K. Jha, S. Garg, B. Reagen, "Characterizing and Optimizing End-to-End Systems for
   Private Inference", ASPLOS 2023: preparation becomes latency where a server has too little idle time for it.
.. [2] FastQuery. DAC 2024, section 3, observation 3.
.. [3] L. Kleinrock, "Queueing Systems", volume 1, 1975, section 5.6 (the queue that a service leaves behind).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

LONGEST_QUEUE = 4096
RAREST = 1e-9
"""Smallest share of waiting lookups that is asked for: shares are 1 less a sum, right to about 1e-13."""


class PreparationWait(NamedTuple):
    """What lookups meet in the long run; float64 arrays of the shape that the arguments broadcast to.

    Attributes
    ----------
    load
        rho, share of its time that the server prepares; from 1 on preparations never suffice.
    probability
        Share of the lookups that find nothing prepared.
    mean_s
        Seconds that a lookup waits, over all lookups.
    mean_of_waiting_s
        Seconds that a lookup waits, over the lookups that do wait.
    """

    load: NDArray[np.float64]
    probability: NDArray[np.float64]
    mean_s: NDArray[np.float64]
    mean_of_waiting_s: NDArray[np.float64]


def preparation_wait(
    lookups_per_s: ArrayLike, preparation_s: ArrayLike, queue_length: ArrayLike = 1
) -> PreparationWait:
    """Wait of lookups for preparations that are made one after the other.

    Parameters
    ----------
    lookups_per_s : array_like of float
        lambda, arrival rate of a Poisson process.
    preparation_s : array_like of float
        P, seconds from the start of one preparation to the start of the next: work and transfer.
    queue_length : array_like of int
        K, preparations that lie ready at most; 0 prepares nothing before a lookup arrives.

    Returns
    -------
    PreparationWait

    Raises
    ------
    ValueError
        If a rate or a time is not positive, or K lies outside 0 to 4096.

    Examples
    --------
    A preparation of 15 s and a lookup every 20 s, one preparation held ready, then four:

    >>> found = preparation_wait(1 / 20, 15.0, [1, 4])
    >>> [round(float(share), 2) for share in found.probability]
    [0.75, 0.16]
    >>> [round(float(seconds), 1) for seconds in found.mean_s]
    [22.5, 4.4]
    """
    rate, seconds = np.asarray(lookups_per_s, dtype=np.float64), np.asarray(preparation_s, dtype=np.float64)
    held = np.asarray(queue_length, dtype=np.int64)
    _require_positive("lookups_per_s", rate)
    _require_positive("preparation_s", seconds)
    if held.size and not (held.min() >= 0 and held.max() <= LONGEST_QUEUE):
        raise ValueError(f"queue_length is {held}; it must lie between 0 and {LONGEST_QUEUE}")
    rate, seconds, held = np.broadcast_arrays(rate, seconds, held)
    load = rate * seconds
    stable = load < 1
    rho = np.where(stable, load, 0.0)
    waiting, backlog = _beyond(rho, held)
    probability = np.where(stable, waiting, 1.0)
    mean = np.where(stable, backlog / rate, np.inf)
    return PreparationWait(load, probability, mean, _quotient(mean, probability))


def shortest_queue(lookups_per_s: ArrayLike, preparation_s: ArrayLike, probability: float) -> NDArray[np.int64]:
    """Fewest preparations to hold ready so that at most a given share of the lookups waits.

    Parameters
    ----------
    lookups_per_s, preparation_s : array_like of float
        As `preparation_wait`.
    probability : float
        Largest share of the lookups that may wait, at least 1e-9.

    Returns
    -------
    int64 array
        K; -1 where 4096 are too few, a load of 1 and more included.

    Raises
    ------
    ValueError
        If an argument is out of its bounds.

    Examples
    --------
    >>> int(shortest_queue(1 / 20, 15.0, 0.01))
    10
    """
    if not probability >= RAREST:
        raise ValueError(f"probability is {probability}; it must be at least {RAREST}")
    lengths = np.full(np.broadcast_shapes(np.shape(lookups_per_s), np.shape(preparation_s)), -1, dtype=np.int64)
    highest = 0
    while np.any(lengths < 0) and highest < LONGEST_QUEUE:
        # Twice as far each time: most loads are met by a few preparations.
        tried = np.arange(highest, min(2 * highest + 16, LONGEST_QUEUE + 1))
        found = preparation_wait(np.expand_dims(lookups_per_s, -1), np.expand_dims(preparation_s, -1), tried)
        enough = found.probability <= probability
        first = np.where(enough.any(axis=-1), tried[np.argmax(enough, axis=-1)], -1)
        lengths = np.where(lengths < 0, first, lengths)
        highest = int(tried[-1]) + 1
    return lengths


def _beyond(rho: NDArray[np.float64], held: NDArray[np.int64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """P(L >= K) and E[max(0, L - K)] of an M/D/1 queue."""
    below, short = np.zeros_like(rho), np.zeros_like(rho)
    loads, place = np.unique(rho, return_inverse=True)
    place = place.reshape(rho.shape)
    longest = int(held.max(initial=0))
    customers: NDArray[np.float64] = np.empty((longest + 1, loads.size))
    customers[0] = 1.0 - loads
    from scipy.special import pdtrc  # here, since it takes as long to load as everything else together

    more = np.stack([pdtrc(count, loads) for count in range(longest + 1)])  # P(A > count)
    for length in range(longest):
        # Everything is conditional on a service: from 0 the queue first waits for an arrival.
        above = customers[0] * more[length] + (customers[1 : length + 1] * more[length:0:-1]).sum(axis=0)
        customers[length + 1] = above * np.exp(loads)
    for length in range(longest):
        share = customers[length][place]
        below = below + np.where(length < held, share, 0.0)
        short = short + np.where(length < held, (held - length) * share, 0.0)
    mean = rho + np.square(rho) / (2.0 * (1.0 - rho))
    return np.clip(1.0 - below, 0.0, 1.0), np.maximum(mean - held + short, 0.0)


def _quotient(total: NDArray[np.float64], share: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.divide(total, share, out=np.zeros(np.shape(total)), where=share > 0)


def _require_positive(name: str, values: NDArray[np.float64]) -> None:
    if values.size and not (np.all(np.isfinite(values)) and values.min() > 0):
        raise ValueError(f"{name} is {values}; it must be positive and finite")
