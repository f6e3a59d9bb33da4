"""A query from the seed to the shares' sum, in one shot and prepared, with the noise that is predicted."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from protocol.packing_tree import packed_positions, packing_exponents
from protocol.residue import packlwes, switch
from protocol.residue.bits import pack_bits, unpack_bits
from protocol.residue.ciphertext import encrypt_seeded, encrypt_zero, expand_many, noise, phase
from protocol.residue.inner_product import convolution_order, inner_products
from protocol.residue.keyswitch import Gadget, SwitchingKeys, automorphism_keys
from protocol.residue.multiply_accumulate import Query, multiply_accumulate, transform_table
from protocol.residue.rounding import scale_down
from protocol.residue.sampling import new_seed
from tests.protocol.noise import assert_noise
from tests.protocol.residue import bridge, packing

ROWS, COLUMNS, DROPPED_BITS, BITS_A, BITS_B = 5000, 300, 18, 27, 22
GADGET = Gadget(17, 18)


@dataclass
class Setting:
    side: Any
    weights: NDArray[np.int16]
    keys: SwitchingKeys
    seed: bytes
    token: int
    b: NDArray[np.uint64]

    @property
    def table(self) -> NDArray[np.uint64]:
        ring = self.side.ring
        polynomials = convolution_order(self.weights, ring.ring_degree)
        return transform_table(polynomials, ring, packlwes.packing_factors(COLUMNS, ring))

    @property
    def a(self) -> NDArray[np.uint64]:
        return expand_many(self.side.ring, self.seed, "query", len(self.b))

    @property
    def expected(self) -> NDArray[np.uint64]:
        modulus: int = self.side.plaintext_modulus
        return (self.weights[:, self.token] % modulus).astype(np.uint64)


@pytest.fixture(scope="module")
def setting(make_openfhe: Callable[..., Any]) -> Setting:
    side = make_openfhe(2048, 1 << 13, 52, 1)
    ring = side.ring
    weights = np.random.default_rng(0).integers(-4096, 4096, (COLUMNS, ROWS)).astype(np.int16)
    exponents = packing_exponents(COLUMNS, ring.ring_degree)
    keys = automorphism_keys(side.secret, exponents, [GADGET] * len(exponents), new_seed(), "packing")
    token, seed = 3333, new_seed()
    message = np.zeros((-(-ROWS // ring.ring_degree), ring.ring_degree), dtype=np.uint64)
    message.reshape(-1)[token] = 1
    b = encrypt_seeded(side.secret, message, side.plaintext_modulus, seed, "query")
    short = switch.drop_low_bits(b[:, 0].reshape(-1)[:ROWS], ring.modulus, DROPPED_BITS)
    width = switch.kept_bits(ring.modulus, DROPPED_BITS)
    wire = pack_bits(short, width)
    assert len(wire) == (ROWS * width + 7) // 8
    received = np.zeros(b.size, dtype=np.uint64)
    received[:ROWS] = switch.restore_low_bits(unpack_bits(wire, ROWS, width), ring.modulus, DROPPED_BITS)
    return Setting(side, weights, keys, seed, token, received.reshape(b.shape))


def answer(setting: Setting) -> NDArray[np.uint64]:
    """Return the packed answer in one shot, (1, 2, 1, N) in evaluation form."""
    ring = setting.side.ring
    query = Query(ring, np.stack([ring.forward(setting.b), setting.a]))
    return packing.pack(multiply_accumulate(setting.table, query), setting.keys)


def predicted_variance(setting: Setting, switched: bool) -> float:
    ring = setting.side.ring
    q, n = float(ring.modulus), ring.ring_degree
    square = float(np.mean(setting.weights.astype(np.float64) ** 2))
    variance = ROWS * square * (3.19**2 + 4.0**DROPPED_BITS / 12)
    variance += packing.packing_noise_variance(ring, setting.keys.gadgets)
    if switched:
        variance += (q / 2.0**BITS_A) ** 2 * n / 18 + (q / 2.0**BITS_B) ** 2 / 12
    return float(variance)


def test_one_shot(setting: Setting) -> None:
    side, ring = setting.side, setting.side.ring
    packed = answer(setting)[0]
    _, coefficient = packed_positions(COLUMNS, ring.ring_degree)
    short_a = switch.switch_modulus(ring.inverse(packed[1]), ring, BITS_A)
    short_b = switch.switch_modulus(ring.inverse(packed[0]), ring, BITS_B)[coefficient]
    lifted_b = np.zeros(ring.ring_degree, dtype=np.uint64)
    lifted_b[coefficient] = short_b
    lifted = np.stack(
        [
            ring.forward(switch.lift_modulus(lifted_b, ring, BITS_B)),
            ring.forward(switch.lift_modulus(short_a, ring, BITS_A)),
        ]
    )
    for ciphertext, switched in ((packed, False), (lifted, True)):
        phases = phase(side.secret, ciphertext)[:, coefficient]
        assert (scale_down(phases, ring, side.plaintext_modulus) == setting.expected).all()
        assert_noise(
            noise(ring, phases, setting.expected, side.plaintext_modulus), predicted_variance(setting, switched)
        )


def test_openfhe_decrypts_the_answer(setting: Setting) -> None:
    side, ring = setting.side, setting.side.ring
    zero = encrypt_zero(ring, bridge.read_pair(side.keys.publicKey, ring))
    written = bridge.CiphertextWriter(side.context, side.keys.publicKey).write(ring.add(answer(setting)[0], zero))
    plaintext = side.context.Decrypt(side.keys.secretKey, written)
    plaintext.SetLength(ring.ring_degree)
    values = np.mod(plaintext.GetCoefPackedValue(), side.plaintext_modulus)
    _, coefficient = packed_positions(COLUMNS, ring.ring_degree)
    assert values[coefficient].tolist() == setting.expected.tolist()


def test_prepared_answer_is_the_same(setting: Setting) -> None:
    ring = setting.side.ring
    # before the token is known: everything on a
    halves = multiply_accumulate(setting.table, Query(ring, setting.a))
    prepared = packing.pack_first_halves(halves, setting.keys)
    share = ring.inverse(prepared[:, 0])
    # online: one product with b
    scalars = setting.b.reshape(-1)[:ROWS]
    constants = inner_products(setting.weights, scalars, ring.modulus)
    b = packing.add_constants(share, constants[:, None], ring)

    whole = answer(setting)
    output, coefficient = packed_positions(COLUMNS, ring.ring_degree)
    assert (prepared[:, 1] == whole[:, 1]).all()
    assert (b[output, 0, coefficient] == ring.inverse(whole[:, 0])[output, 0, coefficient]).all()


def test_batch_shares_the_pass_and_changes_nothing(setting: Setting) -> None:
    ring = setting.side.ring
    first = np.stack([ring.forward(setting.b), setting.a])
    second = np.stack([expand_many(ring, setting.seed, label, len(setting.b)) for label in ("x", "y")])
    table = setting.table[:, :20]
    together = multiply_accumulate(table, Query(ring, np.stack([first, second])))
    assert (together[:, 0] == multiply_accumulate(table, Query(ring, first))).all()
    assert (together[:, 1] == multiply_accumulate(table, Query(ring, second))).all()
