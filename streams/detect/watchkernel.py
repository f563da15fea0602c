# mypy: disable-error-code="no-untyped-def,no-untyped-call"
"""The compiled inner loops of the default detector: many series in one call, or one series' values in one call.

What :mod:`streams.detect.watch` and the objects it is made of say of one value, operation by operation: scores and
states are the same bit for bit (``tests/unit/detect/test_bank.py``), so sums are written in the order of the objects.
"""

from __future__ import annotations

import math
from typing import Final

from streams.detect.band import CLIP_RATIO, DEVIATIONS, FORGET, LEAST_RATIO
from streams.detect.drift import CLIP, FLOOR_RATIO, LEAST_ENDED, LEAST_WINDOWS, MOST_FALL, SLACK
from streams.detect.drift import FORGET as FORGET_STEPS
from streams.detect.drift import TAIL as DRIFT_TAIL
from streams.detect.noveltykernel import learn_novelty, strangeness_of
from streams.detect.record import PEAK_PLACES
from streams.detect.runs import LEAST_RUNS, LEAST_SPREAD_WINDOWS, SAME_RATIO
from streams.detect.runs import TAIL as RUNS_TAIL
from streams.detect.tail import DECAY, INTERCEPT, SLOPE, SMALLEST
from streams.detect.watch import FOUND_TAIL, GATE_AFTER_WINDOWS, GATE_WINDOWS
from streams.domain.kernel import kernel

_PEAK_MASK: Final = PEAK_PLACES - 1
_UP: Final = 0
_DOWN: Final = 1


# The highest of the last scores (peak.py); a ring of places and values


@kernel
def _push_peak(s, value):
    while s.peak_n and s.peak_values[(s.peak_head + s.peak_n - 1) & _PEAK_MASK] <= value:
        s.peak_n -= 1
    end = (s.peak_head + s.peak_n) & _PEAK_MASK
    s.peak_values[end] = value
    s.peak_places[end] = s.pushed
    s.peak_n += 1
    s.pushed += 1
    if s.peak_places[s.peak_head] <= s.pushed - 1 - GATE_WINDOWS:
        s.peak_head = (s.peak_head + 1) & _PEAK_MASK
        s.peak_n -= 1


# The band (band.py)


@kernel
def _reach(s):
    return max(DEVIATIONS * math.sqrt(s.band_variance), LEAST_RATIO * abs(s.band_mean))


@kernel
def _in_band(s, value):
    return abs(value - s.band_mean) <= _reach(s)


@kernel
def _learn_band(s, value, clip):
    s.band_seen += 1
    weight = max(1.0 / s.band_seen, FORGET)
    surprise = value - s.band_mean
    if clip:
        limit = max(_reach(s), CLIP_RATIO * abs(surprise))
        surprise = max(-limit, min(limit, surprise))
    step = weight * surprise
    s.band_mean += step
    s.band_variance = (1.0 - weight) * (s.band_variance + surprise * step)


# Runs of the same value (runs.py)


@kernel
def _same(s, value):
    return abs(value - s.run_value) <= SAME_RATIO * abs(s.run_value)


@kernel
def _run_tail(s, length):
    if s.runs_ended < LEAST_RUNS or length <= s.run_longest:
        return 1.0
    spread = max(LEAST_SPREAD_WINDOWS, math.sqrt(s.run_squares / s.runs_ended))
    return math.exp(-(length - s.run_longest) / spread) / (s.runs_ended + 1)


@kernel
def _stands_still(s, value, hold_windows):
    if s.seen - s.found_at < GATE_WINDOWS:
        return 0.0, 0
    length = s.run_length + 1 if _same(s, value) else 1
    tail = _run_tail(s, length)
    if tail > RUNS_TAIL or _run_tail(s, length - 1 - hold_windows) <= RUNS_TAIL:
        return 0.0, 0
    return 1.0 - min(tail, RUNS_TAIL), length


@kernel
def _learn_runs(s, value):
    if _same(s, value):
        s.run_length += 1
        return
    if s.run_length:
        s.runs_ended += 1
        surprise = s.run_length - s.run_mean
        s.run_mean += surprise / s.runs_ended
        s.run_squares += surprise * (s.run_length - s.run_mean)
        s.run_longest = max(s.run_longest, s.run_length)
    s.run_value = value
    s.run_length = 1


# Drift (drift.py)


@kernel
def _usual(s, value):
    return max(math.sqrt(s.step_square), FLOOR_RATIO * abs(value))


@kernel
def _step(s, value):
    usual = _usual(s, value)
    return max(-CLIP, min(CLIP, (value - s.step_value) / usual)) if usual > 0.0 else 0.0


@kernel
def _after(s, side, step):
    total = s.side_totals[side] + step - SLACK
    peak = s.side_peaks[side]
    return total if total > max(0.5 * peak, peak - MOST_FALL) else 0.0


@kernel
def _drift_tail(s, total, windows):
    if total <= s.drift_highest or windows < LEAST_WINDOWS or s.drifts_ended < LEAST_ENDED:
        return 1.0
    scale = max(0.5 / SLACK, 0.25 * s.drift_highest)
    return math.exp((s.drift_highest - total) / scale) / (s.drifts_ended + 1)


@kernel
def _drifts(s, value, hold_windows):
    if s.drifts_ended < LEAST_ENDED:
        return 0.0, 0
    step = _step(s, value)
    if max(s.side_totals[_UP] + step, s.side_totals[_DOWN] - step) <= s.drift_highest + SLACK:
        return 0.0, 0
    for side in range(2):
        tail = _drift_tail(s, _after(s, side, step if side == _UP else -step), s.side_windows[side] + 1)
        if tail <= DRIFT_TAIL and s.side_found[side] <= hold_windows:
            return 1.0 - tail, s.side_windows[side] + 1
    return 0.0, 0


@kernel
def _move(s, side, step):
    total = _after(s, side, step)
    if total > 0.0:
        s.side_windows[side] += 1
        if s.side_found[side] > 0 or _drift_tail(s, total, s.side_windows[side]) <= DRIFT_TAIL:
            s.side_found[side] += 1
        s.side_totals[side] = total
        s.side_peaks[side] = max(s.side_peaks[side], total)
    elif s.side_windows[side]:
        s.drifts_ended += 1
        s.drift_highest = max(s.drift_highest, s.side_peaks[side])
        s.side_totals[side] = s.side_peaks[side] = 0.0
        s.side_windows[side] = s.side_found[side] = 0


@kernel
def _learn_drift(s, value):
    if s.drift_seen:
        step = _step(s, value)
        if step > SLACK or s.side_windows[_UP]:
            _move(s, _UP, step)
        if -step > SLACK or s.side_windows[_DOWN]:
            _move(s, _DOWN, -step)
        change = abs(value - s.step_value)
        if s.drift_seen > LEAST_ENDED:
            change = min(change, CLIP * _usual(s, value))
        s.step_square += max(1.0 / s.drift_seen, FORGET_STEPS) * (change * change - s.step_square)
    s.step_value = value
    s.drift_seen += 1


# The whole (watch.py)


@kernel
def _judge(s, value, second, warmup_windows, w):
    w.strangeness = strangeness_of(s, value, second, w)
    w.judged = 0.0
    if s.seen >= warmup_windows:
        if w.strangeness > (s.peak_values[s.peak_head] if s.peak_n else 0.0):
            w.judged = 1.0 - max(SMALLEST, math.exp(DECAY * (INTERCEPT + SLOPE * w.strangeness)))
        if s.hold_left and s.held > w.judged and not _in_band(s, value):
            w.judged = s.held


@kernel
def _hold(s, value, judged, hold_windows):
    if judged == 0.0 or _in_band(s, value):
        s.held = 0.0
        s.hold_left = 0
    elif judged > s.held or not s.hold_left:
        s.held = judged
        s.hold_left = hold_windows
    else:
        s.hold_left -= 1


@kernel
def _learn(s, value, second, warmup_windows, hold_windows, w):
    warm = s.seen >= warmup_windows
    if w.judged >= 1.0 - FOUND_TAIL:
        s.found_at = s.seen
    if w.judged or s.hold_left:
        _hold(s, value, w.judged, hold_windows)
    if s.seen >= GATE_AFTER_WINDOWS:
        _push_peak(s, w.strangeness)
    learn_novelty(s, value, second, w)
    _learn_band(s, value, warm)
    _learn_runs(s, value)
    _learn_drift(s, value)
    s.seen += 1


@kernel
def _say(s, value, judged, warmup_windows, hold_windows, said):
    still, still_windows, drift, drift_windows = 0.0, 0, 0.0, 0
    warming_up = s.seen < warmup_windows
    if not warming_up:
        still, still_windows = _stands_still(s, value, hold_windows)
        drift, drift_windows = _drifts(s, value, hold_windows)
    reach = _reach(s)
    said.score = max(max(judged, still), drift)
    said.expected = s.band_mean
    said.lower = s.band_mean - reach
    said.upper = s.band_mean + reach
    said.warming_up = warming_up
    said.seen_windows = s.seen
    said.still_windows = still_windows
    said.drift_windows = drift_windows if drift > judged else 0


@kernel
def score_all(state, slot, value, second, warmup_windows, hold_windows, work, said):
    """Judges one value of each of some series; changes none of them.

    Shapes: ``state`` STATE[m]; ``slot`` int64[n], which of them; ``value`` float64[n], all usable; ``second`` of the
    day (UTC); ``work`` WORK[n], written for :func:`learn_all`; ``said`` SAID[n], written.
    """
    for i in range(slot.shape[0]):
        s = state[slot[i]]
        _judge(s, value[i], second, warmup_windows, work[i])
        _say(s, value[i], work[i].judged, warmup_windows, hold_windows, said[i])


@kernel
def learn_all(state, slot, value, second, warmup_windows, hold_windows, work):
    """Learns the values that :func:`score_all` has just judged; each series may be there once."""
    for i in range(slot.shape[0]):
        _learn(state[slot[i]], value[i], second, warmup_windows, hold_windows, work[i])


@kernel
def follow(state, value, second, usable, warmup_windows, hold_windows, work, said):
    """Judges and learns the values of one series in order of time, those that are ``usable``.

    Shapes: ``state`` STATE[1]; ``value``, ``second`` float64[n]; ``usable`` bool[n]; ``work`` WORK[1]; ``said``
    SAID[n], written where usable.
    """
    s = state[0]
    w = work[0]
    for i in range(value.shape[0]):
        if usable[i]:
            _judge(s, value[i], second[i], warmup_windows, w)
            _say(s, value[i], w.judged, warmup_windows, hold_windows, said[i])
            _learn(s, value[i], second[i], warmup_windows, hold_windows, w)
