"""Hostile sessions over sockets: recorded clients, damaged, thrown at a service in this process.

A damaged session is sent whole, and its reply read until the service closes. Replies are whole frames, nothing hangs,
nothing unexpected is in the log, and now and then an honest client gets the right row. A session that shows otherwise
is kept in ``corpus/`` and thrown again by the tests.

    python -m tests.protocol.hostile --cases 1000000         (`make hostile`; ends with the first surprise)
"""

from __future__ import annotations

import argparse
import logging
import random
import ssl
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass, field
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from costmodel.parameters import Table
from costmodel.systems import executed
from protocol.channel import Channel
from protocol.client import look_up
from protocol.execute import Execution, channel_differences
from protocol.frames import HEADER, MAGIC, VERSION, Kind, encode_frame
from protocol.limits import Limits
from protocol.meter import Meter
from protocol.seeds import SeedRecord
from protocol.service import Service
from protocol.threads import free_processors
from tests.protocol.fuzzing import CORPUS, mutated
from tests.protocol.serving import Running, prepared, read_frames, serving

TABLE = Table(300, 24)
SESSIONS: dict[str, dict[str, object]] = {
    "fastquery": {},
    "prepared": {"prepared": True},
    "aligned": {"align_bits": 20},
    "folded": {"protocol": "folded"},
    "compressed": {"protocol": "compressed"},
}
"""Options of the sessions that are recorded."""
PARTS = {"fastquery": 0.6, "prepared": 0.2, "aligned": 0.1, "folded": 0.07, "compressed": 0.03}
"""Of the cases; fewer of those whose sessions take longer."""
TOKEN = 271
CHECKED_EVERY = 2000
"""Cases after which an honest client asks."""
TASK_CASES = 5000
"""Cases that one service meets."""
KEY_BYTES = 10000
"""Of keys that a case sends on average: whole keys come as seldom as they are long."""
LIMITS = Limits(clients=32, timeout_s=10.0, address_clients=32, address_hourly_s=3600 * 1024)
SEED_BYTES = 32

Frames = list[tuple[Kind, bytes]]


class Recorder(Channel):
    """A client's channel that keeps what is sent."""

    def send(self, kind: Kind, body: bytes | memoryview) -> None:
        """Send one frame and keep it."""
        self.__dict__.setdefault("frames", []).append((kind, bytes(body)))
        super().send(kind, body)


def recorded(running: Running) -> Frames:
    """What an honest client sends for a token."""
    with closing(Recorder(running.connect(), Meter("client"), 60.0)) as channel:
        look_up(channel, Meter("client"), [TOKEN], False, SeedRecord())
    return list(channel.__dict__["frames"])


def client_hello() -> bytes:
    """A client's first bytes of TLS."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    with suppress(ssl.SSLWantReadError):
        ssl.create_default_context().wrap_bio(incoming, outgoing, server_hostname="example.org").do_handshake()
    return outgoing.read()


def fresh(frame: tuple[Kind, bytes], chance: random.Random) -> bytes:
    """A body with another seed: one that the service has seen would end the session before the damage is read."""
    kind, body = frame
    if kind in (Kind.HELLO, Kind.PREPARATION, Kind.LOOKUP):
        return body
    return (chance.randbytes(SEED_BYTES) + body[SEED_BYTES:])[: len(body)]


def damaged(frames: Frames, chance: random.Random) -> bytes:
    """A session with one frame damaged, after those before it as they were.

    Damage of the greeting or of the keys' header comes most often: keys are long, and what is behind them is reached by
    a service that has computed with them.
    """
    whole = min(0.1, KEY_BYTES / len(frames[1][1]))
    drawn = chance.random()
    which = chance.randrange(2, len(frames)) if drawn < whole / 5 else int(drawn < 0.4)
    before = [encode_frame(frames[k][0], k, fresh(frames[k], chance)) for k in range(which)]
    kind, body = frames[which]
    if which == 1 and drawn >= whole:
        body = body[: chance.choice((0, 31, 1024))]
    body = fresh((kind, body), chance)
    how = chance.randrange(8)
    if how <= 1:
        last = encode_frame(kind, which, mutated(body, chance))
    elif how == 2:
        last = encode_frame(chance.choice(list(Kind)), which, body[: chance.choice((0, 1, 16, len(body)))])
    elif how == 3:
        last = encode_frame(kind, chance.getrandbits(32), body)
    elif how == 4:
        announced = chance.choice((len(frames[which][1]), chance.getrandbits(chance.choice((4, 16, 29, 32)))))
        last = HEADER.pack(MAGIC, VERSION, kind, which, announced, chance.getrandbits(32)) + body
    else:
        last = encode_frame(kind, which, body)
        if how == 5:
            last = mutated(last[: HEADER.size], chance) + last[HEADER.size :]
        elif how == 6:
            last = last[: chance.randrange(len(last) + 1)]
        else:
            last += chance.choice([last, *before])
    return b"".join([*before, last])


@dataclass
class Surprises(logging.Handler):
    """What no hostile session may bring about: an unexpected error in the log, or a token in it."""

    found: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__()

    def __hash__(self) -> int:
        return id(self)

    def emit(self, record: logging.LogRecord) -> None:
        """Keep what is unexpected."""
        peer, _, said = record.getMessage().partition(": ")
        told = said.replace(f"announces {TOKEN} bytes", "")  # the length is the hostile client's own
        if record.levelno >= logging.ERROR or str(TOKEN) in told.split():
            self.found.append(f"{peer}: {said}")


@contextmanager
def watched() -> Iterator[Surprises]:
    """Watch the service's log, and keep it from the terminal."""
    log, surprises = logging.getLogger("fastquery.serve"), Surprises()
    log.addHandler(surprises)
    propagate, log.propagate = log.propagate, False
    level = log.level
    log.setLevel(logging.INFO)
    try:
        yield surprises
    finally:
        log.removeHandler(surprises)
        log.propagate = propagate
        log.setLevel(level)


class Surprise(Exception):
    """A session that a service did not take as it should."""


def throw(running: Running, session: bytes, source: str, surprises: Surprises) -> None:
    """Send a session and read the reply to its end.

    Raises
    ------
    Surprise
        If it is none, does not end, or the log has what it must not have.
    """
    try:
        with running.connect(source) as connection:
            with suppress(ConnectionError):
                connection.sendall(session)
                connection.shutdown(1)
            for kind, _ in read_frames(connection):
                assert kind < Kind.SHARES or kind is Kind.ERROR
    except (AssertionError, OSError) as error:
        raise Surprise(f"{type(error).__name__}: {error}") from error
    if surprises.found:
        raise Surprise(surprises.found[0])


def opens(running: Running) -> bool:
    """Whether an honest client gets the right row."""
    found, _, others = running.look_up([TOKEN])
    opened = Execution(pd.DataFrame(), found.latency_s, found.noise_bits, found.shares, others, 0)
    return not np.any(channel_differences(opened, found.configuration, running.table, [TOKEN]))


def bombard(running: Running, name: str, frames: Frames, cases: int, seed: int, throwers: int = 4) -> None:
    """Throw so many damaged sessions at a service, from several addresses at once.

    Raises
    ------
    Surprise
        With the name of the file in the corpus that has the session.
    """
    numbers, lock = iter(range(cases)), threading.Lock()
    failed: list[str] = []

    def run(source: str) -> None:
        while not failed:
            with lock:
                number = next(numbers, None)
            if number is None:
                return
            chance = random.Random(f"{name} {seed} {number}")
            session = mutated(client_hello(), chance) if number % 50 == 0 else damaged(frames, chance)
            try:
                throw(running, session, source, surprises)
                if number % CHECKED_EVERY == 0 and not opens(running):
                    raise Surprise("an honest client got a wrong row")
            except Exception as error:
                (CORPUS / f"session-{name}.surprise-{seed}-{number}").write_bytes(session)
                failed.append(f"session-{name}.surprise-{seed}-{number}: {error}")

    with watched() as surprises:
        threads = [threading.Thread(target=run, args=(f"127.0.0.{k + 2}",)) for k in range(throwers)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if failed:
            raise Surprise(failed[0])
        service: Service = running.service
        deadline = time.monotonic() + 60
        while service.sessions and time.monotonic() < deadline:
            time.sleep(0.01)
        if service.sessions or service.admission.memory.held_bytes:
            raise Surprise(f"{service.sessions} sessions stay, with {service.admission.memory.held_bytes} bytes")


def served(name: str, stack: ExitStack) -> Running:
    """A service for the sessions of a name."""
    options: dict[str, Any] = {"protocol": "fastquery", **SESSIONS[name]}
    return stack.enter_context(serving(prepared(executed(table=TABLE, **options), LIMITS)))


def kept(name: str) -> list[Path]:
    """Sessions of a name that were a surprise once."""
    return sorted(CORPUS.glob(f"session-{name}.*"))


def tasks(cases: int, seed: int) -> Iterator[tuple[str, int, int]]:
    """Sessions of every kind in turn, so many at a time: the kind, how many, and their seed."""
    for name, part_of_all in PARTS.items():
        each = round(cases * part_of_all)
        for first in range(0, each, TASK_CASES):
            yield name, min(TASK_CASES, each - first), seed + first


def run(name: str, cases: int, seed: int) -> tuple[str, int]:
    """Throw so many sessions of a kind at a service of their own."""
    with ExitStack() as stack:
        running = served(name, stack)
        bombard(running, name, recorded(running), cases, seed)
    return name, cases


def main() -> None:
    """Throw sessions of every kind, a task a process."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cases", type=int, default=20000, help="of all kinds together (default 20000)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--processes", type=int, default=free_processors(), help="default all free processors")
    arguments = parser.parse_args()
    start, done = time.monotonic(), Counter[str]()
    with ProcessPoolExecutor(arguments.processes, get_context("spawn")) as pool:
        thrown = [pool.submit(run, *task) for task in tasks(arguments.cases, arguments.seed)]
        try:
            for future in as_completed(thrown):
                name, cases = future.result()
                done[name] += cases
                rate = done.total() / (time.monotonic() - start)
                print(f"{name}: {done[name]} sessions, {done.total()} of all, {rate:.0f} a second", flush=True)
        finally:
            pool.shutdown(cancel_futures=True)


if __name__ == "__main__":
    main()
