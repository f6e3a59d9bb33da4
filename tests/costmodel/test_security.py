"""Security levels against the published tables, an independent estimate and OpenFHE's own check."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from costmodel.security import LEVELS, max_log2_q, security_bits, security_bits_2018, security_bits_2024

# Albrecht et al. 2018, Table 1, classical, ternary secret.
TABLE_2018 = {1024: (27, 19, 14), 2048: (54, 37, 29), 4096: (109, 75, 58), 8192: (218, 152, 118),
              16384: (438, 305, 237), 32768: (881, 611, 476)}  # fmt: skip
# Bossuat et al. 2024, Table 5.2, classical, ternary secret.
TABLE_2024 = {2048: (53, 36, 27), 4096: (106, 73, 56), 8192: (214, 147, 114), 16384: (430, 297, 230),
              32768: (868, 597, 462), 65536: (1747, 1199, 929), 131072: (3523, 2411, 1866)}  # fmt: skip

SECRETS = st.sampled_from(["ternary", "gaussian", "uniform"])
DEGREES = st.sampled_from([2**k for k in range(10, 18)])


@pytest.mark.parametrize(("level", "table"), [(security_bits_2018, TABLE_2018), (security_bits_2024, TABLE_2024)])
def test_published_entries_hold_exactly(level, table):
    for N, bounds in table.items():
        for bits, log2_q in zip(LEVELS, bounds, strict=True):
            assert level(N, log2_q) >= bits
            assert level(N, log2_q + 1) < bits


def test_known_rings():
    assert max_log2_q(2048, 128, table="2018") == 54
    assert max_log2_q(4096, 128, table="2018") == 109
    assert max_log2_q(8192, 128, table="2018") == 218
    assert max_log2_q(4096, 128, table="2024") == 106
    assert max_log2_q(4096) == 106
    assert max_log2_q(1024, 192) == 0
    assert security_bits(512, 10) == 0
    assert security_bits_2024(1024, 10) == 128
    assert security_bits_2018(4096, 108.3) == security_bits_2018(4096, 109)


@given(N=DEGREES, log2_q=st.floats(1, 9000), secret=SECRETS)
def test_stricter_table_decides(N, log2_q, secret):
    both = (security_bits_2018(N, log2_q, secret), security_bits_2024(N, log2_q, secret))
    assert security_bits(N, log2_q, secret) == min(both)


@given(N=DEGREES, log2_q=st.integers(1, 8000), secret=SECRETS)
def test_larger_modulus_never_gains(N, log2_q, secret):
    for level in (security_bits_2018, security_bits_2024):
        assert level(N, log2_q + 1, secret) <= level(N, log2_q, secret) <= 256


@given(N=DEGREES, log2_q=st.integers(1, 8000), level=st.sampled_from(LEVELS), secret=SECRETS)
def test_level_and_bound_agree(N, log2_q, level, secret):
    assert (security_bits(N, log2_q, secret) >= level) == (log2_q <= max_log2_q(N, level, secret))


def test_extrapolation_is_steeper_than_every_row():
    """The exponent used below 128 bits exceeds the slope between any two entries of a row."""
    for table in (TABLE_2018, TABLE_2024):
        for row in table.values():
            for i, j in ((0, 1), (1, 2), (0, 2)):
                assert math.log(LEVELS[j] / LEVELS[i]) / math.log(row[i] / row[j]) < 1.25


def usvp_bits(N: int, log2_q: float) -> float:
    """Primal uSVP attack with the 2016 estimate and a sieve of 2^(0.292 beta + 16.4) for each of 8d calls."""
    sigma, secret = 3.2, math.sqrt(2 / 3)
    samples = np.arange(N // 8, 2 * N, max(N // 64, 1), dtype=np.float64)
    d = samples + N + 1
    volume = (samples * log2_q + N * math.log2(sigma / secret)) / d
    for beta in range(50, 3000):
        delta = ((math.pi * beta) ** (1 / beta) * beta / (2 * math.pi * math.e)) ** (1 / (2 * (beta - 1)))
        holds = 0.5 * math.log2(beta) + math.log2(sigma) <= (2 * beta - d - 1) * math.log2(delta) + volume
        if holds.any():
            return 0.292 * beta + 16.4 + math.log2(8 * d[holds][0])
    raise AssertionError("no block size breaks the ring")


@pytest.mark.parametrize("N", [1024, 2048, 4096, 8192])
def test_never_above_an_independent_estimate(N):
    bound = TABLE_2018[N][0]
    for factor in (0.7, 0.85, 1.0, 1.2, 1.5, 2.0, 2.5):
        log2_q = round(bound * factor)
        assert security_bits_2018(N, log2_q) <= usvp_bits(N, log2_q) + 1


def test_arrays_broadcast_and_scalars_stay_scalar():
    degrees, log2_q = np.array([[1024], [4096]]), np.array([20, 54, 109, 200])
    levels = security_bits(degrees, log2_q)
    assert levels.shape == (2, 4)
    assert all(
        levels[i, j] == security_bits(int(degrees[i, 0]), int(q)) for i in range(2) for j, q in enumerate(log2_q)
    )
    assert np.ndim(security_bits(4096, 100)) == 0


def test_unknown_names_are_refused():
    with pytest.raises(ValueError, match="secret distribution 'binary': one of ternary"):
        security_bits(4096, 100, "binary")
    with pytest.raises(ValueError, match="security level 100"):
        max_log2_q(4096, 100)
    with pytest.raises(ValueError, match="security table '2019'"):
        max_log2_q(4096, 128, table="2019")


def test_openfhe_enforces_the_2018_bound():
    openfhe = pytest.importorskip("openfhe")

    def context(bits):
        parameters = openfhe.CCParamsBFVRNS()
        parameters.SetPlaintextModulus(2**13)
        parameters.SetMultiplicativeDepth(0)
        parameters.SetScalingModSize(bits)
        parameters.SetRingDim(2048)
        parameters.SetSecurityLevel(openfhe.HEStd_128_classic)
        parameters.SetKeySwitchTechnique(openfhe.BV)
        return openfhe.GenCryptoContext(parameters)

    bound = max_log2_q(2048, 128, table="2018")
    assert context(bound).GetRingDimension() == 2048
    with pytest.raises(RuntimeError):
        context(bound + 1)
