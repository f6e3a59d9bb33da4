"""The weaker task of fetching a record: what private information retrieval sends, and what it does not give.

The client learns the record itself, so that neither party holds a share and nothing hides the table but its size; a
lookup for private inference needs both. Each system's sizes are restated from its own code at the parameters that the
code ships, for records of any number and size that these parameters hold. Bytes are those of the code's own
serialisation: 64-bit words for SEAL's ciphertexts, which `sealpir-zstd` compresses, packed bits elsewhere.

References
----------
.. [1] Angel, Chen, Laine, Setty. SealPIR. IEEE S&P 2018; ``microsoft/SealPIR``, ``pir.cpp``, ``pir_client.cpp``,
   ``main.cpp``.
.. [2] Chen, Ren. OnionPIRv2. ePrint 2025/1142; ``chenyue42/OnionPIRv2``, ``pir.cpp``, ``database_constants.h``.
.. [3] Menon, Wu. Spiral. IEEE S&P 2022; ``menonsamir/spiral``, ``spiral.cpp`` and the example of its README.
.. [4] Henzinger, Hong, Corrigan-Gibbs, Meiklejohn, Vaikuntanathan. SimplePIR. USENIX Security 2023;
   ``ahenzinger/simplepir``, ``params.csv``, ``simple_pir.go``, ``database.go``.
.. [5] Menon, Wu. YPIR. USENIX Security 2024; ``menonsamir/ypir``, ``params.rs``, ``scheme.rs``, README.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import pandas as pd

from costmodel import seal

WORD_BYTES = 8
"""Of a residue in SEAL's serialisation without compression."""

SEALPIR_DEGREE = 4096


@dataclass(frozen=True)
class Retrieval:
    """What a system sends for one record."""

    system: str
    up_bytes: int
    down_bytes: int
    setup_bytes: int  # keys of the client, or a hint of the server
    setup_item: str
    formula: str
    source: str
    secret_shares: bool = False  # the client learns the record
    hidden_table: bool = False  # an answer may reveal more of the table than the record

    @property
    def does_not_give(self) -> str:
        """What private inference needs besides."""
        return "secret shares of the record; a hidden table"


def sealpir(records: int, record_bytes: int) -> Retrieval:
    """SealPIR: N = 4096, primes {36, 36} and 37 for keys, 20 usable bits a coefficient, two dimensions.

    A query has ceil(n_i / N) seeded ciphertexts a dimension, an answer 2 ceil(36/20) = 4 of one limb [1]_.

    Raises
    ------
    ValueError
        If a record does not fit a plaintext polynomial.
    """
    residues = SEALPIR_DEGREE * WORD_BYTES
    return _sealpir("sealpir", records, record_bytes, 2 * residues, 2 * residues, 2 * 3 * residues)


def sealpir_zstd(records: int, record_bytes: int) -> Retrieval:
    """SealPIR on a SEAL that was built with zstd, with which it then compresses whatever it saves.

    Raises
    ------
    ValueError
        As `sealpir`.
    """
    query = seal.seeded_ciphertext_bytes(SEALPIR_DEGREE, (36, 36))
    answer = seal.ciphertext_bytes(SEALPIR_DEGREE, (36,))
    key = seal.ciphertext_bytes(SEALPIR_DEGREE, (36, 36, 37))
    return _sealpir("sealpir-zstd", records, record_bytes, round(query), round(answer), round(key))


def _sealpir(system: str, records: int, record_bytes: int, query: int, answer: int, key: int) -> Retrieval:
    """Counts of SealPIR, with the bytes of a ciphertext of its query, of its answer, and of its keys."""
    degree, usable_bits, limbs = SEALPIR_DEGREE, 20, 2
    per_record = -(-8 * record_bytes // usable_bits)
    if per_record > degree:
        raise ValueError(f"record_bytes is {record_bytes}; {system} holds at most {degree * usable_bits // 8}")
    plaintexts = -(-records // (degree // per_record))
    root = max(2, math.isqrt(plaintexts))
    dimensions = [root, root]
    for i in range(2):
        if math.prod(dimensions) > plaintexts:
            break
        dimensions[i] += 1
    queries = sum(-(-n // degree) for n in dimensions)
    return Retrieval(
        system,
        queries * query,
        2 * -(-36 // usable_bits) * answer,
        12 * limbs * key,
        "12 Galois keys",
        "sum_i ceil(n_i/N) seeded ciphertexts of two limbs; 4 ciphertexts of one",
        "[1]",
    )


def onionpir2(records: int, record_bytes: int) -> Retrieval:
    """OnionPIRv2 at N = 2048: q of 60 bits, 15 usable bits a coefficient, answers switched to 27 bits.

    A query is one seeded ciphertext, an answer 2 N 27 bits; the first dimension has up to 256 entries, the others two
    [2]_. Keys are ceil(log2(n_1 + 5 (d - 1))) automorphism keys under two limbs and an encryption of the secret
    key with 2 * 10 rows.

    Raises
    ------
    ValueError
        If a record does not fit a plaintext polynomial.
    """
    degree, bits, answer_bits, first, digits, key_digits = 2048, 15, 27, 256, 5, 10
    fitting = degree * bits // (8 * record_bytes)
    if not fitting:
        raise ValueError(f"record_bytes is {record_bytes}; onionpir2 holds at most {degree * bits // 8}")
    plaintexts = -(-records // fitting)
    others = -(-(1 << (plaintexts - 1).bit_length()) // first)
    first_size = -(-plaintexts // others)
    height = (first_size + digits * int(math.log2(others)) - 1).bit_length()
    keys = height * 2 * degree * WORD_BYTES + 2 * key_digits * degree * WORD_BYTES
    return Retrieval(
        "onionpir2",
        degree * WORD_BYTES,
        -(-2 * degree * answer_bits // 8),
        keys,
        "seeded automorphism keys and an encrypted secret key",
        "one seeded ciphertext; 2 N 27 / 8",
        "[2]",
    )


def spiral(records: int, record_bytes: int) -> Retrieval:
    """Spiral with the parameters of its README's example, up to 2^15 plaintexts of 8 KiB.

    d = 2048, q of 56 bits, p = 256, q' of 20 bits, t_exp = 8 and 56, t_conv = 4, t_GSW = 8; the first dimension has 2^9
    plaintexts, as in the paper's Table 1, the others two. A query is one ciphertext, both polynomials as the code
    counts it, an answer (4 d 10 + 2 d 20) bits a plaintext. Keys are those of ``runConversionImproved``:
    ceil(log2(2^9 + 8 nu_2)) of 2 t_exp polynomials for the expansion, ceil(log2(8 nu_2)) + 1 of 2 * 56 for the other
    dimensions, and two conversions of 6 t_conv [3]_.

    Raises
    ------
    ValueError
        If the database has more than 2^15 plaintexts.
    """
    degree, log2_q, nu_1, t_exp, t_exp_right, t_conv, t_gsw = 2048, 56, 9, 8, 56, 4, 8
    plaintext_bytes = 4 * degree
    answers = max(1, -(-record_bytes // plaintext_bytes))
    plaintexts = -(-records // max(1, plaintext_bytes // record_bytes))
    if plaintexts > 2**15:
        raise ValueError(
            f"records take {plaintexts} plaintexts; spiral's example holds 32768 of {plaintext_bytes} bytes"
        )
    folded = t_gsw * max(1, (plaintexts - 1).bit_length() - nu_1)
    expansion = math.ceil(math.log2(2**nu_1 + folded)) * 2 * t_exp
    other_dimensions = (math.ceil(math.log2(folded)) + 1) * 2 * t_exp_right
    keys = (expansion + other_dimensions + 2 * 6 * t_conv) * degree * log2_q // 8
    return Retrieval(
        "spiral",
        2 * degree * log2_q // 8,
        answers * (4 * degree * 10 + 2 * degree * 20) // 8,
        keys,
        "expansion and conversion keys",
        "2 d 56 / 8; (4 d 10 + 2 d 20) / 8",
        "[3]",
    )


SIMPLEPIR_PLAINTEXT_MODULI = {13: 991, 14: 833, 15: 701, 16: 589, 17: 495, 18: 416, 19: 350, 20: 294, 21: 247}
"""Largest p by log2 of the columns, for dimension 1024 and q = 2^32 [4]_."""


def simplepir(records: int, record_bytes: int) -> Retrieval:
    """SimplePIR: a query of m and an answer of l words of 32 bits, after a hint of 1024 l words [4]_.

    The database is l x m entries modulo p, as square as whole records allow; p is raised as far as m allows.

    Raises
    ------
    ValueError
        If the table of parameters has none for so many columns.
    """
    modulus, dimensions = 2, (0, 0)
    while True:
        entries = math.ceil(8 * record_bytes / math.log2(modulus))
        packed = math.floor(math.log2(modulus) / (8 * record_bytes))
        cells = -(-records // packed) if packed else records * entries
        rows = math.isqrt(cells)
        rows += -rows % (1 if packed else entries)
        columns = -(-cells // rows)
        log2_columns = max(13, (columns - 1).bit_length())
        if log2_columns not in SIMPLEPIR_PLAINTEXT_MODULI:
            raise ValueError(f"records take {columns} columns; simplepir has parameters for up to {2**21}")
        if SIMPLEPIR_PLAINTEXT_MODULI[log2_columns] < modulus:
            break
        modulus, dimensions = modulus + 1, (rows, columns)
    rows, columns = dimensions
    return Retrieval("simplepir", 4 * columns, 4 * rows, 4 * 1024 * rows, "hint of the server", "4 m; 4 l", "[4]")


def ypir(records: int, record_bytes: int) -> Retrieval:
    """YPIR+SP, for records of 28672 bits: 56 bits a row up, 48 bits a coefficient of 2048 down, no hint [5]_.

    Smaller records share a row, N' = ceil(N B / 28672), as the README has it. The packing key of 11 * 3 polynomials
    goes with a query; it depends on no record and is entered as setup.
    """
    degree, row_bits = 2048, 28672
    bits = 8 * record_bytes
    rows = -(-records * bits // row_bits) if bits < row_bits else records
    padded = max(degree, 1 << (rows - 1).bit_length())
    instances = -(-max(bits, row_bits) // row_bits)
    return Retrieval(
        "ypir",
        padded * 56 // 8,
        instances * degree * (28 + 20) // 8,
        11 * 3 * degree * 56 // 8,
        "packing key",
        "rows padded to a power of two, 56 bits each; 2048 (28 + 20) bits",
        "[5]",
    )


SYSTEMS: dict[str, Callable[[int, int], Retrieval]] = {
    "sealpir": sealpir,
    "sealpir-zstd": sealpir_zstd,
    "onionpir2": onionpir2,
    "spiral": spiral,
    "simplepir": simplepir,
    "ypir": ypir,
}


def retrieve(system: str, records: int, record_bytes: int) -> Retrieval:
    """What a system sends for one of ``records`` records of ``record_bytes``.

    Raises
    ------
    ValueError
        If the system is unknown, a number is below one, or its parameters do not hold the database.
    """
    if system not in SYSTEMS:
        raise ValueError(f"system is {system!r}; it must be one of {', '.join(SYSTEMS)}")
    for name, value in (("records", records), ("record_bytes", record_bytes)):
        if value < 1:
            raise ValueError(f"{name} is {value}; it must be at least 1")
    return SYSTEMS[system](records, record_bytes)


def comparison(records: int, record_bytes: int) -> pd.DataFrame:
    """All systems that hold the database, a row each, with a column of what they do not give."""
    rows = []
    for name in SYSTEMS:
        try:
            found = retrieve(name, records, record_bytes)
        except ValueError:
            continue
        rows.append({**vars(found), "does_not_give": found.does_not_give})
    return pd.DataFrame(rows)
