"""Detection quality on seeded recordings: ``python -m benchmarks.anomaly --json``.

Ten kinds of series, six kinds of faults, one fault in each recording of two weeks. Our detector runs as
``streams detect replay`` runs it, with one threshold fixed beforehand (0.999); each simple detector gets the threshold
that is best for it on this very corpus, which ours does not. A fault is found when a score passes in its values or in
the 20 after it begins (a short one); every other passing is a false alarm.
``--week SERIES`` counts false alarms of the live configuration on that many healthy series over seven days of 10 s
windows instead (60,480 windows each).
"""

from __future__ import annotations

import argparse
import json
import time
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np

from benchmarks.labelled.corpus import Recording, recordings
from benchmarks.labelled.kinds import STEP_SECONDS
from benchmarks.labelled.week import false_alarms
from benchmarks.labelled.yardsticks import YARDSTICKS
from streams.detect.replay import Detection

THRESHOLD: Final = 0.999
LEAST_REACH: Final = 20
"""Values from the start of a short fault in which it may still be found."""


@dataclass
class Tally:
    """What one detector did with one threshold."""

    faults: int = 0
    found: int = 0
    false: int = 0
    points: int = 0
    lags: list[int] = field(default_factory=list)
    by_fault: dict[str, list[int]] = field(default_factory=lambda: defaultdict(list))
    by_kind: dict[str, list[int]] = field(default_factory=lambda: defaultdict(list))

    def count(self, recording: Recording, passed: list[int]) -> None:
        """Take in the places of one recording that passed."""
        end = max(recording.end, recording.start + LEAST_REACH)
        inside = [place for place in passed if recording.start <= place < end]
        self.faults += 1
        self.found += bool(inside)
        self.false += sum(not recording.start <= place < end for place in passed)
        self.points += len(recording.values)
        self.lags += [inside[0] - recording.start] if inside else []
        self.by_fault[recording.fault].append(bool(inside))
        self.by_kind[recording.kind].append(bool(inside))

    def figures(self) -> dict[str, Any]:
        """Precision, recall, F1, lag in windows, false alarms per 10,000 points."""
        precision = self.found / max(1, self.found + self.false)
        recall = self.found / max(1, self.faults)
        return {
            "precision": round(precision, 3),
            "recall": round(recall, 3),
            "f1": round(2 * precision * recall / max(1e-9, precision + recall), 3),
            "lag_p50_windows": int(np.percentile(self.lags, 50)) if self.lags else None,
            "lag_p95_windows": int(np.percentile(self.lags, 95)) if self.lags else None,
            "false_per_10000": round(self.false / max(1, self.points) * 10_000, 2),
        }


def ours(values: np.ndarray) -> list[float]:
    """As ``streams detect replay`` scores a file."""
    return Detection().scores(values.tolist(), [i * STEP_SECONDS * 10**9 for i in range(len(values))])


def tally(scored: Iterable[tuple[Recording, list[float]]], threshold: float) -> Tally:
    """All recordings at one threshold."""
    result = Tally()
    for recording, scores in scored:
        result.count(recording, [place for place, score in enumerate(scores) if score >= threshold])
    return result


def best(scored: list[tuple[Recording, list[float]]]) -> tuple[float, Tally]:
    """The threshold with the highest F1 on the corpus itself."""
    every = np.concatenate([np.asarray(scores) for _, scores in scored])
    candidates = np.unique(np.quantile(every[every > 0], 1 - np.geomspace(1e-5, 0.05, 40)))
    judged = [(float(threshold), tally(scored, float(threshold))) for threshold in candidates]
    return max(judged, key=lambda pair: pair[1].figures()["f1"])


def shares(found: dict[str, list[int]]) -> dict[str, float]:
    """Recall per name."""
    return {name: round(sum(hits) / len(hits), 2) for name, hits in found.items()}


def compare(seeds: int) -> dict[str, Any]:
    """Ours at its fixed threshold, the simple detectors at their best."""
    corpus = list(recordings(seeds))
    begun = time.process_time()
    scored = [(recording, ours(recording.values)) for recording in corpus]
    seconds = time.process_time() - begun
    mine = tally(scored, THRESHOLD)
    rows: dict[str, Any] = {"novelty (default)": {"threshold": THRESHOLD, **mine.figures()}}
    for name, judge in YARDSTICKS.items():
        threshold, result = best([(recording, judge(recording.values)) for recording in corpus])
        rows[name] = {"threshold": round(threshold, 3), **result.figures()}
    points = sum(len(recording.values) for recording in corpus)
    return {
        "recordings": len(corpus),
        "points": points,
        "points_per_cpu_second": round(points / seconds),
        "detectors": rows,
        "recall_by_fault": shares(mine.by_fault),
        "recall_by_kind": shares(mine.by_kind),
    }


def show(report: dict[str, Any]) -> None:
    """A table for people."""
    print(f"{'detector':<38}{'threshold':>10}{'precision':>10}{'recall':>8}{'F1':>7}{'lag p50':>9}{'false/10k':>10}")
    for name, row in report["detectors"].items():
        print(
            f"{name:<38}{row['threshold']:>10}{row['precision']:>10}{row['recall']:>8}{row['f1']:>7}"
            f"{row['lag_p50_windows']!s:>9}{row['false_per_10000']:>10}"
        )
    for title in ("recall_by_fault", "recall_by_kind"):
        print(title.replace("_", " ") + ": " + ", ".join(f"{name} {share}" for name, share in report[title].items()))


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=5, help="recordings of each kind with each fault")
    parser.add_argument("--week", type=int, metavar="SERIES", help="count false alarms of a healthy week instead")
    parser.add_argument("--json", action="store_true", help="the last line is JSON")
    chosen = parser.parse_args()
    report = false_alarms(chosen.week) if chosen.week else compare(chosen.seeds)
    if chosen.json:
        print(json.dumps(report))
    elif chosen.week:
        print("\n".join(f"{name}: {value}" for name, value in report.items()))
    else:
        show(report)


if __name__ == "__main__":
    main()
