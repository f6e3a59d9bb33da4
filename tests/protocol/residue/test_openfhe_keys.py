from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import openfhe
import pytest

from protocol.residue.automorphism import permute_coefficients
from protocol.residue.openfhe_keys import read_switching_keys, renewed_automorphism_keys, replace_switching_keys
from tests.protocol.residue.bridge import automorphism_key_noise

SIZES = [(2048, 1 << 13, 52, 1, 18), (4096, 1 << 20, 54, 2, 18)]
EXPONENTS = [5, 3]


@pytest.mark.parametrize("size", SIZES)
def test_openfhes_keys_have_too_little_noise_and_ours_do_not(
    make_openfhe: Callable[..., Any], size: tuple[int, ...]
) -> None:
    side = make_openfhe(*size)
    theirs = side.context.EvalAutomorphismKeyGen(side.keys.secretKey, EXPONENTS)
    measured = automorphism_key_noise(side.secret, theirs, EXPONENTS, size[-1])
    # a release that repairs this fails here: then these keys need no renewal
    assert abs(np.log2(measured.std() / 1.0)) < 0.08
    renewed = renewed_automorphism_keys(side.secret, theirs, EXPONENTS, size[-1])
    ours = openfhe.DeserializeEvalKeyMapString(renewed, openfhe.BINARY)
    measured = automorphism_key_noise(side.secret, ours, EXPONENTS, size[-1])
    assert abs(np.log2(measured.std() / 3.19)) < 0.08

    degree, t = side.ring.ring_degree, side.plaintext_modulus
    message = np.random.default_rng(0).integers(0, t // 2, degree, dtype=np.uint64)
    ciphertext = side.context.Encrypt(side.keys.publicKey, side.context.MakeCoefPackedPlaintext(message.tolist()))
    for exponent in EXPONENTS:
        rotated = side.context.EvalAutomorphism(ciphertext, exponent, ours)
        plaintext = side.context.Decrypt(side.keys.secretKey, rotated)
        plaintext.SetLength(degree)
        got = np.mod(plaintext.GetCoefPackedValue(), t).astype(np.uint64)
        assert (got == permute_coefficients(message, exponent, t)).all()


def test_keys_are_replaced_where_they_were(make_openfhe: Callable[..., Any]) -> None:
    side = make_openfhe(*SIZES[1])
    serialised = openfhe.Serialize(side.context.EvalAutomorphismKeyGen(side.keys.secretKey, [7, 9, 11]), openfhe.BINARY)
    keys = read_switching_keys(serialised, side.ring, 18)
    assert keys.shape == (3, 2, 6, 2, 4096)
    assert replace_switching_keys(serialised, side.ring, keys) == serialised
    with pytest.raises(ValueError, match="the serialisation holds 72 limbs"):
        replace_switching_keys(serialised, side.ring, keys[:1])


def test_wrong_digits_and_exponents(make_openfhe: Callable[..., Any]) -> None:
    side = make_openfhe(*SIZES[0])
    keys = side.context.EvalAutomorphismKeyGen(side.keys.secretKey, [7, 9, 11])
    with pytest.raises(ValueError, match="polynomials: keys of 10-bit digits have 12 each"):
        renewed_automorphism_keys(side.secret, keys, [7, 9, 11], 10)
    with pytest.raises(ValueError, match="the map holds 3 keys"):
        renewed_automorphism_keys(side.secret, keys, [7, 9], 18)
