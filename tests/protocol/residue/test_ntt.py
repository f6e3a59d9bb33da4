from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from protocol.residue import modular
from protocol.residue.ntt import Transform, bit_reversal
from protocol.residue.ring import Ring

SIZES = [(16, 20), (32, 61), (64, 45), (2048, 52), (4096, 60), (8192, 61)]


def negacyclic(x: NDArray[np.uint64], y: NDArray[np.uint64], q: int) -> list[int]:
    n = len(x)
    out = [0] * n
    for i, a in enumerate(x.tolist()):
        for j, b in enumerate(y.tolist()):
            sign = 1 if i + j < n else -1
            out[(i + j) % n] = (out[(i + j) % n] + sign * a * b) % q
    return out


@pytest.mark.parametrize(("degree", "bits"), SIZES[:3])
def test_entries_are_values_at_odd_powers_of_the_root(make_ring: Callable[..., Ring], degree: int, bits: int) -> None:
    transform = make_ring(degree, bits).transforms[0]
    q = transform.modulus
    f = np.random.default_rng(1).integers(0, q, degree, dtype=np.uint64)
    order = bit_reversal(degree).tolist()
    points = [pow(transform.root, 2 * k + 1, q) for k in order]
    expected = [sum(c * pow(x, i, q) for i, c in enumerate(f.tolist())) % q for x in points]
    assert transform.forward(f).tolist() == expected


@pytest.mark.parametrize(("degree", "bits"), SIZES)
def test_inverse_undoes_forward_for_batches_and_extremes(
    make_ring: Callable[..., Ring], degree: int, bits: int
) -> None:
    transform = make_ring(degree, bits).transforms[0]
    q = transform.modulus
    f = np.random.default_rng(2).integers(0, q, (2, 3, degree), dtype=np.uint64)
    f[0, 0] = q - 1
    f[0, 1] = 0
    f[0, 2, ::2] = q - 1
    before = f.copy()
    values = transform.forward(f)
    assert (values < np.uint64(q)).all()
    assert (transform.inverse(values) == f).all()
    assert (transform.forward(transform.inverse(f)) == f).all()
    assert (f == before).all()


@pytest.mark.parametrize(("degree", "bits"), SIZES[:3])
def test_products_are_negacyclic(make_ring: Callable[..., Ring], degree: int, bits: int) -> None:
    ring = make_ring(degree, bits)
    q = ring.modulus
    x, y = np.random.default_rng(3).integers(0, q, (2, 1, degree), dtype=np.uint64)
    product = ring.inverse(ring.multiply(ring.forward(x), ring.forward(y)))
    assert product[0].tolist() == negacyclic(x[0], y[0], q)


def test_wrong_degrees_roots_and_shapes(make_ring: Callable[..., Ring]) -> None:
    transform = make_ring(64, 45).transforms[0]
    q, root = transform.modulus, transform.root
    with pytest.raises(ValueError, match="ring_degree 48"):
        Transform(48, q, root)
    with pytest.raises(ValueError, match="ring_degree 8"):
        Transform(8, q, root)
    with pytest.raises(ValueError, match="no primitive root"):
        Transform(64, q, root * root % q)
    with pytest.raises(ValueError, match="modulus"):
        Transform(64, modular.MODULUS_BOUND + 1, root)
    with pytest.raises(ValueError, match="last axis"):
        transform.forward(np.zeros(32, dtype=np.uint64))


def test_rings_take_one_to_three_coprime_limbs(make_ring: Callable[..., Ring]) -> None:
    ring = make_ring(64, 45, 2)
    with pytest.raises(ValueError, match="coprime"):
        Ring(64, ring.moduli[:1] * 2, ring.roots[:1] * 2)
    with pytest.raises(ValueError, match="one to three"):
        Ring(64, (), ())
    assert ring.limb(1) == Ring(64, ring.moduli[1:], ring.roots[1:])


def test_chinese_remaindering_gives_centred_integers(make_ring: Callable[..., Ring]) -> None:
    ring = make_ring(64, 45, 2)
    half = ring.modulus // 2
    values = [0, 1, -1, half, -half] + [int(x) for x in np.random.default_rng(4).integers(-(2**62), 2**62, 59)]
    residues = np.array([[v % q for v in values] for q in ring.moduli], dtype=np.uint64)
    assert ring.to_integers(residues).tolist() == values
    assert (ring.from_signed(np.array(values[5:], dtype=np.int64)) == residues[:, 5:]).all()
    assert ring.to_integers(ring.scale(residues, -3)).tolist()[:3] == [0, -3, 3]
