r"""128 random oblivious transfers from public-key operations: the start of every extension.

"The simplest protocol for oblivious transfer" in the prime-order subgroup of edwards25519, base point G:

    sender:    a random,                 A   = a G
    receiver:  b_i random, choice c_i,   B_i = b_i G + c_i A,   K_{i,c_i} = H(session, i, A, B_i, b_i A)
    sender:                              K_{i,0} = H(session, i, A, B_i, a B_i)
                                         K_{i,1} = H(session, i, A, B_i, a B_i - a A)

B_i is uniform whatever c_i is, so the sender learns nothing of the choices, unconditionally. The key that was
not chosen is the hash of a point whose computation from A and B_i is the computational Diffie-Hellman
problem: a receiver that follows the protocol does not learn it, with H a random oracle. (The protocol's
troubles with universal composability concern parties that deviate, which the model here excludes.) H is
BLAKE2b with 128 bits of output.

Every received point must be canonically encoded, lie in the prime-order subgroup and not be the identity,
which is what libsodium's crypto_core_ed25519_is_valid_point says; so there is no cofactor to clear. (PyNaCl
binds libsodium's edwards25519 arithmetic but not its ristretto255; with this check the two groups serve
alike.)

References
----------
T. Chou and C. Orlandi, "The simplest protocol for oblivious transfer", LATINCRYPT 2015, ePrint 2015/267,
figure 1.
"""

from __future__ import annotations

import hashlib
import os

import numpy as np
from nacl import bindings
from numpy.typing import NDArray

from protocol.alignment.exchange import Exchange, receive_exactly

BASE_OTS = 128
SEED_BYTES = 16
POINT_BYTES = 32
SENDER_POINT = "base_ot_point"
RECEIVER_POINTS = "base_ot_choices"


def _random_scalar() -> bytes:
    return bindings.crypto_core_ed25519_scalar_reduce(os.urandom(64))


def _validated(name: str, point: bytes) -> bytes:
    if not bindings.crypto_core_ed25519_is_valid_point(point):
        raise ValueError(f"{name}: not a point of order l on edwards25519 in canonical encoding")
    return point


def _key(session: bytes, index: int, sender_point: bytes, receiver_point: bytes, secret_point: bytes) -> bytes:
    public = len(session).to_bytes(2, "little") + session + index.to_bytes(2, "little") + sender_point + receiver_point
    return hashlib.blake2b(public + secret_point, digest_size=SEED_BYTES, person=b"alignment baseOT").digest()


def send_base_ots(exchange: Exchange, session: bytes) -> NDArray[np.uint8]:
    """Take the sender's part.

    Parameters
    ----------
    exchange : Exchange
        The channel to the receiver.
    session : bytes
        What both parties know of this session and of no other; public.

    Returns
    -------
    keys : array of shape (128, 2, 16)
        Both keys of every transfer.

    Raises
    ------
    ValueError
        If the receiver's points are too few, invalid, or A itself.
    """
    scalar = _random_scalar()
    sender_point = bindings.crypto_scalarmult_ed25519_base_noclamp(scalar)
    exchange.send(SENDER_POINT, sender_point)
    offset = bindings.crypto_scalarmult_ed25519_noclamp(scalar, sender_point)
    payload = receive_exactly(exchange, RECEIVER_POINTS, BASE_OTS * POINT_BYTES)
    keys = bytearray()
    for index in range(BASE_OTS):
        point = _validated(RECEIVER_POINTS, payload[index * POINT_BYTES : (index + 1) * POINT_BYTES])
        if point == sender_point:
            raise ValueError(f"{RECEIVER_POINTS}: point {index} is the sender's own")
        zero = bindings.crypto_scalarmult_ed25519_noclamp(scalar, point)
        one = bindings.crypto_core_ed25519_sub(zero, offset)
        keys += _key(session, index, sender_point, point, zero) + _key(session, index, sender_point, point, one)
    return np.frombuffer(bytes(keys), np.uint8).reshape(BASE_OTS, 2, SEED_BYTES)


def receive_base_ots(exchange: Exchange, session: bytes, choices: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """Take the receiver's part, with `choices` of shape (128,).

    Returns
    -------
    keys : array of shape (128, 16)
        The chosen key of every transfer.

    Raises
    ------
    ValueError
        If the sender's point is invalid.
    """
    sender_point = _validated(SENDER_POINT, receive_exactly(exchange, SENDER_POINT, POINT_BYTES))
    points, keys = bytearray(), bytearray()
    for index, choice in enumerate(choices.tolist()):
        scalar = _random_scalar()
        unmoved = bindings.crypto_scalarmult_ed25519_base_noclamp(scalar)
        # Both candidates are always computed, so that the work does not depend on the choice.
        point = (unmoved, bindings.crypto_core_ed25519_add(unmoved, sender_point))[choice]
        secret_point = bindings.crypto_scalarmult_ed25519_noclamp(scalar, sender_point)
        points += point
        keys += _key(session, index, sender_point, point, secret_point)
    exchange.send(RECEIVER_POINTS, bytes(points))
    return np.frombuffer(bytes(keys), np.uint8).reshape(BASE_OTS, SEED_BYTES)
