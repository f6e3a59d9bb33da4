"""Bytes of OpenFHE's serialisation against real objects of OpenFHE 1.6.1."""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import pytest

from costmodel.openfhe.sizes import (
    automorphism_keys_bytes,
    bv_digits,
    ciphertext_bytes,
    compressed_ciphertext_bytes,
    context_bytes,
    public_key_bytes,
)

openfhe = pytest.importorskip("openfhe")

# Ring degree, plaintext modulus, size of a prime in bits, multiplicative depth.
RINGS = [
    (1024, 2**13, 30, 0),
    (1024, 2**5, 50, 0),
    (2048, 2**13, 38, 0),
    (2048, 2**13, 54, 0),
    (2048, 8000, 60, 0),
    (4096, 2**20, 50, 0),
    (4096, 2**31, 60, 0),
    (4096, 2**13, 54, 1),
    (4096, 65537, 40, 1),
    (8192, 2**13, 60, 0),
    (1024, 65537, 50, 2),
    (2048, 2**20, 30, 2),
    (2048, 2**20, 60, 4),
    (8192, 2**13, 50, 3),
]


def make_context(N, t, prime_bits, depth, digit_bits=0):
    parameters = openfhe.CCParamsBFVRNS()
    parameters.SetPlaintextModulus(t)
    parameters.SetMultiplicativeDepth(depth)
    parameters.SetScalingModSize(prime_bits)
    parameters.SetRingDim(N)
    parameters.SetDigitSize(digit_bits)
    parameters.SetSecurityLevel(openfhe.HEStd_NotSet)
    parameters.SetKeySwitchTechnique(openfhe.BV)
    context = openfhe.GenCryptoContext(parameters)
    for feature in (openfhe.PKE, openfhe.KEYSWITCH, openfhe.LEVELEDSHE):
        context.Enable(feature)
    return context


def size(thing):
    return len(openfhe.Serialize(thing, openfhe.BINARY))


def primes(ciphertext, N):
    """The primes of q, found by the frames of the limbs: N, N residues below the prime, the prime."""
    data = openfhe.Serialize(ciphertext, openfhe.BINARY)
    frame, found, at = N.to_bytes(8, "little"), [], 0
    while (at := data.find(frame, at)) >= 0:
        words = np.frombuffer(data[at + 8 : at + 8 + 8 * (N + 1)], dtype="<u8")
        if len(words) == N + 1 and words[-1] > 2**20 and words[:-1].max() < words[-1] < 2**61:
            found.append(int(words[-1]))
            at += 16 + 8 * N
        else:
            at += 1
    assert found[: len(found) // 2] == found[len(found) // 2 :]
    return found[: len(found) // 2]


@pytest.mark.parametrize("ring", RINGS, ids=lambda ring: "-".join(map(str, ring)))
def test_objects_of_a_ring(ring):
    N, t = ring[0], ring[1]
    context = make_context(*ring)
    keys = context.KeyGen()
    plaintext = context.MakeCoefPackedPlaintext([1] + [0] * (N - 1))
    fresh = context.Encrypt(keys.secretKey, plaintext)
    q = primes(fresh, N)
    limbs, log2_q = len(q), sum(prime.bit_length() for prime in q)

    predicted = ciphertext_bytes(N, limbs, log2_q)
    product = context.EvalMult(fresh, context.MakeCoefPackedPlaintext([t // 2] * N))
    answer = context.EvalSub(context.EvalAdd(product, product), plaintext)
    for ciphertext in (fresh, context.Encrypt(keys.publicKey, plaintext), product, answer):
        assert size(ciphertext) == predicted
    assert size(keys.publicKey) == public_key_bytes(N, limbs, log2_q)
    assert size(context) == context_bytes(limbs, log2_q)
    for kept in range(1, limbs + 1):
        kept_log2_q = sum(prime.bit_length() for prime in q[:kept])
        expected = compressed_ciphertext_bytes(N, limbs, log2_q, kept, kept_log2_q)
        assert size(context.Compress(fresh, kept)) == expected


@pytest.mark.parametrize(
    ("ring", "digit_bits", "indices"),
    [
        ((1024, 2**13, 50, 0), 0, [3]),
        ((1024, 2**13, 52, 0), 18, [3, 5, 9]),
        ((2048, 2**13, 54, 0), 10, [3, 5]),
        ((1024, 2**13, 54, 1), 0, [3, 5]),
        ((1024, 65537, 50, 2), 20, [3, 5, 9, 17]),
    ],
)
def test_automorphism_keys(ring, digit_bits, indices):
    N = ring[0]
    context = make_context(*ring, digit_bits)
    keys = context.KeyGen()
    q = primes(context.Encrypt(keys.secretKey, context.MakeCoefPackedPlaintext([1] * N)), N)
    context.EvalAutomorphismKeyGen(keys.secretKey, indices)
    tag = keys.secretKey.GetKeyTag()
    serialised = openfhe.SerializeEvalAutomorphismKeyString(openfhe.BINARY, tag)
    bits = tuple(prime.bit_length() for prime in q)
    digits = bv_digits(bits, digit_bits)
    assert len(serialised) == automorphism_keys_bytes(N, len(q), sum(bits), len(indices), digits)


def test_known_headers():
    assert ciphertext_bytes(4096, 1, 50) - 2 * (16 + 8 * 4096) == 713
    assert ciphertext_bytes(4096, 2, 108) - 4 * (16 + 8 * 4096) == 803


def test_digits():
    assert bv_digits((52,), 18) == 3
    assert bv_digits((50, 60), 20) == 6
    assert bv_digits((50, 60), [0, 60, 10]).tolist() == [2, 2, 11]


def test_arrays_broadcast_and_scalars_stay_scalar():
    N, limbs = np.array([[2048], [4096]]), np.array([1, 2, 3])
    sizes = ciphertext_bytes(N, limbs, 50 * limbs)
    assert sizes.shape == (2, 3)
    assert all(sizes[i, j] == ciphertext_bytes(int(N[i, 0]), j + 1, 50 * (j + 1)) for i in range(2) for j in range(3))
    assert np.ndim(ciphertext_bytes(2048, 1, 50)) == 0
