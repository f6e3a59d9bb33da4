"""A link between two network namespaces: TCP on both ends is the kernel's, unlike that of the relay's two loopbacks.

Where the kernel has netem, a pair of virtual interfaces is shaped by it. Elsewhere each namespace has a TUN device, and
packets go from one to the other through this process, which holds them back as netem does:

    leaves = max(t, left of the packet before) + 8 (S + 10) / rate,     arrives = leaves + round trip / 2

with S the bytes of the IP packet, and 10 of the link layer as in :mod:`costmodel.link`. Either needs root.
"""

from __future__ import annotations

import fcntl
import os
import select
import shutil
import struct
import subprocess
import threading
import time
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass

from costmodel.link import Link

ADDRESSES = {"client": "198.18.0.1", "server": "198.18.0.2"}
"""Of the network for measurements of devices (RFC 2544), within namespaces of their own."""
PACKETS = 100_000
"""Most that may wait on the line, so that none is lost."""
LINK_LAYER_BYTES = 10
PACKET_BYTES = 65536
TUN = "/dev/net/tun"
_TUNSETIFF, _IFF_TUN, _IFF_NO_PI = 0x400454CA, 0x0001, 0x1000
_REQUEST = struct.Struct("16sH22x")


class NotPossible(Exception):
    """No link can be shaped here, or not by this user; the message says why."""


@dataclass(frozen=True)
class KernelLink:
    """Two namespaces with a link between them."""

    shaper: str  # netem or tun
    namespaces: dict[str, str]  # by party

    def command(self, party: str, words: Sequence[str]) -> list[str]:
        """The words of a command that runs in the namespace of a party."""
        return ["ip", "netns", "exec", self.namespaces[party], *words]


@contextmanager
def kernel_link(link: Link) -> Iterator[KernelLink]:
    """Make the namespaces and the link, and take both away in the end.

    Raises
    ------
    NotPossible
        If the system does not allow it.
    """
    if os.geteuid() != 0:
        raise NotPossible("network namespaces and their links need root")
    if shutil.which("ip") is None:
        raise NotPossible("the command `ip` is missing; install iproute2")
    names = {party: f"fastquery-{os.getpid()}-{party}" for party in ADDRESSES}
    with ExitStack() as stack:
        for name in names.values():
            _ip("netns", "add", name)
            stack.callback(_taken_away, name)
            _ip("netns", "exec", name, "sh", "-c", "echo 1 > /proc/sys/net/ipv4/tcp_no_metrics_save")
        if lacks_netem(names["client"]) is None:
            shaper = "netem"
            _pair(names, link)
        else:
            shaper = "tun"
            _tunnel(names, link, stack)
        for party, name in names.items():
            _ip("-n", name, "addr", "add", f"{ADDRESSES[party]}/24", "dev", _device(party))
            _ip("-n", name, "link", "set", _device(party), "up")
        yield KernelLink(shaper, names)


def lacks_netem(namespace: str) -> str | None:
    """Why netem does not shape a link in a namespace, or nothing if it does."""
    if shutil.which("tc") is None:
        return "the command `tc` is missing; install iproute2"
    try:
        _run("tc", "-n", namespace, "qdisc", "add", "dev", "lo", "root", "netem", "delay", "1ms")
        _run("tc", "-n", namespace, "qdisc", "del", "dev", "lo", "root")
    except NotPossible as error:
        return f"the kernel has no netem: {error}"
    return None


def _device(party: str) -> str:
    return f"fq{os.getpid()}{party[0]}"


def _pair(names: dict[str, str], link: Link) -> None:
    """A pair of virtual interfaces, each shaped where it sends; segments are cut before they are shaped."""
    first, second = names
    _ip(
        *("link", "add", _device(first), "netns", names[first], "gso_max_segs", "1", "type", "veth"),
        *("peer", "name", _device(second), "netns", names[second], "gso_max_segs", "1"),
    )
    for party, name in names.items():
        _run(
            *("tc", "-n", name, "qdisc", "add", "dev", _device(party), "root", "netem", "limit", str(PACKETS)),
            *("delay", f"{1e6 * link.round_trip_s / 2:.0f}us", "rate", f"{link.rate_bit_per_s:.0f}bit"),
        )


def _tunnel(names: dict[str, str], link: Link, stack: ExitStack) -> None:
    """A TUN device in each namespace, and a line each way between them."""
    devices = []
    for party, name in names.items():
        try:
            device = os.open(TUN, os.O_RDWR | os.O_NONBLOCK)
            stack.callback(os.close, device)
            fcntl.ioctl(device, _TUNSETIFF, _REQUEST.pack(_device(party).encode(), _IFF_TUN | _IFF_NO_PI))
        except OSError as error:
            raise NotPossible(f"the kernel has neither netem nor {TUN}: {error.strerror}") from None
        _ip("link", "set", _device(party), "txqueuelen", str(PACKETS), "netns", name)
        devices.append(device)
    ended = threading.Event()
    lines = [
        threading.Thread(target=carry, args=(source, sink, link, ended), daemon=True)
        for source, sink in (devices, devices[::-1])
    ]
    for line in lines:
        line.start()
    for line in lines:
        stack.callback(line.join)
    stack.callback(ended.set)


def carry(source: int, sink: int, link: Link, ended: threading.Event) -> None:
    """Carry packets from one descriptor to another at the link's rate, half a round trip late, until told to end."""
    byte_s, delay_s = 8.0 / link.rate_bit_per_s, link.round_trip_s / 2
    on_line: deque[tuple[float, bytes]] = deque()
    left = 0.0
    while not ended.is_set():
        wait_s = 0.05 if not on_line else max(0.0, min(0.05, on_line[0][0] - time.monotonic()))
        readable, _, _ = select.select([source], [], [], wait_s)
        now = time.monotonic()
        if readable and len(on_line) < PACKETS:
            packet = os.read(source, PACKET_BYTES)
            left = max(now, left) + (len(packet) + LINK_LAYER_BYTES) * byte_s
            on_line.append((left + delay_s, packet))
        while on_line and on_line[0][0] <= now:
            _, packet = on_line.popleft()
            with suppress(OSError):  # the peer's end is not up yet, or is full: a packet is lost, as on any link
                os.write(sink, packet)


def _taken_away(namespace: str) -> None:
    subprocess.run(["ip", "netns", "del", namespace], check=False, capture_output=True)


def _ip(*words: str) -> None:
    _run("ip", *words)


def _run(*words: str) -> None:
    done = subprocess.run(words, check=False, capture_output=True, text=True)
    if done.returncode:
        raise NotPossible(f"`{' '.join(words)}` failed: {done.stderr.strip() or done.returncode}")
