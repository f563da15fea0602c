"""Do several detectors together judge better than the default one: ``python -m benchmarks.ensemble --json``.

The recordings of ``benchmarks/anomaly.py``; each detector as ``streams detect replay`` runs the default one
(130 silent values, each finding said once). Their tail probabilities are combined as if they were independent (Fisher),
by the harmonic mean (valid under dependence, Wilson 2019) and by the least times their number (Bonferroni). Each is
asked at the threshold that is fixed beforehand and at the one that is best for it on this very corpus.
"""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Callable, Sequence
from typing import Any, Final

import numpy as np

from benchmarks.anomaly import THRESHOLD, best, ours, tally
from benchmarks.labelled.corpus import Recording, recordings
from benchmarks.labelled.kinds import STEP_SECONDS
from streams.detect import registry
from streams.detect.replay import WARMUP_VALUES, settled

Scores = np.ndarray


def fisher(tails: Scores) -> Scores:
    """P(a product of as many independent uniform numbers is at most this)."""
    depth = -np.log(tails).sum(axis=0)
    return np.asarray(np.exp(-depth) * sum(depth**k / math.factorial(k) for k in range(len(tails))))


COMBINED: Final[dict[str, Callable[[Scores], Scores]]] = {
    "Fisher": fisher,
    "harmonic mean": lambda tails: len(tails) / (1 / tails).sum(axis=0),
    "least": lambda tails: np.minimum(1.0, len(tails) * tails.min(axis=0)),
}


def judged(name: str, recording: Recording) -> list[float]:
    """One registered detector on one recording."""
    if name == registry.DEFAULT:
        return ours(recording.values)
    detector, scores = registry.make(name, WARMUP_VALUES, hold_windows=0), []
    for place, value in enumerate(recording.values.tolist()):
        at_ns = place * STEP_SECONDS * 10**9
        scores.append(settled(detector.score(value, at_ns).score, place + 1))
        detector.learn(value, at_ns)
    return scores


def compare(seeds: int, detectors: Sequence[str]) -> dict[str, Any]:
    """Each detector, then what they say together."""
    corpus = list(recordings(seeds))
    alone = {name: [np.array(judged(name, one)) for one in corpus] for name in detectors}
    rows = dict(alone)
    for how, combine in COMBINED.items():
        rows[how] = [1 - combine(np.clip(1 - np.stack(said), 1e-12, 1)) for said in zip(*alone.values(), strict=True)]
    return {name: _row([(one, said.tolist()) for one, said in zip(corpus, rows[name], strict=True)]) for name in rows}


def _row(scored: list[tuple[Recording, list[float]]]) -> dict[str, Any]:
    threshold, result = best(scored)
    fixed = tally(scored, THRESHOLD).figures()
    return {**fixed, "best_threshold": round(threshold, 6), "best_f1": result.figures()["f1"]}


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=2, help="recordings of each kind with each fault")
    parser.add_argument("--detectors", default=f"{registry.DEFAULT},{registry.SMALL}", help="of the registry")
    parser.add_argument("--json", action="store_true", help="the last line is JSON")
    chosen = parser.parse_args()
    report = compare(chosen.seeds, chosen.detectors.split(","))
    print("\n".join(f"{name:<16}{row}" for name, row in report.items()))
    if chosen.json:
        print(json.dumps(report))


if __name__ == "__main__":
    main()
