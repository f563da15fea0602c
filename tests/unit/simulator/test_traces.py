"""Traces are whole and well-formed, and metrics say what the spans say."""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import Any

import pytest

from agents_emitter.simulator import SCENARIOS, Calls, recount
from tests.unit.simulator.runs import SECOND_NS, START_NS, Reading, Sample, shared

TRACED = [name for name in SCENARIOS if name != "burst_free"]


def _whole(name: str) -> bool:
    return name != "agent_silence"


@pytest.mark.parametrize("scenario", TRACED)
def test_each_trace_is_a_tree_inside_its_root(scenario: str) -> None:
    found = shared(scenario)
    sizes = Counter(len(spans) > 1 for spans in found.traces.values())
    assert min(sizes.values()) > 100  # single requests, and workflows
    orphans = 0
    for spans in found.traces.values():
        by_id = {span["spanId"]: span for _, span in spans}
        assert len(by_id) == len(spans)
        assert sum(1 for span in by_id.values() if span["parentSpanId"] == "") == 1
        for span in by_id.values():
            assert span["startTimeUnixNano"] < span["endTimeUnixNano"]
            if span["parentSpanId"] == "":
                continue
            parent = by_id.get(span["parentSpanId"])
            if parent is None:
                orphans += 1
                continue
            assert parent["startTimeUnixNano"] <= span["startTimeUnixNano"]
            assert span["endTimeUnixNano"] <= parent["endTimeUnixNano"]
    assert orphans == 0 or not _whole(scenario)


def test_only_what_was_open_at_the_death_leaves_orphans() -> None:
    """The missing parents are server spans of the dead agent: their client saw a reset."""
    for seed_run in (shared("agent_silence"),):
        dead = seed_run.truth.faults[0].root
        for spans in seed_run.traces.values():
            ids = {span["spanId"] for _, span in spans}
            missing = {s["parentSpanId"] for _, s in spans if s["parentSpanId"]} - ids
            if missing:
                broken = [s for _, s in spans if s["attributes"].get("error.type") == "connection_reset"]
                assert [s["attributes"]["gen_ai.agent.id"] for s in broken] == [dead]


@pytest.mark.parametrize("scenario", TRACED)
def test_edges_are_counted_exactly(scenario: str) -> None:
    found = shared(scenario)
    servers = {span["parentSpanId"]: r["gen_ai.agent.id"] for r, span in found.spans if span["kind"] == 2}
    counted: dict[tuple[str, str], Calls] = defaultdict(Calls)
    for resource, span in found.spans:
        if span["kind"] != 3 or span["name"].startswith("chat "):
            continue
        callee = span["attributes"]["gen_ai.agent.id"]
        edge = counted[resource["gen_ai.agent.id"], callee]
        edge.total += 1
        edge.answered += span["spanId"] in servers
        edge.failed += span["status"]["code"] == 2
        assert servers.get(span["spanId"], callee) == callee
    assert counted == found.simulation.calls
    assert set(counted) <= set(found.truth.edges)
    assert counted == recount(scenario, seed=3, start_ns=START_NS, duration_seconds=600.0)


@pytest.mark.parametrize("scenario", TRACED)
def test_spans_keep_the_genai_conventions(scenario: str) -> None:
    found = shared(scenario)
    kinds = {"chat": 3, "execute_tool": 1, "plan": 1, "invoke_workflow": 1, "inference": 1}
    for _, span in found.spans:
        first = span["name"].split(" ")[0]
        assert span["kind"] == kinds.get(first, span["kind"])
        failed = span["status"]["code"] == 2
        assert failed == ("error.type" in span["attributes"])
        operation = span["attributes"].get("gen_ai.operation.name")
        assert operation in (None, first)
        if first == "chat":
            assert failed != ("gen_ai.usage.input_tokens" in span["attributes"])
        if first not in ("POST", "GET", "inference"):
            assert operation == first
    names = {span["name"].split(" ")[0] for _, span in found.spans}
    assert names >= {*kinds, "invoke_agent", "search_memory", "upsert_memory", "POST", "GET"}


def _sums(found: list[Sample], *labels: str) -> Counter[tuple[Any, ...]]:
    return Counter((s.agent, *(s.labels.get(name, "") for name in labels), s.value) for s in found)


def _spans(found: Reading, first: str, *names: str) -> Counter[tuple[Any, ...]]:
    """Durations of spans by agent and attributes."""
    return Counter(
        (
            resource["gen_ai.agent.id"],
            *(span["attributes"].get(name, "") for name in names),
            (span["endTimeUnixNano"] - span["startTimeUnixNano"]) / SECOND_NS,
        )
        for resource, span in found.spans
        if span["name"].split(" ")[0] == first
    )


@pytest.mark.parametrize("scenario", TRACED)
def test_durations_are_those_of_spans(scenario: str) -> None:
    found = shared(scenario)
    model = ("gen_ai.provider.name", "gen_ai.request.model", "error.type")
    assert _sums(found.select("gen_ai.client.operation.duration"), *model) == _spans(found, "chat", *model)
    tool = ("gen_ai.tool.name", "error.type")
    assert _sums(found.select("gen_ai.execute_tool.duration"), *tool) == _spans(found, "execute_tool", *tool)
    assert _sums(found.select("agents.inference.duration")) == _spans(found, "inference")
    coordination = found.select("agents.coordination.duration")
    assert _sums(coordination) == _spans(found, "invoke_workflow")
    requests = found.select("agents.coordination.requests")
    assert Counter(s.labels["outcome"] for s in coordination) == Counter(s.labels["outcome"] for s in requests)
    http = _spans(found, "POST", "http.route") + _spans(found, "GET", "http.route")
    assert _sums(found.select("http.request.duration"), "route") == http


@pytest.mark.parametrize("scenario", TRACED)
def test_tokens_are_those_of_spans(scenario: str) -> None:
    found = shared(scenario)
    for kind in ("input", "output"):
        usage = [s["attributes"].get(f"gen_ai.usage.{kind}_tokens", 0) for _, s in found.spans]
        reported = found.select("gen_ai.client.token.usage", gen_ai__token__type=kind)
        assert sum(s.value for s in reported) == sum(usage) > 0


@pytest.mark.parametrize("scenario", TRACED)
def test_steps_and_errors_are_those_of_spans(scenario: str) -> None:
    found = shared(scenario)
    failed = [s for _, s in found.spans if s["status"]["code"] == 2]
    resets = [s for s in failed if s["attributes"]["error.type"] in ("timeout", "connection_reset")]
    by_name = Counter(s["name"].split(" ")[0] for _, s in found.spans)
    plans = Counter(s["status"]["code"] for _, s in found.spans if s["name"].startswith("plan "))
    steps = found.select("agents.steps", step_type="plan")
    assert sum(plans.values()) == len(steps)
    assert plans[2] == sum(1 for s in steps if s.labels["outcome"] != "success")
    coordinated = found.select("agents.steps", step_type="coordinate")
    assert len(coordinated) == by_name["invoke_workflow"]
    clients = [s for s in resets if s["kind"] == 3]
    assert len(found.select("agents.errors", error_type="connection_reset")) == sum(
        1 for s in clients if s["attributes"]["error.type"] == "connection_reset"
    )


@pytest.mark.parametrize("scenario", TRACED)
def test_logs_belong_to_spans_and_are_not_counted_twice(scenario: str) -> None:
    found = shared(scenario)
    ids = {(span["traceId"], span["spanId"]): (resource, span) for resource, span in found.spans}
    lost = 0
    for resource, log in found.logs:
        assert {"INFO": 9, "WARN": 13, "ERROR": 17}[log["severityText"]] == log["severityNumber"]
        if (log["traceId"], log["spanId"]) not in ids:
            lost += 1
            continue
        owner, span = ids[log["traceId"], log["spanId"]]
        assert owner["gen_ai.agent.id"] == resource["gen_ai.agent.id"]
        assert span["startTimeUnixNano"] <= log["timeUnixNano"] <= span["endTimeUnixNano"]
    assert lost == 0 or not _whole(scenario)
    assert found.select("agents.log.records") == []  # the pipeline makes it from the logs


def test_agents_of_a_trace_send_their_own_batches() -> None:
    found = shared("normal_day")
    workflow = max(found.traces.values(), key=len)
    assert len({resource["service.instance.id"] for resource, _ in workflow}) >= 4
    assert len({resource["service.name"] for resource, _ in workflow}) == 3
