"""The default detector as an object and as a record: from one to the other and back, nothing lost.

Snapshots are written and read by the objects alone, so they have one format whatever judged the series.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from operator import attrgetter
from typing import Any, Final, cast

import numpy as np

from streams.detect.history import LONG_WINDOWS, SHORT_WINDOWS
from streams.detect.memory import CAPACITY
from streams.detect.novelty import SCALE_WINDOWS, NoveltyMemories
from streams.detect.record import PEAK_PLACES
from streams.detect.watch import GATE_WINDOWS, Watch
from streams.errors import StateDamaged

_NUMBERS: Final = {
    "seen": "seen",
    "found_at": "found_at",
    "held": "held",
    "hold_left": "hold_left",
    "scale": "scorer.scale",
    "novelty_seen": "scorer.seen",
    "place": "scorer.recent.place",
    "long_n": "scorer.recent.long.n",
    "long_mean": "scorer.recent.long._mean",
    "short_n": "scorer.recent.short.n",
    "short_mean": "scorer.recent.short._mean",
    "pushed": "peak.pushed",
    "band_mean": "band.mean",
    "band_variance": "band.variance",
    "band_seen": "band.seen",
    "run_value": "runs.value",
    "run_length": "runs.length",
    "runs_ended": "runs.ended",
    "run_mean": "runs.mean",
    "run_squares": "runs.squares",
    "run_longest": "runs.longest",
    "step_value": "drift.value",
    "drift_seen": "drift.seen",
    "step_square": "drift.square",
    "drifts_ended": "drift.ended",
    "drift_highest": "drift.highest",
}
"""Field of the record -> where the object has it."""
_SIDES: Final = {"side_totals": "total", "side_peaks": "peak", "side_windows": "windows", "side_found": "found"}


def to_record(watch: Watch, record: np.void) -> None:
    """Fill a blank record.

    Raises:
        StateError: the object holds what no detector can (a forged snapshot): a compiled loop would go astray on it.
    """
    scorer = cast(NoveltyMemories, watch.scorer)
    if not all(_possible(watch, scorer)):
        raise StateDamaged("a snapshot of the detector holds what cannot be")
    try:
        for field, path in _NUMBERS.items():
            record[field] = attrgetter(path)(watch)
        for field, name in _SIDES.items():
            record[field] = [getattr(side, name) for side in (watch.drift.up, watch.drift.down)]
        for field, column in _columns(watch, scorer).items():
            record[field][: len(column)] = column
        for k, memory in enumerate(scorer.memories):
            record["counts"][k] = len(memory.values)
            record["memories"][k, : len(memory.values)] = memory.values
        record["ring_n"], record["peak_n"] = len(scorer.recent.ring), len(watch.peak.values)
    except (ValueError, TypeError, OverflowError) as error:
        raise StateDamaged(f"a snapshot of the detector holds what cannot be: {error!r}") from error


def _columns(watch: Watch, scorer: NoveltyMemories) -> dict[str, Any]:
    return {
        "first_seconds": [second for second, _ in scorer.first],
        "first_values": [value for _, value in scorer.first],
        "peak_values": watch.peak.values,
        "peak_places": watch.peak.places,
        "ring": scorer.recent.ring,
        "day_means": scorer.day.means,
        "day_counts": scorer.day.counts,
    }


def _possible(watch: Watch, scorer: NoveltyMemories) -> Iterator[bool]:
    recent, peak = scorer.recent, watch.peak
    held = len(recent.ring)
    yield scorer.seen >= 0 and len(scorer.first) == (scorer.seen if scorer.seen < SCALE_WINDOWS else 0)
    yield held <= LONG_WINDOWS and 0 <= recent.place < LONG_WINDOWS
    yield held == LONG_WINDOWS or recent.place == held
    yield recent.long.n == held and recent.short.n == min(held, SHORT_WINDOWS - 1)
    yield len(peak.values) == len(peak.places) <= GATE_WINDOWS
    yield all(len(memory.values) <= CAPACITY for memory in scorer.memories)


def to_watch(record: np.void, watch: Watch) -> None:
    """Fill an object that has seen nothing."""
    scorer = cast(NoveltyMemories, watch.scorer)
    for field, path in _NUMBERS.items():
        owner, _, name = path.rpartition(".")
        setattr(attrgetter(owner)(watch) if owner else watch, name, record[field].item())
    for field, name in _SIDES.items():
        for side, value in zip((watch.drift.up, watch.drift.down), record[field].tolist(), strict=True):
            setattr(side, name, value)
    if scorer.seen < SCALE_WINDOWS:
        seconds, values = record["first_seconds"].tolist(), record["first_values"].tolist()
        scorer.first = list(zip(seconds[: scorer.seen], values[: scorer.seen], strict=True))
    queue = (record["peak_head"] + np.arange(record["peak_n"])) % PEAK_PLACES
    watch.peak.values = array("d", record["peak_values"][queue].tobytes())
    watch.peak.places = array("q", record["peak_places"][queue].astype(np.int64).tobytes())
    scorer.recent.ring = array("f", record["ring"][: record["ring_n"]].tobytes())
    scorer.day.means = array("f", record["day_means"].tobytes())
    scorer.day.counts = array("H", record["day_counts"].tobytes())
    for k, memory in enumerate(scorer.memories):
        memory.values = array("f", record["memories"][k, : record["counts"][k]].tobytes())
