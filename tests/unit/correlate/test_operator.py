"""Windows in, transitions out: every shipped rule, replays, sources, absence, anomalies, bounds."""

from __future__ import annotations

import functools
import itertools
import random
from dataclasses import replace

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streams.correlate.operator import CorrelateOperator
from streams.correlate.rule import shortened
from streams.domain.alert import AlertTransition, decode_alert, encode_alert
from streams.domain.window import WindowBatch
from streams.errors import ConfigurationError, StateVersionError
from tests.unit.correlate.scenes import IDENTITY, QUIET, RULES, SCENES, anomaly, of, rule
from tests.unit.window_batches import EPOCH, WINDOW, batch, series

HEARTBEAT = of("agents.heartbeat")
HOUR = 360


def only(*names: str, **arguments: int) -> CorrelateOperator:
    return CorrelateOperator([rule(name) for name in names], **arguments)


def steps(transitions: list[AlertTransition]) -> list[tuple[str, str, str]]:
    return [(t.previous, t.state, t.severity) for t in transitions]


def windows_after(at_ns: int) -> int:
    return (at_ns - EPOCH) // WINDOW


def test_every_threshold_rule_has_a_scene() -> None:
    assert set(SCENES) == {r.name for r in RULES if r.kind == "threshold"}
    assert {r.name for r in RULES} - set(SCENES) == {
        "AgentSilent",
        "MetricAnomaly",
        "LogPatternNew",
        "NewErrorType",
        "TokenSpendAnomaly",
    }


@pytest.mark.parametrize("name", sorted(SCENES))
def test_rule_fires_on_what_is_bad_and_resolves_afterwards(name: str) -> None:
    scene, correlate = SCENES[name], only(name)
    made = [t for n in range(150) for t in correlate.apply(batch(n, scene.bad(n)))]
    worst = next(t for t in made if t.state == "firing" and t.severity == scene.severity)
    assert windows_after(worst.at_ns) == scene.after_windows
    assert made[0].alertname == name
    assert "{" not in worst.annotations["summary"] + worst.annotations["description"]
    assert "planning" in worst.annotations["summary"] + str(worst.identity)
    assert [t.seq for t in made] == list(range(1, len(made) + 1))
    ends = []
    for n in range(150, 300):
        ends += correlate.apply(batch(n, QUIET(n)))
        ends += correlate.advance(EPOCH + (n + 1) * WINDOW)
    assert [t.state for t in ends][-1] == "resolved"
    assert ends[-1].starts_at_ns == made[0].starts_at_ns
    assert ends[-1].ends_at_ns == ends[-1].at_ns > worst.at_ns
    assert correlate.active() == []


@pytest.mark.parametrize("name", sorted(SCENES))
def test_rule_is_silent_on_what_is_just_good_enough(name: str) -> None:
    scene, correlate = SCENES[name], only(name)
    for n in range(150):
        assert correlate.apply(batch(n, scene.good(n))) == []
        assert correlate.advance(EPOCH + (n + 1) * WINDOW) == []


def test_all_rules_together_are_silent_on_a_quiet_system() -> None:
    correlate = CorrelateOperator(RULES)
    for n in range(100):
        rows = {**QUIET(n), HEARTBEAT: [1.0], of("agents.memory", "gauge", "By"): [2e7]}
        assert correlate.apply(batch(n, rows)) == []
        assert correlate.advance(EPOCH + (n + 1) * WINDOW) == []


def test_too_few_events_say_nothing() -> None:
    correlate = only("AgentErrorsHigh")
    failing = {of("agents.steps", outcome="failure"): [1.0]}
    assert [t for n in range(60) for t in correlate.apply(batch(n, failing))] == []


def test_memory_goes_through_warning_critical_and_back_under_one_fingerprint() -> None:
    correlate = only("AgentMemoryHigh")
    levels = [31] * 70 + [36] * 20 + [32] * 10 + [20] * 20
    made = [
        t
        for n, mb in enumerate(levels)
        for t in correlate.apply(batch(n, {of("agents.memory", "gauge"): [mb * 2**20]}))
    ]
    assert steps(made) == [
        ("", "pending", "warning"),
        ("pending", "firing", "warning"),
        ("firing", "firing", "critical"),
        ("firing", "firing", "warning"),
        ("firing", "resolved", "warning"),
    ]
    assert len({t.fingerprint for t in made}) == 1
    assert len({t.starts_at_ns for t in made}) == 1
    assert made[2].annotations["severity_change"] == "warning -> critical"
    assert "severity_change" not in made[4].annotations
    assert made[2].annotations["summary"] == "a1 uses 36 MB of memory"
    assert made[4].annotations["resolution"] == "back within its limit"


def test_the_first_security_event_fires_at_once_and_holds_five_minutes_after_the_last() -> None:
    correlate = only("SecurityAnomaly")
    event = SCENES["SecurityAnomaly"].bad(0)
    assert steps(correlate.apply(batch(0, event))) == [("", "firing", "critical")]
    made = []
    for n in range(1, 60):
        made += correlate.apply(batch(n, event if n == 10 else QUIET(n)))
        made += correlate.advance(EPOCH + (n + 1) * WINDOW)
    assert steps(made) == [("firing", "resolved", "critical")]
    assert windows_after(made[0].at_ns) == 12 + 30


def test_an_alert_whose_data_ends_resolves_with_that_reason() -> None:
    correlate = only("AgentMemoryHigh")
    for n in range(20):
        correlate.apply(batch(n, SCENES["AgentMemoryHigh"].bad(n)))
    made = [t for n in range(20, 40) for t in correlate.advance(EPOCH + n * WINDOW)]
    assert steps(made) == [("firing", "resolved", "critical")]
    assert made[0].annotations["resolution"] == "no data"


def test_a_pending_alert_that_becomes_good_says_so_and_never_fired() -> None:
    correlate = only("AgentMemoryHigh")
    made = correlate.apply(batch(0, SCENES["AgentMemoryHigh"].bad(0)))
    for n in range(1, 5):
        made += correlate.apply(batch(n, SCENES["AgentMemoryHigh"].good(n)))
    assert steps(made) == [("", "pending", "critical"), ("pending", "resolved", "critical")]


def test_a_fingerprint_that_comes_back_goes_on_counting() -> None:
    correlate = only("SecurityAnomaly")
    made = []
    for n in range(100):
        made += correlate.apply(batch(n, SCENES["SecurityAnomaly"].bad(n) if n in (0, 50) else QUIET(n)))
        made += correlate.advance(EPOCH + (n + 1) * WINDOW)
    assert [(t.seq, t.state) for t in made] == [(1, "firing"), (2, "resolved"), (3, "firing"), (4, "resolved")]
    assert made[2].starts_at_ns > made[1].ends_at_ns


# absence


def beats(
    correlate: CorrelateOperator, first: int, last: int, rows: dict[object, list[float]]
) -> list[AlertTransition]:
    made = []
    for n in range(first, last):
        made += correlate.apply(batch(n, rows))  # type: ignore[arg-type]
        made += correlate.advance(EPOCH + (n + 1) * WINDOW)
    return made


def test_an_agent_that_falls_silent_is_missed_after_three_windows_and_comes_back() -> None:
    correlate = only("AgentSilent")
    other = series("agents.heartbeat", "counter", agent__id="a2")
    assert beats(correlate, 0, 10, {HEARTBEAT: [1.0], other: [1.0]}) == []
    made = beats(correlate, 10, 20, {other: [1.0]})
    assert steps(made) == [("", "firing", "high")]
    assert windows_after(made[0].at_ns) == 13
    assert made[0].identity["agent.id"] == "a1"
    assert made[0].annotations["summary"] == "a1 has been silent for 30 s"
    back = beats(correlate, 20, 25, {HEARTBEAT: [1.0], other: [1.0]})
    assert steps(back) == [("firing", "resolved", "high")]
    assert windows_after(back[0].at_ns) == 21


def test_any_series_of_an_agent_is_a_sign_of_life_but_only_heartbeats_enrol() -> None:
    correlate = only("AgentSilent")
    thought = of("agents.inference.duration", "histogram", "s")
    assert beats(correlate, 0, 5, {thought: [1.0]}) == []
    assert beats(correlate, 5, 15, {series("agents.cpu", agent__id="a2"): [1.0]}) == []
    other = series("agents.heartbeat", "counter", agent__id="a2")
    assert beats(correlate, 15, 20, {HEARTBEAT: [1.0], other: [1.0]}) == []
    assert beats(correlate, 20, 40, {thought: [1.0], other: [1.0]}) == []


def test_an_agent_that_says_goodbye_is_not_missed() -> None:
    correlate = only("AgentSilent")
    stop = of("agents.lifecycle.events", event="stop", outcome="success")
    beats(correlate, 0, 5, {HEARTBEAT: [1.0]})
    assert beats(correlate, 5, 6, {HEARTBEAT: [1.0], stop: [1.0]}) == []
    assert [t for n in range(6, 400) for t in correlate.advance(EPOCH + n * WINDOW)] == []


def test_a_goodbye_ends_an_open_alert_and_an_hour_of_silence_is_forgotten() -> None:
    correlate = only("AgentSilent")
    beats(correlate, 0, 2, {HEARTBEAT: [1.0]})
    made = [t for n in range(2, HOUR + 10) for t in correlate.advance(EPOCH + n * WINDOW)]
    assert steps(made) == [("", "firing", "high"), ("firing", "resolved", "high")]
    assert windows_after(made[1].at_ns) == HOUR + 2


def test_no_window_at_all_is_silence_once_time_moves_on() -> None:
    correlate = only("AgentSilent")
    correlate.apply(batch(0, {HEARTBEAT: [1.0]}))
    assert correlate.advance(EPOCH + 3 * WINDOW) == []
    assert steps(correlate.advance(EPOCH + 4 * WINDOW)) == [("", "firing", "high")]


def every(correlate: CorrelateOperator, step: int, first: int, last: int) -> list[AlertTransition]:
    """One agent shows itself in one window of so many, another in each."""
    other = series("agents.heartbeat", "counter", agent__id="a2")
    made = []
    for n in range(first, last):
        made += beats(correlate, n, n + 1, {other: [1.0], **({HEARTBEAT: [1.0]} if n % step == 0 else {})})
    return made


def test_an_agent_that_shows_itself_once_a_minute_is_missed_by_its_own_rhythm() -> None:
    correlate = only("AgentSilent")
    assert steps(every(correlate, 6, 0, 7)) == [("", "firing", "high"), ("firing", "resolved", "high")], "not yet known"
    assert every(correlate, 6, 7, 60) == []
    restored = only("AgentSilent")
    restored.restore(correlate.snapshot())
    for silent in (correlate, restored):
        (made,) = every(silent, 10_000, 61, 80)
        assert windows_after(made.at_ns) == 55 + 15, "two and a half minutes after the window that ends at 55"


def test_a_long_silence_does_not_make_an_agent_slow() -> None:
    correlate = only("AgentSilent")
    every(correlate, 1, 0, 50)
    assert len(every(correlate, 10_000, 51, 150)) == 1
    every(correlate, 1, 150, 170)
    (made,) = every(correlate, 10_000, 171, 180)
    assert windows_after(made.at_ns) == 170 + 3


# anomalies


def test_three_strange_windows_of_five_make_an_alert() -> None:
    correlate = only("MetricAnomaly")
    made = []
    for n, strange in enumerate([1, 0, 1, 0, 0, 0, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]):
        made += correlate.apply(batch(n, QUIET(n)), [anomaly(n)] if strange else [])
        made += correlate.advance(EPOCH + (n + 1) * WINDOW)
    assert steps(made) == [("", "firing", "warning"), ("firing", "resolved", "warning")]
    assert windows_after(made[0].at_ns) == 9
    assert made[0].value == 3
    assert made[0].identity == {
        "alertname": "MetricAnomaly",
        "metric": "agents.memory",
        **{label.replace("__", "."): value for label, value in IDENTITY.items()},
    }
    assert "expected" in made[0].annotations["description"]
    assert made[0].evidence[0]["score"] == 0.9999


def test_two_features_of_one_window_count_once_and_replayed_anomalies_not_at_all() -> None:
    correlate = only("MetricAnomaly")
    for n in range(2):
        assert correlate.observe([anomaly(n), replace(anomaly(n), feature="p95")]) == []
        assert correlate.observe([anomaly(n)]) == []
    assert steps(correlate.observe([anomaly(2)])) == [("", "firing", "warning")]
    correlate.advance(EPOCH + 60 * WINDOW)
    assert correlate.active() == []
    assert correlate.observe([anomaly(n) for n in range(3)]) == []
    assert correlate.fates["stale_anomalies"] == 4 + 3


def test_versions_and_deployments_do_not_split_an_anomaly() -> None:
    correlate = only("MetricAnomaly")
    made = []
    for n in range(3):
        version = of("agents.memory", "gauge", "By", service__version=f"1.{n}", deployment__id=f"d{n}")
        made += correlate.observe([anomaly(n, version)])
    assert steps(made) == [("", "firing", "warning")]


# replay, sources, snapshots


@functools.lru_cache(maxsize=8)
def log_of(seed: int, windows: int = 45, partitions: int = 2) -> list[list[WindowBatch]]:
    """Per partition, agents whose memory, steps and signs of life change at random."""
    rng = random.Random(seed)
    sources = []
    for partition in range(partitions):
        log = []
        agents = [f"p{partition}a{i}" for i in range(2)]
        for n in range(windows):
            rows: dict[object, list[float]] = {series("agents.active", agent__id="x"): [1.0]}
            for agent in agents:
                if rng.random() < 0.15 or ((n // 9) % 3 == 1 and agent.endswith("1")):
                    continue
                rows[series("agents.heartbeat", "counter", agent__id=agent)] = [1.0]
                rows[series("agents.memory", "gauge", "By", agent__id=agent)] = [rng.choice([20, 32, 36]) * 2.0**20]
                rows[series("agents.steps", "counter", agent__id=agent, outcome="success")] = [30.0]
                if (n // 12) % 2:
                    rows[series("agents.steps", "counter", agent__id=agent, outcome="failure")] = [9.0]
                if rng.random() < 0.1:
                    labels = {"agent__id": agent, "severity": "high", "event_type": "brute_force"}
                    rows[series("agents.security.events", "counter", **labels)] = [1.0]
            log.append(batch(n, rows, partition=partition))  # type: ignore[arg-type]
        sources.append(log)
    return sources


FAST = [shortened(r, 0.1) for r in RULES]
DETECTED = series("agents.memory", "gauge", "By", agent__id="p0a0")


def play(correlate: CorrelateOperator, window: WindowBatch) -> list[AlertTransition]:
    number = windows_after(window.start_ns)
    strange = [anomaly(number, DETECTED)] if window.partition == 0 and (number // 6) % 2 else []
    return correlate.apply(window, strange) + correlate.advance(window.start_ns)


def test_the_log_of_the_following_tests_has_all_kinds_of_transitions() -> None:
    correlate = CorrelateOperator(FAST)
    made = [t for n in range(45) for log in log_of(3) for t in play(correlate, log[n])]
    assert {t.alertname for t in made} >= {
        *("AgentMemoryHigh", "AgentErrorsHigh", "HighErrorRatio", "SecurityAnomaly", "AgentSilent", "MetricAnomaly")
    }
    assert {t.state for t in made} == {"pending", "firing", "resolved"}


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 5), st.lists(st.tuples(st.integers(0, 44), st.integers(0, 10)), max_size=4))
def test_a_replay_makes_no_transition(seed: int, replays: list[tuple[int, int]]) -> None:
    (log,) = log_of(seed, partitions=1)
    plain, disturbed = CorrelateOperator(FAST), CorrelateOperator(FAST)
    for n, window in enumerate(log):
        assert play(plain, window) == play(disturbed, window)
        for at, length in replays:
            if at == n:
                for again in log[max(0, n - length) : n + 1]:
                    assert play(disturbed, again) == []
    assert plain.snapshot() == disturbed.snapshot()


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 5), st.sets(st.integers(0, 44), max_size=6))
def test_snapshot_and_restore_anywhere_give_the_same_transitions(seed: int, stops: set[int]) -> None:
    sources = log_of(seed)
    stayed, moved = CorrelateOperator(FAST), CorrelateOperator(FAST)
    for n in range(45):
        for log in sources:
            if n in stops:
                data, moved = moved.snapshot(), CorrelateOperator(FAST)
                restored = moved.restore(data)
                assert restored.reason == ""
                assert (restored.alerts, restored.orphans) == (len(stayed.active()), 0)
                assert moved.active() == stayed.active()
            assert play(moved, log[n]) == play(stayed, log[n])
    assert moved.snapshot() == stayed.snapshot()


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 5), st.randoms(use_true_random=False))
def test_the_order_between_sources_does_not_matter(seed: int, rng: random.Random) -> None:
    """One partition ahead of the other by any number of windows; time moves on with the slower one."""
    sources = log_of(seed)

    def run(order: list[int]) -> dict[str, list[bytes]]:
        correlate, heads, made = CorrelateOperator(FAST), [0] * len(sources), []
        for source in order:
            made += correlate.apply(sources[source][heads[source]])
            heads[source] += 1
            made += correlate.advance(EPOCH + min(heads) * WINDOW)
        found: dict[str, list[bytes]] = {}
        for transition in made:
            if transition.alertname != "AgentSilent":
                found.setdefault(transition.fingerprint, []).append(encode_alert(transition))
        return found

    together = list(itertools.chain.from_iterable([0, 1] for _ in range(45)))
    shuffled = together.copy()
    rng.shuffle(shuffled)
    assert run(shuffled) == run(together)


def test_transitions_survive_their_encoding() -> None:
    correlate = CorrelateOperator(FAST)
    for n in range(45):
        for log in log_of(1):
            for transition in play(correlate, log[n]):
                assert decode_alert(encode_alert(transition)) == transition


def test_active_gives_what_has_to_be_sent_again() -> None:
    correlate = only("AgentMemoryHigh", "SecurityAnomaly")
    made = correlate.apply(batch(0, {**SCENES["AgentMemoryHigh"].bad(0), **SCENES["SecurityAnomaly"].bad(0)}))
    assert correlate.active() == sorted(made, key=lambda t: t.fingerprint)
    assert {t.state for t in made} == {"pending", "firing"}


def test_alerts_of_a_rule_that_changed_are_resolved_and_the_others_stay() -> None:
    correlate = only("AgentMemoryHigh", "SecurityAnomaly")
    made = correlate.apply(batch(0, {**SCENES["AgentMemoryHigh"].bad(0), **SCENES["SecurityAnomaly"].bad(0)}))
    data = correlate.snapshot()
    changed = CorrelateOperator([replace(rule("AgentMemoryHigh"), window_seconds=30.0), rule("SecurityAnomaly")])
    assert changed.restore(data)[:2] == (1, 1)
    assert len(changed.active()) == 2
    ended = changed.advance(EPOCH + 2 * WINDOW)
    assert [(t.alertname, t.state, t.seq) for t in ended] == [("AgentMemoryHigh", "resolved", 2)]
    assert ended[0].fingerprint in {t.fingerprint for t in made}
    assert [t.alertname for t in changed.active()] == ["SecurityAnomaly"]
    reworded = CorrelateOperator([replace(r, summary="else") for r in correlate.rules])
    assert reworded.restore(data)[:2] == (2, 0)


@pytest.mark.parametrize("change", [{"v": 0}, {"limits": 5}, {"alerts": [{}]}, {"clocks": [[1]]}, {"rules": None}])
def test_a_snapshot_that_does_not_fit_is_not_used_and_counted(change: dict[str, object]) -> None:
    correlate = only("AgentMemoryHigh")
    correlate.apply(batch(0, SCENES["AgentMemoryHigh"].bad(0)))
    data = orjson.dumps({**orjson.loads(correlate.snapshot()), **change})
    restored = correlate.restore(data)
    assert (restored.alerts, restored.orphans) == (0, 0)
    assert restored.reason
    assert correlate.active() == []
    assert correlate.fates["restarts"] == 1
    assert len(correlate.apply(batch(0, SCENES["AgentMemoryHigh"].bad(0)))) == 1


def test_a_snapshot_of_a_newer_version_is_refused() -> None:
    correlate = only("AgentMemoryHigh")
    newer = orjson.dumps({**orjson.loads(correlate.snapshot()), "v": 2})
    with pytest.raises(StateVersionError, match="format 2, this version reads up to 1"):
        correlate.restore(newer)


# bounds and fates


def test_roll_ups_are_not_read_and_batches_are_counted() -> None:
    correlate = only("SecurityAnomaly")
    bad = SCENES["SecurityAnomaly"].bad(0)
    assert correlate.apply(batch(0, bad, window_ns=6 * WINDOW)) == []
    correlate.apply(batch(0, bad))
    correlate.apply(batch(0, bad))
    assert {name: correlate.fates[name] for name in ("applied", "stale", "other_size")} == {
        "applied": 1,
        "stale": 1,
        "other_size": 1,
    }


def agents(count: int, first: int = 0) -> dict[object, list[float]]:
    return {
        series("agents.memory", "gauge", "By", agent__id=f"a{i}"): [40 * 2.0**20] for i in range(first, first + count)
    }


def test_open_alerts_are_bounded_and_what_is_refused_is_counted() -> None:
    correlate = only("AgentMemoryHigh", max_open=3)
    made = correlate.apply(batch(0, agents(5)))  # type: ignore[arg-type]
    assert len(made) == len(correlate.active()) == 3
    assert correlate.fates["refused_alerts"] == 2


def test_groups_are_bounded_and_open_ones_are_not_given_up() -> None:
    correlate = only("AgentMemoryHigh", max_groups=3)
    correlate.apply(batch(0, agents(3)))  # type: ignore[arg-type]
    correlate.apply(batch(1, agents(3, first=3)))  # type: ignore[arg-type]
    assert len(correlate.active()) == 3
    assert correlate.fates["refused_groups"] == 3
    quiet = {series("agents.memory", agent__id=f"b{i}"): [1.0] for i in range(9)}
    correlate = only("AgentMemoryHigh", max_groups=3)
    correlate.apply(batch(0, quiet))
    assert correlate.fates["refused_groups"] == 0


def test_agents_are_bounded() -> None:
    correlate = only("AgentSilent", max_agents=2)
    rows = {series("agents.heartbeat", "counter", agent__id=f"a{i}"): [1.0] for i in range(4)}
    correlate.apply(batch(0, rows))
    assert correlate.fates["evicted_agents"] == 2
    assert len(correlate.advance(EPOCH + 9 * WINDOW)) == 2


def test_a_window_that_is_no_multiple_of_the_base_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="rule AgentMemoryHigh: window_seconds is 25; write a multiple of 10"):
        CorrelateOperator([replace(rule("AgentMemoryHigh"), window_seconds=25.0)])
