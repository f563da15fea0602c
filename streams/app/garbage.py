"""When Python's cycle collector runs: seldom, and never over state that stays.

Events make few cycles and many small objects: with the default of 700 the collector took a third of the CPU. While a
checkpoint is restored it is worse: every new series makes it walk all that are there already (100,000 series: 3.5 of
5.7 CPU seconds).
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

FIRST_GENERATION: Final = 50_000
"""New objects between two collections of the youngest."""


def settle() -> None:
    """Collects once; what is left is not looked at again, and collections are seldom from now on."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(FIRST_GENERATION, 20, 50)


@contextmanager
def building() -> Iterator[None]:
    """No collection inside: what is built stays. It is not looked at afterwards either.

    Nested or side by side (several roles restore at once) the first that ends lets the collector run again: the others
    are only slower by it.
    """
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()
