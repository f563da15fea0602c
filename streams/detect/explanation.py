"""Why a window was an anomaly: what it would have taken not to be one, and when it was like that before."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from streams.detect.protocol import Detector
from streams.domain.anomaly import Finding, Score

HALVINGS: Final = 10
"""The way from what was expected to what was seen is known to a thousandth of it."""
MOST_SIMILAR: Final = 3


def normal_at(detector: Detector, value: float, score: Score, at_ns: int, threshold: float) -> float | None:
    """The value nearest to the one seen whose score would have stayed under the threshold.

    Sought by halving between the expected value and the one seen, before the detector learns the latter (asking changes
    nothing): O(log n) each, ten times, for anomalies only.

    Returns:
        None where the finding is that nothing changes, or where even the expected value would have been one.
    """
    if score.still_windows or detector.score(score.expected, at_ns).score >= threshold:
        return None
    normal, strange = score.expected, value
    for _ in range(HALVINGS):
        middle = normal + (strange - normal) / 2
        if detector.score(middle, at_ns).score >= threshold:
            strange = middle
        else:
            normal = middle
    return normal


def similar(past: Sequence[Finding], value: float, expected: float) -> tuple[Finding, ...]:
    """The newest findings that lay on the same side of what is expected now, at most :data:`MOST_SIMILAR`."""
    same_side = [finding for finding in reversed(past) if (finding.value > expected) == (value > expected)]
    return tuple(same_side[:MOST_SIMILAR])
