"""Backtest of the forecast of capacity: ``python -m benchmarks.forecast --json``.

Ten kinds of seeded series (two weeks, steps of five minutes, five of them reach their limit). Every two hours of each,
without a look ahead, each forecaster says when the limit is reached. Judged where the limit is really reached within
24 hours: the error as a share of the true time (a forecast beyond a week counts as 1), how often the truth lies in the
interval, how often nothing was said; and where it is not reached within 72 hours: how often it was announced within 24.

Then the alert CapacityExhaustion with its shipped limits: how many series that reach theirs were announced in the 48
hours before, how long before, and how often per week it was said where nothing was near.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np

from benchmarks.capacity.series import LIMIT, STEP_SECONDS, Amount, amounts
from benchmarks.capacity.yardsticks import YARDSTICKS, Judge
from streams.correlate.rules import load_thresholds
from streams.detect.forecast import Forecaster
from streams.domain.capacity import Outlook

EVERY_STEPS: Final = 24
SOON_SECONDS: Final = 86_400.0
SAFE_SECONDS: Final = 3 * 86_400.0
THRESHOLDS: Final = Path(__file__).parents[1] / "monitoring" / "thresholds.yml"
LEAD: Final = load_thresholds(THRESHOLDS.read_text()).baselines["capacity_lead"]
ALERTS: Final[dict[str, Callable[[Outlook], bool]]] = {
    "high": lambda outlook: outlook.expected < LEAD.critical,
    "warning": lambda outlook: outlook.expected < LEAD.warning and outlook.latest < math.inf,
}
NEVER: Final = Outlook(math.inf, math.inf, math.inf)


class Said(NamedTuple):
    """One forecast and the truth, seconds."""

    kind: str
    outlook: Outlook
    truth: float


def ours(amount: Amount) -> Iterator[Outlook | None]:
    """As the pipeline forecasts."""
    forecaster = Forecaster(STEP_SECONDS * 10**9)
    for place, value in enumerate(amount.values.tolist()):
        forecaster.learn(value, place * STEP_SECONDS * 10**9)
        if place % EVERY_STEPS == EVERY_STEPS - 1:
            yield forecaster.outlook(LIMIT)


def truths(amount: Amount) -> list[float | None]:
    """Seconds to the crossing at each forecast; None where the series ends too early to know."""
    last = len(amount.values) - 1
    places = range(EVERY_STEPS - 1, len(amount.values), EVERY_STEPS)
    left = [(last - place) * float(STEP_SECONDS) for place in places]
    return [seconds if amount.crossed else (math.inf if seconds >= SAFE_SECONDS else None) for seconds in left]


def judge(name: str, forecast: Judge, corpus: list[Amount]) -> dict[str, Any]:
    """The figures of one forecaster."""
    begun = time.process_time()
    said = [
        Said(amount.kind, outlook or NEVER, truth)
        for amount in corpus
        for outlook, truth in zip(forecast(amount), truths(amount), strict=True)
        if truth is not None and truth > 0
    ]
    seconds = time.process_time() - begun
    return {"forecaster": name, **figures(said), "by_kind": by_kind(said), "cpu_us": round(seconds / len(said) * 1e6)}


def figures(said: list[Said]) -> dict[str, Any]:
    """See the module."""
    soon = [one for one in said if one.truth <= SOON_SECONDS]
    safe = [one for one in said if one.truth > SAFE_SECONDS]
    errors = [min(1.0, abs(one.outlook.expected - one.truth) / one.truth) for one in soon]
    inside = [one.outlook.earliest <= one.truth <= one.outlook.latest for one in soon]
    return {
        "soon": len(soon),
        "safe": len(safe),
        "error_p50": round(float(np.median(errors)), 3) if soon else None,
        "error_mean": round(float(np.mean(errors)), 3) if soon else None,
        "inside_ratio": round(float(np.mean(inside)), 3) if soon else None,
        "unsaid_ratio": round(float(np.mean([math.isinf(one.outlook.expected) for one in soon])), 3) if soon else None,
        "false_ratio": round(_announced(safe, "expected"), 4) if safe else None,
        "false_sure_ratio": round(_announced(safe, "latest"), 4) if safe else None,
        "sure_ratio": round(_announced(soon, "latest"), 3) if soon else None,
    }


def _announced(said: list[Said], bound: str) -> float:
    return float(np.mean([getattr(one.outlook, bound) <= SOON_SECONDS for one in said]))


def by_kind(said: list[Said]) -> dict[str, dict[str, Any]]:
    """The same per kind of series: error where it is reached, false announcements where it is not."""
    kinds: dict[str, list[Said]] = defaultdict(list)
    for one in said:
        kinds[one.kind].append(one)
    wanted = ("error_p50", "inside_ratio", "false_ratio", "false_sure_ratio")
    return {kind: {name: figures(some)[name] for name in wanted} for kind, some in kinds.items()}


def alerts(corpus: list[Amount]) -> dict[str, dict[str, float]]:
    """What each severity of the alert would have said; see the module."""
    told = [(amount, [outlook or NEVER for outlook in ours(amount)], truths(amount)) for amount in corpus]
    found = {}
    for severity, holds in ALERTS.items():
        leads, said_falsely, safe = [], 0, 0
        for amount, outlooks, truth in told:
            fires = [holds(outlook) for outlook in outlooks]
            near = [left is not None and 0 < left <= 2 * SOON_SECONDS for left in truth]
            if amount.crossed:
                leads.append(max((t or 0 for f, n, t in zip(fires, near, truth, strict=True) if f and n), default=0.0))
            far = [left is None or left > SAFE_SECONDS for left in truth]
            begins = [now and not before for now, before in zip(fires, [False, *fires], strict=False)]
            said_falsely += sum(begun and out for begun, out in zip(begins, far, strict=True))
            safe += sum(far)
        weeks = safe * EVERY_STEPS * STEP_SECONDS / (7 * 86_400)
        found[severity] = {
            "announced_ratio": round(float(np.mean(np.array(leads) > 0)), 3),
            "lead_p50_hours": round(float(np.median([lead for lead in leads if lead])) / 3_600, 1),
            "false_per_week": round(said_falsely / weeks, 3),
        }
    return found


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=20, help="series of each kind")
    parser.add_argument("--json", action="store_true", help="the last line is JSON")
    chosen = parser.parse_args()
    corpus = list(amounts(range(chosen.seeds)))
    rows = [judge(name, forecast, corpus) for name, forecast in (("ours", ours), *YARDSTICKS.items())]
    announced = alerts(corpus)
    if chosen.json:
        print(json.dumps({"series": len(corpus), "forecasters": rows, "alerts": announced}))
        return
    for row in rows:
        print(", ".join(f"{name} {value}" for name, value in row.items() if name != "by_kind"))
    for kind, found in rows[0]["by_kind"].items():
        print(f"{kind:<15}" + ", ".join(f"{name} {value}" for name, value in found.items()))
    for severity, told in announced.items():
        print(f"{severity:<15}" + ", ".join(f"{name} {value}" for name, value in told.items()))


if __name__ == "__main__":
    main()
