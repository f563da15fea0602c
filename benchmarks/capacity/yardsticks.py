"""Simpler forecasters of the time to a limit, each on one series, every two hours, without a look ahead."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from typing import Final

import numpy as np
from river import time_series

from benchmarks.capacity.series import LIMIT, STEP_SECONDS, Amount
from streams.domain.capacity import Outlook

EVERY_STEPS: Final = 24
Judge = Callable[[Amount], Iterable[Outlook | None]]


def straight(hours: float) -> Judge:
    """Prometheus' ``predict_linear``: least squares through the last hours, with the interval of its slope."""

    def forecast(amount: Amount) -> Iterator[Outlook | None]:
        wanted = int(hours * 3_600 / STEP_SECONDS)
        for place in range(EVERY_STEPS - 1, len(amount.values), EVERY_STEPS):
            y = amount.values[max(0, place + 1 - wanted) : place + 1]
            x = np.arange(len(y)) - len(y) + 1.0
            slope, level = np.polyfit(x, y, 1)
            rest = y - slope * x - level
            error = float(np.sqrt(rest @ rest / (len(y) - 2) / np.sum((x - x.mean()) ** 2)))
            yield Outlook(*(_reached(level, slope + z * error) for z in (1.645, 0.0, -1.645)))

    return forecast


def holt_winters(alpha: float, beta: float) -> Judge:
    """River's HoltWinters with a trend. It has no interval: the bounds are the forecast."""

    def forecast(amount: Amount) -> Iterator[Outlook | None]:
        model = time_series.HoltWinters(alpha=alpha, beta=beta)
        for place, value in enumerate(amount.values.tolist()):
            model.learn_one(value)
            if place % EVERY_STEPS == EVERY_STEPS - 1:
                level, next_level = model.forecast(2)
                yield Outlook(*(3 * [_reached(2 * level - next_level, next_level - level)]))

    return forecast


def _reached(level: float, slope: float) -> float:
    if level >= LIMIT:
        return 0.0
    seconds = (LIMIT - level) / slope * STEP_SECONDS if slope > 0 else math.inf
    return seconds if seconds <= 7 * 86_400 else math.inf


YARDSTICKS: Final[dict[str, Judge]] = {
    "straight line, 1 h": straight(1),
    "straight line, 6 h": straight(6),
    "straight line, 24 h": straight(24),
    "River HoltWinters 0.1, 0.01": holt_winters(0.1, 0.01),
    "River HoltWinters 0.02, 0.002": holt_winters(0.02, 0.002),
}
