"""Numba: many places of a text at once, at which one of a few groups of four bytes may stand.

The method is that of Hyperscan's Teddy (https://github.com/intel/hyperscan, ``src/fdr/teddy.c``): for each of the four
bytes a table by the lower and one by the upper half of a byte, in which a bit says that a group has such a byte there;
what all eight have in common is left. One instruction looks up sixteen or more bytes. The letters of a group mix
(``cats`` and ``dogs`` let ``dats`` pass too): it says where to look, not what is there.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence, Set
from typing import Any, Final

import numpy as np
from llvmlite import ir
from numba import types
from numba.core.registry import cpu_target
from numba.extending import intrinsic
from numpy.typing import NDArray

from streams.domain.kernel import element

SIZE: Final = 4
"""Bytes that are looked at for each place."""
_SHUFFLES: Final = {32: ("+avx2", "llvm.x86.avx2.pshuf.b"), 16: ("+ssse3", "llvm.x86.ssse3.pshuf.b.128")}


def _width() -> int:
    _, _, features = cpu_target.target_context.codegen().magic_tuple()
    known = features.split(",")
    return next((width for width, (feature, _) in _SHUFFLES.items() if feature in known), 0)


WIDTH: Final = _width()
"""How many places are looked at at once; 0 where the processor lacks the instruction: :func:`sift` finds nothing."""

Four = Sequence[Set[int]]
"""For each of four bytes, those that may stand there."""


def tables_of(groups: Iterable[Iterable[Four]]) -> NDArray[np.uint8]:
    """uint8[4, 2, 16]: for each byte and its lower and upper half, the groups (bits) that have one like it."""
    tables = np.zeros((SIZE, 2, 16), np.uint8)
    for number, group in enumerate(groups):
        for four in group:
            for place, allowed in enumerate(four):
                for byte in allowed:
                    tables[place, 0, byte & 15] |= np.uint8(1 << number)
                    tables[place, 1, byte >> 4] |= np.uint8(1 << number)
    return tables


@intrinsic  # type: ignore[untyped-decorator]
def sift(_: Any, buf: Any, at: Any, tables: Any) -> Any:  # pragma: no cover - compiled
    """Bit i: four bytes of a group may begin at ``at + i``. Reads ``WIDTH + 3`` bytes of ``buf`` (uint8) from ``at``.

    ``tables``: those of :func:`tables_of`. Nothing is checked.
    """

    def write(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        if WIDTH == 0:
            return ir.Constant(ir.IntType(64), 0)
        text = element(context, builder, signature.args[0], args[0], args[1])
        table = element(context, builder, signature.args[2], args[2], ir.Constant(ir.IntType(64), 0))
        wide, half = ir.VectorType(ir.IntType(8), WIDTH), ir.VectorType(ir.IntType(8), 16)
        shuffle = builder.module.declare_intrinsic(_SHUFFLES[WIDTH][1], (), ir.FunctionType(wide, [wide, wide]))
        twice = ir.Constant(ir.VectorType(ir.IntType(32), WIDTH), [i % 16 for i in range(WIDTH)])
        found = ir.Constant(wide, [255] * WIDTH)
        for place in range(SIZE):
            begin = builder.gep(text, [ir.Constant(ir.IntType(64), place)])
            read = builder.load(builder.bitcast(begin, wide.as_pointer()), align=1)
            parts = (
                builder.and_(read, ir.Constant(wide, [15] * WIDTH)),
                builder.lshr(read, ir.Constant(wide, [4] * WIDTH)),
            )
            for number, part in enumerate(parts):
                where = builder.gep(table, [ir.Constant(ir.IntType(64), (2 * place + number) * 16)])
                one = builder.load(builder.bitcast(where, half.as_pointer()), align=1)
                one = builder.shuffle_vector(one, ir.Constant(half, ir.Undefined), twice)
                found = builder.and_(found, builder.call(shuffle, [one, part]))
        bits = builder.icmp_unsigned("!=", found, ir.Constant(wide, [0] * WIDTH))
        return builder.zext(builder.bitcast(bits, ir.IntType(WIDTH)), ir.IntType(64))

    return types.uint64(buf, types.int64, tables), write


@intrinsic  # type: ignore[untyped-decorator]
def lowest_bit(_: Any, value: Any) -> Any:  # pragma: no cover - compiled
    """The number of the lowest bit of a uint64 that is not 0."""

    def write(_context: Any, builder: Any, _signature: Any, args: Any) -> Any:
        return builder.cttz(args[0], ir.Constant(ir.IntType(1), 1))

    return types.int64(types.uint64), write
