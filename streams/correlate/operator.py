"""Windows and anomalies in, alert transitions out: a fold in event time.

Windows are upserts: one whose start is not newer than the last applied from its source (topic, partition, chunk) is
ignored and counted, so a replay makes no transition. Absence and the ends of ``for`` and keep-firing need time to
move on where nothing arrives: :meth:`CorrelateOperator.advance`.

Groups are evaluated when a window that feeds them arrives. A group fed by one source (every rule that groups by
``agent.id``: the topic's key) gives the same transitions whatever the order between sources. Absence is judged by what
is known when time moves on: an agent that a source that is ahead has seen again is not called silent any more.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from streams.correlate.absence import Absence
from streams.correlate.book import MAX_OPEN, AlertBook, Key
from streams.correlate.confirmation import Confirmation
from streams.correlate.lifecycle import Reading
from streams.correlate.limits import Limits
from streams.correlate.novelty import Novelty
from streams.correlate.rule import Rule, Thresholds
from streams.correlate.rules import load_thresholds
from streams.correlate.state import Restored, decode, encode
from streams.domain.alert import AlertTransition
from streams.domain.anomaly import Anomaly
from streams.domain.window import WindowBatch
from streams.errors import ConfigurationError, StateDamaged

MAX_SOURCES = 10_000


class CorrelateOperator:
    """All rules over the windows of any number of source partitions.

    Args:
        rules: from ``streams.correlate.rules.load_rules``; names are unique.
        window_seconds: the base size; batches of other sizes are roll-ups of these and are not read.
        max_groups: bound of groups of threshold rules, of strange series, and of memories of novelty rules.
        max_agents: bound of agents whose absence is watched.
        max_open: bound of pending and firing alerts.

    Attributes:
        counts: fates of batches, ``applied``, ``stale`` (a replay), ``other_size``, and ``restarts`` (snapshots not
            used).

    Raises:
        ConfigurationError: a rule's window is not a multiple of the base size.
    """

    def __init__(
        self,
        rules: Sequence[Rule],
        *,
        window_seconds: float = 10.0,
        max_groups: int = 20_000,
        max_agents: int = 10_000,
        max_open: int = MAX_OPEN,
    ) -> None:
        self._window_ns = round(window_seconds * 1e9)
        for rule in rules:
            if rule.kind == "threshold" and round(rule.window_seconds * 1e9) % self._window_ns:
                raise ConfigurationError(
                    f"rule {rule.name}: window_seconds is {rule.window_seconds:g}; "
                    f"write a multiple of {window_seconds:g}"
                )
        self.rules = tuple(rules)
        self.counts: Counter[str] = Counter()
        self._bounds = (max_groups, max_agents, max_open)
        self._clear()

    def _clear(self) -> None:
        max_groups, max_agents, max_open = self._bounds
        self.watermark_ns = 0
        self._book = AlertBook(max_open)
        self._limits = Limits(self.rules, max_groups, self._window_ns)
        self._absence = Absence(self.rules, max_agents, self._window_ns)
        self._confirmation = Confirmation(self.rules, max_groups)
        self._novelty = Novelty(self.rules, max_groups, self._window_ns)
        self._clocks: dict[tuple[str, int, int], int] = {}

    @property
    def fates(self) -> dict[str, int]:
        """Everything counted: ``counts``, late panes, refused groups and alerts, evicted agents and memories, stale
        anomalies.
        """
        return {
            **self.counts,
            "late_rows": self._limits.late_total,
            "refused_groups": self._limits.refused_total,
            "refused_alerts": self._book.refused_total,
            "evicted_agents": self._absence.evicted_total,
            "evicted_memories": self._novelty.evicted_total,
            "stale_anomalies": self._confirmation.stale_total,
        }

    def apply(self, batch: WindowBatch, anomalies: Sequence[Anomaly] = ()) -> list[AlertTransition]:
        """One closed window of one source partition, with the anomalies found in it.

        A batch should hold the whole window (``streams.domain.window.WindowAssembler``): a group whose series are
        spread over chunks is otherwise read once per chunk. Open alerts of the source move on to the batch's start
        first, so that a window without data is seen as such.

        Returns:
            Transitions in order of rule and labels, anomalies last.
        """
        if batch.end_ns - batch.start_ns != self._window_ns:
            self.counts["other_size"] += 1
            return []
        clock = (batch.topic, batch.partition, batch.chunk)
        if batch.start_ns <= self._clocks.get(clock, -1):
            self.counts["stale"] += 1
            return []
        self.counts["applied"] += 1
        self._tick(clock, batch.start_ns)
        made = list(self._book.end_orphans(batch.end_ns))
        source = (batch.topic, batch.partition)
        made += self._step(self._limits.due(self._open(), source, batch.start_ns, self._book.is_open))
        made += self._step(self._limits.apply(batch, self._book.is_open))
        made += self._step(self._absence.apply(batch, self.watermark_ns, self._book.is_open))
        made += self._step(self._novelty.apply(batch))
        made += self.observe(anomalies)
        return made

    def observe(self, anomalies: Sequence[Anomaly]) -> list[AlertTransition]:
        """Anomalies that come without their window. Each (series, window) counts once."""
        return self._step(self._confirmation.apply(anomalies))

    def advance(self, watermark_ns: int) -> list[AlertTransition]:
        """Event time has reached ``watermark_ns``: the smallest end of closed windows over all sources this operator
        reads (a later one would make agents of a source that lags look silent). Earlier or equal ones do nothing.
        """
        watermark_ns -= watermark_ns % self._window_ns
        if watermark_ns <= self.watermark_ns:
            return []
        since_ns, self.watermark_ns = self.watermark_ns, watermark_ns
        made = list(self._book.end_orphans(watermark_ns))
        made += self._step(self._limits.due(self._open(), None, watermark_ns, self._book.is_open))
        made += self._step(self._confirmation.due(self._open(), watermark_ns, self._book.is_open))
        made += self._step(self._novelty.due(self._open(), watermark_ns, self._book.is_open))
        made += self._step(self._absence.due(since_ns, watermark_ns, self._book.is_open, self._open()))
        self._limits.forget(watermark_ns, self._book.is_open)
        self._confirmation.forget(watermark_ns, self._book.is_open)
        return made

    def active(self) -> list[AlertTransition]:
        """The last transition of every pending and firing alert, sorted by fingerprint: what to send again."""
        return self._book.active()

    def _open(self) -> list[Key]:
        return sorted(self._book.alerts)

    def _step(self, readings: Iterable[tuple[Rule, Key, Reading]]) -> list[AlertTransition]:
        stepped = (self._book.step(rule, key, reading) for rule, key, reading in readings)
        return [transition for transition in stepped if transition is not None]

    def _tick(self, clock: tuple[str, int, int], start_ns: int) -> None:
        self._clocks.pop(clock, None)
        self._clocks[clock] = start_ns
        if len(self._clocks) > MAX_SOURCES:
            del self._clocks[next(iter(self._clocks))]

    def snapshot(self) -> bytes:
        """Everything that decides later transitions, as JSON (UTF-8)."""
        return encode(
            {
                "rules": {rule.name: rule.hash for rule in self.rules},
                "watermark_ns": self.watermark_ns,
                "clocks": [[*clock, start_ns] for clock, start_ns in self._clocks.items()],
                "limits": self._limits.dump(),
                "absence": self._absence.dump(),
                "confirmation": self._confirmation.dump(),
                "novelty": self._novelty.dump(),
            },
            self._book,
        )

    def restore(self, data: bytes) -> Restored:
        """Replace the state by a snapshot's.

        State of rules that changed or went away is not used: their open alerts are resolved by the next call of
        ``apply`` or ``advance``. A snapshot of another format, or a damaged one, is not used at all and counted.

        Raises:
            StateVersionError: written by a newer version of this code.
        """
        self._clear()
        try:
            self._load(data)
        except StateDamaged as error:
            self._clear()
            self.counts["restarts"] += 1
            return Restored(0, 0, str(error))
        return Restored(len(self._book.alerts), len(self._book.orphans), "")

    def _load(self, data: bytes) -> None:
        same = {rule.name: rule.hash for rule in self.rules}
        with decode(data, {rule.name: rule for rule in self.rules}, self._book) as body:
            usable = {name for name, hash_ in body["rules"].items() if same.get(name) == hash_}
            self.watermark_ns = int(body["watermark_ns"])
            self._clocks = {(topic, part, chunk): start for topic, part, chunk, start in body["clocks"]}
            self._limits.load(body["limits"], usable.__contains__)
            self._absence.load(body["absence"], usable.__contains__)
            self._confirmation.load(body["confirmation"], usable.__contains__)
            if "novelty" in body:  # snapshots from before there were such rules have none
                self._novelty.load(body["novelty"], usable.__contains__)


def usable_thresholds(text: str, window_seconds: float) -> Thresholds:
    """All that a rules file says, where an operator of this base size takes its rules.

    Raises:
        ConfigurationError: the file is wrong (``load_rules``), or a rule's window is not a multiple of the base size.
    """
    thresholds = load_thresholds(text)
    CorrelateOperator(thresholds.rules, window_seconds=window_seconds)
    return thresholds


def usable_rules(text: str, window_seconds: float) -> tuple[Rule, ...]:
    """The rules alone, see :func:`usable_thresholds`."""
    return usable_thresholds(text, window_seconds).rules
