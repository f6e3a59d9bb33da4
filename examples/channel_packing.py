"""Three columns of a table packed into one, and taken apart again: FastQuery's Figure 6.

Channels of 3, 3 and 4 bits share a coefficient of 13 bits. Each has a field of one bit more than its own, so that the
coefficient is full: 4 + 4 + 5 bits. One product of the encrypted query with the packed column replaces three.

    python examples/channel_packing.py
"""

from __future__ import annotations

from collections.abc import Sequence

from bfv import BFV, multiply, spelt
from coefficient_packing import results, table_polynomial, vector_polynomial

from costmodel.packing import field_moduli, field_weights, required_plaintext_bits

DEGREE = 8
WIDTHS = (3, 3, 4)
TABLE = ((1, 7, 12), (5, 2, 9), (0, 6, 3), (4, 4, 15))  # rows of the vocabulary, three channels
TOKEN = 2
MASK = 4019  # a value whose fields borrow from each other; a server draws its mask modulo t

MODULI, PLAINTEXT_MODULUS = field_moduli(WIDTHS), 2 ** required_plaintext_bits(WIDTHS)


def packed(channels: Sequence[int]) -> int:
    """Return the coefficient of one row: channel i times the product of the field moduli below it."""
    return sum(value * weight for value, weight in zip(channels, field_weights(MODULI), strict=True))


def unpacked(coefficient: int) -> list[int]:
    """Return the fields of a coefficient."""
    fields = []
    for modulus in MODULI:
        coefficient, field = divmod(coefficient, modulus)
        fields.append(field)
    return fields


def binary(coefficient: int) -> str:
    """Spell the bits of a coefficient, a group a field, the highest field first."""
    bits = [modulus.bit_length() - 1 for modulus in MODULI]
    fields = zip(unpacked(coefficient), bits, strict=True)
    return " ".join(f"{field:0{size}b}" for field, size in reversed(list(fields)))


def in_the_clear() -> None:
    """Print every row as one coefficient, and the packed column as a polynomial."""
    print("channels of 3, 3 and 4 bits, fields modulo 16, 16 and 32, weights 1, 16 and 256\n")
    for row in TABLE:
        sums = " + ".join(f"{value}*{weight}" for value, weight in zip(row, field_weights(MODULI), strict=True))
        print(f"{' '.join(f'{value:2}' for value in row)}   {sums:23} = {packed(row):4} = {binary(packed(row))}")
    column = [(packed(row),) for row in TABLE]
    one_hot = [int(r == TOKEN) for r in range(len(TABLE))]
    print("\nthe packed column:   ", spelt(table_polynomial(column, DEGREE)))
    print(f"query of token {TOKEN}:    ", spelt(vector_polynomial(one_hot, DEGREE)))
    product = multiply(vector_polynomial(one_hot, DEGREE), table_polynomial(column, DEGREE))
    print("product:             ", spelt(product))
    (found,) = results(product, len(TABLE), 1)
    print(f"coefficient of X^3:   {found} = {binary(found)}, unpacked {' '.join(map(str, unpacked(found)))}")


def shared(client: int) -> None:
    """Print how the shares of a packed coefficient add up, and why they do not field by field."""
    whole = (client + MASK) % PLAINTEXT_MODULUS
    apart = [(a + b) % modulus for a, b, modulus in zip(unpacked(client), unpacked(MASK), MODULI, strict=True)]
    print(f"client's share:       {client:4} = {binary(client)}")
    print(f"server's share:       {MASK:4} = {binary(MASK)}")
    print(f"sum modulo 2^13:      {whole:4} = {binary(whole)}, unpacked {' '.join(map(str, unpacked(whole)))}")
    print(f"field by field:       {' '.join(map(str, apart))}: wrong where a field carries into the next")


def encrypted(ring: BFV) -> None:
    """Print the product of the encrypted query with the packed column, as shares."""
    rows = len(TABLE)
    one_hot = [int(r == TOKEN) for r in range(rows)]
    query = ring.encrypt(vector_polynomial(one_hot, ring.degree))  # client
    product = ring.multiply(query, table_polynomial([(packed(row),) for row in TABLE], ring.degree))  # server
    mask = [0] * ring.degree
    mask[rows - 1] = MASK
    (share,) = results(ring.decrypt(ring.subtract(product, mask)), rows, 1)
    shared(share % PLAINTEXT_MODULUS)


def main() -> None:
    """Print everything, from the packed rows to a secure ring."""
    print("Three columns into one, N = 8\n")
    in_the_clear()
    print("\nUnder OpenFHE, N = 8, q of 53 bits: a toy, without any security\n")
    encrypted(BFV(DEGREE, PLAINTEXT_MODULUS, secure=False))
    print("\nUnder OpenFHE, N = 2048, q of 53 bits: 128 bits of security\n")
    encrypted(BFV(2048, PLAINTEXT_MODULUS, secure=True))


if __name__ == "__main__":
    main()
