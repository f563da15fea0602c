"""A detector from a River scorer: warm-up, gate, calibration, band, and how long a finding holds.

*Gate*: a score passes only if it beats every score of the last 120 windows (worth 2 to 23 points of 100 on every
detector measured). *Hold*: what passed stays a finding while the value stays outside the band, because a memory that
has learned the first strange value finds the second one normal; without this, "3 of 5 windows" could never be true.
*Runs*: a value that stays the same for longer than it ever did is a finding too (:mod:`streams.detect.runs`), unless
something strange was found just before: then it is the same fault. So is one that moves one way for longer than ever
(:mod:`streams.detect.drift`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from streams.detect.band import Band
from streams.detect.drift import Drift
from streams.detect.peak import RecentPeak
from streams.detect.protocol import FORMAT_VERSION, Scorer
from streams.detect.runs import TAIL, Runs
from streams.domain.anomaly import Score
from streams.errors import StateDamaged

GATE_WINDOWS: Final = 120
HOLD_WINDOWS: Final = 60
"""A finding holds at most this many windows (ten minutes of 10 s windows): then it is the new normal."""
LEAST_WARMUP_WINDOWS: Final = 20
GATE_AFTER_WINDOWS: Final = 10
"""Scores of a model that has seen fewer windows say nothing and must not stand in the gate."""
FOUND_TAIL: Final = 1e-3
"""What is at least as rare as this is a finding, after which runs say nothing for as long as the gate looks back."""
LARGEST: Final = 1e100
"""Larger magnitudes are treated like NaN: not judged, not learned."""
_DAY_NS: Final = 86_400_000_000_000


class Watch:
    """One detector of one series (:class:`streams.detect.protocol.Detector`).

    Args:
        name: of the detector, kept in snapshots.
        scorer: a River estimator.
        tail: maps its score to the probability of something at least as strange.
        warmup_windows: windows learned silently; at least :data:`LEAST_WARMUP_WINDOWS`. 750 is where false alarms
            become rare, 30 is enough for a demonstration.
        hold_windows: how long a finding holds; 0: each is said once, when it begins.

    Raises:
        ValueError: warm-up too short.
    """

    __slots__ = (
        *(
            "_last",
            "band",
            "drift",
            "found_at",
            "held",
            "hold_left",
            "hold_windows",
            "name",
            "peak",
            "runs",
            "scorer",
            "seen",
            "tail",
        ),
        "warmup_windows",
    )

    def __init__(
        self,
        name: str,
        scorer: Scorer,
        tail: Callable[[float], float],
        *,
        warmup_windows: int,
        hold_windows: int = HOLD_WINDOWS,
    ) -> None:
        if warmup_windows < LEAST_WARMUP_WINDOWS:
            raise ValueError(f"warmup_windows must be at least {LEAST_WARMUP_WINDOWS}, got {warmup_windows}")
        self.name = name
        self.scorer = scorer
        self.tail = tail
        self.warmup_windows = warmup_windows
        self.hold_windows = hold_windows
        self.seen = 0
        self.found_at = -GATE_WINDOWS
        self.held = 0.0
        self.hold_left = 0
        self.peak = RecentPeak(GATE_WINDOWS)
        self.band = Band()
        self.runs = Runs()
        self.drift = Drift()
        self._last: tuple[float, int, tuple[float, float]] | None = None

    def score(self, value: float, at_ns: int) -> Score:
        """Judge a value before it is learned (see the protocol)."""
        judged = self._judge(value, at_ns)[1] if usable(value) else 0.0
        still = self._stands_still(value)
        drifting, windows = self._drifts(value)
        mean, reach = self.band.mean, self.band.reach
        warming_up = self.seen < self.warmup_windows
        band = (mean, mean - reach, mean + reach)
        told = windows if drifting > judged else 0
        return Score(max(judged, still[0], drifting), *band, warming_up, self.seen, still[1], told)

    def learn(self, value: float, at_ns: int) -> None:
        """Take a value into account (see the protocol)."""
        if not usable(value):
            return
        strangeness, judged = self._judge(value, at_ns)
        warm = self.seen >= self.warmup_windows
        if judged >= 1.0 - FOUND_TAIL:
            self.found_at = self.seen
        if judged or self.hold_left:
            self._hold(value, judged)
        if self.seen >= GATE_AFTER_WINDOWS:
            self.peak.push(strangeness)
        self.scorer.learn_one(_context(at_ns), value)
        self.band.learn(value, clip=warm)
        self.runs.learn(value)
        self.drift.learn(value)
        self.seen += 1
        self._last = None

    def _judge(self, value: float, at_ns: int) -> tuple[float, float]:
        """(strangeness, score); kept between ``score`` and ``learn`` of the same value."""
        last = self._last
        if last is not None and last[0] == value and last[1] == at_ns:
            return last[2]
        strangeness = self.scorer.score_one(_context(at_ns), value)
        judged = 0.0
        if self.seen >= self.warmup_windows:
            if strangeness > self.peak.maximum:
                judged = 1.0 - self.tail(strangeness)
            if self.hold_left and self.held > judged and not self.band.contains(value):
                judged = self.held
        self._last = (value, at_ns, (strangeness, judged))
        return strangeness, judged

    def _stands_still(self, value: float) -> tuple[float, int]:
        """(score, windows) of a run that lasts too long: from its first such window on, as long as a finding holds."""
        if not usable(value) or self.seen < self.warmup_windows or self.seen - self.found_at < GATE_WINDOWS:
            return 0.0, 0
        length = self.runs.length_with(value)
        tail = self.runs.tail(length)
        if tail > TAIL or self.runs.tail(length - 1 - self.hold_windows) <= TAIL:
            return 0.0, 0
        return 1.0 - min(tail, TAIL), length

    def _drifts(self, value: float) -> tuple[float, int]:
        """(score, windows) of a drift that goes further than any before."""
        if not usable(value) or self.seen < self.warmup_windows:
            return 0.0, 0
        tail, windows = self.drift.judge(value, self.hold_windows)
        return (1.0 - tail, windows) if windows else (0.0, 0)

    def _hold(self, value: float, judged: float) -> None:
        if self.band.contains(value) or judged == 0.0:
            self.held, self.hold_left = 0.0, 0
        elif judged > self.held or not self.hold_left:
            self.held, self.hold_left = judged, self.hold_windows
        else:
            self.hold_left -= 1

    def snapshot(self) -> dict[str, Any]:
        """State as JSON-able data."""
        return {
            "v": FORMAT_VERSION,
            "detector": self.name,
            "seen": self.seen,
            "found_at": self.found_at,
            "held": self.held,
            "hold_left": self.hold_left,
            "peak": self.peak.dump(),
            "band": self.band.dump(),
            "runs": self.runs.dump(),
            "drift": self.drift.dump(),
            "scorer": self.scorer.dump(),
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Continue where a snapshot was taken (see the protocol)."""
        if state.get("v") != FORMAT_VERSION or state.get("detector") != self.name:
            raise StateDamaged(
                f"a snapshot of detector {state.get('detector')!r} version {state.get('v')!r} is not one of "
                f"{self.name!r} version {FORMAT_VERSION}"
            )
        try:
            self._load(state)
        except (KeyError, TypeError, ValueError, IndexError) as error:
            raise StateDamaged(f"a snapshot of detector {self.name!r} is damaged: {error!r}") from error

    def _load(self, state: Mapping[str, Any]) -> None:
        self.scorer.load(state["scorer"])
        self.peak.load(state["peak"])
        self.band.load(state["band"])
        self.runs.load(state.get("runs") or Runs().dump())  # snapshots from before runs were counted have none
        self.drift.load(state.get("drift") or Drift().dump())  # nor those from before drift was
        self.found_at = int(state.get("found_at", -GATE_WINDOWS))
        self.seen, self.held, self.hold_left = int(state["seen"]), float(state["held"]), int(state["hold_left"])
        self._last = None


def usable(value: float) -> bool:
    """False for NaN, infinities and what no series means (see :data:`LARGEST`)."""
    return abs(value) < LARGEST


def second_of_day(at_ns: int) -> float:
    """[0, 86400), UTC."""
    return (at_ns % _DAY_NS) / 1e9


def _context(at_ns: int) -> dict[str, float]:
    return {"second_of_day": second_of_day(at_ns)}
