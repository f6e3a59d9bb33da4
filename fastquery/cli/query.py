"""``fastquery query``: rows looked up at a server, for a share of them."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Iterator
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from costmodel.checks import real_between, whole_between
from costmodel.files import output_path, replace_private
from costmodel.limits import LEAST_LOG2_FAILURE, MOST_FLOODING_BITS
from costmodel.link import PRESETS, parse_link
from costmodel.results import failure_text
from fastquery.cli.show import bytes_text, json_text, pairs, seconds_text
from fastquery.queries import DoesNotDecrypt, Query, SessionDocument, checked_tokens, query_each
from fastquery.shares import keep, require_folder
from fastquery.words import MACHINE_HELP, checked, link_of, machine_of, whole

EXAMPLE = """examples:
  fastquery query --connect 127.0.0.1:9000 --token 77
  fastquery query --connect 127.0.0.1:9000 --token 77 --token 512 --output share.npy --json
  fastquery query --connect 127.0.0.1:9000 --token-file - < tokens.txt   (not in the list of processes)
  fastquery query --connect 127.0.0.1:9000 --token-file - --shares mine  (each line is one lookup of one session)
  fastquery query --connect 127.0.0.1:9000 --token 77 --check minilm     (of serve --reveal-shares-for-tests)

The share is this client's only; the row is its sum with the server's, and neither alone says anything of it. Nobody is
authenticated without --tls-ca (see `fastquery serve --help`):
  fastquery query --connect rows.example:9000 --tls-ca ca.pem --tls-cert me.pem --tls-key me.key --token 77
"""

SINGLE = "output takes one lookup's share; --shares DIR keeps those of many"


def add_parser(subparsers: Any) -> None:
    """Register the subcommand."""
    parser: argparse.ArgumentParser = subparsers.add_parser(
        "query",
        help="look rows up at a server",
        description="Look rows of a served table up privately. The table's shape, quantisation, ring, protocol and "
        "flooding come from the server, and are refused where they are below this client's own bounds.",
        epilog=EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    tls = parser.add_argument_group("TLS 1.3, in place of a connection in the clear")
    tls.add_argument(
        "--tls-ca", type=Path, metavar="FILE", help="certificates of the authorities that vouch for the server"
    )
    tls.add_argument("--tls-cert", type=Path, metavar="FILE", help="this client's certificate, where one is asked for")
    tls.add_argument("--tls-key", type=Path, metavar="FILE", help="its key, without a passphrase")
    parser.add_argument("--connect", required=True, metavar="HOST:PORT", help="the server")
    tokens = parser.add_mutually_exclusive_group(required=True)
    tokens.add_argument(
        "--token",
        type=int,
        action="append",
        help="a token id; may be repeated. The list of processes shows it to other users: use --token-file there",
    )
    tokens.add_argument(
        "--token-file",
        metavar="FILE",
        help="token ids separated by spaces, each line one lookup of one session, answered as it comes; - is standard "
        "input",
    )
    parser.add_argument(
        "--tokens", type=int, default=16, metavar="N", help="most rows of a line of --token-file - (default 16)"
    )
    parser.add_argument(
        "--output",
        type=Path,
        metavar="FILE.npy",
        help="where the share of a single lookup is written, for the user alone",
    )
    parser.add_argument("--shares", type=Path, metavar="DIR", help="keep this client's share of every lookup there")
    parser.add_argument("--check", metavar="TABLE", help="open both shares against this table, of a test server")
    parser.add_argument("--seed", type=int, default=0, help="of a random table that is checked against (default 0)")
    parser.add_argument(
        "--security",
        type=int,
        default=128,
        metavar="BITS",
        help="least accepted, by the stricter of the 2018 standard and the 2024 guidelines (default 128)",
    )
    parser.add_argument("--allow-insecure", action="store_true", help="accept a ring of any security")
    parser.add_argument("--flooding-bits", type=int, default=0, metavar="F", help="least flooding accepted (default 0)")
    parser.add_argument(
        "--failure",
        type=float,
        default=-40.0,
        metavar="LOG2",
        help="largest log2 failure of a row accepted (default -40)",
    )
    parser.add_argument(
        "--memory",
        type=int,
        default=8192,
        metavar="MIB",
        help="most memory that the server's parameters may take of this client (default 8192)",
    )
    parser.add_argument(
        "--link",
        "--bandwidth",
        type=checked(parse_link),
        default=PRESETS["loopback"],
        help="of the prediction (default loopback)",
    )
    parser.add_argument(
        "--machine", type=checked(machine_of), help=f"of the prediction: {MACHINE_HELP}", metavar="FILE"
    )
    parser.add_argument("--json", action="store_true", help="one JSON document on standard output")
    parser.set_defaults(execute=execute)


def execute(arguments: argparse.Namespace) -> int:
    """Query, write the share, print; fail if the ledgers differ, or a checked row does."""
    from protocol.errors import ProtocolError
    from protocol.openfhe_library import OpenFHEUnavailable
    from protocol.requirements import Requirements
    from protocol.seeds import SeedReused
    from protocol.share import MAX_TOKENS
    from protocol.tls import client_tls

    if not 0 <= arguments.security <= 256:
        raise ValueError(f"security is {arguments.security}; it must lie between 0 and 256 bits")
    batches: Iterable[list[int]]
    if arguments.token:
        batches, most = [arguments.token], len(arguments.token)
    else:
        batches, most = lines_of(arguments.token_file, whole_between("tokens", arguments.tokens, 1, MAX_TOKENS))
    whole_between("flooding_bits", arguments.flooding_bits, 0, MOST_FLOODING_BITS)
    real_between("failure", arguments.failure, LEAST_LOG2_FAILURE, 0.0)
    if arguments.memory < 1:
        raise ValueError(f"memory is {arguments.memory}; it must be at least 1 MiB")
    if arguments.output is not None:
        if isinstance(batches, list) and len(batches) > 1:
            raise ValueError(SINGLE)
        output_path(arguments.output, None if arguments.token_file == "-" else arguments.token_file)
    if arguments.shares is not None:
        require_folder(arguments.shares)
    tls = client_tls(arguments.tls_ca, arguments.tls_cert, arguments.tls_key)
    security_bits = 0 if arguments.allow_insecure else arguments.security
    gathered, agrees = SessionDocument(), True
    try:
        for number, result in enumerate(
            query_each(
                arguments.connect,
                batches,
                most,
                requirements=Requirements(
                    security_bits, arguments.flooding_bits, arguments.failure, arguments.memory * 2**20
                ),
                check=arguments.check,
                seed=arguments.seed,
                machine=machine_of(arguments.machine),
                link=link_of(arguments.link),
                tls=tls,
            )
        ):
            if arguments.output is not None and number:
                raise ValueError(SINGLE)
            if arguments.output is not None:
                replace_private(arguments.output, partial(np.save, arr=result.shares))
            if arguments.shares is not None:
                keep(arguments.shares, result.share)
            if not arguments.json:
                print(text(result) if not number else line(result), flush=True)
            document = result.document()
            agrees = agrees and result.agrees and not result.mismatches
            gathered.add(document)
    except (OpenFHEUnavailable, ProtocolError, DoesNotDecrypt, SeedReused, OSError) as error:
        print(f"fastquery query: {error}", file=sys.stderr)
        return 1
    if arguments.json:
        print(json_text(gathered.document()))
    return 0 if agrees else 1


def lines_of(path: str, most: int) -> tuple[Iterable[list[int]], int]:
    """Token ids of every line, and the most of one: stated for lines that are still to come.

    Raises
    ------
    ValueError
        As :func:`read_lines`.
    """
    if path == "-":
        return read_lines(path), most
    batches = [list(checked_tokens(line)) for line in read_lines(path)]
    return batches, max(map(len, batches), default=1)


def read_lines(path: str) -> Iterator[list[int]]:
    """Token ids of each line of a file, or of standard input for ``-`` as the lines come; empty lines are passed over.

    Raises
    ------
    ValueError
        If it cannot be read, or holds something else, which is not repeated: it may be a secret.
    """
    try:
        with nullcontext(sys.stdin) if path == "-" else open(path, encoding="utf-8") as lines:
            for words in map(str.split, iter(lines.readline, "")):
                if words:
                    yield [whole("token", word) for word in words]
    except OSError as error:
        raise ValueError(f"token-file is {path!r}, which cannot be read: {error.strerror}") from None
    except ValueError:
        raise ValueError(f"token-file is {path!r}; every line must hold token ids separated by spaces") from None


def line(result: Query) -> str:
    """A further lookup of a session for people."""
    document = result.document()
    opened = {None: "", 0: ", every channel right"}.get(result.mismatches, f", {result.mismatches} channels WRONG")
    agree = "agree" if result.agrees else "do NOT agree"
    return (
        f"lookup {result.share.lookup}: {document['tokens']} row(s) in {seconds_text(document['latency_s'])}, ledgers "
        f"{agree}{opened}"
    )


def text(result: Query) -> str:
    """The query for people."""
    document = result.document()
    table = result.configuration.table
    rows = {
        "share": f"{document['tokens']} row(s) of a {table.rows} x {table.channels} table, "
        f"{bytes_text(document['share_bytes'])}",
        "ledgers": f"predicted and measured agree in counts and bytes {'' if result.agrees else 'NOT '}entry by entry",
    }
    if result.mismatches is not None:
        rows["opened"] = f"{result.mismatches} channels WRONG" if result.mismatches else "every channel right"
    for name, label in (("up_bytes", "up"), ("down_bytes", "down"), ("setup_bytes", "setup")):
        rows[label] = f"{bytes_text(document[name])}, predicted {bytes_text(document['predicted_' + name])}"
    if result.told_seconds:
        rows["server"] = seconds_text(document["server_s"]) + ", as it says itself"
    rows["client"] = seconds_text(document["client_s"])
    rows["latency"] = seconds_text(document["latency_s"])
    rows["security"] = f"{document['security_bits']:.0f} bits"
    rows["failure"] = failure_text(document["log2_failure"]) + " for all rows"
    flooding = document["flooding_bits"]
    rows["flooding"] = f"{flooding} bits" if flooding else "0 bits: the table is NOT protected from the client"
    if document["log2_distance_budget"] is not None:
        most, spent = document["log2_distance_budget"], document["log2_distance_spent"]
        told = "nothing" if spent <= -1000 else f"2^{spent:.1f}"
        rows["budget"] = f"a distance of 2^{most:.1f} for the table, of which {told} is spent"
    return pairs(rows)
