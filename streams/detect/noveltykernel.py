# mypy: disable-error-code="no-untyped-def,no-untyped-call"
"""The compiled inner loops of novelty memories: the arithmetic of their objects, operation by operation.

The objects (:mod:`streams.detect.novelty`, ``memory``, ``history``) say what it means and read snapshots; this says the
same of records of :data:`streams.detect.record.STATE`. What is worked out to judge a value is kept in a record of
:data:`streams.detect.record.WORK` until it is learned.
"""

from __future__ import annotations

import math

import numpy as np

from streams.detect.history import BIN_MEMORY, BINS, LONG_WINDOWS, SECONDS_PER_BIN, SHORT_WINDOWS
from streams.detect.memory import CAPACITY, FLOOR, RESOLUTION
from streams.detect.novelty import LARGEST, SCALE_WINDOWS, WEIGHTS
from streams.domain.kernel import kernel

# What was seen (memory.py)


@kernel
def _place(s, k, value):
    """How many remembered values are less."""
    low = 0
    left = s.counts[k]
    while left > 1:  # without a branch that depends on values: no processor guesses those
        half = left >> 1
        low += half if s.memories[k, low + half - 1] < value else 0
        left -= half
    return low + 1 if left and s.memories[k, low] < value else low


@kernel
def _span(s, k):
    n = s.counts[k]
    width = np.float64(s.memories[k, n - 1]) - np.float64(s.memories[k, 0]) if n else FLOOR
    return width if width > FLOOR else FLOOR


@kernel
def _distance(s, k, value, place):
    n = s.counts[k]
    if n == 0:
        return 0.0
    if place == 0:
        return np.float64(s.memories[k, 0]) - value
    below = value - np.float64(s.memories[k, place - 1])
    if place == n:
        return below
    above = np.float64(s.memories[k, place]) - value
    return below if below < above else above


@kernel
def _strangeness(s, k, value, root_seen, w):
    """Keeps in ``w`` where the value belongs, -1 where it is no news."""
    place = _place(s, k, value)
    distance = _distance(s, k, value, place)
    span = _span(s, k)
    w.places[k] = -1 if s.counts[k] and distance < RESOLUTION * span else place
    share = distance / span
    return 0.0 if share < RESOLUTION else math.log1p(share * root_seen)


@kernel
def _add(s, k, value, place):
    n = s.counts[k]
    for i in range(n, place, -1):
        s.memories[k, i] = s.memories[k, i - 1]
    s.memories[k, place] = value
    s.counts[k] = n + 1
    if n + 1 > CAPACITY:
        resolution = RESOLUTION
        while s.counts[k] > CAPACITY * 3 // 4:
            _thin(s, k, resolution * _span(s, k))
            resolution *= 2


@kernel
def _thin(s, k, gap):
    n = s.counts[k]
    kept = 1
    for i in range(1, n - 1):
        if np.float64(s.memories[k, i]) - np.float64(s.memories[k, kept - 1]) >= gap:
            s.memories[k, kept] = s.memories[k, i]
            kept += 1
    s.memories[k, kept] = s.memories[k, n - 1]
    s.counts[k] = kept + 1


# Recent means and the time of day (history.py); a mean is (n, mean) as River's stats.Mean has them


@kernel
def _smoothed(s, value):
    return s.short_mean + (value - s.short_mean) / (s.short_n + 1)


@kernel
def _push(s, value):
    at = s.place
    if s.short_n >= SHORT_WINDOWS - 1:
        old = at - SHORT_WINDOWS + 1
        old = np.float64(s.ring[old if old >= 0 else old + s.ring_n])
        s.short_n -= 1.0
        s.short_mean -= (1.0 / s.short_n) * (old - s.short_mean)
    if s.ring_n < LONG_WINDOWS:
        s.ring_n += 1
    else:
        s.long_n -= 1.0
        s.long_mean -= (1.0 / s.long_n) * (np.float64(s.ring[at]) - s.long_mean)
    s.ring[at] = value
    number = np.float64(s.ring[at])
    s.place = (at + 1) % LONG_WINDOWS
    s.long_n += 1.0
    s.long_mean += (1.0 / s.long_n) * (number - s.long_mean)
    s.short_n += 1.0
    s.short_mean += (1.0 / s.short_n) * (number - s.short_mean)
    if s.place == 0 and s.ring_n == LONG_WINDOWS:
        _recompute(s)


@kernel
def _recompute(s):
    s.long_n = s.long_mean = s.short_n = s.short_mean = 0.0
    for i in range(LONG_WINDOWS):
        s.long_n += 1.0
        s.long_mean += (1.0 / s.long_n) * (np.float64(s.ring[i]) - s.long_mean)
    for i in range(LONG_WINDOWS - SHORT_WINDOWS + 1, LONG_WINDOWS):
        s.short_n += 1.0
        s.short_mean += (1.0 / s.short_n) * (np.float64(s.ring[i]) - s.short_mean)


@kernel
def _bin(second):
    return int(second // SECONDS_PER_BIN) % BINS


# How strange a value is (novelty.py)


@kernel
def _scaled(s, y):
    scale = s.scale
    if scale == 0.0:
        scale = abs(y)
    if scale == 0.0:
        scale = 1.0
    value = y / scale
    if value > LARGEST:
        return LARGEST
    return max(value, -LARGEST)


@kernel
def _strange(s, value, second, w):
    level = s.long_mean if s.long_n else value
    at = _bin(second)
    usual = np.float64(s.day_means[at]) if s.day_counts[at] else level
    root_seen = math.sqrt(s.novelty_seen)
    w.features[0] = math.asinh(value)
    w.features[1] = value - level
    w.features[2] = _smoothed(s, value) - usual
    of_value = _strangeness(s, 0, w.features[0], root_seen, w)
    of_level = _strangeness(s, 1, w.features[1], root_seen, w)
    of_season = _strangeness(s, 2, w.features[2], root_seen, w)
    return WEIGHTS[0] * of_value + WEIGHTS[1] * of_level + WEIGHTS[2] * of_season


@kernel
def strangeness_of(s, y, second, w):
    """``NoveltyMemories.score_one``."""
    return _strange(s, _scaled(s, y), second, w) if s.novelty_seen >= SCALE_WINDOWS else 0.0


@kernel
def _remember(s, value, second, w):
    for k in range(3):
        if w.places[k] >= 0:
            _add(s, k, w.features[k], w.places[k])
    at = _bin(second)
    count = min(s.day_counts[at] + 1, BIN_MEMORY)
    s.day_counts[at] = count
    mean = np.float64(s.day_means[at])
    s.day_means[at] = mean + (_smoothed(s, value) - mean) / count
    _push(s, value)


@kernel
def learn_novelty(s, y, second, w):
    """``NoveltyMemories.learn_one``, of a value that was judged last."""
    s.novelty_seen += 1
    if s.novelty_seen <= SCALE_WINDOWS:
        s.first_seconds[s.novelty_seen - 1] = second
        s.first_values[s.novelty_seen - 1] = y
        if s.novelty_seen == SCALE_WINDOWS:
            _settle(s, w)
        return
    if s.scale == 0.0:
        s.scale = abs(y)
    _remember(s, _scaled(s, y), second, w)


@kernel
def _settle(s, w):
    """The scale is the median magnitude, or the largest where that is 0."""
    largest = 0.0
    for i in range(SCALE_WINDOWS):
        magnitude = abs(s.first_values[i])
        largest = max(largest, magnitude)
        less, equal = 0, 0
        for j in range(SCALE_WINDOWS):
            less += abs(s.first_values[j]) < magnitude
            equal += abs(s.first_values[j]) == magnitude
        if less <= SCALE_WINDOWS // 2 < less + equal:
            s.scale = magnitude
    if s.scale == 0.0:
        s.scale = largest
    for i in range(SCALE_WINDOWS):
        value = _scaled(s, s.first_values[i])
        _strange(s, value, s.first_seconds[i], w)
        _remember(s, value, s.first_seconds[i], w)
