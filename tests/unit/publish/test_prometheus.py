"""The fold of closed windows and what a scrape of it shows."""

from __future__ import annotations

import math
import re
import threading
from collections.abc import Iterable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client import Metric as Family
from prometheus_client.openmetrics.exposition import generate_latest as openmetrics_text
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse

from streams.domain.exemplar import Exemplar
from streams.domain.sketch import GAMMA
from streams.errors import StateError, StateVersionError
from streams.publish.exposition import numbers
from streams.publish.health import make_health
from streams.publish.prometheus import PARTITION_LABEL, PrometheusFold, WindowCollector
from tests.unit.publish.builders import TOPIC, batch, series

STEPS = series("agents.steps", "1", "counter", agent__id="a1", agent__type="planner", step_type="plan", outcome="ok")
STEPS_OF_ANOTHER = series(
    "agents.steps", "1", "counter", agent__id="a2", agent__type="planner", step_type="plan", outcome="ok"
)
MEMORY = series("agents.memory", "By", "gauge", agent__id="a1", agent__type="planner")
INFERENCE = series("agents.inference.duration", "s", "histogram", agent__id="a1", agent__type="planner")

Samples = dict[tuple[str, tuple[tuple[str, str], ...]], float]


def exposed(folds: Iterable[PrometheusFold], *, with_partition: bool = False) -> Samples:
    """What a scrape gives, without the collector's own figures."""
    found: Samples = {}
    for family in scraped(WindowCollector(folds)):
        for sample in family.samples:
            labels = [pair for pair in sample.labels.items() if with_partition or pair[0] != PARTITION_LABEL]
            if not sample.name.startswith("streams_"):
                key = (sample.name, tuple(sorted(labels)))
                assert key not in found
                found[key] = sample.value
    return found


def scraped(collector: WindowCollector) -> list[Family]:
    return list(parse(collector.render().decode()))


def value(samples: Samples, metric_name: str, **labels: str) -> float:
    """The one sample of that name that has these labels."""
    found = [
        number for (name, has), number in samples.items() if name == metric_name and labels.items() <= dict(has).items()
    ]
    assert len(found) == 1, f"{metric_name} {labels}: {found} in {sorted(samples)}"
    return found[0]


def test_counters_add_up_over_windows_and_agents() -> None:
    fold = PrometheusFold(TOPIC, 0)
    assert fold.apply(batch({STEPS: [1, 2], STEPS_OF_ANOTHER: [4]}, start=0))
    assert fold.apply(batch({STEPS: [8]}, start=10))
    samples = exposed([fold])
    assert samples == {
        ("agents_steps_total", (("agent_type", "planner"), ("outcome", "ok"), ("step_type", "plan"))): 15.0
    }


def test_a_replayed_window_changes_nothing() -> None:
    fold = PrometheusFold(TOPIC, 0)
    windows = [batch({STEPS: [i + 1], INFERENCE: [0.1]}, start=10 * i) for i in range(3)]
    assert [fold.apply(window) for window in windows] == [True] * 3
    before = fold.snapshot()
    assert [fold.apply(window) for window in windows] == [False] * 3
    assert fold.snapshot() == before
    assert fold.ignored == 3


def test_each_record_of_a_window_that_travels_in_parts_counts_once() -> None:
    fold = PrometheusFold(TOPIC, 0)
    parts = [
        batch({STEPS: [1]}, start=10, chunk=0, chunks=2),
        batch({STEPS_OF_ANOTHER: [2]}, start=10, chunk=1, chunks=2),
    ]
    assert fold.apply(parts[0])
    restored = PrometheusFold(TOPIC, 0)
    restored.restore(fold.snapshot())
    assert [restored.apply(part) for part in (*parts, *parts)] == [False, True, False, False]
    assert value(exposed([restored]), "agents_steps_total") == 3


def test_a_late_part_of_an_older_window_is_not_new() -> None:
    fold = PrometheusFold(TOPIC, 0)
    old = [batch({STEPS: [1]}, start=0, chunk=chunk, chunks=2) for chunk in (0, 1)]
    for part in (*old, batch({STEPS: [5]}, start=10, chunk=0, chunks=2)):
        assert fold.apply(part)
    assert not fold.apply(old[1])
    assert value(exposed([fold]), "agents_steps_total") == 7


def test_only_base_windows_are_folded_and_only_of_the_own_partition() -> None:
    fold = PrometheusFold(TOPIC, 0)
    assert not fold.apply(batch({STEPS: [1]}, seconds=60))
    with pytest.raises(ValueError, match=r"agents\.metrics/1"):
        fold.apply(batch({STEPS: [1]}, partition=1))
    assert exposed([fold]) == {}


def test_a_counter_never_falls() -> None:
    fold = PrometheusFold(TOPIC, 0)
    fold.apply(batch({STEPS: [5]}, start=0))
    fold.apply(batch({STEPS: [-3], STEPS_OF_ANOTHER: [1]}, start=10))
    assert value(exposed([fold]), "agents_steps_total") == 6
    assert fold.refused == 1


def test_an_updowncounter_is_a_gauge_of_its_sum() -> None:
    fold = PrometheusFold(TOPIC, 0)
    sessions = series("sessions.open", "{session}", "updowncounter")
    fold.apply(batch({sessions: [5]}, start=0))
    fold.apply(batch({sessions: [-3]}, start=10))
    assert value(exposed([fold]), "sessions_open") == 2


def test_gauges_show_the_last_window_and_expire_with_event_time() -> None:
    fold = PrometheusFold(TOPIC, 0)
    fold.apply(batch({MEMORY: [10.0, 30.0]}, start=0))
    fold.apply(batch({MEMORY: [50.0, 70.0]}, start=10))
    assert value(exposed([fold]), "agents_memory_bytes", agent_id="a1", agent_type="planner") == 60
    fold.advance(319_999_999_999)
    assert exposed([fold]) != {}
    fold.advance(320_000_000_000)
    assert exposed([fold]) == {}


def test_a_gauge_of_an_agent_that_went_expires_while_others_report() -> None:
    fold = PrometheusFold(TOPIC, 0, ttl_seconds=30)
    other = series("agents.memory", "By", "gauge", agent__id="a2")
    fold.apply(batch({MEMORY: [1.0], other: [2.0]}, start=0))
    for start in (10, 20, 30):
        fold.apply(batch({other: [2.0]}, start=start))
    assert [dict(labels)["agent_id"] for _, labels in exposed([fold])] == ["a2"]


def test_gauges_merge_over_partitions_by_the_rule_of_the_metric() -> None:
    folds = [PrometheusFold(TOPIC, partition) for partition in (0, 1)]
    for partition, fold in enumerate(folds):
        active = series("agents.active", "{agent}", "gauge", agent__id=f"a{partition}", agent__type="planner")
        energy = series("agents.belief.free_energy", "{nat}", "gauge", agent__id=f"a{partition}")
        nodes = series("agents.kg.nodes", "{node}", "gauge", agent__id=f"a{partition}")
        low = 1.0 + 4 * partition
        fold.apply(batch({active: [1], energy: [low, low + 2], nodes: [low]}, partition=partition))
    samples = exposed(folds, with_partition=True)
    assert value(samples, "agents_active", agent_type="planner") == 2
    assert value(samples, "agents_belief_free_energy") == 4
    assert value(samples, "agents_belief_free_energy_min") == 1
    assert value(samples, "agents_belief_free_energy_max") == 7
    assert value(samples, "agents_kg_nodes") == 5


def test_totals_of_partitions() -> None:
    folds = [PrometheusFold(TOPIC, partition) for partition in (0, 1)]
    for partition, fold in enumerate(folds):
        fold.apply(batch({STEPS: [partition + 1], INFERENCE: [0.3, 3.0]}, partition=partition))
    samples = exposed(folds, with_partition=True)
    assert value(samples, "agents_steps_total", source_partition="agents.metrics/0") == 1
    assert value(samples, "agents_steps_total", source_partition="agents.metrics/1") == 2
    for partition in ("agents.metrics/0", "agents.metrics/1"):
        name, where = "agents_inference_duration_seconds", {"source_partition": partition}
        assert value(samples, f"{name}_bucket", le="0.3", **where) == 1
        assert value(samples, f"{name}_bucket", le="2.0", **where) == 1
        assert value(samples, f"{name}_bucket", le="+Inf", **where) == 2
        assert value(samples, f"{name}_count", **where) == 2
        assert value(samples, f"{name}_sum", **where) == pytest.approx(3.3)


def test_a_scrape_shows_rows_that_came_after_the_last_one() -> None:
    fold = PrometheusFold(TOPIC, 0)
    collector = WindowCollector([fold])
    fold.apply(batch({INFERENCE: [0.1]}, start=0))
    assert b"agents_steps_total{" not in collector.render()
    fold.apply(batch({STEPS: [5], INFERENCE: [0.1, 9.0]}, start=10))
    shown = {
        s.name: s.value for family in scraped(collector) for s in family.samples if s.labels.get("le", "5.0") == "5.0"
    }
    assert shown["agents_steps_total"] == 5
    assert shown["agents_inference_duration_seconds_count"] == 3
    assert shown["agents_inference_duration_seconds_bucket"] == 2


def test_values_are_written_as_prometheus_reads_them() -> None:
    values = [0.1, -2.0, 1e21, 5e-324, math.inf, -math.inf, 2.0**53, math.nan]
    text = numbers(np.array(values))
    assert [float(number) for number in text[:-1]] == values[:-1]
    assert text[4:6] == [b"+Inf", b"-Inf"]
    assert text[-1] == b"NaN"


def test_a_reported_label_cannot_be_a_second_source_partition() -> None:
    fold = PrometheusFold(TOPIC, 0)
    fold.apply(batch({series("tasks.done", "1", "counter", source_partition="mine"): [1]}))
    assert value(exposed([fold], with_partition=True), "tasks_done_total", source_partition="agents.metrics/0") == 1


def test_a_partition_that_moves_takes_its_series_along_unchanged() -> None:
    old, new = WindowCollector(), WindowCollector()
    fold = PrometheusFold(TOPIC, 0)
    old.add(fold)
    fold.apply(batch({STEPS: [7]}, start=0))
    snapshot = fold.snapshot()
    old.remove(TOPIC, 0)
    moved = PrometheusFold(TOPIC, 0)
    moved.restore(snapshot)
    new.add(moved)
    moved.apply(batch({STEPS: [7]}, start=0))
    moved.apply(batch({STEPS: [1]}, start=10))
    assert not any(family.name == "agents_steps" for family in scraped(old))
    (family,) = (family for family in scraped(new) if family.name == "agents_steps")
    assert [sample.value for sample in family.samples] == [8]


observations = st.lists(
    st.one_of(
        st.floats(1e-6, 1e6),
        st.sampled_from([0.0, 0.001, 0.005, 0.01, 0.1, 0.3, 0.5, 1.0, 2.0, 5.0, 5.0000001, 1e-12]),
        st.floats(-100, -1e-6),
    ),
    min_size=1,
    max_size=40,
)


@given(st.lists(observations, min_size=1, max_size=4))
def test_buckets_count_within_the_error_of_the_sketch(windows: list[list[float]]) -> None:
    fold = PrometheusFold(TOPIC, 0)
    for i, window in enumerate(windows):
        fold.apply(batch({INFERENCE: window}, start=10 * i))
    samples = exposed([fold])
    seen = [v for window in windows for v in window]
    name = "agents_inference_duration_seconds"
    for (sample, labels), count in samples.items():
        if sample == f"{name}_bucket":
            bound = float(dict(labels)["le"])
            assert sum(v <= bound for v in seen) <= count <= sum(v <= bound * GAMMA * (1 + 1e-9) for v in seen)
    assert value(samples, f"{name}_bucket", le="+Inf") == value(samples, f"{name}_count") == len(seen)
    assert value(samples, f"{name}_sum") == pytest.approx(math.fsum(seen), rel=1e-9, abs=1e-9)


def test_observations_at_a_bound_are_in() -> None:
    quality = series("agents.response.quality", "1", "histogram")
    fold = PrometheusFold(TOPIC, 0)
    fold.apply(batch({quality: [round(0.1 * i, 1) for i in range(1, 11)], INFERENCE: [5.0, 0.2]}))
    samples = exposed([fold])
    counts = [value(samples, "agents_response_quality_bucket", le=str(round(0.1 * i, 1))) for i in range(1, 11)]
    assert counts == list(range(1, 11))
    assert value(samples, "agents_inference_duration_seconds_bucket", le="5.0") == 2
    assert value(samples, "agents_inference_duration_seconds_bucket", le="0.1") == 0


def test_what_is_above_a_bound_for_certain_is_not_counted_at_it() -> None:
    fold = PrometheusFold(TOPIC, 0)
    fold.apply(batch({INFERENCE: [5.01, 5.02]}))
    assert value(exposed([fold]), "agents_inference_duration_seconds_bucket", le="5.0") == 0


def test_a_snapshot_restores_everything() -> None:
    fold = PrometheusFold(TOPIC, 3)
    odd = series("odd näme", "1", "counter", text='quote " and \\ and \n', session__id="s1")
    observed = {STEPS: [3], MEMORY: [5.0], INFERENCE: [0.1, 9.0], odd: [1]}
    fold.apply(batch(observed, start=100, partition=3))
    restored = PrometheusFold(TOPIC, 3)
    restored.restore(fold.snapshot())
    assert exposed([restored]) == exposed([fold])
    assert restored.snapshot() == fold.snapshot()
    for each in (fold, restored):
        assert not each.apply(batch(observed, start=100, partition=3))
        assert each.apply(batch(observed, start=110, partition=3))
    assert exposed([restored]) == exposed([fold])


@pytest.mark.parametrize(
    "broken",
    [
        b"",
        b"[]",
        b"{}",
        b'{"v":1}',
        lambda good: good[:-20] + b"}",
        lambda good: good.replace(b'"partition":0', b'"partition":1'),
        lambda good: good.replace(b'"value":"', b'"value":"!!!'),
        lambda good: good.replace(b'"seen_ns":"', b'"seen_ns":"AAAAAAAAAAA='),
        lambda good: good.replace(b'"counter"', b"7"),
        lambda good: good.replace(b'"cells":""', b'"cells":"AAAAAAAAAAA="'),
        lambda good: re.sub(b'"mean":"[^"]*"', b'"mean":"AAAAAAAAAAAAAAAAAAAAAA=="', good),
    ],
)
def test_a_snapshot_that_does_not_fit_is_refused_and_changes_nothing(broken: object) -> None:
    fold = PrometheusFold(TOPIC, 0)
    fold.apply(batch({STEPS: [3], MEMORY: [1.0]}))
    good = fold.snapshot()
    bad = broken(good) if callable(broken) else broken
    assert bad != good
    with pytest.raises(StateError):
        fold.restore(bad)
    assert fold.snapshot() == good


def test_a_snapshot_of_a_newer_version_is_refused_by_name() -> None:
    fold = PrometheusFold(TOPIC, 0)
    with pytest.raises(StateVersionError):
        fold.restore(fold.snapshot().replace(b'"v":1', b'"v":2'))


def test_a_histogram_whose_bounds_changed_starts_again() -> None:
    fold = PrometheusFold(TOPIC, 0)
    fold.apply(batch({STEPS: [3], INFERENCE: [0.1]}))
    restored = PrometheusFold(TOPIC, 0)
    restored.restore(fold.snapshot().replace(b"[0.001,0.005,", b"[0.002,0.005,"))
    assert restored.discarded == 1
    assert {name for name, _ in exposed([restored])} == {"agents_steps_total"}


def test_ids_of_invented_metrics_are_summed_away() -> None:
    fold = PrometheusFold(TOPIC, 0)
    done = {
        series("tasks.done", "{task}", "counter", agent__id=f"a{i}", run_id=f"r{i}", queue="q1"): [1] for i in range(9)
    }
    fold.apply(batch(done))
    assert exposed([fold]) == {("tasks_done_total", (("queue", "q1"),)): 9.0}


def test_what_is_over_the_budget_shares_an_overflow_series() -> None:
    fold = PrometheusFold(TOPIC, 0)
    many = {series("tasks.done", "1", "counter", queue=f"q{i}"): [1] for i in range(1_200)}
    gauges = {series("agents.memory", "By", "gauge", agent__id=f"a{i}"): [2.0] for i in range(600)}
    for start in (0, 10):
        fold.apply(batch({**many, **gauges}, start=start))
    samples = exposed([fold])
    assert value(samples, "tasks_done_total", otel_metric_overflow="true") == 400
    assert sum(number for (name, _), number in samples.items() if name == "tasks_done_total") == 2_400
    assert value(samples, "agents_memory_bytes", otel_metric_overflow="true") == 200
    assert sum(name == "agents_memory_bytes" for name, _ in samples) == 501


def test_bounds_hold_and_what_finds_no_room_is_counted() -> None:
    fold = PrometheusFold(TOPIC, 0, max_series=10)
    many = {series(f"m{i}", "1", "counter"): [1] for i in range(30)}
    gauges = {series(f"g{i}", "1", "gauge"): [1] for i in range(30)}
    fold.apply(batch({**many, **gauges}))
    samples = exposed([fold])
    assert sum(name.startswith("m") for name, _ in samples) == 20
    assert sum(name.startswith("g") for name, _ in samples) == 10
    assert fold.refused == 10 + 20
    late = series("g.late", "1", "gauge")
    fold.apply(batch({late: [1]}, start=1_000))
    assert value(exposed([fold]), "g_late_ratio") == 1


def test_names_that_clash_are_left_out_and_counted() -> None:
    fold = PrometheusFold(TOPIC, 0)
    names = ["agents_steps", "a.b", "a_b", "streams.events", "agents.inference.duration.seconds.count"]
    fold.apply(batch({STEPS: [1], INFERENCE: [1.0], **{series(name, "", "gauge"): [1] for name in names}}))
    fold.apply(batch({series("agents_steps", "1", "counter"): [5]}, start=10))
    collector = WindowCollector([fold])
    for _ in range(2):
        samples = [sample for family in scraped(collector) for sample in family.samples]
        shown = {sample.name: sample.value for sample in samples}
        assert shown["streams_exported_clashes"] == 5
        assert shown["agents_steps_total"] == 1
        assert shown["a_b"] == 1
        assert len(samples) == len({(s.name, tuple(sorted(s.labels.items()))) for s in samples})


def mixed() -> PrometheusFold:
    fold = PrometheusFold(TOPIC, 0)
    odd = series("odd näme", "By", "histogram", text='quote " and \\ and \n', le="mine", a__b="1", a_b="2")
    users = {series("tasks.open", "{task}", "updowncounter"): [-2.0], odd: [100.0, 1e9]}
    energy = series("agents.belief.free_energy", "{nat}", "gauge")
    fold.apply(batch({STEPS: [3], MEMORY: [5.0], INFERENCE: [0.1, 9.0], energy: [1.0], **users}))
    return fold


def test_both_formats_parse() -> None:
    registry = CollectorRegistry()
    make_health(registry, version="1")
    collector = WindowCollector([mixed()])
    text = collector.render() + generate_latest(registry)
    plain = {family.name for family in parse(text.decode())}
    text = collector.render(openmetrics=True) + openmetrics_text(registry)
    strict = {family.name for family in parse_openmetrics(text.decode())}
    assert {"agents_steps", "odd_n_me_bytes"} <= plain
    assert {"agents_steps", "odd_n_me_bytes"} <= strict


def test_scrapes_while_windows_are_applied_are_consistent() -> None:
    fold = PrometheusFold(TOPIC, 0)
    collector = WindowCollector([fold])
    other = series("agents.steps", "1", "counter", agent__type="tool", step_type="call", outcome="ok")
    failures: list[str] = []
    done = threading.Event()

    def scrape() -> None:
        while not done.is_set():
            values = [s.value for family in scraped(collector) if family.name == "agents_steps" for s in family.samples]
            if len(set(values)) > 1:
                failures.append(f"torn: {values}")

    thread = threading.Thread(target=scrape)
    thread.start()
    for i in range(300):
        fold.apply(batch({STEPS: [1], other: [1]}, start=10 * i))
    done.set()
    thread.join()
    assert failures == []


def test_an_exemplar_stands_behind_its_bucket_in_openmetrics_only() -> None:
    inference = series("agents.inference.duration", "s", "histogram", operation="plan")
    fold = PrometheusFold(TOPIC, 0)
    fold.exemplify([Exemplar(inference, 0.15, 1_500_000_000, "ab" * 16, "cd" * 8)])  # nothing is exported yet
    fold.apply(batch({inference: [0.15, 0.3]}))
    older = Exemplar(inference, 0.15, 1_500_000_000, "00" * 16, "cd" * 8)
    newer = Exemplar(inference, 0.19, 2_500_000_000, "ab" * 16, "cd" * 8)
    beyond = Exemplar(inference, 99.0, 3_000_000_000, "ef" * 16, "cd" * 8)
    other = Exemplar(series("agents.other", "s", "histogram"), 1.0, 1, "ab" * 16, "cd" * 8)
    fold.exemplify([older, newer, beyond, other])
    collector = WindowCollector([fold])
    text = collector.render(openmetrics=True).decode()
    tails = {re.search(r'le="([^"]+)"', line)[1]: line.split(" # ")[1] for line in text.splitlines() if " # {" in line}  # type: ignore[index]
    assert tails == {
        "0.2": f'{{trace_id="{"ab" * 16}",span_id="{"cd" * 8}"}} 0.19 2.500',
        "+Inf": f'{{trace_id="{"ef" * 16}",span_id="{"cd" * 8}"}} 99.0 3.000',
    }
    families = {f.name: f for f in parse_openmetrics(text + "# EOF\n")}
    assert [s.exemplar.value for s in families["agents_inference_duration_seconds"].samples if s.exemplar] == [
        0.19,
        99.0,
    ]
    assert " # {" not in collector.render().decode()
