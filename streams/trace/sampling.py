"""Tail sampling: which assembled traces leave for a tracing backend, and why.

The first reason that holds counts: ``error``, ``anomalous``, ``slow``, ``base``. The base rate is W3C's consistent
probability sampling (Trace Context level 2, OpenTelemetry "Probability Sampling"): the random 56 bits of the trace id
against a threshold. So all pipelines and restarts choose the same traces, and a lower rate chooses a subset.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from dataclasses import dataclass
from typing import Final, NamedTuple

from streams.domain.trace import TraceRecord

RANDOM_DIGITS: Final = 14
"""The last 14 hex digits of a trace id are its random 56 bits."""
RANDOM_RANGE: Final = 1 << 56
SECOND_NS: Final = 10**9

ERROR: Final = "error"
ANOMALOUS: Final = "anomalous"
SLOW: Final = "slow"
BASE: Final = "base"
PASSED_OVER: Final = ""


class Decision(NamedTuple):
    """Whether a trace is sampled; ``reason`` is :data:`PASSED_OVER` for one that is not."""

    sampled: bool
    reason: str


@dataclass(frozen=True, slots=True)
class Policy:
    """What is worth keeping.

    Attributes:
        base_ratio: share of all traces kept without another reason, 0 to 1.
        slow_seconds: a trace that took at least so long is slow, whatever its operation; 0 = no such limit.
        slow_factor: a trace that took more than so many times what its root operation usually takes is slow; 0 = never.
        learn_traces: traces of an operation that are seen before its baseline says anything.
        max_operations, remember_seconds: bounds of the baselines: beyond the first the operation that was unseen for
            longest is forgotten, and so is one unseen for the second (by the time of traces).
    """

    base_ratio: float = 0.01
    slow_seconds: float = 0.0
    slow_factor: float = 3.0
    learn_traces: int = 50
    max_operations: int = 10_000
    remember_seconds: float = 86_400.0


@dataclass(slots=True)
class _Usual:
    """What an operation usually takes: mean of the logarithm of its durations, the last of 64 weighing 1/64."""

    log_ns: float
    seen: int
    last_ns: int

    def learn(self, log_ns: float, end_ns: int) -> None:
        self.seen += 1
        self.log_ns += (log_ns - self.log_ns) / min(self.seen, 64)
        self.last_ns = max(self.last_ns, end_ns)


class Sampler:
    """Decides on traces in the order in which they leave.

    The baseline is a geometric mean: a few slow traces hardly move it. It is of the root's service and name; a trace
    whose root was not seen has none. It lives in memory only: after a restart it learns again, in silence.
    """

    def __init__(self, policy: Policy) -> None:
        self.policy = policy
        self._threshold = round((1.0 - policy.base_ratio) * RANDOM_RANGE)
        self._usual: OrderedDict[tuple[str, str], _Usual] = OrderedDict()

    @property
    def operations(self) -> int:
        """How many baselines there are."""
        return len(self._usual)

    def decide(self, trace: TraceRecord, *, anomalous: bool) -> Decision:
        """Judges a trace, then learns its duration (of its first record only: a revision is the same trace).

        Args:
            trace: any revision.
            anomalous: something else than errors and time is wrong with it.
        """
        slow = self._slow(trace)
        if not trace.revision:
            self._learn(trace)
        reasons = ((ERROR, trace.error_count > 0), (ANOMALOUS, anomalous), (SLOW, slow), (BASE, self._base(trace)))
        reason = next((name for name, holds in reasons if holds), PASSED_OVER)
        return Decision(reason != PASSED_OVER, reason)

    def _base(self, trace: TraceRecord) -> bool:
        return int(trace.trace_id[-RANDOM_DIGITS:], 16) >= self._threshold

    def _slow(self, trace: TraceRecord) -> bool:
        policy = self.policy
        if 0 < policy.slow_seconds * SECOND_NS <= trace.duration_ns:
            return True
        usual = self._usual.get(_operation(trace))
        if usual is None or usual.seen < policy.learn_traces or not policy.slow_factor:
            return False
        return _log(trace.duration_ns) > usual.log_ns + math.log(policy.slow_factor)

    def _learn(self, trace: TraceRecord) -> None:
        if not trace.root:
            return
        key = _operation(trace)
        usual = self._usual.setdefault(key, _Usual(0.0, 0, trace.end_ns))
        usual.learn(_log(trace.duration_ns), trace.end_ns)
        self._usual.move_to_end(key)
        self._forget(trace.end_ns)

    def _forget(self, now_ns: int) -> None:
        unseen_ns = now_ns - round(self.policy.remember_seconds * SECOND_NS)
        while len(self._usual) > self.policy.max_operations or next(iter(self._usual.values())).last_ns < unseen_ns:
            self._usual.popitem(last=False)


def _operation(trace: TraceRecord) -> tuple[str, str]:
    """Service and name of the root; of no use ("", "") where it was not seen."""
    return next(((span.service, span.name) for span in trace.spans if span.span_id == trace.root), ("", ""))


def _log(duration_ns: int) -> float:
    return math.log(max(duration_ns, 1))
