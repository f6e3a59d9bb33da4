"""The switch of ciphertexts to several secrets of smaller degree under one a.

A key row has one A, expanded from a seed, and a B for every secret; see :mod:`costmodel.answers` for its form. With
the digits u of the parts of the ciphertexts' a, the sums of u A and of u B_o are the a' and the b'_o of

    b'_o + a' s'_o = b_j + sum_k a_k s_jk + sum u E_o                                          modulo q' = 2^k

where the uppermost digits leave out the lowest bits of a_k. All residues modulo 2^k are integers in [0, 2^k).
"""

from __future__ import annotations

import hashlib

import numpy as np
from numpy.typing import NDArray

from costmodel.answers import SharedAnswer
from protocol.residue.bits import packed_bytes, unpack_bits
from protocol.residue.compiled import kernel
from protocol.residue.exact_products import exact_ring, to_power_of_two
from protocol.residue.modular import multiply_shoup, shoup_quotients
from protocol.residue.ntt import forward_lazy
from protocol.residue.ring import Ring, Tables
from protocol.residue.sampling import SEED_BYTES, sample_gaussian, sample_ternary


def new_secrets(shape: SharedAnswer) -> NDArray[np.int64]:
    """Return fresh ternary secrets, (outputs, N'), from the operating system's randomness."""
    return sample_ternary(shape.outputs * shape.degree).reshape(shape.outputs, shape.degree)


def expand_rows(shape: SharedAnswer, seed: bytes, label: str) -> NDArray[np.uint64]:
    """Return the A of all rows, (rows, N'), uniform modulo 2^k: k bits each of SHAKE-128.

    Row i is made of ``seed | u8 length of label | label | u64 i``.

    Raises
    ------
    ValueError
        If the seed is not 32 bytes or the label longer than 255.
    """
    tag = label.encode()
    if len(seed) != SEED_BYTES:
        raise ValueError(f"seed has {len(seed)} bytes; it must have {SEED_BYTES}")
    if len(tag) > 255:
        raise ValueError(f"label has {len(tag)} bytes; it must have at most 255")
    prefix = seed + bytes([len(tag)]) + tag
    length = packed_bytes(shape.degree, shape.modulus_bits)
    out = np.empty((shape.rows, shape.degree), dtype=np.uint64)
    for index, row in enumerate(out):
        data = bytearray(hashlib.shake_128(prefix + index.to_bytes(8, "little")).digest(length))
        padding = 8 * length - shape.degree * shape.modulus_bits
        data[-1] &= 0xFF >> padding
        row[:] = unpack_bits(bytes(data), shape.degree, shape.modulus_bits)
    return out


def generate_rows(
    shape: SharedAnswer, secrets: NDArray[np.int64], source: NDArray[np.int64], seed: bytes, label: str
) -> NDArray[np.uint64]:
    """Return the B of a fresh key, (rows, outputs, N') modulo 2^k: with the seed, what is sent of the key.

    Parameters
    ----------
    shape : of the answers
    secrets : ternary, (outputs, N'), of :func:`new_secrets`
    source : ternary, (N,), the coefficients of the ciphertexts' secret
    seed, label : of the A; to be used for one key only

    Raises
    ------
    ValueError
        If a secret is not ternary or of another shape.
    """
    p = shape
    check_ternary("secrets", secrets, (p.outputs, p.degree))
    check_ternary("source", source, (p.parts * p.degree,))
    ring = _switch_ring(p)
    a = ring.forward(ring.from_signed(_centred(expand_rows(p, seed, label), p.modulus_bits)))
    payloads = _payloads(p, source)
    out = np.empty((p.rows, p.outputs, p.degree), dtype=np.uint64)
    for output, secret in enumerate(secrets):
        products = ring.inverse(ring.multiply(a, ring.forward(ring.from_signed(secret))[None]))
        noise = sample_gaussian(p.rows * p.degree, p.sigma).reshape(p.rows, p.degree)
        message = (noise + payloads[:, output]).astype(np.uint64)
        out[:, output] = message - to_power_of_two(ring, products, p.modulus_bits)
    return out & np.uint64((1 << p.modulus_bits) - 1)


class SharedSwitch:
    """A key to several secrets under one a, ready to be applied.

    Parameters
    ----------
    shape : of the answers
    b : the B of :func:`generate_rows`, (rows, outputs, N')
    seed, label : of the A

    Raises
    ------
    ValueError
        If B is of another shape or has a coefficient that is not below 2^k.
    """

    def __init__(self, shape: SharedAnswer, b: NDArray[np.uint64], seed: bytes, label: str) -> None:
        _check_residues("b", b, (shape.rows, shape.outputs, shape.degree), shape.modulus_bits)
        ring = _switch_ring(shape)
        rows = np.concatenate([expand_rows(shape, seed, label)[:, None], b], axis=1)
        self.shape = shape
        self._ring = ring
        self._factors = ring.forward(ring.from_signed(_centred(rows, shape.modulus_bits)))
        self._quotients = np.stack(
            [shoup_quotients(self._factors[:, :, i], q) for i, q in enumerate(ring.moduli)], axis=2
        )

    def switch(self, a: NDArray[np.uint64], b: NDArray[np.uint64]) -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
        """Return a', (N',), and b', (outputs, N'), of ciphertexts modulo 2^k.

        Parameters
        ----------
        a, b : coefficients, (ciphertexts, N); of b only the used parts count

        Raises
        ------
        ValueError
            If a or b is of another shape or has a coefficient that is not below 2^k.
        """
        p, ring = self.shape, self._ring
        for name, element in (("a", a), ("b", b)):
            _check_residues(name, element, (p.ciphertexts, p.parts * p.degree), p.modulus_bits)
        parts = np.ascontiguousarray(split_parts(a, p.parts).reshape(-1, p.degree))
        sums = np.zeros((1 + p.outputs, ring.limbs, p.degree), dtype=np.uint64)
        _add_rows(parts, p.digits, p.digit_bits, p.dropped_bits, ring.tables, self._factors, self._quotients, sums)
        added = to_power_of_two(ring, ring.inverse(sums), p.modulus_bits)
        used = split_parts(b, p.parts)[:, list(p.used_parts)].reshape(-1, p.degree)
        return added[0], (added[1:] + used) & np.uint64((1 << p.modulus_bits) - 1)


def split_parts(coefficients: NDArray[np.uint64], parts: int) -> NDArray[np.uint64]:
    """Return the parts f_k, (count, parts, N'), of polynomials sum_k X^k f_k(X^parts), (count, N)."""
    return np.moveaxis(coefficients.reshape(len(coefficients), -1, parts), 2, 1)


def products_with_secrets(a: NDArray[np.uint64], secrets: NDArray[np.int64], modulus: int) -> NDArray[np.uint64]:
    """Return a s' modulo an integer for every secret, (outputs, N').

    Parameters
    ----------
    a : coefficients below the modulus, (N',)
    secrets : ternary, (outputs, N')
    modulus : a power of two below 2^63, or at most 2^63/N'

    Raises
    ------
    ValueError
        If it is neither.
    """
    degree = a.shape[-1]
    if modulus * degree > 1 << 63 and modulus not in (1 << bits for bits in range(63)):
        raise ValueError(f"modulus is {modulus}; it must be a power of two or at most 2^63/N' = {(1 << 63) // degree}")
    ring = exact_ring(degree, modulus * degree)
    factors = ring.forward(ring.from_signed(secrets))
    products = ring.inverse(ring.multiply(ring.forward(ring.from_signed(a.astype(np.int64)))[None], factors))
    signed = to_power_of_two(ring, products, 64).astype(np.int64)
    return np.mod(signed, np.int64(modulus)).astype(np.uint64)


def compile_switch() -> None:
    """Compile what a switch applies, with a key of zeros in a small ring."""
    shape = SharedAnswer(2, 16, 2, 1, 1, 1, 2, a_half_bits=4, low_bits=1, degree=16, modulus_bits=8)
    rows = np.zeros((shape.rows, shape.outputs, shape.degree), dtype=np.uint64)
    nothing = np.zeros((1, 32), dtype=np.uint64)
    SharedSwitch(shape, rows, bytes(SEED_BYTES), "").switch(nothing, nothing)


def kept_bytes(shape: SharedAnswer) -> int:
    """Return the memory of a key that is ready to be applied: its rows, Shoup's quotients of them, and its ring."""
    if not shape.rows:
        return 0
    ring = _switch_ring(shape)
    rows = 2 * 8 * shape.rows * (1 + shape.outputs) * ring.limbs * shape.degree
    return rows + sum(table.nbytes for table in ring.tables)


def check_ternary(name: str, secret: NDArray[np.int64], shape: tuple[int, ...]) -> None:
    """Refuse a secret of another shape or with a coefficient other than -1, 0 and 1.

    Raises
    ------
    ValueError
        Naming it.
    """
    if secret.shape != shape:
        raise ValueError(f"{name} has shape {secret.shape}; it must have {shape}")
    if np.abs(secret).max(initial=0) > 1:
        raise ValueError(f"{name} has a coefficient that is not ternary; it must be -1, 0 or 1")


def _check_residues(name: str, residues: NDArray[np.uint64], shape: tuple[int, ...], bits: int) -> None:
    if residues.shape != shape or residues.dtype != np.uint64:
        raise ValueError(f"{name} has shape {residues.shape} of {residues.dtype}; it must have {shape} of uint64")
    largest = int(residues.max(initial=0))
    if largest >> bits:
        raise ValueError(f"{name} has the coefficient {largest}; it must be below 2^{bits}")


def _switch_ring(p: SharedAnswer) -> Ring:
    """Return the ring that holds products of secrets and sums of products of digits with a key of this shape."""
    return exact_ring(p.degree, p.rows * p.degree << (p.digit_bits - 1 + p.modulus_bits - 1))


def _centred(residues: NDArray[np.uint64], bits: int) -> NDArray[np.int64]:
    """Return the representatives in [-2^(bits-1), 2^(bits-1)) of residues modulo 2^bits."""
    shift = np.int64(64 - bits)
    signed: NDArray[np.int64] = (residues.astype(np.int64) << shift) >> shift
    return signed


def _payloads(p: SharedAnswer, source: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return 2^(D + b d) s_jk for every row and output where it stands, (rows, outputs, N'), zero elsewhere."""
    parts = source.reshape(p.degree, p.parts).T
    lifted = np.roll(parts, 1, axis=1)  # times Y
    lifted[:, 0] = -lifted[:, 0]
    weights = np.int64(1) << (p.dropped_bits + p.digit_bits * np.arange(p.digits, dtype=np.int64))
    out = np.zeros((p.ciphertexts, p.parts, p.digits, p.ciphertexts, len(p.used_parts), p.degree), dtype=np.int64)
    for ciphertext in range(p.ciphertexts):
        for k in range(p.parts):
            for place, j in enumerate(p.used_parts):
                met = lifted[j - k + p.parts] if k > j else parts[j - k]
                out[ciphertext, k, :, ciphertext, place] = weights[:, None] * met
    return out.reshape(p.rows, p.outputs, p.degree)


@kernel
def _add_rows(
    polynomials: NDArray[np.uint64],
    digits: int,
    bits: int,
    dropped: int,
    ring: Tables,
    factors: NDArray[np.uint64],
    quotients: NDArray[np.uint64],
    out: NDArray[np.uint64],
) -> None:
    """Add the products of the digits of polynomials (count, n) with their rows to sums (elements, limbs, n)."""
    count, n = polynomials.shape
    rest, digit = np.empty(n, np.int64), np.empty(n, np.uint64)
    half_dropped = (np.int64(1) << dropped) >> 1
    half = np.int64(1) << (bits - 1)
    mask = (np.int64(1) << bits) - np.int64(1)
    for polynomial in range(count):
        for i in range(n):
            rest[i] = (np.int64(polynomials[polynomial, i]) + half_dropped) >> dropped
        for d in range(digits):
            row = polynomial * digits + d
            for limb in range(out.shape[1]):
                q = ring.moduli[limb]
                for i in range(n):
                    low = np.uint64(((rest[i] + half) & mask) - half)
                    digit[i] = min(low, low + q)
                forward_lazy(digit, ring.roots[limb], ring.quotients[limb], q)
                for element in range(out.shape[0]):
                    total, w, quotient = out[element, limb], factors[row, element, limb], quotients[row, element, limb]
                    for i in range(n):
                        added = total[i] + multiply_shoup(digit[i], w[i], quotient[i], q)
                        total[i] = min(added, added - q)
            for i in range(n):
                rest[i] = (rest[i] + half) >> bits
