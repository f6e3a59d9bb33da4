"""The report of `benchmarks.peers`: figures, ratios, and SPU's bytes beside the model's."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from benchmarks.report import shown, table

PEERS = "SPU"
"""What the names of SPU's rows begin with."""

HELD = "operands held as shares"
"""What they end with where neither operand is known to a party; not compared with this project's designs."""


@dataclass(frozen=True)
class Measured:
    """One system on one table; the seconds of a query are those with the table encoded before."""

    system: str
    table: str
    threads: int
    up_bytes: float
    down_bytes: float
    setup_bytes: float
    predicted_up_bytes: float
    predicted_down_bytes: float
    predicted_setup_bytes: float
    client_s: float  # CPU seconds, as the server's
    server_s: float
    table_s: float
    wall_s: float  # the client's, over the loopback
    flooding_bits: int
    up_socket_bytes: float | None = None  # with what the transport adds, where it is another's
    down_socket_bytes: float | None = None

    @property
    def both_bytes(self) -> float:
        """Up and down."""
        return self.up_bytes + self.down_bytes

    @property
    def whole_server_s(self) -> float:
        """The server's CPU seconds where the table is encoded in the query."""
        return self.server_s + self.table_s

    @property
    def whole_wall_s(self) -> float:
        """Wall seconds where the table is encoded in the query, which one thread does before all else."""
        return self.wall_s + self.table_s


RATIOS = {
    "bytes": lambda row: row.both_bytes,
    "server": lambda row: row.server_s,
    "wall": lambda row: row.wall_s,
    "server, whole": lambda row: row.whole_server_s,
    "wall, whole": lambda row: row.whole_wall_s,
}
"""What is compared."""


def ratios(peer: Measured, own: Measured) -> dict[str, float]:
    """How many times as much a peer takes, by `RATIOS`."""
    return {name: figure(peer) / figure(own) for name, figure in RATIOS.items()}


def report(rows: Sequence[Measured], about: Mapping[str, Any]) -> str:
    """Everything between the markers: provenance, then a section for every table."""
    names = dict.fromkeys(row.table for row in rows)
    sections = [_section(name, [row for row in rows if row.table == name]) for name in names]
    return "\n\n".join([_provenance(rows, about), *sections]) + "\n"


def _provenance(rows: Sequence[Measured], about: Mapping[str, Any]) -> str:
    versions = ", ".join(f"{name} {version}" for name, version in about["versions"].items() if version)
    threads = {row.threads for row in rows if row.system.startswith(PEERS)}
    spu = about["spu"]
    counted = ", ".join(str(count or "its own choice of") for count in sorted(threads))
    return (
        f"{about['date']}, `{about['command']}`, commit {about['commit']}; {about['processor']}, "
        f"{about['cores']} cores, SPU's parties on {counted} thread(s) each, this project's on one. SPU {spu['spu']}, "
        f"CPython {spu['python']}, NumPy {spu['numpy']}; this project: CPython {about['python']}, {versions}."
    )


def _section(name: str, rows: Sequence[Measured]) -> str:
    peers = [row for row in rows if row.system.startswith(PEERS)]
    compared = [row for row in peers if not row.system.endswith(HELD)]
    own = [row for row in rows if row not in peers]
    return "\n\n".join(
        [
            f"### {name}",
            _figures(rows),
            f"SPU's figures over this project's, {name}:",
            _ratios(compared, own),
            f"SPU's bytes, measured and by the model, {name}:",
            _predictions(peers),
        ]
    )


def _figures(rows: Iterable[Measured]) -> str:
    heads = ["system", "flooding", "up", "down", "keys, once", "client s", "server s", "wall s"]
    heads += ["table encoding s", "server s, whole", "wall s, whole"]
    lines = []
    for row in rows:
        sizes = (row.up_bytes, row.down_bytes, row.setup_bytes)
        seconds = (row.client_s, row.server_s, row.wall_s, row.table_s, row.whole_server_s, row.whole_wall_s)
        cells = [*(shown(size, ",.0f") for size in sizes), *(shown(second, "#.3g") for second in seconds)]
        lines.append([row.system, str(row.flooding_bits), *cells])
    return table(heads, lines)


def _ratios(peers: Sequence[Measured], own: Sequence[Measured]) -> str:
    heads = ["design", *(f"{peer.system.removeprefix(PEERS).strip()} {name}" for peer in peers for name in RATIOS)]
    lines = [[row.system, *(_times(value) for peer in peers for value in ratios(peer, row).values())] for row in own]
    return table(heads, lines)


def _times(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def _predictions(peers: Iterable[Measured]) -> str:
    heads = ["system", "", "measured", "model", "model / measured", "at the sockets"]
    lines = []
    for row in peers:
        for name, measured, predicted, socket in (
            ("up", row.up_bytes, row.predicted_up_bytes, row.up_socket_bytes),
            ("down", row.down_bytes, row.predicted_down_bytes, row.down_socket_bytes),
            ("keys", row.setup_bytes, row.predicted_setup_bytes, None),
        ):
            share = f"{predicted / measured:.4f}"
            lines.append([row.system, name, f"{measured:,.0f}", f"{predicted:,.0f}", share, shown(socket, ",.0f")])
    return table(heads, lines, texts=2)
