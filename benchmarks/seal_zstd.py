"""Compresses real byte strings as SEAL does and writes what they take to costmodel/data/seal_zstd.toml.

    python benchmarks/seal_zstd.py [OUTPUT]

Every string is a ciphertext as SEAL 3.7.2 hands it to zstd: 89 bytes of metadata
(``Ciphertext::save_members``), then residues as 64-bit little-endian words. Residues are uniform of the
given number of bits; random generators are seeded, so that the table comes out the same with the same zstd.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import zstandard

N = 4096
LEVEL = 3
REPEATS = 24
BITS = range(20, 62)
DEGREES = [1024, 2048, 4096, 8192, 16384]
USED = sorted({1, N} | {k << shift for k in (2, 3) for shift in range(11)})
PLAIN_METADATA = 98
OUTPUT = Path(__file__).parents[1] / "costmodel" / "data" / "seal_zstd.toml"


def main(output: Path) -> None:
    """Measure the three tables and write them."""
    rng = np.random.default_rng(2024)
    polynomial = {bits: [mean_bytes(rng, [(bits, dropped, N)]) for dropped in range(bits)] for bits in BITS}
    degrees = {bits: [mean_bytes(rng, [(bits, 0, degree)], degree) for degree in DEGREES] for bits in BITS}
    mixture = {
        high: [
            mean_bytes(rng, [(high, 0, N), (low, 0, N)]) - polynomial[high][0] - polynomial[low][0]
            for low in range(BITS.start, high + 1)
        ]
        for high in BITS
    }
    sparse = {
        bits: [mean_bytes(rng, [(bits, 0, used), (bits, 0, N)]) - polynomial[bits][0] for used in USED] for bits in BITS
    }
    full = [residues(rng, bits, 0, N) for bits in BITS]
    seed = np.mean(
        [compressed_bytes(metadata(rng) + p + seed_info(rng)) - compressed_bytes(metadata(rng) + p) for p in full]
    )
    version = ".".join(map(str, zstandard.ZSTD_VERSION))
    lines = [
        "# Written by benchmarks/seal_zstd.py; do not edit.",
        f"# zstd {version}, level {LEVEL}, streamed; means of {REPEATS} random ciphertexts with N = {N}.",
        "",
        f"degree = {N}",
        f"first_bits = {BITS.start}",
        f"metadata_bytes = {PLAIN_METADATA}  # zstd frame and metadata where nothing compresses",
        f"seed_bytes = {round(float(seed))}  # of 81: header, type and 64 bytes of seed",
        f"used = {USED}",
        "",
        "# Bytes of a polynomial of so many bits a residue, for each degree of `degrees`.",
        f"degrees = {DEGREES}",
        "",
        "[degree_bytes]",
        *(f"{bits} = {row(values)}" for bits, values in degrees.items()),
        "",
        "# Bytes of a polynomial of so many bits a residue, with 0, 1, 2, ... low bits zero.",
        "[polynomial_bytes]",
        *(f"{bits} = {row(values)}" for bits, values in polynomial.items()),
        "",
        "# Bytes that two polynomials in one block take over the sum of both: the key has",
        "# the more bits, the entries are of first_bits, first_bits + 1, ... bits.",
        "[mixture_bytes]",
        *(f"{bits} = {row(values)}" for bits, values in mixture.items()),
        "",
        "# Bytes that a polynomial with `used` residues, the others zero, adds to a full one.",
        "[sparse_bytes]",
        *(f"{bits} = {row(values)}" for bits, values in sparse.items()),
    ]
    output.write_text("\n".join(lines) + "\n", encoding="utf-8")
    print(output, file=sys.stderr)


def residues(rng: np.random.Generator, bits: int, dropped: int, used: int, degree: int = N) -> bytes:
    """As many little-endian words as the degree, ``used`` of them random, their ``dropped`` low bits zero."""
    words = np.zeros(degree, dtype="<u8")
    random = rng.integers(0, 1 << (bits - dropped), used, dtype=np.uint64) << np.uint64(dropped)
    words[np.arange(used) * degree // used] = random
    return words.tobytes()


def mean_bytes(rng: np.random.Generator, polynomials: list[tuple[int, int, int]], degree: int = N) -> int:
    """Mean compressed size of polynomials of (bits, dropped, used), without frame and metadata."""
    sizes = [
        compressed_bytes(metadata(rng) + b"".join(residues(rng, *polynomial, degree) for polynomial in polynomials))
        for _ in range(REPEATS)
    ]
    return round(float(np.mean(sizes))) - PLAIN_METADATA


def metadata(rng: np.random.Generator) -> bytes:
    """parms_id, NTT flag, size, degree, limbs, scale; header and length of the array of residues."""
    numbers = np.array([2, N, 1], dtype="<u8").tobytes() + np.array([1.0]).tobytes()
    length = np.array([2 * N], dtype="<u8").tobytes()
    return rng.bytes(32) + b"\0" + numbers + rng.bytes(8) + bytes(8) + length


def seed_info(rng: np.random.Generator) -> bytes:
    """UniformRandomGeneratorInfo: header, type and seed."""
    return rng.bytes(2) + bytes(6) + np.array([81], dtype="<u8").tobytes() + b"\1" + rng.bytes(64)


def compressed_bytes(data: bytes) -> int:
    """Size of a zstd frame as SEAL's ``zstd_deflate_array_inplace`` makes it: streamed, without its size."""
    stream = zstandard.ZstdCompressor(level=LEVEL, write_content_size=False).compressobj()
    return len(stream.compress(data)) + len(stream.flush())


def row(values: list[int]) -> str:
    """A TOML array."""
    return "[" + ", ".join(map(str, values)) + "]"


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else OUTPUT)
