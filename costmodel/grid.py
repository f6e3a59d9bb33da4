"""The columnar form of many configurations: what is discrete once, what is a number as arrays that broadcast."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from costmodel.packing import field_moduli, field_weights
from costmodel.parameters import Configuration
from costmodel.security import Secret

IntArray = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Grid:
    """Configurations that share protocol, packing, limb count and formats; one configuration is a grid of one.

    The numeric fields are arrays (or scalars) that broadcast against each other; the formulas of the model see
    nothing else.
    """

    protocol: str
    widths: tuple[int, ...]
    tile: str
    output: str
    engine: str
    size: str
    secret: Secret
    prepared: bool
    rows: IntArray
    channels: IntArray
    tokens: IntArray
    degree: IntArray
    limb_bits: tuple[IntArray, ...]
    plaintext_modulus: IntArray
    sigma: NDArray[np.float64]
    spread: NDArray[np.float64]
    flooding_bits: IntArray
    align_bits: IntArray
    shape: tuple[int, ...] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "shape", np.broadcast_shapes(*(np.shape(a) for a in self.arrays().values())))

    @classmethod
    def of(cls, configuration: Configuration, **columns: Any) -> Grid:
        """The grid of a configuration, with some numeric fields replaced by arrays.

        Parameters
        ----------
        configuration
            Gives every field that ``columns`` leaves out.
        columns
            Arrays by field name: ``rows``, ``channels``, ``tokens``, ``degree``, ``plaintext_modulus``, ``sigma``,
            ``spread``,             ``flooding_bits``, ``align_bits``; ``limb_bits`` is a tuple of arrays, one a limb.
        """
        table, ring, packing = configuration.table, configuration.ring, configuration.packing
        numbers: dict[str, Any] = {
            "rows": table.rows,
            "channels": table.channels,
            "tokens": table.tokens,
            "degree": ring.degree,
            "plaintext_modulus": ring.plaintext_modulus,
            "flooding_bits": configuration.flooding_bits,
            "align_bits": configuration.align_bits,
        }
        limb_bits = columns.pop("limb_bits", ring.limb_bits)
        sigma, spread = columns.pop("sigma", ring.sigma), columns.pop("spread", table.spread)
        unknown = sorted(set(columns) - set(numbers))
        if unknown:
            raise ValueError(
                f"grid has no column {unknown[0]!r}; its columns are {', '.join(numbers)}, limb_bits, sigma, spread"
            )
        numbers.update(columns)
        return cls(
            protocol=configuration.protocol,
            widths=packing.widths,
            tile=packing.tile,
            output=packing.output,
            engine=configuration.engine,
            size=configuration.size,
            secret=ring.secret,
            prepared=configuration.prepared,
            limb_bits=tuple(np.asarray(bits, dtype=np.int64) for bits in limb_bits),
            sigma=np.asarray(sigma, dtype=np.float64),
            spread=np.asarray(spread, dtype=np.float64),
            **{name: np.asarray(value, dtype=np.int64) for name, value in numbers.items()},
        )

    def arrays(self) -> dict[str, NDArray[Any]]:
        """The numeric columns by name, limbs numbered."""
        named: dict[str, NDArray[Any]] = {
            "rows": self.rows,
            "channels": self.channels,
            "tokens": self.tokens,
            "degree": self.degree,
            "plaintext_modulus": self.plaintext_modulus,
            "sigma": self.sigma,
            "spread": self.spread,
            "flooding_bits": self.flooding_bits,
            "align_bits": self.align_bits,
        }
        named.update({f"limb_bits_{k}": bits for k, bits in enumerate(self.limb_bits)})
        return named

    @property
    def limbs(self) -> int:
        """Number of primes of q."""
        return len(self.limb_bits)

    @property
    def log2_q(self) -> IntArray:
        """Bits of q."""
        total = self.limb_bits[0]
        for bits in self.limb_bits[1:]:
            total = total + bits
        return total

    @property
    def fields(self) -> int:
        """Channels that share a coefficient."""
        return len(self.widths)

    @property
    def coefficients(self) -> IntArray:
        """N' = ceil(n / fields), packed coefficients of a row."""
        return -(-self.channels // self.fields)

    @property
    def element_mean_square(self) -> NDArray[np.float64]:
        """E[W^2] of centred packed elements, sum_i P_i^2 (4^w_i + 2)/12 for uniform levels, times ``spread`` squared.

        A channel of w bits has the levels -2^(w-1) to 2^(w-1) - 1; P_i are the fields' place values.
        """
        places = field_weights(field_moduli(self.widths))
        squares = (float(place) ** 2 * (4.0**width + 2) / 12 for width, place in zip(self.widths, places, strict=True))
        return np.square(self.spread) * sum(squares)

    @property
    def log2_plaintext_modulus(self) -> NDArray[np.float64]:
        """log2 t."""
        if self.plaintext_modulus.ndim == 0:
            return np.asarray(math.log2(int(self.plaintext_modulus)))
        return np.log2(self.plaintext_modulus)
