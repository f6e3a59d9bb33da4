"""The columnar form of many configurations: what is discrete once, what is a number as arrays that broadcast."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from costmodel.expanded.bucketed.parameters import BucketedColumns
from costmodel.expanded.compressed.parameters import CompressedColumns
from costmodel.expanded.folded.parameters import FoldedColumns
from costmodel.packing import field_moduli, field_weights
from costmodel.parameters import Configuration, Wire
from costmodel.security import Secret

IntArray = NDArray[np.int64]

WIRE_COLUMNS = tuple(field.name for field in fields(Wire))
"""Bits of the compact format; 0 where a library's own format is sent."""


@dataclass(frozen=True, eq=False)
class Grid:
    """Configurations that share protocol, packing, limb count and formats; one configuration is a grid of one.

    The numeric fields are arrays (or scalars) that broadcast against each other; the formulas of the model see
    nothing else.
    """

    protocol: str
    widths: tuple[int, ...]
    levels: tuple[int, ...]
    tile: str
    output: str
    engine: str
    size: str
    secret: Secret
    prepared: bool
    options: tuple[str, ...]
    rows: IntArray
    channels: IntArray
    tokens: IntArray
    degree: IntArray
    limb_bits: tuple[IntArray, ...]
    plaintext_modulus: IntArray
    sigma: NDArray[np.float64]
    spread: NDArray[np.float64]
    flooding_bits: IntArray
    log2_distance: NDArray[np.float64]
    queries: IntArray
    align_bits: IntArray
    block_bits: IntArray
    query_bits: IntArray
    answer_a_bits: IntArray
    answer_b_bits: IntArray
    digit_bits: IntArray
    digit_dropped_bits: IntArray
    expanded: FoldedColumns | CompressedColumns | BucketedColumns | None = None
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
            ``spread``, ``flooding_bits``, ``log2_distance``, ``queries``, ``align_bits``, ``block_bits`` and those of
            ``WIRE_COLUMNS``; ``limb_bits`` is a tuple of arrays, one a limb.
        """
        table, ring, packing = configuration.table, configuration.ring, configuration.packing
        numbers: dict[str, Any] = {
            "rows": table.rows,
            "channels": table.channels,
            "tokens": table.tokens,
            "degree": ring.degree,
            "plaintext_modulus": min(ring.plaintext_modulus, 2**62),  # int64; SPU prices its 2^64 itself
            "flooding_bits": configuration.flooding_bits,
            "queries": configuration.queries,
            "align_bits": configuration.align_bits,
            "block_bits": configuration.block_bits,
            **(asdict(configuration.wire) if configuration.wire else dict.fromkeys(WIRE_COLUMNS, 0)),
        }
        limb_bits = columns.pop("limb_bits", ring.limb_bits)
        sigma, spread = columns.pop("sigma", ring.sigma), columns.pop("spread", table.spread)
        log2_distance = columns.pop("log2_distance", configuration.log2_distance)
        unknown = sorted(set(columns) - set(numbers))
        if unknown:
            raise ValueError(
                f"grid has no column {unknown[0]!r}; its columns are {', '.join(numbers)}, limb_bits, sigma, "
                "spread, log2_distance"
            )
        numbers.update(columns)
        return cls(
            protocol=configuration.protocol,
            widths=packing.widths,
            levels=packing.levels,
            tile=packing.tile,
            output=packing.output,
            engine=configuration.engine,
            size=configuration.size,
            secret=ring.secret,
            prepared=configuration.prepared,
            options=configuration.options,
            expanded=None if configuration.expanded is None else configuration.expanded.as_columns(),
            limb_bits=tuple(np.asarray(bits, dtype=np.int64) for bits in limb_bits),
            sigma=np.asarray(sigma, dtype=np.float64),
            spread=np.asarray(spread, dtype=np.float64),
            log2_distance=np.asarray(log2_distance, dtype=np.float64),
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
            "log2_distance": self.log2_distance,
            "queries": self.queries,
            "align_bits": self.align_bits,
            "block_bits": self.block_bits,
            **{name: getattr(self, name) for name in WIRE_COLUMNS},
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
    def field_moduli(self) -> tuple[int, ...]:
        """M_i of the fields of a coefficient, lowest first."""
        return field_moduli(self.widths, self.levels)

    @property
    def coefficients(self) -> IntArray:
        """N' = ceil(n / fields), packed coefficients of a row."""
        return -(-self.channels // self.fields)

    @property
    def element_mean_square(self) -> NDArray[np.float64]:
        """E[W^2] of centred packed elements, sum_i P_i^2 (L_i^2 + 2)/12 for uniform levels, times ``spread`` squared.

        A channel of L = M/2 levels has those from -L/2 to L/2 - 1; P_i are the fields' place values.
        """
        moduli = self.field_moduli
        fields = zip(field_weights(moduli), moduli, strict=True)
        return np.square(self.spread) * sum(place**2 * ((modulus / 2) ** 2 + 2) / 12 for place, modulus in fields)

    @property
    def element_worst_square(self) -> float:
        """W^2 of the largest centred packed element, every channel at its lowest level: (sum_i P_i M_i/4)^2."""
        moduli = self.field_moduli
        fields = zip(field_weights(moduli), moduli, strict=True)
        return float(sum(place * (modulus // 4) for place, modulus in fields)) ** 2

    def of_worst_table(self) -> Grid:
        """The same grid for the table whose every element is the largest: its noise bounds every table's."""
        uniform = replace(self, spread=np.asarray(1.0)).element_mean_square
        return replace(self, spread=np.sqrt(self.element_worst_square / uniform))

    @property
    def plaintext_bits(self) -> IntArray:
        """Bits of a share, ceil(log2 t); the modulus 2^64, which no int64 holds, stands as 2^62."""
        bits = np.ceil(self.log2_plaintext_modulus).astype(np.int64)
        return np.where(bits >= 62, 64, bits)

    @property
    def log2_plaintext_modulus(self) -> NDArray[np.float64]:
        """log2 t."""
        if self.plaintext_modulus.ndim == 0:
            return np.asarray(math.log2(int(self.plaintext_modulus)))
        return np.log2(self.plaintext_modulus)
