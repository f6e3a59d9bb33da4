"""The inner loop of sums of products: compiled for vectors of residues, with all of its sums in registers.

Residues are split into halves x0, x1 of w = ceil(bits(q)/2) bits and *packed*: x1 stands in the upper half of the
word. Three products of 32 bits make one of residues (Karatsuba): x0*y0, x1*y1 and (x0 + x1)*(y0 + y1), of at most
2w + 2 bits, which add up unreduced. Numba does not vectorise over residues and keep sums in registers at once, so that
this loop is written in LLVM's vector types, which every target has; it is the only one that is.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic

LANES = 8
"""Residues of a vector."""

_WORD = ir.IntType(64)
_VECTOR = ir.VectorType(_WORD, LANES)
_LOWER = 0xFFFFFFFF
_helpers: Any = cgutils  # untyped


def _constant(value: int) -> ir.Constant:
    return ir.Constant(_VECTOR, [value] * LANES)


def _add_split_products(
    typing_context: Any,
    left: Any,
    x: Any,
    v: Any,
    left_stride: Any,
    right: Any,
    y: Any,
    z: Any,
    right_stride: Any,
    blocks: Any,
    sums: Any,
) -> tuple[Any, Any]:
    """Set sums (3, 4, LANES), of low, high and added halves, over blocks of x*y, x*z, v*y and v*z.

    x, v and y, z are where the vectors of the first block stand in the contiguous arrays ``left`` and ``right`` of
    packed residues; the strides are the distances to the next block.
    """
    signature = types.void(
        left, types.int64, types.int64, types.int64, right, types.int64, types.int64, types.int64, types.int64,
        sums,
    )  # fmt: skip

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        def data(place: int) -> Any:
            return context.make_array(signature.args[place])(context, builder, arguments[place]).data

        def vector_at(start: Any, place: Any) -> Any:
            return builder.bitcast(builder.gep(start, [place]), _VECTOR.as_pointer())

        totals = [_helpers.alloca_once_value(builder, _constant(0)) for _ in range(12)]
        starts = [(data(0), arguments[1], arguments[3]), (data(0), arguments[2], arguments[3])]
        starts += [(data(4), arguments[5], arguments[7]), (data(4), arguments[6], arguments[7])]

        def add(place: int, product: Any) -> None:
            builder.store(builder.add(builder.load(totals[place]), product), totals[place])

        with _helpers.for_range(builder, arguments[8]) as loop:
            vectors = []
            for start, first, stride in starts:
                place = builder.add(first, builder.mul(loop.index, stride))
                vectors.append(builder.load(vector_at(start, place), align=8))
            split = []
            for vector in vectors:
                high = builder.lshr(vector, _constant(32))
                added = builder.add(vector, high)
                split.append([builder.and_(vector, _constant(_LOWER)), high, builder.and_(added, _constant(_LOWER))])
            pair = 0
            for ours in split[:2]:
                for theirs in split[2:]:
                    for part in range(3):
                        add(4 * part + pair, builder.mul(ours[part], theirs[part]))
                    pair += 1
        for number, total in enumerate(totals):
            place = ir.Constant(_WORD, LANES * number)
            builder.store(builder.load(total), vector_at(data(9), place), align=8)
        return context.get_dummy_value()

    return signature, generate


add_split_products = cast(Callable[..., None], intrinsic(_add_split_products))
