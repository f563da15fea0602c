"""How inner loops are compiled, and when what is kept on disk is compiled anew."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np
from numba import njit
from numba.core.dispatcher import Dispatcher

F = TypeVar("F", bound=Callable[..., Any])


def compiled(**options: Any) -> Any:
    """Numba's ``njit``, kept on disk for as long as all that went into it is the same.

    Numba looks at the function's own file only. What it calls, and the constants it reads, is compiled into it from
    other files too: after an update in place the old arithmetic would go on.

    Args:
        options: of ``njit``.
    """

    def decorate(function: Callable[..., Any]) -> Any:
        made = njit(cache=True, **options)(function)
        kept = made._cache._cache_file
        kept._source_stamp = _stamp(function, kept._source_stamp)
        return made

    return decorate


def kernel(function: F) -> F:
    """Compiled once per machine and kept on disk; does not hold the interpreter, allocates nothing.

    Code that allocates no array needs none counted. Numba would count every array at each call from one compiled
    function to the next, which is half of the time of code made of small functions (measured on decode of spans: 4.9 to
    2.4 microseconds a span). So no slice may be assigned and no array made in what this decorates.
    """
    made: F = compiled(nogil=True, _nrt=False)(function)
    return made


def _stamp(function: Callable[..., Any], own: object) -> str:
    """A digest of the file's own stamp and of what the function reads from its module: what is defined below it there
    is in the file.
    """
    read = {name: function.__globals__.get(name) for name in sorted(function.__code__.co_names)}
    parts = [own, *((name, _content(value)) for name, value in read.items())]
    return hashlib.sha256(repr(parts).encode()).hexdigest()


def _content(value: object) -> object:
    """What compiled code takes of a global: another kernel's stamp, a constant's value. The rest is Numba's."""
    if isinstance(value, Dispatcher):
        return value._cache._cache_file._source_stamp  # type: ignore[attr-defined]
    if isinstance(value, np.ndarray):
        return value.dtype.str, value.shape, hashlib.sha256(value.tobytes()).hexdigest()
    return value if isinstance(value, bool | int | float | str | bytes | tuple | np.generic) else None
