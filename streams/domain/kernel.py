"""How inner loops are compiled."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from llvmlite import ir
from numba import njit, types
from numba.core import cgutils
from numba.extending import intrinsic

F = TypeVar("F", bound=Callable[..., Any])


def kernel(function: F) -> F:
    """Compiled once per machine and kept on disk; does not hold the interpreter, allocates nothing.

    Code that allocates no array needs none counted. Numba would count every array at each call from one compiled
    function to the next, which is half of the time of code made of small functions (measured on decode of spans: 4.9 to
    2.4 microseconds a span). So no slice may be assigned and no array made in what this decorates.

    It becomes part of the kernels that call it. LLVM leaves most of them functions of their own otherwise, and every
    array is passed as seven words at each call (decode of spans: 1.15 to 0.60 microseconds a span).
    """
    return _compiled(function, forceinline=True)


def large_kernel(function: F) -> F:
    """The same for one of more than forty lines, which stays a function of its own: as parts of their callers they made
    decode of spans slower (0.61 to 0.67 microseconds a span).
    """
    return _compiled(function, forceinline=False)


def _compiled(function: F, *, forceinline: bool) -> F:
    made: F = njit(cache=True, nogil=True, _nrt=False, forceinline=forceinline)(function)
    return made


def element(context: Any, builder: Any, kind: Any, array: Any, at: Any) -> Any:
    """The address of ``array[at]`` in what an intrinsic writes; ``kind``: the array's type. Nothing is checked."""
    return builder.gep(cgutils.create_struct_proxy(kind)(context, builder, array).data, [at])


@intrinsic  # type: ignore[untyped-decorator]
def move_bytes(_: Any, out: Any, to: Any, buf: Any, begin: Any, size: Any) -> Any:  # pragma: no cover - compiled
    """Copies ``buf[begin:begin + size]`` (uint8) to ``out[to:]`` with C's memmove; both may be one array.

    Nothing is checked: positions and size are int64, not negative, and within the arrays.
    """

    def write(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        places = [element(context, builder, signature.args[i], args[i], args[i + 1]) for i in (0, 2)]
        cgutils.raw_memmove(builder, *places, args[4], 1)
        return context.get_dummy_value()

    return types.void(out, types.int64, buf, types.int64, types.int64), write


@intrinsic  # type: ignore[untyped-decorator]
def fetch_ahead(_: Any, array: Any, at: Any) -> Any:  # pragma: no cover - compiled
    """Has the cache line of ``array[at]`` (``at`` int64) brought, and does not wait for it.

    Only time depends on it: a place outside of the array does nothing.
    """

    def write(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        place = builder.bitcast(element(context, builder, signature.args[0], *args), ir.IntType(8).as_pointer())
        word = ir.IntType(32)
        kind = ir.FunctionType(ir.VoidType(), [place.type, word, word, word])
        call = builder.module.declare_intrinsic("llvm.prefetch", [place.type], kind)
        builder.call(call, [place, word(0), word(3), word(1)])  # to read; into all caches; data
        return context.get_dummy_value()

    return types.void(array, types.int64), write
