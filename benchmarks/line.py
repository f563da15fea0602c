"""The metrics path in one process, without a broker: simulated records in, anomalies and alert transitions out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from types import SimpleNamespace
from typing import Final

from agents_emitter.events import METRICS_TOPIC
from agents_emitter.simulator import Emission
from streams.correlate.operator import CorrelateOperator
from streams.correlate.rule import Rule
from streams.decode.run import HeadCache, decode_run
from streams.detect.operator import DetectOperator
from streams.domain.alert import AlertTransition
from streams.domain.anomaly import Anomaly
from streams.window.operator import SECOND_NS, WindowOperator, WindowSpec

RUN_NS: Final = 5 * SECOND_NS


class Line:
    """Events -> decode -> window -> detect -> correlate, as the workers do it.

    Attributes:
        found: all anomalies so far; made: all transitions.
    """

    def __init__(self, rules: Sequence[Rule], *, warmup_windows: int) -> None:
        self.window = WindowOperator(METRICS_TOPIC, 0, WindowSpec())
        self.detect = DetectOperator(warmup_windows=warmup_windows)
        self.correlate = CorrelateOperator(rules)
        self.found: list[Anomaly] = []
        self.made: list[AlertTransition] = []
        self._heads = HeadCache()
        self._offset = 0

    def play(self, emissions: Iterable[Emission]) -> None:
        """All metric records of these, in runs of :data:`RUN_NS`."""
        for run in _runs(emission for emission in emissions if emission.topic == METRICS_TOPIC):
            self._feed(run)

    def _feed(self, emissions: Sequence[Emission]) -> None:
        records = [
            SimpleNamespace(value=e.value, key=e.key, offset=self._offset + n, timestamp=e.time_ns // 1_000_000)
            for n, e in enumerate(emissions)
        ]
        self._offset += len(records)
        columns = decode_run(records, self.window.table, self._heads, hint=METRICS_TOPIC)
        for batch in self.window.apply(columns).closed:
            anomalies = self.detect.apply(batch).anomalies
            self.found += anomalies
            self.made += self.correlate.apply(batch, anomalies)
            self.made += self.correlate.advance(min(batch.end_ns, self.window.closed_ns))


def _runs(emissions: Iterator[Emission]) -> Iterator[list[Emission]]:
    waiting: list[Emission] = []
    for emission in emissions:
        waiting.append(emission)
        if emission.time_ns - waiting[0].time_ns >= RUN_NS:
            yield waiting
            waiting = []
    if waiting:
        yield waiting
