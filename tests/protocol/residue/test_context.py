from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any

import numpy as np
import openfhe
import pytest

from costmodel.parameters import Ring
from protocol.openfhe.context import generate_context, residue_context
from protocol.openfhe.serialised import find_blocks
from protocol.residue.ciphertext import decrypt, encrypt_seeded, encrypt_zero, expand_many, noise, phase
from protocol.residue.context import read_ring, read_secret_key
from protocol.residue.sampling import new_seed
from protocol.residue.serialised import read_polynomials, replace_polynomials
from tests.protocol.residue import bridge


def messages(degree: int, modulus: int, seed: int) -> tuple[Any, list[int]]:
    """Return a message modulo t and its representatives in (-t/2, t/2], as OpenFHE takes them."""
    residues = np.random.default_rng(seed).integers(0, modulus, degree, dtype=np.uint64)
    return residues, [m - modulus if m > modulus // 2 else m for m in residues.tolist()]


def test_ring_is_the_one_openfhe_works_in(openfhe_side: Any) -> None:
    ring = openfhe_side.ring
    assert ring.ring_degree == openfhe_side.context.GetRingDimension()
    assert float(ring.modulus) == pytest.approx(openfhe_side.context.GetModulus(), rel=1e-12)


@pytest.mark.parametrize("key", ["secretKey", "publicKey"])
def test_we_decrypt_what_openfhe_encrypts(openfhe_side: Any, key: str) -> None:
    ring, t = openfhe_side.ring, openfhe_side.plaintext_modulus
    message, signed = messages(ring.ring_degree, t, 1)
    plaintext = openfhe_side.context.MakeCoefPackedPlaintext(signed)
    theirs = openfhe_side.context.Encrypt(getattr(openfhe_side.keys, key), plaintext)
    residues = bridge.read_pair(theirs, ring)
    assert (decrypt(openfhe_side.secret, residues, t) == message).all()
    measured = noise(ring, phase(openfhe_side.secret, residues), message, t).std()
    expected = 3.19 if key == "secretKey" else 3.19 * np.sqrt(1 + 4 * ring.ring_degree / 3)
    assert abs(np.log2(measured / expected)) < 0.2


def test_openfhe_decrypts_what_we_encrypt(openfhe_side: Any) -> None:
    ring, t = openfhe_side.ring, openfhe_side.plaintext_modulus
    message, signed = messages(ring.ring_degree, t, 2)
    seed = new_seed()
    b = encrypt_seeded(openfhe_side.secret, message[None], t, seed, "query")
    seeded = np.stack([ring.forward(b[0]), expand_many(ring, seed, "query", 1)[0]])
    public_key = bridge.read_pair(openfhe_side.keys.publicKey, ring)
    renewed = ring.add(seeded, encrypt_zero(ring, public_key))
    writer = bridge.CiphertextWriter(openfhe_side.context, openfhe_side.keys.publicKey)
    for ours in (seeded, renewed):
        plaintext = openfhe_side.context.Decrypt(openfhe_side.keys.secretKey, writer.write(ours))
        plaintext.SetLength(ring.ring_degree)
        assert plaintext.GetCoefPackedValue() == signed
        assert (bridge.read_pair(writer.write(ours), ring) == ours).all()


def test_evaluation_form_is_openfhes(make_openfhe: Callable[..., Any]) -> None:
    """A product that OpenFHE computes is the product of our transforms."""
    side = make_openfhe(2048, 1 << 13, 52, 1)
    ring, t = side.ring, side.plaintext_modulus
    _, signed = messages(ring.ring_degree, 16, 3)
    message, encrypted = messages(ring.ring_degree, 2, 4)
    theirs = side.context.Encrypt(side.keys.publicKey, side.context.MakeCoefPackedPlaintext(encrypted))
    before = bridge.read_pair(theirs, ring)
    positive = [abs(x) for x in signed]
    product = side.context.EvalMult(theirs, side.context.MakeCoefPackedPlaintext(positive))
    factor = ring.forward(ring.from_signed(np.array(positive, dtype=np.int64)))
    assert (bridge.read_pair(product, ring) == ring.multiply(before, factor)).all()
    assert decrypt(side.secret, before, t).tolist() == message.tolist()


def test_residues_at_their_modulus_are_refused(make_openfhe: Callable[..., Any]) -> None:
    side = make_openfhe(4096, 1 << 31, 54, 2)
    ring = side.ring
    serialised = openfhe.Serialize(side.keys.publicKey, openfhe.BINARY)
    polynomials = read_polynomials(serialised, ring)
    assert polynomials.shape == (2, 2, ring.ring_degree)
    assert replace_polynomials(serialised, ring, polynomials) == serialised

    offset = find_blocks(serialised, ring.ring_degree, ring.moduli)[1]
    forged = bytearray(serialised)
    forged[offset : offset + 8] = struct.pack("<Q", ring.moduli[1])
    with pytest.raises(ValueError, match=r"residue .* in limb 1 is not below its modulus"):
        read_polynomials(bytes(forged), ring)
    polynomials[0, 0, 0] = ring.moduli[0]
    with pytest.raises(ValueError, match="not below its modulus"):
        replace_polynomials(serialised, ring, polynomials)
    with pytest.raises(ValueError, match="shape"):
        bridge.CiphertextWriter(side.context, side.keys.publicKey).write(polynomials[:1] * np.uint64(0))


def test_truncated_and_foreign_serialisations_are_refused(make_openfhe: Callable[..., Any]) -> None:
    side, other = make_openfhe(4096, 1 << 31, 54, 2), make_openfhe(4096, 8000, 60, 1)
    serialised = openfhe.Serialize(side.keys.secretKey, openfhe.BINARY)
    with pytest.raises(ValueError, match="1 blocks"):
        read_polynomials(
            serialised[: find_blocks(serialised, side.ring.ring_degree, side.ring.moduli)[1] + 100], side.ring
        )
    with pytest.raises(ValueError, match="0 blocks"):
        read_polynomials(b"", side.ring)
    with pytest.raises(ValueError, match="0 blocks"):
        read_secret_key(other.keys.secretKey, side.ring)
    with pytest.raises(ValueError, match="need 1"):
        read_secret_key(side.keys.publicKey, side.ring)


def test_insecure_and_impossible_contexts_are_refused() -> None:
    with pytest.raises(ValueError, match="refused by OpenFHE"):
        generate_context(Ring(1024, (52,), 1 << 13))
    with pytest.raises(ValueError, match="at most 3"):
        generate_context(Ring(8192, (30,) * 4, 1 << 13))
    with pytest.raises(ValueError, match="limbs of one size"):
        generate_context(Ring(4096, (50, 52), 1 << 13))


@pytest.mark.parametrize("limb_bits", [(53, 53, 53), (60, 60), (35, 35, 35)])
@pytest.mark.parametrize("modulus", [2, 1 << 9, 1 << 13, 1 << 37])
def test_a_ring_has_the_limbs_asked_for_whatever_the_plaintext_modulus(
    limb_bits: tuple[int, ...], modulus: int
) -> None:
    made = read_ring(residue_context(Ring(8192, limb_bits, modulus)))
    assert np.allclose(np.log2(made.moduli), limb_bits, atol=0.1)
