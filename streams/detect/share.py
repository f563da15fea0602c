"""How strange so many failures of so many tries are: three of three say less than thirty of a hundred.

A beta-binomial distribution: the share varies from window to window around a mean (a beta distribution), and given the
share failures are binomial. Mean and variation are learned with exponential forgetting.
"""

from __future__ import annotations

import math
from typing import Final

MEMORY_WINDOWS: Final = 360
"""Windows with tries that are remembered: an hour of 10 s windows."""
LEAST_TRIES: Final = 20.0
LEAST_STRENGTH: Final = 20.0
"""A mean never counts as known from fewer tries: the share of the next window may differ by as much."""
MOST_SURPRISE: Final = 16.0
"""In variances: more is not learned as variation, or an outage would become usual."""
STRANGE_TAIL: Final = 1e-3
CLIP_RATIO: Final = 0.1
"""Of failures beyond what was expected, when that was strange: this much is learned."""
SMALLEST: Final = 1e-12
_MOST_TERMS: Final = 5_000


class Share:
    """One share. 0.2 kB; O(1) but for a strange window, whose tail is added up.

    Args:
        warmup_windows: windows with tries that are learned silently.
    """

    __slots__ = ("dispersion", "failed", "passed", "seen", "size", "warmup_windows")

    def __init__(self, warmup_windows: int) -> None:
        self.warmup_windows = warmup_windows
        self.seen = 0
        self.failed, self.passed = 0.0, 0.0
        self.dispersion, self.size = 1.0, 0.0

    @property
    def warming_up(self) -> bool:
        """Too little was seen."""
        return self.seen < self.warmup_windows or self.failed + self.passed < LEAST_TRIES

    @property
    def mean(self) -> float:
        """Expected share; half a failure is added, so that none so far does not mean never."""
        return (self.failed + 0.5) / (self.failed + self.passed + 1.0)

    @property
    def strength(self) -> float:
        """Tries that the mean is worth: fewer, the more windows have differed (Williams' moment estimate)."""
        most = self.failed + self.passed + 1.0
        if self.dispersion <= 1.0 or self.size <= 1.0:
            return max(LEAST_STRENGTH, most)
        return max(LEAST_STRENGTH, min(most, (self.size - 1.0) / (self.dispersion - 1.0) - 1.0))

    def tail(self, failed: int, tries: int) -> float:
        """P(at least so many failures of these tries), at least :data:`SMALLEST`; 1 below the mean."""
        mean, strength = self.mean, self.strength
        return tail(failed, tries, mean * strength, (1.0 - mean) * strength)

    def reach(self, tries: int) -> float:
        """One standard deviation of the share of a window with these tries."""
        mean, strength = self.mean, self.strength
        return math.sqrt(mean * (1.0 - mean) * (strength + tries) / (tries * (strength + 1.0)))

    def learn(self, failed: int, tries: int) -> None:
        """Take in a window; one without tries says nothing."""
        if not tries:
            return
        expected = tries * self.mean
        surprise = float(failed) - expected
        if self.seen:
            variance = max(expected * (1.0 - self.mean), 1e-9)
            weight = max(1.0 / self.seen, 1.0 / MEMORY_WINDOWS)
            self.dispersion += weight * (min(surprise * surprise / variance, MOST_SURPRISE) - self.dispersion)
            self.size += weight * (tries - self.size)
        if not self.warming_up and self.tail(failed, tries) < STRANGE_TAIL:
            surprise *= CLIP_RATIO
        learned = expected + surprise
        keep = 1.0 - 1.0 / MEMORY_WINDOWS
        self.failed, self.passed = self.failed * keep + learned, self.passed * keep + tries - learned
        self.seen += 1

    def dump(self) -> list[float]:
        """State as JSON-able data."""
        return [self.seen, self.failed, self.passed, self.dispersion, self.size]

    def load(self, state: list[float]) -> None:
        """The inverse of :meth:`dump`."""
        seen, failed, passed, dispersion, size = state
        self.seen, self.failed, self.passed = int(seen), float(failed), float(passed)
        self.dispersion, self.size = float(dispersion), float(size)


def tail(failed: int, tries: int, a: float, b: float) -> float:
    """P(X >= failed) of a beta-binomial variable; 1 where ``failed`` is not above the mean (there it is no tail).

    Args:
        failed: 0 to ``tries``.
        tries: at least 1.
        a: of the beta distribution, above 0; failures that the mean is worth.
        b: the same of what did not fail.
    """
    if failed <= tries * a / (a + b):
        return 1.0
    term = math.exp(
        math.lgamma(tries + 1)
        - math.lgamma(failed + 1)
        - math.lgamma(tries - failed + 1)
        + math.lgamma(failed + a)
        + math.lgamma(tries - failed + b)
        - math.lgamma(tries + a + b)
        + math.lgamma(a + b)
        - math.lgamma(a)
        - math.lgamma(b)
    )
    total = term
    for k in range(failed, min(tries, failed + _MOST_TERMS)):
        term *= (tries - k) * (k + a) / ((k + 1) * (tries - k - 1 + b))
        total += term
        if term < 1e-9 * total:
            break
    return min(1.0, max(SMALLEST, total))
