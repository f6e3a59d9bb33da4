"""Time of every residue kernel, in one process on one thread: ``python benchmarks/kernels.py``.

CPU time of the best of several runs, compilation excluded; one JSON document on standard output. The ring is
OpenFHE's for N = 2048 and 52 bits, the table is random with 13-bit coefficients.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from costmodel.parameters import Ring as RingParameters
from protocol.openfhe.context import generate_context
from protocol.packing_tree import packing_exponents
from protocol.residue import packlwes, switch
from protocol.residue.bits import pack_bits, unpack_bits
from protocol.residue.ciphertext import SecretKey, decrypt, encrypt_seeded, encrypt_zero, expand_many
from protocol.residue.context import read_ring
from protocol.residue.inner_product import convolution_order, inner_products
from protocol.residue.keyswitch import Gadget, SwitchingKeys, automorphism_keys
from protocol.residue.multiply_accumulate import Query, multiply_accumulate, transform_table
from protocol.residue.ring import Ring
from protocol.residue.sampling import expand, new_seed, sample_gaussian, sample_ternary

PLAINTEXT_MODULUS = 1 << 13
GADGET = Gadget(17, 18)
BATCH_COLUMNS = 64


def cpu_seconds(function: Callable[[], Any], runs: int) -> float:
    """Return the least CPU time of several runs after one that compiles."""
    function()
    times = []
    for _ in range(runs):
        start = time.process_time()
        function()
        times.append(time.process_time() - start)
    return min(times)


def microseconds(function: Callable[[], Any], repeats: int = 50) -> float:
    """Return the CPU time of a short function, in microseconds."""

    def repeated() -> None:
        for _ in range(repeats):
            function()

    return cpu_seconds(repeated, 9) / repeats * 1e6


def transforms_us() -> dict[str, float]:
    """Return the times of both transforms, in microseconds a polynomial, over batches of 16."""
    out = {}
    for degree, bits in ((2048, 52), (4096, 60)):
        ring = read_ring(generate_context(RingParameters(degree, (bits,), PLAINTEXT_MODULUS)))
        rows = np.random.default_rng(0).integers(0, ring.modulus, (16, degree), dtype=np.uint64)
        transform = ring.transforms[0]
        out[f"forward N={degree} q={bits}"] = microseconds(partial(transform.forward, rows)) / 16
        out[f"inverse N={degree} q={bits}"] = microseconds(partial(transform.inverse, rows)) / 16
    return out


def polynomials_us(ring: Ring, secret: SecretKey) -> dict[str, float]:
    """Return the times of what is done with single polynomials, in microseconds."""
    degree = ring.ring_degree
    rng = np.random.default_rng(1)
    seed = new_seed()
    message = rng.integers(0, PLAINTEXT_MODULUS, (1, degree), dtype=np.uint64)
    a = expand_many(ring, seed, "a", 2)
    b = encrypt_seeded(secret, message, PLAINTEXT_MODULUS, seed, "a")
    ciphertext = np.stack([ring.forward(b[0]), a[0]])
    wire = pack_bits(b >> np.uint64(18), 34)
    rotation = automorphism_keys(secret, [3], [GADGET], seed, "rotation")
    return {
        "expand": microseconds(lambda: expand(seed, "a", 0, ring)),
        "sample ternary": microseconds(lambda: sample_ternary(degree)),
        "sample Gaussian": microseconds(lambda: sample_gaussian(degree)),
        "encrypt seeded": microseconds(lambda: encrypt_seeded(secret, message, PLAINTEXT_MODULUS, seed, "a")),
        "encrypt zero": microseconds(lambda: encrypt_zero(ring, a)),
        "decrypt": microseconds(lambda: decrypt(secret, ciphertext, PLAINTEXT_MODULUS)),
        "rotate": microseconds(lambda: rotation.rotate(ciphertext, 3)),
        "switch modulus": microseconds(lambda: switch.switch_modulus(b, ring, 27)),
        "drop low bits": microseconds(lambda: switch.drop_low_bits(b, ring.modulus, 18)),
        "pack 34 bits": microseconds(lambda: pack_bits(b >> np.uint64(18), 34)),
        "unpack 34 bits": microseconds(lambda: unpack_bits(wire, degree, 34)),
    }


def pack(leaves: np.ndarray[Any, np.dtype[np.uint64]], keys: SwitchingKeys) -> np.ndarray[Any, np.dtype[np.uint64]]:
    """Return the packed leaves."""
    packer = packlwes.Packer(keys, len(leaves))
    packer.push(leaves)
    return packer.finish()


def query_s(ring: Ring, secret: SecretKey, rows: int, columns: int, tokens: int, runs: int) -> dict[str, float]:
    """Return the times of a server's work on one query, on a prepared one and on a batch, in seconds."""
    degree, blocks = ring.ring_degree, -(-rows // ring.ring_degree)
    rng = np.random.default_rng(2)
    seed = new_seed()
    weights = rng.integers(-4096, 4096, (columns, rows)).astype(np.int16)
    exponents = packing_exponents(columns, degree)
    factors = packlwes.packing_factors(columns, ring)
    start = time.process_time()
    keys = automorphism_keys(secret, exponents, [GADGET] * len(exponents), seed, "packing")
    out = {"packing keys": time.process_time() - start}
    transform_table(convolution_order(weights[:1], degree), ring, factors)
    start = time.process_time()
    table = transform_table(convolution_order(weights, degree), ring, factors)
    out |= {"table": time.process_time() - start, "table_bytes": float(table.nbytes)}

    b = rng.integers(0, ring.modulus, (blocks, 1, degree), dtype=np.uint64)
    a = expand_many(ring, seed, "query", blocks)
    leaves = multiply_accumulate(table, Query(ring, np.stack([b, a])))
    packed = pack(leaves, keys)
    out |= {
        "expand the query's a": cpu_seconds(lambda: expand_many(ring, seed, "query", blocks), runs),
        "transform the query's b": cpu_seconds(lambda: ring.forward(b), runs),
        "multiply-accumulate": cpu_seconds(lambda: multiply_accumulate(table, Query(ring, np.stack([b, a]))), runs),
        "PackLWEs": cpu_seconds(lambda: pack(leaves, keys), runs),
        "modulus switch": cpu_seconds(lambda: switch.switch_modulus(ring.inverse(packed), ring, 27), runs),
    }
    out["multiply-accumulate, a only"] = cpu_seconds(lambda: multiply_accumulate(table, Query(ring, a)), runs)
    steps = ("expand the query's a", "transform the query's b", "multiply-accumulate", "PackLWEs", "modulus switch")
    out["one query, server"] = sum(out[step] for step in steps)

    output, coefficient = packlwes.packed_positions(columns, degree)
    share = ring.inverse(packed[:, 0])[output, :, coefficient].T
    scalars = b.reshape(-1)[:rows]

    def online() -> None:
        constants = inner_products(weights, scalars, ring.modulus)
        switch.switch_modulus(ring.add(share, constants[None]), ring, 22)

    out["prepared query, online"] = cpu_seconds(online, runs)
    out["one query, server, b by inner products"] = (
        out["one query, server"]
        - out["multiply-accumulate"]
        - out["transform the query's b"]
        + out["multiply-accumulate, a only"]
        + cpu_seconds(lambda: inner_products(weights, scalars, ring.modulus), runs)
    )
    out |= batch_s(ring, table, keys, columns, tokens)
    many = rng.integers(0, ring.modulus, (tokens, rows), dtype=np.uint64)
    inner = cpu_seconds(lambda: inner_products(weights, many, ring.modulus), runs) / tokens
    out[f"batch of {tokens}, inner products a token"] = inner
    return out


def batch_s(
    ring: Ring, table: np.ndarray[Any, np.dtype[np.uint64]], keys: SwitchingKeys, columns: int, tokens: int
) -> dict[str, float]:
    """Return the times a token of a batch that shares the pass over the table, in seconds."""
    shape = (tokens, 2, table.shape[2], 1, ring.ring_degree)
    query = Query(ring, np.random.default_rng(3).integers(0, ring.modulus, shape, dtype=np.uint64))
    packers = [packlwes.Packer(keys, columns) for _ in range(tokens)]
    leaves = multiply_accumulate(table[:, :BATCH_COLUMNS], query)
    packlwes.Packer(keys, columns).push(leaves[:, 0])  # compiles
    products = packing = 0.0
    for first in range(0, columns, BATCH_COLUMNS):
        start = time.process_time()
        leaves = multiply_accumulate(table[:, first : first + BATCH_COLUMNS], query)
        middle = time.process_time()
        for token, packer in enumerate(packers):
            packer.push(leaves[:, token])
        packing += time.process_time() - middle
        products += middle - start
    start = time.process_time()
    for packer in packers:
        packer.finish()
    packing += time.process_time() - start
    return {
        f"batch of {tokens}, multiply-accumulate a token": products / tokens,
        f"batch of {tokens}, PackLWEs a token": packing / tokens,
        f"batch of {tokens}, server a token": (products + packing) / tokens,
    }


def main() -> None:
    """Print the times as JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0], allow_abbrev=False)
    parser.add_argument("--rows", type=int, default=32000, help="rows of the table")
    parser.add_argument("--columns", type=int, default=1366, help="packed columns of the table")
    parser.add_argument("--tokens", type=int, default=16, help="tokens of the batch")
    parser.add_argument("--runs", type=int, default=5, help="runs of which the best counts")
    arguments = parser.parse_args()
    ring = read_ring(generate_context(RingParameters(2048, (52,), PLAINTEXT_MODULUS)))
    secret = SecretKey.generate(ring)
    report = {
        "transforms_us": transforms_us(),
        "polynomials_us": polynomials_us(ring, secret),
        "query_s": query_s(ring, secret, arguments.rows, arguments.columns, arguments.tokens, arguments.runs),
    }
    json.dump(report, sys.stdout, indent=2)
    print()


if __name__ == "__main__":
    main()
