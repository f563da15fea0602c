"""The detector of the long tail: level and spread with exponential forgetting, and how heavy the series' own tail is.

For series beyond those that the default detector has room for: a fifteenth of its memory, no season, no novelty. The
distance from the level is counted in deviations of the band. Beyond :data:`FROM` of them the tail is taken for a
generalised Pareto distribution (peaks over a threshold: Pickands 1975) whose weight and mean excess are learned, so
that a series with heavy tails is believed only at a distance at which a normal one is long beyond doubt.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from streams.detect.band import DEVIATIONS, Band
from streams.detect.protocol import FORMAT_VERSION
from streams.detect.tail import SMALLEST
from streams.detect.watch import HOLD_WINDOWS, LEAST_WARMUP_WINDOWS, usable
from streams.domain.anomaly import Score
from streams.errors import StateDamaged

FROM: Final = 2.0
"""Deviations from which a distance is in the tail."""
USUAL_SHARE: Final = 0.05
USUAL_EXCESS: Final = 0.5
"""What a new series is taken to have there: share of windows, and mean excess in deviations (normal: 0.046, 0.37)."""
LEAST_EXCESS: Final = 0.4
SHAPE: Final = 0.15
"""Of the tail; 0 would be an exponential, with which values of Student's t came twelve times too often at 1e-4."""
FARTHEST: Final = 20.0
"""No distance counts for more when the tail is learned."""
SHARE_WINDOWS: Final = 1000.0
EXCESS_WINDOWS: Final = 100.0
"""Windows, and windows in the tail, that are remembered."""
FADE: Final = 0.5 ** (1 / 120)
"""The gate: a distance passes only beyond the highest before, which counts for half after 120 windows."""
CERTAIN: Final = 1e6
"""Deviations of what is not as it always was, where there is no spread at all."""


class Level:
    """One detector of one series (:class:`streams.detect.protocol.Detector`); 1 kB, O(1).

    Args:
        warmup_windows: learned silently, at least 20.
        hold_windows: how long a finding holds while the value stays outside the band, as of ``Watch``.

    Raises:
        ValueError: warm-up too short.
    """

    __slots__ = (
        "band",
        "excess",
        "held",
        "hold_left",
        "hold_windows",
        "peak",
        "seen",
        "share",
        "tails",
        "warmup_windows",
    )

    def __init__(self, warmup_windows: int, hold_windows: int = HOLD_WINDOWS) -> None:
        if warmup_windows < LEAST_WARMUP_WINDOWS:
            raise ValueError(f"warmup_windows must be at least {LEAST_WARMUP_WINDOWS}, got {warmup_windows}")
        self.warmup_windows, self.hold_windows = warmup_windows, hold_windows
        self.seen, self.tails, self.hold_left = 0, 0, 0
        self.held, self.peak = 0.0, 0.0
        self.share, self.excess = USUAL_SHARE, USUAL_EXCESS
        self.band = Band()

    def score(self, value: float, at_ns: int) -> Score:
        """Judge a value before it is learned (see the protocol)."""
        judged = self._judged(value, self._distance(value)) if usable(value) else 0.0
        mean, reach = self.band.mean, self.band.reach
        return Score(judged, mean, mean - reach, mean + reach, self.seen < self.warmup_windows, self.seen)

    def learn(self, value: float, at_ns: int) -> None:
        """Take a value into account (see the protocol)."""
        if not usable(value):
            return
        distance = self._distance(value)
        self._hold(value, self._judged(value, distance))
        if self.seen >= LEAST_WARMUP_WINDOWS:
            self._learn_tail(min(distance, FARTHEST))
            self.peak = max(distance, self.peak * FADE)
        self.band.learn(value, clip=self.seen >= self.warmup_windows)
        self.seen += 1

    def _distance(self, value: float) -> float:
        """Deviations between the value and the level."""
        away, reach = abs(value - self.band.mean), self.band.reach
        if away == 0.0:
            return 0.0
        return min(CERTAIN, DEVIATIONS * away / reach) if reach > 0.0 else CERTAIN

    def _judged(self, value: float, distance: float) -> float:
        if self.seen < self.warmup_windows:
            return 0.0
        judged = 0.0
        if distance > max(FROM, self.peak):
            judged = 1.0 - max(SMALLEST, self._tail(distance))
        if self.hold_left and self.held > judged and not self.band.contains(value):
            return self.held
        return judged

    def _tail(self, distance: float) -> float:
        excess = max(LEAST_EXCESS, self.excess)
        return float(self.share * (1.0 + SHAPE / (1.0 - SHAPE) * (distance - FROM) / excess) ** (-1.0 / SHAPE))

    def _hold(self, value: float, judged: float) -> None:
        if judged == 0.0 or self.band.contains(value):
            self.held, self.hold_left = 0.0, 0
        elif judged > self.held or not self.hold_left:
            self.held, self.hold_left = judged, self.hold_windows
        else:
            self.hold_left -= 1

    def _learn_tail(self, distance: float) -> None:
        beyond = distance > FROM
        self.share += (beyond - self.share) / min(self.seen + 100.0, SHARE_WINDOWS)
        if beyond:
            self.tails += 1
            self.excess += (distance - FROM - self.excess) / min(self.tails + 10.0, EXCESS_WINDOWS)

    def snapshot(self) -> dict[str, Any]:
        """State as JSON-able data."""
        numbers = [self.seen, self.held, self.hold_left, self.peak, self.share, self.tails, self.excess]
        return {"v": FORMAT_VERSION, "detector": "level", "scorer": [*numbers, *self.band.dump()]}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Continue where a snapshot was taken (see the protocol)."""
        if state.get("v") != FORMAT_VERSION or state.get("detector") != "level":
            raise StateDamaged(
                f"a snapshot of detector {state.get('detector')!r} version {state.get('v')!r} is not ours"
            )
        try:
            seen, held, hold_left, peak, share, tails, excess, *band = state["scorer"]
            self.seen, self.hold_left, self.tails = int(seen), int(hold_left), int(tails)
            self.held, self.peak, self.share, self.excess = float(held), float(peak), float(share), float(excess)
            self.band.load(band)
        except (KeyError, TypeError, ValueError, IndexError) as error:
            raise StateDamaged(f"a snapshot of detector 'level' is damaged: {error!r}") from error
