"""Reading a snapshot, or saying why it is not used."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from streams.errors import StateDamaged

T = TypeVar("T")


def attempted(read: Callable[[], T]) -> tuple[T | None, str]:
    """What ``read`` gives, and ""; or None, and why: its StateError, or that the snapshot is damaged.

    Raises:
        StateVersionError: written by a newer version of this code.
    """
    try:
        return read(), ""
    except StateDamaged as error:
        return None, str(error)
    except (ValueError, KeyError, TypeError) as error:
        return None, f"damaged: {error!r}"
