"""Narrow and wide plaintexts: what shares of every channel cost, aligned to the bits that the next layer needs.

`python -m benchmarks.plaintexts [--table llama-7b] [--align-bits 16,24,32,37] [--flooding-bits 0,40] [--block-bits 8]
[--machine FILE]` prints Markdown from the model: for every packing and plaintext modulus the bytes of query, answer and
alignment, the server's seconds and the latency on three links, and which is the fastest and the shortest.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Iterator, Sequence

import pandas as pd

from costmodel.estimate import estimate
from costmodel.link import parse_link
from costmodel.machine import Machine, default_machine, load_machine
from costmodel.parameters import Configuration, Table
from costmodel.systems import executed
from fastquery.tables import table_of

NARROW = ((3,), (4,), (3, 3), (4, 3), (4, 3, 3))
"""Channel widths of a coefficient; the plaintext is the smallest that holds them: 4, 5, 8, 9 and 13 bits."""
WIDE = (4,)
"""Channel widths of a coefficient whose plaintext is as wide as the aligned shares."""
PROTOCOLS = ("folded", "fastquery")
LINKS = {"LAN": "1Gbit/s,0.3ms", "44 Mbit/s, 40 ms": "44Mbit/s,40ms", "9 Mbit/s, 40 ms": "9Mbit/s,40ms"}


def configurations(
    table: Table, align_bits: int, flooding_bits: int, block_bits: int, protocols: Iterable[str] = PROTOCOLS
) -> Iterator[Configuration]:
    """Yield every packing in its smallest plaintext, and one channel in a plaintext of the aligned shares.

    Those that no ring holds are left out.
    """
    packings: list[tuple[tuple[int, ...], dict[str, int]]] = [(widths, {}) for widths in NARROW]
    packings.append((WIDE, {"plaintext_modulus": 1 << align_bits}))
    for protocol in protocols:
        for widths, ring in packings:
            try:
                yield executed(
                    protocol,
                    table,
                    widths=widths,
                    ring=ring,
                    flooding_bits=flooding_bits,
                    align_bits=align_bits,
                    block_bits=block_bits,
                )
            except ValueError:
                continue


def frame(
    table: Table,
    align_bits: Sequence[int],
    flooding_bits: Sequence[int],
    machine: Machine,
    block_bits: int,
    protocols: Sequence[str] = PROTOCOLS,
) -> pd.DataFrame:
    """Return a row a configuration: what it is, bytes without setup, server seconds and seconds on every link."""
    rows = []
    for aligned in align_bits:
        for flooded in flooding_bits:
            for one in configurations(table, aligned, flooded, block_bits, protocols):
                figures = estimate(one, parse_link(LINKS["LAN"]), machine).figures
                rows.append(
                    {
                        "shares_bits": aligned,
                        "flooding_bits": flooded,
                        "protocol": one.protocol,
                        "plaintext_bits": one.ring.plaintext_modulus.bit_length() - 1,
                        "channels": len(one.packing.widths),
                        "N": one.ring.degree,
                        "bytes": int(figures["up_bytes"] + figures["down_bytes"]),
                        "server_s": figures["server_s"],
                        **{
                            name: estimate(one, parse_link(link), machine).figures["latency_s"]
                            for name, link in LINKS.items()
                        },
                    }
                )
    return pd.DataFrame(rows)


def winners(costs: pd.DataFrame) -> pd.DataFrame:
    """Return for every width of shares and flooding the plaintext that is the shortest, and the fastest by link."""
    rows = []
    for (aligned, flooded), group in costs.groupby(["shares_bits", "flooding_bits"]):
        named = group.protocol + ", p = " + group.plaintext_bits.astype(str)
        best = {figure: named.loc[group[figure].idxmin()] for figure in ("bytes", *LINKS)}
        rows.append({"shares_bits": aligned, "flooding_bits": flooded, **best})
    return pd.DataFrame(rows)


def markdown(rows: pd.DataFrame) -> str:
    """Return a frame as a Markdown table, seconds to the millisecond."""
    lines = ["| " + " | ".join(rows.columns) + " |", "|---" * len(rows.columns) + "|"]
    for row in rows.itertuples(index=False):
        cells = [
            f"{cell:.3f}" if isinstance(cell, float) else f"{cell:,}" if isinstance(cell, int) else str(cell)
            for cell in row
        ]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--table", default="llama-7b")
    parser.add_argument("--align-bits", default="16,24,32,37")
    parser.add_argument("--flooding-bits", default="0,40")
    parser.add_argument("--block-bits", type=int, default=8, help="of the oblivious transfers (default 8)")
    parser.add_argument("--machine", type=load_machine, default=default_machine())
    options = parser.parse_args()
    aligned, flooded = ([int(bits) for bits in text.split(",")] for text in (options.align_bits, options.flooding_bits))
    costs = frame(table_of(options.table, 1), aligned, flooded, options.machine, options.block_bits)
    print(markdown(costs), end="\n\n")
    print(markdown(winners(costs)))


if __name__ == "__main__":
    main()
