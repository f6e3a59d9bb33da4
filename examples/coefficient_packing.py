"""A matrix-vector product by coefficient packing, small enough to follow by hand: FastQuery's Figure 3.

A table of m rows and n columns stands in one polynomial, column after column and each column backwards; the vector
stands in another. Coefficient c m + m - 1 of their product modulo X^N + 1 is the vector times column c.

    python examples/coefficient_packing.py
"""

from __future__ import annotations

from collections.abc import Sequence

from bfv import BFV, Polynomial, multiply, spelt

DEGREE = 8
TABLE = ((1, 3), (5, 1), (2, 0), (4, 6))  # rows of the vocabulary, a column a channel
VECTOR = (2, 0, 1, 3)
TOKEN = 1
MASK = (5, 11)  # small enough to add by hand; a server draws its mask modulo t
PLAINTEXT_MODULUS = 2**13


def table_polynomial(table: Sequence[Sequence[int]], degree: int) -> Polynomial:
    """Entry (r, c) at the coefficient c m + m - 1 - r."""
    rows = len(table)
    polynomial = [0] * degree
    for r, row in enumerate(table):
        for c, entry in enumerate(row):
            polynomial[c * rows + rows - 1 - r] = entry
    return polynomial


def vector_polynomial(vector: Sequence[int], degree: int) -> Polynomial:
    """Entry r at the coefficient r."""
    return [*vector, *[0] * (degree - len(vector))]


def results(product: Sequence[int], rows: int, columns: int) -> list[int]:
    """Vector times column c, from the coefficient c m + m - 1."""
    return [product[c * rows + rows - 1] for c in range(columns)]


def in_the_clear() -> None:
    """Print both polynomials, their product and the sums that its coefficients are."""
    rows, columns = len(TABLE), len(TABLE[0])
    print("table W, rows by columns:   ", "   ".join(" ".join(map(str, row)) for row in TABLE))
    print("vector x:                   ", *VECTOR)
    packed, vector = table_polynomial(TABLE, DEGREE), vector_polynomial(VECTOR, DEGREE)
    print("W as a polynomial:          ", spelt(packed))
    print("x as a polynomial:          ", spelt(vector))
    product = multiply(vector, packed)
    print(f"product modulo X^{DEGREE} + 1:     ", spelt(product))
    for column, result in enumerate(results(product, rows, columns)):
        at = column * rows + rows - 1
        terms = " + ".join(f"{VECTOR[r]}*{TABLE[r][column]}" for r in range(rows))
        print(f"coefficient of X^{at}:          {terms} = {result}, x times column {column}")
    print("the other coefficients are sums of no use; those past X^7 came back with the other sign")


def looked_up() -> None:
    """Print the product with a one-hot vector, which is a row."""
    one_hot = [int(r == TOKEN) for r in range(len(TABLE))]
    product = multiply(vector_polynomial(one_hot, DEGREE), table_polynomial(TABLE, DEGREE))
    print(f"one-hot vector of token {TOKEN}:   ", spelt(vector_polynomial(one_hot, DEGREE)))
    print("product:                    ", spelt(product))
    print(f"row {TOKEN}, at X^3 and X^7:       ", *results(product, len(TABLE), len(TABLE[0])))


def encrypted(ring: BFV) -> None:
    """Print the same lookup with an encrypted vector, and both parties' shares."""
    rows, columns = len(TABLE), len(TABLE[0])
    one_hot = [int(r == TOKEN) for r in range(rows)]
    query = ring.encrypt(vector_polynomial(one_hot, ring.degree))  # client
    product = ring.multiply(query, table_polynomial(TABLE, ring.degree))  # server
    if ring.degree == DEGREE:
        print("product, decrypted:         ", spelt(ring.decrypt(product)))
    mask = [0] * ring.degree
    for column in range(columns):
        mask[column * rows + rows - 1] = MASK[column]
    answer = ring.subtract(product, mask)  # server
    share = [one % PLAINTEXT_MODULUS for one in results(ring.decrypt(answer), rows, columns)]  # client
    print("client's share:             ", *share)
    print("server's share, the mask:   ", *MASK)
    print("their sum modulo 2^13:      ", *((a + b) % PLAINTEXT_MODULUS for a, b in zip(share, MASK, strict=True)))


def main() -> None:
    """Print everything, from the product by hand to a secure ring."""
    print("A product by hand, N = 8\n")
    in_the_clear()
    print("\nA lookup by hand\n")
    looked_up()
    print("\nThe same lookup under OpenFHE, N = 8, q of 53 bits: a toy, without any security\n")
    encrypted(BFV(DEGREE, PLAINTEXT_MODULUS, secure=False))
    print("\nThe same lookup under OpenFHE, N = 2048, q of 53 bits: 128 bits of security\n")
    encrypted(BFV(2048, PLAINTEXT_MODULUS, secure=True))


if __name__ == "__main__":
    main()
