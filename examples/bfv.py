"""Polynomials modulo X^N + 1 as lists of coefficients, in the clear and encrypted by OpenFHE; for the examples here."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")  # threads only cost with polynomials as small as these

import openfhe

Polynomial = list[int]


def spelt(polynomial: Sequence[int]) -> str:
    """Return a polynomial as one writes it, terms of zero left out.

    Examples
    --------
    >>> spelt([4, 0, 1, -3])
    '4 + X^2 - 3X^3'
    """
    terms = []
    for power, coefficient in enumerate(polynomial):
        if coefficient:
            size = str(abs(coefficient)) if abs(coefficient) != 1 or power == 0 else ""
            terms.append(("- " if coefficient < 0 else "+ ") + size + ("", "X", f"X^{power}")[min(power, 2)])
    text = " ".join(terms) or "0"
    return text.removeprefix("+ ") if text.startswith("+") else text.replace("- ", "-", 1)


def multiply(first: Sequence[int], second: Sequence[int]) -> Polynomial:
    """Product of two polynomials of N coefficients modulo X^N + 1: what passes X^N comes back with the other sign.

    Examples
    --------
    >>> multiply([0, 1], [2, 3])  # X (2 + 3X) = 2X + 3X^2 = -3 + 2X
    [-3, 2]
    """
    degree = len(first)
    product = [0] * degree
    for i, one in enumerate(first):
        for j, other in enumerate(second):
            product[(i + j) % degree] += one * other if i + j < degree else -one * other
    return product


class BFV:
    """A ring of OpenFHE's BFV scheme with one key.

    Parameters
    ----------
    degree : int
        N, coefficients of a polynomial.
    plaintext_modulus : int
        t.
    secure : bool
        Let OpenFHE refuse a ring below 128 bits of security.
    """

    def __init__(self, degree: int, plaintext_modulus: int, secure: bool) -> None:
        parameters = openfhe.CCParamsBFVRNS()
        parameters.SetRingDim(degree)
        parameters.SetPlaintextModulus(plaintext_modulus)
        parameters.SetMultiplicativeDepth(0)
        parameters.SetScalingModSize(53)
        parameters.SetKeySwitchTechnique(openfhe.BV)
        parameters.SetSecurityLevel(openfhe.HEStd_128_classic if secure else openfhe.HEStd_NotSet)
        self.degree, self.plaintext_modulus = degree, plaintext_modulus
        self._context = openfhe.GenCryptoContext(parameters)
        for feature in (openfhe.PKE, openfhe.KEYSWITCH, openfhe.LEVELEDSHE):
            self._context.Enable(feature)
        self._key = self._context.KeyGen().secretKey

    def encrypt(self, polynomial: Sequence[int]) -> Any:
        """Encrypt coefficients from 0 to t/2 under the client's key."""
        return self._context.Encrypt(self._key, self._encoded(polynomial))

    def multiply(self, ciphertext: Any, polynomial: Sequence[int]) -> Any:
        """Multiply an encrypted polynomial by one in the clear."""
        return self._context.EvalMult(ciphertext, self._encoded(polynomial))

    def subtract(self, ciphertext: Any, polynomial: Sequence[int]) -> Any:
        """Subtract a polynomial in the clear from an encrypted one."""
        return self._context.EvalSub(ciphertext, self._encoded(polynomial))

    def decrypt(self, ciphertext: Any) -> Polynomial:
        """Return the coefficients, between -t/2 and t/2."""
        plaintext = self._context.Decrypt(self._key, ciphertext)
        plaintext.SetLength(self.degree)
        return list(plaintext.GetCoefPackedValue())

    def _encoded(self, polynomial: Sequence[int]) -> Any:
        half = self.plaintext_modulus // 2
        centred = [(one + half - 1) % self.plaintext_modulus - half + 1 for one in polynomial]
        return self._context.MakeCoefPackedPlaintext(centred + [0] * (self.degree - len(centred)))
