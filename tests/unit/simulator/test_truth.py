"""The ground truth is true of the data."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise
from typing import Any

import pytest

from agents_emitter.simulator import SCENARIOS, ground_truth, simulate
from agents_emitter.simulator.conditions import MEGABYTE
from tests.unit.simulator.runs import SECOND_NS, Reading, Sample, count, read, shared

LIMIT_BYTES = 36_175_872
FAULTS = [name for name in SCENARIOS if name not in ("normal_day", "burst_free")]


def _failure_ratio(found: list[Sample]) -> float:
    outcomes = count(found, "outcome")
    return 1 - outcomes["success"] / outcomes.total()


def _steps(found: Reading, agent: str) -> list[Sample]:
    return [s for s in found.select("agents.steps") if s.agent == agent]


@pytest.mark.parametrize("scenario", FAULTS)
def test_faults_lie_in_the_middle_third(scenario: str) -> None:
    found = shared(scenario)
    (fault,) = found.truth.faults
    assert fault.kind == scenario
    length = found.truth.end_ns - found.truth.start_ns
    assert abs((fault.start_ns - found.truth.start_ns) / length - 1 / 3) <= 0.031
    assert abs((fault.end_ns - found.truth.start_ns) / length - 2 / 3) <= 0.031
    assert set(fault.affected) <= set(found.truth.agents)
    assert len(fault.onsets_ns) == len(fault.affected)
    assert list(fault.onsets_ns) == sorted(fault.onsets_ns)
    assert fault.start_ns <= fault.onsets_ns[0]
    assert fault.onsets_ns[-1] < fault.end_ns
    assert fault.expected_alerts


@pytest.mark.parametrize("scenario", FAULTS)
def test_metrics_expected_to_move_exist(scenario: str) -> None:
    found = shared(scenario)
    for name, labels in found.truth.faults[0].metrics:
        if name == "agents.log.records":  # the pipeline makes it from the logs
            assert any(log["severityText"] == labels["severity"] for _, log in found.logs)
            continue
        assert any(
            s.name == name and labels.items() <= {**s.labels, **_resource_labels(s)}.items() for s in found.samples
        ), (name, labels)


def _resource_labels(sample: Sample) -> dict[str, str]:
    resource = sample.resource
    return {
        "agent.id": resource["gen_ai.agent.id"],
        "agent.type": resource["agents.type"],
        "service.name": resource["service.name"],
        "service.version": resource["service.version"],
    }


@pytest.mark.parametrize("scenario", FAULTS)
def test_causes_come_before_effects_along_the_calls(scenario: str) -> None:
    found = shared(scenario)
    affected = found.truth.faults[0].affected
    for client, server in found.truth.edges:
        if client in affected and server in affected:
            assert affected.index(server) < affected.index(client)


def test_health_is_within_the_baselines() -> None:
    found = shared("normal_day")
    assert found.truth.faults == ()
    assert _failure_ratio(found.select("agents.steps")) < 0.02
    assert _failure_ratio(found.select("agents.coordination.requests")) < 0.05
    memory = [s.value for s in found.select("agents.memory")]
    assert 17 * MEGABYTE < min(memory) <= max(memory) < 25 * MEGABYTE
    durations = sorted(s.value for s in found.select("agents.coordination.duration"))
    assert durations[int(len(durations) * 0.95)] < 1.5
    inferences = sorted(s.value for s in found.select("agents.inference.duration"))
    assert inferences[int(len(inferences) * 0.95)] < 0.1
    correct = count(found.select("agents.belief.predictions"), "correct")
    assert correct["true"] / correct.total() > 0.8
    quality = [s.value for s in found.select("agents.response.quality")]
    assert sum(quality) / len(quality) > 0.75
    assert all(0.2 < s.value < 8 for s in found.select("agents.belief.free_energy"))


def test_heartbeats_are_regular() -> None:
    found = shared("normal_day")
    beats = Counter(s.agent for s in found.select("agents.heartbeat"))
    assert set(beats) == set(found.truth.agents)
    assert set(beats.values()) == {120}  # 600 s, one in 5 s
    times = [s.time_ns for s in found.select("agents.heartbeat") if s.agent == "planner-1"]
    assert {b - a for a, b in pairwise(times)} == {5 * SECOND_NS}


def test_sessions_are_those_of_the_workflows() -> None:
    found = shared("slow_tool")
    roots = [span for _, span in found.spans if span["name"].startswith("invoke_workflow")]
    seen = found.select("agents.coordination.sessions.active")
    assert max(s.value for s in seen) >= 2
    for sample in seen:
        open_now = [
            span
            for span in roots
            if span["attributes"]["agents.coordination.type"] == sample.labels["coordination_type"]
            and span["startTimeUnixNano"] <= sample.time_ns < span["endTimeUnixNano"]
        ]
        assert sample.value == len(open_now)


def test_slow_tool_is_slow_only_in_the_fault() -> None:
    found = shared("slow_tool")
    root = found.truth.faults[0].root
    calls = [s for s in found.spans if s[0]["gen_ai.agent.id"] == root and s[1]["name"].startswith("execute_tool")]
    fault = found.truth.faults[0]
    medians = []
    for inside in (True, False):
        durations = sorted(
            span["endTimeUnixNano"] - span["startTimeUnixNano"]
            for _, span in calls
            if (fault.start_ns <= span["startTimeUnixNano"] < fault.end_ns) is inside
        )
        medians.append(durations[len(durations) // 2] / SECOND_NS)
    assert medians[0] > 1.5 > 0.3 > medians[1]
    coordination = sorted(s.value for s in found.inside(found.select("agents.coordination.duration")))
    assert coordination[int(len(coordination) * 0.95)] > 2.0


def test_leak_rises_in_a_line_past_the_limit() -> None:
    found = shared("memory_leak")
    fault = found.truth.faults[0]
    memory = [s for s in found.select("agents.memory") if s.agent == fault.root]
    rising = found.inside(memory)
    minutes = (rising[-1].time_ns - rising[0].time_ns) / 60 / SECOND_NS
    assert (rising[-1].value - rising[0].value) / minutes > 5 * MEGABYTE
    passed = next(s.time_ns for s in rising if s.value > LIMIT_BYTES)
    assert 0.3 < (passed - fault.start_ns) / (fault.end_ns - fault.start_ns) < 0.7
    assert max(s.value for s in found.outside(memory)) < 25 * MEGABYTE
    assert max(s.value for s in found.select("agents.memory") if s.agent != fault.root) < 25 * MEGABYTE


def test_a_slow_leak_of_days_passes_the_limit_and_stops() -> None:
    found = read("memory_leak", duration_seconds=90_000.0, events_per_second=1.0, heartbeat_seconds=300.0, agents=5)
    memory = [s for s in found.select("agents.memory") if s.agent == found.truth.faults[0].root]
    assert LIMIT_BYTES < max(s.value for s in memory) < 130 * MEGABYTE


def test_outage_brings_errors_and_a_retry_storm() -> None:
    found = shared("model_outage")
    provider = found.truth.faults[0].root
    calls = found.select("gen_ai.client.operation.duration", gen_ai__provider__name=provider)
    inside, outside = found.inside(calls), found.outside(calls)
    failed = [s for s in inside if s.labels.get("error.type") == "model_unavailable"]
    assert len(failed) / len(inside) > 0.85
    # a third of the time, yet several times the calls of the other two thirds
    assert len(inside) > 3 * len(outside)
    assert _failure_ratio(found.inside(found.select("agents.steps"))) > 0.10
    assert _failure_ratio(found.inside(found.select("agents.coordination.requests"))) > 0.10
    assert _failure_ratio(found.outside(found.select("agents.steps"))) < 0.05


def test_cascade_follows_the_calls() -> None:
    found = shared("cascade")
    fault = found.truth.faults[0]
    firsts = []
    for agent, onset_ns in zip(fault.affected, fault.onsets_ns, strict=True):
        steps = _steps(found, agent)
        before = [s for s in steps if s.time_ns < fault.start_ns]
        between = [s for s in steps if fault.start_ns <= s.time_ns < onset_ns]
        after = [s for s in steps if onset_ns + SECOND_NS <= s.time_ns < fault.end_ns]
        assert _failure_ratio(before) < 0.1
        assert len(between) < 10 or _failure_ratio(between) < 0.1
        assert _failure_ratio(after) > 0.7
        firsts.append(next(s.time_ns for s in steps if s.time_ns >= onset_ns and s.labels["outcome"] != "success"))
    assert firsts[0] == min(firsts)
    assert firsts[-1] == max(firsts)
    assert _failure_ratio(found.inside(found.select("agents.steps"))) > 0.10
    bystanders = set(found.truth.agents) - set(fault.affected)
    assert all(_failure_ratio(_steps(found, agent)) < 0.1 for agent in bystanders)


def test_deployment_changes_version_and_behaviour() -> None:
    found = shared("bad_deployment")
    fault = found.truth.faults[0]
    new = [s for s in found.samples if s.resource["service.version"] == "1.5.0"]
    assert {s.resource["service.name"] for s in new} == {fault.root}
    assert {s.agent for s in new} == {agent for agent, service in found.truth.agents.items() if service == fault.root}
    assert min(s.time_ns for s in new) == fault.start_ns
    assert max(s.time_ns for s in new) < fault.end_ns
    onsets = dict(zip(fault.affected, fault.onsets_ns, strict=True))
    for agent in {s.agent for s in new}:
        assert min(s.time_ns for s in new if s.agent == agent) == onsets[agent]
    old = [s for s in found.samples if s.resource["service.version"] == "1.4.2"]
    assert _failure_ratio([s for s in new if s.name == "agents.steps"]) > 0.05
    assert _failure_ratio([s for s in old if s.name == "agents.steps"]) < 0.05
    slow = sorted(s.value for s in new if s.name == "agents.inference.duration")
    assert slow[int(len(slow) * 0.95)] > 0.1
    producers = {s.resource["service.instance.id"] for s in found.samples if s.agent == fault.affected[0]}
    assert len(producers) == 3  # before, during, after


def test_burst_is_many_failing_logins_and_nothing_else() -> None:
    found = shared("security_burst")
    fault = found.truth.faults[0]
    password = found.select("agents.auth.attempts", method="password", outcome="failure")
    assert {s.agent for s in password} == {fault.root}
    assert fault.start_ns <= min(s.time_ns for s in password)
    seconds = (fault.end_ns - fault.start_ns) / SECOND_NS
    assert 4 < len(password) / seconds < 6
    assert len([s for s in found.outside(password) if s.time_ns > fault.end_ns + SECOND_NS]) == 0
    assert len(found.select("agents.security.events")) > 10
    assert len(found.select("agents.access.violations")) > 1
    assert _failure_ratio(found.select("agents.steps")) < 0.02


def test_a_silent_agent_says_nothing_exactly_in_the_fault() -> None:
    found = shared("agent_silence")
    fault = found.truth.faults[0]
    mine = [s for s in found.samples if s.agent == fault.root]
    assert found.inside(mine) == [] != mine
    beats = [s.time_ns for s in mine if s.name == "agents.heartbeat"]
    expected = range(beats[0], found.truth.end_ns, 5 * SECOND_NS)
    assert beats == [t for t in expected if not fault.start_ns <= t < fault.end_ns]
    spans = [span for resource, span in found.spans if resource["gen_ai.agent.id"] == fault.root]
    assert all(span["endTimeUnixNano"] < fault.start_ns or span["startTimeUnixNano"] >= fault.end_ns for span in spans)
    (restart,) = [s for s in mine if s.labels.get("event") == "restart"]
    assert restart.time_ns == fault.end_ns
    assert len(found.inside(found.select("agents.heartbeat"))) > 0


def test_callers_of_a_silent_agent_time_out_until_they_notice() -> None:
    found = read("agent_silence", events_per_second=1_000.0, duration_seconds=90.0)
    fault = found.truth.faults[0]
    timeouts = found.select("agents.errors", error_type="timeout")
    assert {s.agent for s in timeouts} == {"coordinator-1"}
    assert len(timeouts) > 10
    assert max(s.time_ns for s in timeouts) < fault.start_ns + 20 * SECOND_NS
    edge = found.simulation.calls["coordinator-1", fault.root]
    assert 10 < edge.total - edge.answered <= len(timeouts)  # a workflow that fails for it is an error of its own
    assert edge.failed >= edge.total - edge.answered


@pytest.mark.parametrize("scenario", FAULTS)
def test_a_fault_that_is_placed_acts_there(scenario: str) -> None:
    placed = ground_truth(
        scenario, seed=3, start_ns=7 * SECOND_NS, duration_seconds=600.0, fault_seconds=(400.0, 430.5)
    )
    assert [(f.start_ns, f.end_ns) for f in placed.faults] == [(407 * SECOND_NS, 437 * SECOND_NS + SECOND_NS // 2)]


def test_before_a_placed_fault_the_run_is_the_same() -> None:
    def records(**how: Any) -> list[bytes]:
        run = simulate("model_outage", seed=3, start_ns=0, duration_seconds=90.0, **how)
        return [e.value for e in run if e.time_ns < 40 * SECOND_NS]

    assert records(fault_seconds=(50.0, 60.0)) == records(fault_seconds=(70.0, 80.0))
    assert records(fault_seconds=(50.0, 60.0)) != records(fault_seconds=(10.0, 60.0))


@pytest.mark.parametrize("wrong", [(-1.0, 5.0), (5.0, 5.0), (6.0, 5.0)])
def test_a_fault_must_begin_before_it_ends(wrong: tuple[float, float]) -> None:
    with pytest.raises(ValueError, match="a fault begins"):
        simulate("cascade", seed=1, start_ns=0, duration_seconds=9.0, fault_seconds=wrong)
