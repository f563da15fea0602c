"""The detectors there are, by name. Each passes ``tests/contract/test_detectors.py``."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from streams.detect.level import Level
from streams.detect.novelty import NoveltyMemories
from streams.detect.protocol import Detector
from streams.detect.tail import normal_tail, novelty_tail
from streams.detect.watch import HOLD_WINDOWS, Watch
from streams.errors import ConfigurationError

DEFAULT: Final = "novelty"
SMALL: Final = "level"
"""For the series that the chosen detector has no room for."""


def novelty(warmup_windows: int, hold_windows: int) -> Watch:
    """The default detector."""
    return Watch("novelty", NoveltyMemories(), novelty_tail, warmup_windows=warmup_windows, hold_windows=hold_windows)


def _deviation(warmup_windows: int, hold_windows: int) -> Detector:
    from streams.detect.deviation import Deviation  # River brings SciPy: a fifth of a worker's start, where it is used

    return Watch("deviation", Deviation(), normal_tail, warmup_windows=warmup_windows, hold_windows=hold_windows)


DETECTORS: Final[Mapping[str, Callable[[int, int], Detector]]] = {
    "novelty": novelty,
    "deviation": _deviation,
    SMALL: Level,
}
"""Name -> maker of a fresh detector, given its warm-up and how long a finding holds, in windows."""


def make(name: str, warmup_windows: int, *, hold_windows: int = HOLD_WINDOWS) -> Detector:
    """A fresh detector.

    Raises:
        ConfigurationError: there is none of that name.
    """
    maker = DETECTORS.get(name)
    if maker is None:
        raise ConfigurationError(f"detector {name!r} is not known; write one of {', '.join(sorted(DETECTORS))}")
    return maker(warmup_windows, hold_windows)
