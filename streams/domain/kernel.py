"""How inner loops are compiled."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from numba import njit

F = TypeVar("F", bound=Callable[..., Any])


def kernel(function: F) -> F:
    """Compiled once per machine and kept on disk; does not hold the interpreter, allocates nothing.

    Code that allocates no array needs none counted. Numba would count every array at each call from one compiled
    function to the next, which is half of the time of code made of small functions (measured on decode of spans: 4.9 to
    2.4 microseconds a span). So no slice may be assigned and no array made in what this decorates.
    """
    compiled: F = njit(cache=True, nogil=True, _nrt=False)(function)
    return compiled
