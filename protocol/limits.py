"""What a service allows, all together and for each address."""

from __future__ import annotations

import ipaddress
import resource
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from protocol.admission import Admission, Memory
from protocol.lookup import MAX_TOKENS
from protocol.threads import MOST_THREADS, free_processors
from protocol.turns import Turns
from protocol.workspaces import Workspaces

LOOKUPS_IN_MEMORY = 6
"""Largest lookups that a service's memory would hold; a third of it at most is for those that are being computed."""
SHORTEST_PATIENCE_S = 3.0
"""What a client may keep a full service waiting for, where others want its place."""


def allow_descriptors(needed: int) -> int:
    """Let this process open so many files and sockets, or as many as the system grants; how many it may.

    Examples
    --------
    >>> allow_descriptors(64) >= 64
    True
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= needed:
        return needed
    granted = needed if hard == resource.RLIM_INFINITY else min(needed, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (granted, hard))
    return granted


def descriptors_allowed() -> int:
    """How many files and sockets this process may have open."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return sys.maxsize if soft == resource.RLIM_INFINITY else soft


@dataclass(frozen=True)
class Limits:
    """What a service allows.

    Parameters
    ----------
    clients
        Sessions at once; others wait.
    memory_bytes
        Of all sessions together. A quarter of it is for sessions whose connection was lost; a third at most for
        lookups that are being computed, as much as those of all workers and one more take; and what is left for
        messages, keys and what is prepared.
    timeout_s
        For a frame that is due; less of it as the service fills and others wait.
    patience_s
        For all waiting for one client.
    workers
        Sessions computing at once.
    threads
        Threads that share the work of a lookup, the session's own and others that all sessions have in common.
    max_tokens
        Rows of a lookup.
    address_clients, address_bytes, address_hourly_s
        Sessions, memory and CPU seconds in an hour of one address, an IPv6 network of 64 bits for one; a quarter of the
        clients, half of the memory and half of the processors' time if left at 0. Where lookups under way take a part
        of the memory, an address has as much less of the messages'.
    """

    clients: int = 128
    memory_bytes: int = 2**31
    timeout_s: float = 60.0
    patience_s: float = 300.0
    workers: int = field(default_factory=free_processors)
    threads: int = field(default_factory=free_processors)
    max_tokens: int = MAX_TOKENS
    address_clients: int = 0
    address_bytes: int = 0
    address_hourly_s: float = 0.0

    def __post_init__(self) -> None:
        for name, default in (
            ("address_clients", max(1, self.clients // 4)),
            ("address_bytes", self.memory_bytes // 2),
            ("address_hourly_s", 1800.0 * self.workers),
        ):
            if not getattr(self, name):
                object.__setattr__(self, name, default)
        for name, low, high in (
            ("clients", 1, 4096),
            ("memory_bytes", 2**20, 2**44),
            ("workers", 1, 1024),
            ("threads", 1, MOST_THREADS),
            ("max_tokens", 1, MAX_TOKENS),
            ("address_clients", 1, 4096),
            ("address_bytes", 2**19, 2**44),
        ):
            if not low <= getattr(self, name) <= high:
                raise ValueError(f"{name} is {getattr(self, name)}; it must lie between {low} and {high}")
        for name in ("timeout_s", "patience_s"):
            if not 0.1 <= getattr(self, name) <= 86400:
                raise ValueError(f"{name} is {getattr(self, name)}; it must lie between 0.1 and 86400 seconds")
        if not 1 <= self.address_hourly_s <= 3600 * 1024:
            raise ValueError(f"address_hourly_s is {self.address_hourly_s}; it must lie between 1 and 3686400 seconds")

    @property
    def parked_bytes(self) -> int:
        """Memory of all sessions whose connection was lost."""
        return self.memory_bytes // 4

    @property
    def largest_lookup_bytes(self) -> int:
        """Memory of one lookup that is being computed: another finds as much beside it."""
        return self.memory_bytes // LOOKUPS_IN_MEMORY

    def admission(self, lookup_bytes: int, clock: Callable[[], float] = time.thread_time) -> Admission:
        """Memory and turns within these limits.

        Parameters
        ----------
        lookup_bytes
            Memory of the largest lookup while it is computed, see :attr:`largest_lookup_bytes`.
        clock
            CPU seconds of the calling session.
        """
        whole = self.memory_bytes - self.parked_bytes
        working = min(self.memory_bytes // 3, (self.workers + 1) * lookup_bytes)
        address_bytes = self.address_bytes * (whole - working) / whole
        memory = Memory(whole - working, address_bytes, self.timeout_s / 2)
        turns = Turns(self.workers, self.address_hourly_s, clock)
        return Admission(memory, turns, Workspaces(working, lookup_bytes))

    def patience_when(self, filled: float) -> float:
        """Seconds that a client may keep others waiting, when so much of the sessions or of the memory is taken.

        Examples
        --------
        >>> [Limits(timeout_s=60.0).patience_when(filled) for filled in (0.0, 0.5, 1.0)]
        [60.0, 30.0, 3.0]
        """
        return max(min(SHORTEST_PATIENCE_S, self.timeout_s), self.timeout_s * (1 - filled))


def memory_for(lookup_bytes: int) -> int:
    """Memory of a service that computes lookups of so many bytes.

    Examples
    --------
    >>> Limits(memory_bytes=memory_for(2**28)).largest_lookup_bytes == 2**28
    True
    """
    return LOOKUPS_IN_MEMORY * lookup_bytes


def address_key(host: str) -> str:
    """What counts as one address: an IPv4 address, or the network of 64 bits that an IPv6 address lies in.

    Examples
    --------
    >>> address_key("2001:db8::1:2:3"), address_key("::ffff:192.0.2.1"), address_key("192.0.2.1")
    ('2001:db8::/64', '192.0.2.1', '192.0.2.1')
    """
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return host
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped is not None:
            return str(address.ipv4_mapped)
        return str(ipaddress.ip_network((address, 64), strict=False))
    return str(address)
