"""Windows to anomalies and alerts: however windows are cut into records and records into runs, wherever it restarts."""

from __future__ import annotations

import itertools
import random
from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from streams import topics
from streams.app.alerts import AlertsPart
from streams.correlate.operator import CorrelateOperator
from streams.detect.operator import DetectOperator
from streams.domain.window import WindowBatch, encode_window_batch, split
from tests.property.profile import seeded
from tests.unit.window_batches import EPOCH, WINDOW, batch, series
from tests.wiring.line import Line, Record
from tests.wiring.test_parts import RULES, bands, shares, transitions, vectors

AGENTS = tuple(series("heat", agent__id=f"a{i}") for i in range(4))
run_lengths = st.lists(st.integers(1, 12), min_size=1, max_size=6)


def windows(seed: int) -> list[WindowBatch]:
    """Ten minutes of two sources; agents get hot for a while, one of them all at once after it was learnt."""
    rng = random.Random(seed)
    begins = {agent: rng.randrange(3, 30) for agent in AGENTS[1:]}
    found = []
    for number in range(60):
        rows = {agent: [rng.gauss(2.0, 0.1)] for agent in AGENTS}
        rows |= {agent: [9.0] for agent, begin in begins.items() if begin <= number < begin + 12}
        if number >= 45:
            rows[AGENTS[0]] = [80.0 + number]
        found.append(batch(number, rows))
        found.append(batch(number, {series("logs", "counter"): [rng.random()]}, topic=topics.LOGS))
        if number % 6 == 5:
            found.append(batch(number // 6, rows, window_ns=6 * WINDOW))
    return found


def log_of(seed: int, cutting: random.Random | None = None) -> list[Record]:
    """The windows as records; where asked for, cut anywhere, with repetitions and unreadable records between."""
    values: list[bytes] = []
    for whole in windows(seed):
        parts = list(split(whole, cutting.randrange(1, 5) if cutting else 1000))
        for part in parts:
            values.append(encode_window_batch(part))
            if cutting and cutting.random() < 0.1:
                values.append(cutting.choice((b"{}", b"[1", b"")))
            elif cutting and cutting.random() < 0.1:
                values.append(values[-1])
    return [Record(value, offset, EPOCH // 1_000_000, b"k", 0, topics.WINDOWS) for offset, value in enumerate(values)]


def make() -> AlertsPart:
    return AlertsPart(
        topics.WINDOWS,
        0,
        make_detect=lambda: DetectOperator(warmup_windows=20, threshold=0.99),
        make_correlate=lambda: CorrelateOperator(RULES),
        notify=lambda _: None,
        resume=lambda _: None,
        snapshot_every=5,
        pane_ns=WINDOW,
        detector="novelty",
        make_bands=bands,
        make_ratios=shares,
        make_vectors=vectors,
    )


def played(log: Sequence[Record], lengths: list[int], crashes: Sequence[int] = (), depth: int = 0) -> Line:
    line = Line(log, make, crashes)
    line.run(itertools.cycle(lengths), depth)
    return line


def anomalies(line: Line) -> list[bytes]:
    """In the order in which they were first published."""
    return list(dict.fromkeys(record.value or b"" for record in line.topics[topics.ANOMALIES]))


@seeded(10)
@given(st.integers(0, 10**6), st.randoms(use_true_random=False), run_lengths)
def test_any_cut_into_records_and_runs_gives_the_same_anomalies_and_alerts(
    seed: int, cutting: random.Random, lengths: list[int]
) -> None:
    whole, cut = played(log_of(seed), [1]), played(log_of(seed, cutting), lengths)
    assert anomalies(whole)
    assert {alert.state for alert in transitions(whole).values()} == {"pending", "firing", "resolved"}
    assert anomalies(cut) == anomalies(whole)
    assert transitions(cut) == transitions(whole)
    assert len(cut.topics[topics.ALERTS]) == len(whole.topics[topics.ALERTS])


@seeded(10)
@given(
    st.integers(0, 10**6),
    st.randoms(use_true_random=False),
    run_lengths,
    st.lists(st.integers(0, 25), max_size=8),
    st.integers(0, 5),
)
def test_restarts_from_snapshots_anywhere_change_nothing(
    seed: int, cutting: random.Random, lengths: list[int], crashes: list[int], depth: int
) -> None:
    log = log_of(seed, cutting)
    calm, crashed = played(log, [1]), played(log, lengths, crashes, depth)
    assert anomalies(crashed) == anomalies(calm)
    assert transitions(crashed) == transitions(calm)
