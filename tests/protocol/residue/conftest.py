"""Rings of any size for the kernels, and OpenFHE contexts with their keys."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import pytest

from costmodel.parameters import Ring as RingParameters
from protocol.openfhe.context import generate_context
from protocol.residue.ciphertext import SecretKey
from protocol.residue.context import read_ring, read_secret_key
from protocol.residue.ring import Ring

RingMaker = Callable[..., Ring]

CONTEXTS = {
    "2048, 52 bits, t = 2^13": (2048, 1 << 13, 52, 1),
    "4096, 60 bits, t = 8000": (4096, 8000, 60, 1),
    "4096, 2 x 54 bits, t = 2^31": (4096, 1 << 31, 54, 2),
}


def is_prime(n: int) -> bool:
    """Miller and Rabin's test with the bases that decide it below 2^64."""
    bases = (2, 3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37)
    if n < 2 or any(n % p == 0 for p in bases):
        return n in bases
    odd, twos = n - 1, 0
    while odd % 2 == 0:
        odd, twos = odd // 2, twos + 1
    for base in bases:
        x = pow(base, odd, n)
        if x in (1, n - 1):
            continue
        for _ in range(twos - 1):
            x = x * x % n
            if x == n - 1:
                break
        else:
            return False
    return True


@lru_cache
def largest_primes(ring_degree: int, bits: int, count: int) -> tuple[int, ...]:
    """Return the largest primes below 2^bits that are 1 modulo 2N."""
    order = 2 * ring_degree
    candidate = ((1 << bits) - 2) // order * order + 1
    primes: list[int] = []
    while len(primes) < count:
        if is_prime(candidate):
            primes.append(candidate)
        candidate -= order
    return tuple(primes)


@lru_cache
def ring_of(ring_degree: int, bits: int, limbs: int = 1) -> Ring:
    moduli = largest_primes(ring_degree, bits, limbs)
    roots = []
    for q in moduli:
        powers = (pow(g, (q - 1) // (2 * ring_degree), q) for g in range(2, q))
        roots.append(next(x for x in powers if pow(x, ring_degree, q) == q - 1))
    return Ring(ring_degree, moduli, tuple(roots))


@pytest.fixture(scope="session")
def make_ring() -> RingMaker:
    return ring_of


@dataclass(frozen=True)
class OpenFHE:
    """A context, its keys and what the kernels read of them."""

    context: Any
    keys: Any
    ring: Ring
    secret: SecretKey
    plaintext_modulus: int


@lru_cache
def openfhe_of(ring_degree: int, plaintext_modulus: int, limb_bits: int, limbs: int, digit_bits: int = 0) -> OpenFHE:
    ring_parameters = RingParameters(ring_degree, (limb_bits,) * limbs, plaintext_modulus)
    context = generate_context(ring_parameters, digit_bits=digit_bits)
    keys = context.KeyGen()
    ring = read_ring(context)
    secret = SecretKey(ring, read_secret_key(keys.secretKey, ring))
    return OpenFHE(context, keys, ring, secret, plaintext_modulus)


@pytest.fixture(scope="session")
def make_openfhe() -> Callable[..., OpenFHE]:
    return openfhe_of


@pytest.fixture(params=CONTEXTS.values(), ids=list(CONTEXTS))
def openfhe_side(request: pytest.FixtureRequest) -> OpenFHE:
    return openfhe_of(*request.param)
