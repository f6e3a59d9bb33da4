"""``fastquery serve``: a table served to many clients, until the process is ended."""

from __future__ import annotations

import argparse
import ipaddress
import logging
import signal
import socket
import sys
from typing import Any

from tqdm import tqdm

from costmodel.estimate import estimate
from costmodel.presets import executing_engine
from fastquery.cli.options import add_lookup_options, configuration_of
from fastquery.cli.show import bytes_text, json_text, pairs, seconds_text
from fastquery.queries import parse_address

EXAMPLE = """examples:
  fastquery serve --table minilm --listen 127.0.0.1:9000
  fastquery query --connect 127.0.0.1:9000 --token 77
  fastquery serve --table 4096x96 --listen 127.0.0.1:0 --json      (a free port, said on standard output)

Frames carry a checksum against damage, and nothing against somebody between the parties, who could replace keys,
queries and answers. On a link that is not trusted, listen on the loopback interface and put a tunnel in front that
authenticates both ends:
  ssh -N -L 9000:127.0.0.1:9000 SERVER            (on the client's machine; query --connect 127.0.0.1:9000)
  stunnel, with "verifyChain = yes" and a certificate on either side
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
        "--memory", type=int, default=1024, metavar="MIB", help="MiB for the messages of all sessions (default 1024)"
    )
    parser.add_argument(
        "--timeout",
        type=float,
        default=60.0,
        metavar="S",
        help="seconds that a client's next frame may take (default 60)",
    )
    parser.add_argument("--seed", type=int, default=0, help="of a random table (default 0)")
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

    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(asctime)s %(message)s")
    host, port = parse_address(arguments.listen)
    try:
        listener = socket.create_server(
            (host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET, backlog=512
        )
    except OSError as error:
        print(f"fastquery serve: cannot listen on {arguments.listen}: {error.strerror or error}", file=sys.stderr)
        return 1
    with listener:
        try:
            return serve(arguments, listener)
        except (OpenFHEUnavailable, ProtocolError) as error:
            print(f"fastquery serve: {error}", file=sys.stderr)
            return 1


def serve(arguments: argparse.Namespace, listener: socket.socket) -> int:
    """Encode the table, say where it is served, and serve it."""
    from protocol.limits import Limits
    from protocol.lookup import LookupServer
    from protocol.meter import Meter
    from protocol.requirements import Requirements
    from protocol.server import load_table
    from protocol.service import Service

    limits = Limits(
        clients=arguments.clients,
        memory_bytes=arguments.memory * 2**20,
        timeout_s=arguments.timeout,
        patience_s=5 * arguments.timeout,
    )
    arguments.engine = arguments.engine or executing_engine(arguments.protocol)
    configuration = configuration_of(arguments, arguments.tokens)
    if not arguments.allow_insecure:
        Requirements().check_security(estimate(configuration))
    table = load_table(configuration, arguments.table, arguments.seed)
    meter = Meter("server")
    with tqdm(desc="encoding table", file=sys.stderr, delay=1.0, leave=False) as bar:

        def progress(what: str, done: int, total: int) -> None:
            bar.total = total
            bar.update(done - bar.n)

        server = LookupServer(configuration, table, meter, progress, arguments.allow_insecure, limits.max_tokens)
    del table
    service = Service(server, listener, limits, meter, arguments.reveal_shares_for_tests)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: service.stop())
    say(arguments, listener, configuration, meter)
    service.run()
    return 0


def say(arguments: argparse.Namespace, listener: socket.socket, configuration: Any, meter: Any) -> None:
    """Where the server listens and what it serves, on standard output; warnings on standard error."""
    host, port = listener.getsockname()[:2]
    table_s = sum(row["seconds"] for row in meter.rows() if row["item"] == "encode table")
    ring = configuration.ring
    if not ipaddress.ip_address(host).is_loopback:
        logging.warning("listening on %s, not on loopback alone: nobody is authenticated; see --help for tunnels", host)
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
            "clients": arguments.clients,
            "table_s": table_s,
        }
        print(json_text(document), flush=True)
        return
    rows, channels = configuration.table.rows, configuration.table.channels
    limbs = "+".join(str(bits) for bits in ring.limb_bits)
    text = pairs(
        {
            "listening": f"{host}:{port}, {arguments.clients} clients at once",
            "table": f"{arguments.table}, {rows} x {channels}, encoded in {seconds_text(table_s)}",
            "protocol": f"{configuration.protocol}, engine {configuration.engine}",
            "flooding": f"{configuration.flooding_bits} bits",
            "ring": f"N={ring.degree}, q={limbs} bits, t={ring.plaintext_modulus}",
            "memory": f"{bytes_text(arguments.memory * 2**20)} for messages",
        }
    )
    print(text, flush=True)
