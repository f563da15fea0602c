"""Holds what came out against what had to: pure, so that planted losses and doubles show that it sees them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from benchmarks.nemesis.truth import Episode, Pane, Tally

MAX_EXAMPLES = 5


@dataclass
class Verdict:
    """What one check found. Bounded: the first few faults are kept as text.

    Attributes:
        name: of the check. checked: how many things were compared.
        lost, doubled: events (of alerts: transitions) missing, and counted too often.
    """

    name: str
    checked: int = 0
    lost: int = 0
    doubled: int = 0
    examples: list[str] = field(default_factory=list)

    def add(self, lost: int, doubled: int, text: str) -> None:
        """Counts a fault."""
        self.lost += lost
        self.doubled += doubled
        if (lost or doubled) and len(self.examples) < MAX_EXAMPLES:
            self.examples.append(text)

    def compare(self, what: object, expected: float, found: float) -> None:
        """Counts a difference of two totals."""
        self.checked += 1
        missing = round(expected - found)
        self.add(max(0, missing), max(0, -missing), f"{what}: expected {expected:g}, found {found:g}")


def check_source(
    sent: Mapping[tuple[str, int], int], log: Mapping[tuple[str, int], int], name: str = "source"
) -> Verdict:
    """Every batch the broker acknowledged lies in the log as often as it was acknowledged.

    Args:
        sent: (producer, number) to acknowledged sends.
        log: the same to records in the log.
        name: of the check.
    """
    verdict = Verdict(name, len(sent))
    for batch in sent.keys() | log.keys():
        missing = sent.get(batch, 0) - log.get(batch, 0)
        verdict.add(
            max(0, missing), max(0, -missing), f"{batch}: sent {sent.get(batch, 0)}, in the log {log.get(batch, 0)}"
        )
    return verdict


def check_contents(records: Iterable[tuple[bytes, bytes]]) -> tuple[Verdict, dict[bytes, bytes]]:
    """Windows are upserts: a key may be written again with the same content, and with no other.

    Returns:
        The verdict and the content of each key; ``checked`` less the number of keys is what was published again.
    """
    verdict, found = Verdict("contents"), dict[bytes, bytes]()
    for key, value in records:
        verdict.checked += 1
        if found.setdefault(key, value) != value:
            verdict.add(0, 1, f"two contents of {key.decode()}")
    return verdict, found


def check_windows(name: str, expected: Mapping[Pane, Tally], found: Mapping[Pane, Tally]) -> Verdict:
    """Each window has exactly its events: count, sum, minimum and maximum.

    Values of a lane are 1, 2, 3 ...: the same count with another sum means that one was lost and another doubled.
    """
    verdict = Verdict(name)
    nothing = Tally(0, 0.0, 0.0, 0.0)
    for pane in expected.keys() | found.keys():
        verdict.checked += 1
        wanted, seen = expected.get(pane, nothing), found.get(pane, nothing)
        missing = wanted.count - seen.count
        exchanged = int(missing == 0 and wanted != seen)
        verdict.add(
            max(0, missing) + exchanged, max(0, -missing) + exchanged, f"{pane}: expected {wanted}, found {seen}"
        )
    return verdict


def check_totals(
    expected: Mapping[int, Mapping[str, int]], found: Mapping[int, Mapping[str, float]], name: str = "totals"
) -> Verdict:
    """``streams_events_total`` of each partition: the events of each fate, and no other fate."""
    verdict = Verdict(name)
    for partition in expected.keys() | found.keys():
        wanted, seen = expected.get(partition, {}), found.get(partition, {})
        for fate in wanted.keys() | seen.keys():
            verdict.compare(f"partition {partition}, {fate}", wanted.get(fate, 0), seen.get(fate, 0.0))
    return verdict


def check_exported(name: str, expected: Mapping[str, float], found: Mapping[str, float]) -> Verdict:
    """Totals that Prometheus scrapes of the agents' own metrics, by lane."""
    verdict = Verdict(name)
    for lane in expected.keys() | found.keys():
        verdict.compare(lane, expected.get(lane, 0.0), found.get(lane, 0.0))
    return verdict


class Transition(NamedTuple):
    """One record of ``agents.alerts``; ``content`` is the whole record."""

    fingerprint: str
    seq: int
    lane: str
    state: str
    starts_at_ns: int
    content: bytes


def check_alerts(expected: Mapping[Episode, bool], records: Iterable[Transition]) -> Verdict:
    """Every transition exactly once per (fingerprint, start, state), as an effect.

    A record may be written again with the same (fingerprint, seq) and content. Every episode that fired is there as
    pending, firing and resolved, one that did not as pending and resolved, and nothing else is there.
    """
    verdict, once = Verdict("alerts"), dict[tuple[str, int], Transition]()
    for record in records:
        verdict.checked += 1
        if once.setdefault((record.fingerprint, record.seq), record).content != record.content:
            verdict.add(0, 1, f"two contents of transition {record.seq} of {record.lane}")
    states = {True: ("pending", "firing", "resolved"), False: ("pending", "resolved")}
    wanted = Counter((e.lane, e.start_ns, state) for e, fired in expected.items() for state in states[fired])
    seen = Counter((t.lane, t.starts_at_ns, t.state) for t in once.values())
    for what in wanted.keys() | seen.keys():
        missing = wanted[what] - seen[what]
        verdict.add(max(0, missing), max(0, -missing), f"{what}: expected {wanted[what]}, found {seen[what]}")
    return verdict


def check_notifications(received: Iterable[tuple[str, str, str]]) -> Verdict:
    """What Alertmanager told its receiver: no episode fires again after its end, and none is left open.

    It keeps one state per alert: an episode that ended while the alerts role was away may be over, or be replaced by
    the next one, before Alertmanager hears of it. So only the newest episode of each alert must have been resolved.

    Args:
        received: (fingerprint, start, status) in the order of arrival.
    """
    verdict, last, newest = Verdict("notifications"), dict[tuple[str, str], str](), dict[str, str]()
    for fingerprint, start, status in received:
        verdict.checked += 1
        if last.get((fingerprint, start)) == "resolved" and status == "firing":
            verdict.add(0, 1, f"{fingerprint} of {start} fires again after its end")
        last[fingerprint, start] = status
        newest[fingerprint] = max(start, newest.get(fingerprint, start))
    for fingerprint, start in newest.items():
        verdict.add(int(last[fingerprint, start] != "resolved"), 0, f"{fingerprint} of {start} was never resolved")
    return verdict


def check_traces(expected: Mapping[str, set[str]], records: Iterable[tuple[str, int, bytes, list[str]]]) -> Verdict:
    """Each trace's newest record has exactly its spans, and a revision has one content.

    Args:
        expected: ids of each trace's spans.
        records: (trace id, revision, content, ids of its spans) as published.
    """
    verdict, once = Verdict("traces"), dict[tuple[str, int], bytes]()
    newest: dict[str, tuple[int, list[str]]] = {}
    for trace, revision, content, spans in records:
        verdict.checked += 1
        if once.setdefault((trace, revision), content) != content:
            verdict.add(0, 1, f"two contents of revision {revision} of trace {trace}")
        newest[trace] = max(newest.get(trace, (revision, spans)), (revision, spans))
    for trace in expected.keys() | newest.keys():
        wanted, seen = expected.get(trace, set()), newest.get(trace, (0, []))[1]
        missing, extra = len(wanted - set(seen)), len(seen) - len(wanted & set(seen))
        verdict.add(missing, extra, f"trace {trace}: expected {sorted(wanted)}, found {seen}")
    return verdict


def check_spans(spans: int, copies: int, fates: Mapping[str, float], calls: float) -> Verdict:
    """Every span has one fate, a copy is a duplicate, and each span is one call in ``agents.red``.

    Args:
        spans: in the log, each once.
        copies: of spans in the log, beyond the first.

        fates: ``streams_events_total`` of ``agents.spans``, over all partitions.
        calls: sum of the calls of the span metrics, each batch of ``agents.red`` once.
    """
    verdict = Verdict("spans")
    taken = sum(fates.get(fate, 0.0) for fate in ("aggregated", "late"))
    verdict.compare("spans taken", spans, taken)
    verdict.compare("copies found", copies, fates.get("duplicate", 0.0))
    verdict.compare("all fates", spans + copies, sum(fates.values()))
    verdict.compare("calls", spans, calls)
    return verdict
