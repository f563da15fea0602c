"""Same seed, same bytes; order, sequence numbers and counts of what is emitted."""

from __future__ import annotations

import json
import subprocess
import sys
import tracemalloc
from collections import defaultdict
from itertools import islice, pairwise
from typing import Any

import orjson
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from agents_emitter import events
from agents_emitter.simulator import SCENARIOS, ground_truth, recount, simulate
from agents_emitter.simulator.reading import explain
from tests.unit.simulator import golden
from tests.unit.simulator.runs import SECOND_NS, START_NS, read, shared


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_bytes_are_pinned(scenario: str) -> None:
    assert golden.fingerprint(scenario) == json.loads(golden.PATH.read_text())[scenario]


def test_bytes_do_not_depend_on_the_process() -> None:
    code = "from tests.unit.simulator.golden import fingerprint; print(fingerprint('cascade', duration_seconds=10.0))"
    command = [sys.executable, "-I", "-c", f"import sys; sys.path.insert(0, '.'); {code}"]
    answers = {subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip() for _ in range(2)}
    assert answers == {golden.fingerprint("cascade", duration_seconds=10.0)}


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_seeds_differ(scenario: str) -> None:
    short = {"duration_seconds": 5.0}
    assert golden.fingerprint(scenario, **short) != golden.fingerprint(scenario, seed=8, **short)


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_order_and_sequence(scenario: str) -> None:
    seqs: dict[tuple[str, str], list[int]] = defaultdict(list)
    last = START_NS
    for emission in shared(scenario).emissions:
        assert emission.time_ns >= last
        last = emission.time_ns
        body = orjson.loads(emission.value)
        seqs[body["producer"], emission.topic].append(body["seq"])
        if emission.topic != events.SPANS_TOPIC:
            assert emission.key.decode() == body["resource"]["gen_ai.agent.id"]
    assert all(found == list(range(len(found))) for found in seqs.values())


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_nothing_is_reported_before_it_happened(scenario: str) -> None:
    for emission in shared(scenario).emissions:
        body = orjson.loads(emission.value)
        if emission.topic == events.METRICS_TOPIC:
            times = [time_ns for _, time_ns, _ in explain(emission)]
        elif emission.topic == events.SPANS_TOPIC:
            times = [span["endTimeUnixNano"] for span in body["spans"]]
            assert {span["traceId"] for span in body["spans"]} == {emission.key.decode()}
        else:
            times = [log["timeUnixNano"] for log in body["logs"]]
        assert emission.events == len(times)
        assert times == sorted(times)
        assert times[0] >= START_NS
        assert times[-1] < emission.time_ns
        assert emission.time_ns - times[0] <= 2 * SECOND_NS  # sent by the next batch at the latest
        assert len(emission.value) < 262_144


def test_plain_columns_say_the_same() -> None:
    packed, plain = read("cascade", duration_seconds=20.0), read("cascade", duration_seconds=20.0, columns="plain")
    assert packed.samples == plain.samples
    assert packed.emissions != plain.emissions


@pytest.mark.parametrize("scenario", [name for name in SCENARIOS if name != "burst_free"])
def test_how_often_agents_send_changes_no_span(scenario: str) -> None:
    def spans(batch_seconds: float) -> list[Any]:
        found = read(scenario, duration_seconds=30.0, batch_seconds=batch_seconds)
        return sorted((span for _, span in found.spans), key=lambda span: (span["traceId"], span["spanId"]))

    assert spans(0.25) == spans(1.0) == spans(7.0)


def test_runs_are_lazy() -> None:
    week = simulate("normal_day", seed=1, start_ns=START_NS, duration_seconds=7 * 86_400.0)
    assert len(list(islice(week, 100))) == 100
    assert sum(c.total for c in week.calls.values()) < 100


@pytest.mark.parametrize("scenario", ["normal_day", "burst_free"])
def test_memory_does_not_grow_with_the_run(scenario: str) -> None:
    def peak_bytes(duration_seconds: float) -> int:
        tracemalloc.start()
        for _ in simulate(scenario, seed=1, start_ns=START_NS, duration_seconds=duration_seconds, agents=5):
            pass
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return peak

    peak_bytes(5.0)  # what is cached for the process is not the run's
    assert peak_bytes(600.0) < 1.5 * peak_bytes(60.0)


@settings(max_examples=15, deadline=None, phases=(Phase.explicit, Phase.reuse, Phase.generate))
@given(
    scenario=st.sampled_from(SCENARIOS),
    seed=st.integers(-(2**63), 2**63),
    agents=st.integers(5, 40),
    services=st.integers(1, 12),
    batch_seconds=st.sampled_from([0.25, 1.0, 7.0]),
    duration_seconds=st.floats(0.0, 8.0),
)
def test_any_run_is_ordered_repeatable_and_counted(scenario: str, duration_seconds: float, **how: Any) -> None:
    found = read(scenario, duration_seconds=duration_seconds, **how)
    assert all(a.time_ns <= b.time_ns for a, b in pairwise(found.emissions))
    assert sum(e.events for e in found.emissions) == len(found.samples) + len(found.spans) + len(found.logs)
    again = {"start_ns": START_NS, "duration_seconds": duration_seconds, **how}
    assert found.emissions == list(simulate(scenario, **again))
    assert found.simulation.calls == recount(scenario, **again)
    assert set(found.truth.agents) >= {sample.agent for sample in found.samples}
    assert len(found.truth.agents) == how["agents"]
    for fault in found.truth.faults:
        assert found.truth.start_ns <= fault.start_ns <= fault.end_ns <= found.truth.end_ns


@pytest.mark.parametrize(
    "wrong",
    [
        {"agents": 4},
        {"services": 0},
        {"duration_seconds": -1.0},
        {"batch_seconds": 0.0},
        {"heartbeat_seconds": 0.0},
        {"events_per_second": 0.0},
        {"scenario": "meteorite"},
    ],
)
def test_arguments_out_of_range_are_refused(wrong: dict[str, Any]) -> None:
    how: dict[str, Any] = {"scenario": "cascade", "seed": 1, "start_ns": 0, "duration_seconds": 1.0, **wrong}
    with pytest.raises(ValueError, match=r"\w"):
        simulate(**how)
    with pytest.raises(ValueError, match=r"\w"):
        ground_truth(**how)
