"""Scales of symmetric uniform quantisers: from the largest magnitude, or by least weighted squared error."""

from __future__ import annotations

from typing import Final, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from quantize.sources import TableSource
from quantize.transforms import Transform

ScaleKind = Literal["power-of-two", "free"]
Fit = Literal["absmax", "squared-error", "deviation"]
Granularity = Literal["channel", "tensor"]
Floats = NDArray[np.float64]

_ZERO_CHANNEL_SCALE: Final = 2.0**-40  # half-integer levels cannot hold a channel of zeros, only come close
_EXPONENTS: Final = 5  # powers of two tried below the largest useful one
_COARSE, _COARSE_RATIO = 13, 1.25
_FINE: Final = 9


def level_bounds(levels: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Smallest and largest signed level, ``-floor(L/2)`` and ``L - 1 - floor(L/2)``."""
    low = -(levels // 2)
    return low, low + levels - 1


def absmax_scales(absmax: Floats, levels: NDArray[np.int64], half_integer: bool) -> Floats:
    """Scale at which the largest level is the largest magnitude.

    ``absmax / q_max``, or ``absmax / (q_max + 1/2)`` with half-integer levels; ``q_max`` counts as 1 for two
    levels.
    """
    largest = level_bounds(levels)[1] + 0.5 if half_integer else np.maximum(level_bounds(levels)[1], 1)
    return np.where(absmax > 0, absmax / largest, _ZERO_CHANNEL_SCALE)


def deviation_scales(deviation: Floats, levels: NDArray[np.int64], half_integer: bool) -> Floats:
    """Scales that quantise a normal distribution of each channel's deviation with least squared error.

    Every channel is divided by a public number, its root mean square, and what is left is quantised alike.

    Parameters
    ----------
    deviation : array, shape (n,)
        Root mean square by channel.
    levels : array of int, shape (n,)
    half_integer : bool

    References
    ----------
    .. [1] Hou, Zhu, Kwok, Gao, Qin, Liu, "Normalization Helps Training of Quantized LSTM" (2019): weights divided by
       their deviation are quantised with one set of levels.
    .. [2] Max, "Quantizing for minimum distortion" (1960): the step for a normal distribution.
    """
    steps = {count: _normal_step(count, half_integer) for count in np.unique(levels).tolist()}
    found = deviation * np.array([steps[count] for count in levels.tolist()])
    return np.where(deviation > 0, found, _ZERO_CHANNEL_SCALE)


def _normal_step(levels: int, half_integer: bool) -> float:
    """Step of least squared error for the standard normal distribution, by its density on a fine grid."""
    values = np.linspace(-6, 6, 2401)
    density = np.exp(-(values**2) / 2)
    low, high = level_bounds(np.array([levels]))
    half = 0.5 if half_integer else 0.0

    # The error is smooth and flat around its minimum: steps half a percent apart are close enough.
    steps = np.geomspace(2 / levels, 10 / levels, 320)
    errors = [
        density @ ((np.clip(np.rint(values / step - half), low, high) + half) * step - values) ** 2 for step in steps
    ]
    return float(steps[np.argmin(errors)])


def power_of_two(scales: Floats) -> Floats:
    """``2^round(log2 scale)``.

    References
    ----------
    .. [1] FastQuery (DAC 2024), section 5.1: "We round each scale factor to the power of 2".
    """
    return np.asarray(np.exp2(np.rint(np.log2(scales))))


def candidate_scales(absmax: Floats, levels: NDArray[np.int64], half_integer: bool, kind: ScaleKind) -> Floats:
    """Scales worth trying, shape (candidates, n): from a little above the absmax scale down to 0.08 of it."""
    top = absmax_scales(absmax, levels, half_integer)
    if kind == "power-of-two":
        return np.asarray(np.exp2(np.ceil(np.log2(top)) - np.arange(_EXPONENTS)[:, None]))
    return np.asarray(top * 1.1 * _COARSE_RATIO ** -np.arange(_COARSE)[:, None])


def squared_errors(
    source: TableSource,
    transform: Transform,
    candidates: Floats,
    levels: NDArray[np.int64],
    half_integer: bool,
    frequencies: Floats,
) -> Floats:
    """Frequency-weighted squared error of every candidate scale, by channel: ``sum_r f_r (w_rj -
    Q(w_rj))^2``.

    Parameters
    ----------
    candidates : array, shape (candidates, n)
    levels : array of int, shape (n,)
    frequencies : array, shape (rows,)

    Returns
    -------
    array, shape (candidates, n)
    """
    from quantize.kernels import add_squared_errors

    low, high = (bound.astype(np.float32) for bound in level_bounds(levels))
    scales = candidates.astype(np.float32)
    with np.errstate(over="ignore", divide="ignore"):  # scales out of bounds are refused by their channel afterwards
        inverses = np.reciprocal(scales)
    half = np.float32(0.5 if half_integer else 0)
    total = np.zeros(candidates.shape)
    for start, rows in source.blocks(4 << 20):
        weights = frequencies[start : start + len(rows)].astype(np.float32)
        add_squared_errors(transform.apply(rows), weights, scales, inverses, low, high, half, total)
    return total


def fitted_scales(
    source: TableSource,
    transform: Transform,
    absmax: Floats,
    levels: NDArray[np.int64],
    half_integer: bool,
    kind: ScaleKind,
    granularity: Granularity,
    frequencies: Floats,
) -> tuple[Floats, Floats]:
    """Scales of least weighted squared error, and that error by channel.

    Powers of two are tried one by one. Free scales are searched on a geometric grid of ratio 1.25 and then
    on one nine times finer around its best, which leaves the scale within 2.5 % of the optimum.
    """

    def best(candidates: Floats) -> tuple[Floats, Floats]:
        errors = squared_errors(source, transform, candidates, levels, half_integer, frequencies)
        criterion = _summed_by_levels(errors, levels) if granularity == "tensor" else errors
        chosen = criterion.argmin(axis=0)[None, :]
        return np.take_along_axis(candidates, chosen, 0)[0], np.take_along_axis(errors, chosen, 0)[0]

    scales, errors = best(candidate_scales(absmax, levels, half_integer, kind))
    if kind == "power-of-two":
        return scales, errors
    return best(scales * _COARSE_RATIO ** np.linspace(-1, 1, _FINE + 2)[1:-1, None])


def _summed_by_levels(errors: Floats, levels: NDArray[np.int64]) -> Floats:
    summed = np.empty_like(errors)
    for count in np.unique(levels):
        alike = levels == count
        summed[:, alike] = errors[:, alike].sum(axis=1, keepdims=True)
    return summed


def require_rules(kind: str, fit: str, granularity: str) -> None:
    """Raise a ValueError unless the scale kind, the fit and the granularity are known and keep the token
    secret.

    References
    ----------
    .. [1] FastQuery (DAC 2024), table 2: "Per-token quantization is forbidden as it can leak the query".
    """
    if granularity == "token":
        raise ValueError(
            "granularity: 'token' is refused for a private query: scales are public, and a row's own scale "
            "tells which token was looked up"
        )
    known = {"scales": (kind, ScaleKind), "fit": (fit, Fit), "granularity": (granularity, Granularity)}
    for name, (value, valid) in known.items():
        if value not in get_args(valid):
            raise ValueError(f"{name}: {value!r} is unknown; valid are {', '.join(get_args(valid))}")
