"""A log that several sources write into: its time is that of the slowest live one, at any split and any crash point."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streams.window.operator import WindowOperator, WindowSpec
from streams.window.sources import GRACE_NS, HOLD_NS, SOURCES_LIMIT, Sources, source_of
from tests.unit.window.logs import SECOND, Entry, columns
from tests.unit.window.test_operator import contents, crash_and_resume, run

BASE = 1_700_000_000 * SECOND
SPEC = WindowSpec(by_source=True)
LATENESS = SPEC.lateness_ns


def at(seconds: float) -> int:
    return BASE + round(seconds * SECOND)


def sample(source: str, seconds: float, seq: int, append: float = 10**6) -> Entry:
    return Entry([("m", at(seconds), 1.0)], at(append), (f"t/{source}/0f", seq))


def mark(source: str, seconds: float, append: float = 10**6, *, idle: bool = False) -> Entry:
    return Entry(append_ns=at(append), tick_ns=at(seconds), tick_source=f"t/{source}", tick_idle=idle)


def tick(seconds: float, append: float = 10**6) -> Entry:
    return Entry(append_ns=at(append), tick_ns=at(seconds))


@pytest.mark.parametrize(
    ("log", "seconds"),
    [
        ([sample("a", 50, 0)], 50),
        ([sample("a", 50, 0), sample("b", 20, 0)], 50),  # what has passed has passed
        ([sample("b", 20, 0), sample("a", 50, 0)], 20),
        ([sample("b", 20, 0), sample("a", 50, 0), sample("b", 30, 1)], 30),
        ([sample("b", 20, 0), sample("a", 50, 0), mark("b", 45)], 45),
        ([sample("b", 20, 0), sample("a", 50, 0), mark("b", 20, idle=True)], 50),
        ([sample("b", 20, 0), mark("b", 20, idle=True), tick(60)], 60),
        ([sample("b", 20, 0), tick(60)], 20),  # the log's own time waits for its sources
        ([tick(60)], 60),
        ([sample("b", 20, 0), sample("a", 50, 0), mark("b", 10)], 20),  # sent again after a crash
        ([sample("b", 20, 0), sample("b", 20, 0), sample("a", 50, 0)], 20),
        ([sample("b", 20, 0, append=30), sample("a", 50, 0, append=30)], 20),
        ([sample("a", 59, 0, append=40)], 40),  # a fast clock cannot pass the broker's
        ([sample("b", 20, 0, 20), sample("a", 800, 0, 20 + HOLD_NS / SECOND)], 20),
        ([sample("b", 20, 0, 20), sample("a", 800, 0, 800)], 800),  # unheard for too long
        ([sample("b", 20, 0, 20), tick(800, 800)], 800),
    ],
)
def test_the_watermark_is_that_of_the_slowest_live_source(log: list[Entry], seconds: float) -> None:
    operator, whole = WindowOperator("t", 0, SPEC), WindowOperator("t", 0, SPEC)
    operator.sources.grace_ns = whole.sources.grace_ns = 0
    run(operator, log, list(range(len(log))))
    assert operator.watermark_ns == at(seconds) - LATENESS
    run(whole, log, [])
    assert (whole.watermark_ns, whole.sources) == (operator.watermark_ns, operator.sources)


def test_a_source_that_was_away_finds_its_windows_open() -> None:
    log = [
        sample("b", 20, 0),
        *(sample("a", 20 + n, n) for n in range(100)),
        *(sample("b", 20 + n, n) for n in range(100)),
    ]
    by_newest, by_source = WindowOperator("t", 0, replace(SPEC, by_source=False)), WindowOperator("t", 0, SPEC)
    by_source.sources.grace_ns = 0
    run(by_newest, log, [])
    run(by_source, log, [])
    assert by_newest.fates.late > 80
    assert (by_source.fates.late, by_source.fates.aggregated) == (0, 200)


def test_sources_that_were_away_together_find_their_windows_open_whoever_speaks_first() -> None:
    log = [sample(source, n, n, append=100 + n / 100) for source in "ab" for n in range(100)]
    operator = WindowOperator("t", 0, SPEC)
    run(operator, log, [])
    assert (operator.watermark_ns, operator.fates.late) == (0, 0)
    run(operator, [*log, mark("a", 109, 109.9), mark("b", 109, 110.1)], [], len(log))
    assert operator.watermark_ns == at(109) - LATENESS


def test_sources_are_bounded() -> None:
    sources = Sources()
    for number in range(SOURCES_LIMIT + 5):
        sources.hear(str(number), number, 0)
        sources.hear("0", 0, 0)
    assert len(sources.clocks) == SOURCES_LIMIT
    assert "0" in sources.clocks
    assert "1" not in sources.clocks


@pytest.mark.parametrize(
    ("producer", "source"),
    [
        ("agents.spans/3/0123456789ab", "agents.spans/3"),
        ("agents.loops/agents.spans/3/0123456789ab", "agents.spans/3"),
        ("somebody", ""),
    ],
)
def test_a_producer_is_of_its_source(producer: str, source: str) -> None:
    assert source_of(producer) == source


def make_log(seed: int) -> list[Entry]:
    """Three sources at their own pace, one of which goes away and comes back, marks, ticks and repeats between."""
    rng = random.Random(seed)
    log: list[Entry] = []
    clock = {"a": 0.0, "b": 0.0, "c": 0.0}
    seqs = dict.fromkeys(clock, 0)
    for _ in range(120):
        source = rng.choices("abc", (5, 4, 2))[0]
        clock[source] += rng.random() * 6
        kind, now = rng.random(), clock[source]
        append = max(clock.values()) + 1
        if kind < 0.15:
            log.append(mark(source, now, append, idle=kind < 0.05))
        elif kind < 0.2:
            log.append(tick(append, append))
        elif kind < 0.27 and log:
            log.append(rng.choice(log[-10:]))
        else:
            times = [at(now - rng.random() * 8) for _ in range(rng.randrange(1, 5))]
            log.append(
                Entry(
                    [(rng.choice("mn"), t, rng.random()) for t in times], at(append), (f"t/{source}/0f", seqs[source])
                )
            )
            seqs[source] += 1
    return [*log, *(mark(source, 10**4, 10**4, idle=True) for source in clock), tick(10**4, 10**4)]


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10**6), always=st.booleans(), data=st.data())
def test_any_split_and_any_crash_point_give_the_same_windows_and_counts(
    seed: int, always: bool, data: st.DataObject
) -> None:
    log = make_log(seed)
    cuts = data.draw(st.lists(st.integers(1, len(log)), max_size=30))
    crashes = data.draw(st.lists(st.integers(1, len(log)), min_size=1, max_size=5))
    undisturbed = WindowOperator("t", 0, SPEC)
    expected = contents(run(undisturbed, log, []))
    topic, fates = crash_and_resume(log, cuts, crashes, always=always, spec=SPEC)
    assert topic == expected
    assert fates == undisturbed.fates


def test_late_is_what_brute_force_says() -> None:
    """The rule again, record by record."""
    for seed in range(30):
        log, clocks, watermark, late, seen = make_log(seed), dict[str, int](), 0, 0, set()
        since = 0
        for entry in log:
            before, source = watermark, entry.tick_source
            times = [t for _, t, _ in entry.samples]
            if entry.batch is not None:
                source = source_of(entry.batch[0])
                if entry.batch in seen:
                    continue
                seen.add(entry.batch)
            late += sum(t - t % SPEC.pane_ns + SPEC.pane_ns <= before for t in times)
            newest = min(max([*times, entry.tick_ns or 0]), entry.append_ns)
            if entry.tick_idle:
                clocks.pop(source, None)
                newest = 0
            elif source:
                since = since if clocks else entry.append_ns
                clocks[source] = max(newest, clocks.get(source, 0))
            moved = min(clocks.values(), default=newest)
            if clocks and entry.append_ns - since < GRACE_NS:
                moved = 0
            watermark = max(watermark, moved - LATENESS if moved else 0)
        operator = WindowOperator("t", 0, SPEC)
        run(operator, log, [])
        assert (operator.fates.late, operator.watermark_ns) == (late, watermark), seed


def test_entries_become_columns() -> None:
    made = columns([mark("b", 20, idle=True)], 0, WindowOperator("t", 0, SPEC).table)
    assert made.ticks[0][1:] == (at(20), "t/b", True)
