"""``fastquery serve``: a table served to many clients, until the process is ended."""

from __future__ import annotations

import argparse
import ipaddress
import logging
import os
import signal
import socket
import sys
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tqdm import tqdm

from costmodel.systems import require_executed
from fastquery.cli.options import add_lookup_options, question_of
from fastquery.cli.show import bytes_text, json_text, pairs, seconds_text
from fastquery.queries import parse_address
from fastquery.shares import keep, require_folder
from protocol.threads import free_processors

if TYPE_CHECKING:
    from protocol.lookup import LookupServer
    from protocol.meter import Meter
    from protocol.service import Service
    from protocol.tls import Tls

OTHER_DESCRIPTORS = 64
"""Files and sockets besides those of clients: records, logs, health."""

EXAMPLE = """examples:
  fastquery serve --table minilm --listen 127.0.0.1:9000
  fastquery query --connect 127.0.0.1:9000 --token 77
  fastquery serve --table 4096x96 --listen 127.0.0.1:0 --json      (a free port, said on standard output)

Frames carry a checksum against damage, and nothing against somebody between the parties, who could replace keys,
queries and answers. Off the loopback interface TLS is therefore needed (or --plaintext, behind a tunnel or a balancer):
  fastquery serve --table minilm --listen 0.0.0.0:9000 --tls-cert server.pem --tls-key server.key \\
      --client-ca clients.pem --allow reader
"""


def add_parser(subparsers: Any) -> None:
    """Register the subcommand."""
    parser: argparse.ArgumentParser = subparsers.add_parser(
        "serve",
        help="serve a table to clients",
        description="Encode a table once and answer the queries of many clients; end it with Ctrl-C or SIGTERM. "
        "The parameters are those of `run`, and clients learn them from the server.",
        epilog=EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    add_lookup_options(parser)
    parser.add_argument(
        "--listen",
        default="127.0.0.1:9000",
        metavar="HOST:PORT",
        help="where (default 127.0.0.1:9000; port 0: a free one)",
    )
    parser.add_argument(
        "--tokens",
        type=int,
        default=1,
        help="rows of one query that --failure is kept for (default 1); more are served",
    )
    parser.add_argument("--clients", type=int, default=128, help="sessions at once; others wait (default 128)")
    parser.add_argument(
        "--memory",
        type=int,
        default=2048,
        metavar="MIB",
        help="MiB besides the table for all sessions: messages, keys, lookups under way, lost sessions (default 2048)",
    )
    parser.add_argument(
        "--threads",
        type=int,
        default=free_processors(),
        help="threads that share the work of a lookup (default all free processors)",
    )
    parser.add_argument(
        "--timeout",
        type=float,
        default=60.0,
        metavar="S",
        help="seconds that a client's next frame may take (default 60)",
    )
    fair = parser.add_argument_group("bounds of one address (an IPv6 network of 64 bits counts as one)")
    fair.add_argument("--max-tokens", type=int, default=1024, metavar="N", help="rows of a lookup (default 1024)")
    fair.add_argument(
        "--address-clients", type=int, default=0, metavar="N", help="sessions at once (default a quarter of --clients)"
    )
    fair.add_argument(
        "--address-memory", type=int, default=0, metavar="MIB", help="MiB of messages (default half of --memory)"
    )
    fair.add_argument(
        "--address-cpu",
        type=float,
        default=0.0,
        metavar="S",
        help="CPU seconds an hour (default half of all processors)",
    )
    tls = parser.add_argument_group("TLS 1.3, needed on an address that is not loopback")
    tls.add_argument("--tls-cert", type=Path, metavar="FILE", help="the server's certificate with its chain, PEM")
    tls.add_argument("--tls-key", type=Path, metavar="FILE", help="its key, without a passphrase")
    tls.add_argument(
        "--client-ca", type=Path, metavar="FILE", help="ask for certificates that these authorities signed"
    )
    tls.add_argument(
        "--allow",
        action="append",
        default=[],
        metavar="NAME",
        help="a name that a client's certificate must have; may be repeated (default any that --client-ca vouches for)",
    )
    tls.add_argument("--plaintext", action="store_true", help="listen off loopback without TLS")
    told = parser.add_argument_group("what is told and kept")
    told.add_argument("--audit", type=Path, metavar="FILE", help="append a line of JSON for every lookup")
    told.add_argument(
        "--health", metavar="HOST:PORT", help="serve gauges for Prometheus there: sessions, queue, budget left"
    )
    told.add_argument(
        "--distance-budget",
        type=float,
        default=-10.0,
        metavar="LOG2",
        help="log2 of the statistical distance that all answers of this table together may have, over restarts and all "
        "servers of it on this machine; refused when it is used up (default -10)",
    )
    told.add_argument(
        "--tell-seconds", action="store_true", help="give clients that ask the server's CPU seconds, rounded"
    )
    parser.add_argument("--seed", type=int, default=0, help="of a random table (default 0)")
    parser.add_argument("--shares", type=Path, metavar="DIR", help="keep the server's share of every lookup there")
    parser.add_argument(
        "--reveal-shares-for-tests",
        action="store_true",
        help="give a client that asks the server's shares too, which opens the table to it: for tests only",
    )
    parser.add_argument("--json", action="store_true", help="one JSON document on standard output once it listens")
    parser.set_defaults(execute=execute, size="native")


def execute(arguments: argparse.Namespace) -> int:
    """Serve until a signal comes."""
    from protocol.errors import ProtocolError
    from protocol.openfhe_library import OpenFHEUnavailable
    from protocol.records import RecordUnusable
    from protocol.tls import require_tls, server_tls

    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(asctime)s %(message)s")
    host, port = parse_address(arguments.listen)
    tls = server_tls(arguments.tls_cert, arguments.tls_key, arguments.client_ca, arguments.allow)
    try:
        listener = socket.create_server(
            (host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET, backlog=512
        )
    except OSError as error:
        print(f"fastquery serve: cannot listen on {arguments.listen}: {error.strerror or error}", file=sys.stderr)
        return 1
    with listener:
        if not arguments.plaintext:
            require_tls(listener, arguments.listen, tls)
        try:
            serve(arguments, listener, tls)
        except (OpenFHEUnavailable, ProtocolError, RecordUnusable) as error:
            print(f"fastquery serve: {error}", file=sys.stderr)
            return 1
    # Kernels may still compute in threads of sessions that were ended; clearing up beside them takes long, or fails.
    logging.shutdown()
    sys.stdout.flush()
    os._exit(0)


def serve(arguments: argparse.Namespace, listener: socket.socket, tls: Tls | None) -> None:
    """Encode the table, say where it is served, and serve it."""
    from protocol.audit import Audit
    from protocol.limits import Limits, allow_descriptors
    from protocol.lobby import MAX_VISITORS
    from protocol.lookup import LookupServer
    from protocol.meter import Meter
    from protocol.server import budget_of, load_table
    from protocol.service import Service

    if arguments.shares is not None:
        require_folder(arguments.shares)
    limits = Limits(
        clients=arguments.clients,
        memory_bytes=arguments.memory * 2**20,
        timeout_s=arguments.timeout,
        patience_s=5 * arguments.timeout,
        threads=arguments.threads,
        max_tokens=arguments.max_tokens,
        address_clients=arguments.address_clients,
        address_bytes=arguments.address_memory * 2**20,
        address_hourly_s=arguments.address_cpu,
    )
    needed = limits.clients + 2 * MAX_VISITORS + OTHER_DESCRIPTORS
    if (allowed := allow_descriptors(needed)) < needed:
        logging.warning("the system allows %d files and sockets, %d may be needed: raise ulimit -n", allowed, needed)
    asked = question_of(arguments, tokens=arguments.tokens)
    configuration = asked.configuration
    require_executed(configuration)
    table = load_table(configuration, asked.table, arguments.seed)
    audit = Audit(arguments.audit) if arguments.audit else None
    budget = budget_of(configuration, table, arguments.distance_budget)
    meter = Meter("server")
    with tqdm(desc="encoding table", file=sys.stderr, delay=1.0, leave=False) as bar:

        def progress(what: str, done: int, total: int) -> None:
            bar.total = total
            bar.update(done - bar.n)

        server = LookupServer(
            configuration, table, meter, progress, arguments.allow_insecure, limits.max_tokens, budget,
            limits.parked_bytes,
        )  # fmt: skip
    del table
    folder: Path | None = arguments.shares
    service = Service(
        server, listener, limits, meter, arguments.reveal_shares_for_tests, tls, arguments.tell_seconds, audit,
        on_share=None if folder is None else partial(keep, folder),
    )  # fmt: skip
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: service.stop())
    say(arguments, listener, server, service, meter, tls)
    with health_of(arguments, service):
        service.run()


def health_of(arguments: argparse.Namespace, service: Service) -> AbstractContextManager[object]:
    """A context in which the service's health is served, if it is asked for.

    Raises
    ------
    ValueError
        If it cannot be served there.
    """
    if arguments.health is None:
        return nullcontext()
    try:
        from protocol.health import Health
    except ImportError:
        raise ValueError("health needs prometheus_client: pip install 'fastquery[serve]'") from None
    host, port = parse_address(arguments.health)
    return Health(host, port, service.gauges())


def say(
    arguments: argparse.Namespace,
    listener: socket.socket,
    server: LookupServer,
    service: Service,
    meter: Meter,
    tls: Tls | None,
) -> None:
    """Where the server listens and what it serves, on standard output; warnings on standard error."""
    configuration, budget = server.configuration, server.budget
    working_bytes, together = service.admission.workspaces.most_bytes, server.tokens_together
    host, port = listener.getsockname()[:2]
    table_s = sum(row["seconds"] for row in meter.rows() if row["item"] == "encode table")
    ring = configuration.ring
    if tls is None and not ipaddress.ip_address(host).is_loopback:
        logging.warning("listening on %s in the clear: nobody is authenticated; see --help", host)
    if budget is not None:
        logging.info(
            "distance budget of this table: 2^%.1f; %d rows were answered, %d are left",
            budget.log2_most, budget.rows_answered, budget.rows_left,
        )  # fmt: skip
    if arguments.reveal_shares_for_tests:
        logging.warning("revealing shares for tests: every client can read the rows it asks for")
    if not configuration.flooding_bits:
        logging.warning("no flooding: answers leak the table to their clients")
    if arguments.json:
        document = {
            "host": host,
            "port": port,
            "table": arguments.table,
            "protocol": configuration.protocol,
            "engine": configuration.engine,
            "ring": vars(ring),
            "flooding_bits": configuration.flooding_bits,
            "align_bits": configuration.align_bits,
            "log2_distance_budget": None if budget is None else budget.log2_most,
            "rows_left": None if budget is None else budget.rows_left,
            "tls": tls is not None,
            "clients": arguments.clients,
            "threads": arguments.threads,
            "memory_bytes": arguments.memory * 2**20,
            "working_bytes": int(working_bytes),
            "tokens_together": together,
            "table_s": table_s,
        }
        print(json_text(document), flush=True)
        return
    rows, channels = configuration.table.rows, configuration.table.channels
    limbs = "+".join(str(bits) for bits in ring.limb_bits)
    text = pairs(
        {
            "listening": f"{host}:{port}, {arguments.clients} clients at once, {arguments.threads} threads a lookup",
            "table": f"{arguments.table}, {rows} x {channels}, encoded in {seconds_text(table_s)}",
            "protocol": f"{configuration.protocol}, engine {configuration.engine}",
            "budget": "none" if budget is None else f"2^{budget.log2_most:.1f}, {budget.rows_left} rows left",
            "flooding": f"{configuration.flooding_bits} bits",
            "ring": f"N={ring.degree}, q={limbs} bits, t={ring.plaintext_modulus}",
            "memory": f"{bytes_text(arguments.memory * 2**20)} besides the table, "
            f"{bytes_text(working_bytes)} of it for lookups under way, {together} rows of each at once",
        }
    )
    print(text, flush=True)
