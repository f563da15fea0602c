"""One task from the user to the answer: the HTTP request, the coordinated work, and the look at the result."""

from __future__ import annotations

from typing import Final, NamedTuple

from agents_emitter.simulator.metrics import series
from agents_emitter.simulator.roles import DEPENDENCY_ERROR, finish, invoke, plan, remember, research
from agents_emitter.simulator.topology import Agent, Cell
from agents_emitter.simulator.trace import INTERNAL, SERVER, Frame, Result, Trace, World

WORKFLOW: Final = "invoke_workflow research_task"
COORDINATIONS: Final = ("delegation", "consensus")
CONSENSUS_RATIO: Final = 0.2
LOGIN_FAILURE_RATIO: Final = 0.01
ATTEMPTS: Final = 2
"""A researcher that fails is asked once more."""


class Session(NamedTuple):
    """A coordinated session: its ``coordination_type``, and [start, end)."""

    coordination: str
    start_ns: int
    end_ns: int


def request(
    world: World, coordinator: Agent, method: str, route: str, start_ns: int, median_seconds: float, status: int
) -> tuple[Trace, Frame, int]:
    """One HTTP request as a trace of its own; 5xx is an error of the server, 4xx is not."""
    trace = Trace(world)
    frame = Frame(world.processes[coordinator.id], trace.span_id(), start_ns)
    end_ns = trace.after(start_ns, median_seconds)
    attributes = {"http.request.method": method, "http.route": route, "http.response.status_code": status}
    result = Result(end_ns, str(status) if status >= 500 else "")
    if trace.record(frame, "", f"{method} {route}", SERVER, result, attributes):
        labels = (("method", method), ("route", route), ("status", str(status)))
        frame.process.sample(end_ns, series("http.requests", *labels), 1.0)
        frame.process.sample(end_ns, series("http.request.duration", *labels), trace.seconds(frame, end_ns))
    return trace, frame, end_ns


def run_workflow(world: World, cell: Cell, start_ns: int) -> Session | None:
    """A task that arrives at a coordinator: the session it becomes, None where the user was turned away.

    The submission and the look at the result are traces of their own (the work is asynchronous); the workflow's root
    span links to the submission.
    """
    coordinator = world.processes[cell.coordinator.id]
    denied = world.rng.random() < LOGIN_FAILURE_RATIO
    status = 401 if denied else 202
    submission, front, at = request(world, cell.coordinator, "POST", "/v1/tasks", start_ns, 0.012, status)
    outcome = "failure" if denied else "success"
    coordinator.sample(at, series("agents.auth.attempts", ("method", "token"), ("outcome", outcome)), 1.0)
    if denied:
        submission.log(front, at, "WARN", "authentication failed: token expired")
        return None
    trace = Trace(world)
    root = Frame(coordinator, trace.span_id(), trace.after(at, 0.002))
    coordination = COORDINATIONS[world.rng.random() < CONSENSUS_RATIO]
    participants, found, result = _coordinate(trace, root, cell, coordination)
    _report(trace, root, result, coordination, participants, found, submission.id, front.span_id)
    look_ns = trace.after(result.end_ns, 0.2)
    request(world, cell.coordinator, "GET", "/v1/tasks/{id}", look_ns, 0.004, 500 if result.error else 200)
    return Session(coordination, root.start_ns, result.end_ns)


def _coordinate(trace: Trace, root: Frame, cell: Cell, coordination: str) -> tuple[int, int, Result]:
    """(participants, researchers that delivered, result): plan, research in parallel, store."""
    processes = trace.world.processes
    trace.log(root, root.start_ns, "INFO", f"task accepted for {coordination}")
    planned = invoke(trace, root, processes[cell.planner.id], root.start_ns, lambda frame: plan(trace, frame))
    if planned.error:
        return 1, 0, finish(trace, root, "coordinate", planned)
    chosen = _choose(trace, cell, coordination, planned.end_ns)
    results = [_ask(trace, root, cell, agent, planned.end_ns) for agent in chosen]
    end_ns = max(result.end_ns for result in results)
    errors = [result.error for result in results if result.error]
    stored = remember(trace, root, processes[cell.memory.id], "upsert_memory", end_ns)
    conditions, coordinator = trace.conditions, cell.coordinator
    failed = len(errors) == len(results) and not conditions.makes_do(coordinator, end_ns)
    failed = failed or (conditions.depends(coordinator, end_ns) and bool(errors or stored.error))
    error = (errors[0] if "timeout" in errors[:1] else DEPENDENCY_ERROR) if failed else ""
    result = finish(trace, root, "coordinate", Result(trace.after(stored.end_ns, 0.001), error))
    return 1 + len(chosen), len(results) - len(errors), result


def _choose(trace: Trace, cell: Cell, coordination: str, time_ns: int) -> list[Agent]:
    """Researchers for a task: one to three, all different; three for a consensus."""
    candidates = [r for r in cell.researchers if not trace.conditions.avoided(r, time_ns)] or list(cell.researchers)
    wanted = 3 if coordination == "consensus" else trace.rng.choice((1, 2, 2, 3))
    return trace.rng.sample(candidates, min(wanted, len(candidates)))


def _ask(trace: Trace, root: Frame, cell: Cell, agent: Agent, start_ns: int) -> Result:
    """Invokes a researcher, again if it fails (a dead one is not asked again: the timeout was long enough)."""
    result = Result(start_ns)
    for _ in range(ATTEMPTS):
        server = trace.world.processes[agent.id]
        result = invoke(trace, root, server, result.end_ns, lambda frame: research(trace, frame, cell))
        if not result.error or result.error == "timeout":
            break
    return result


def _report(
    trace: Trace,
    root: Frame,
    result: Result,
    coordination: str,
    participants: int,
    found: int,
    submission_trace: str,
    submission_span: str,
) -> None:
    """The root span and the coordinator's own figures."""
    attributes = {
        "gen_ai.operation.name": "invoke_workflow",
        "gen_ai.workflow.name": "research_task",
        "gen_ai.conversation.id": trace.conversation,
        "agents.coordination.type": coordination,
        "agents.coordination.participants": participants,
    }
    links = [{"traceId": submission_trace, "spanId": submission_span, "attributes": {}}]
    if not trace.record(root, "", WORKFLOW, INTERNAL, result, attributes, links):
        return
    end, sample = result.end_ns, root.process.sample
    labels = (("coordination_type", coordination), ("outcome", result.outcome))
    sample(end, series("agents.coordination.requests", *labels), 1.0)
    sample(end, series("agents.coordination.duration", *labels), trace.seconds(root, end))
    sample(end, series("agents.interactions", ("interaction_type", "task"), ("outcome", result.outcome)), 1.0)
    if not result.error:
        complete = found / (participants - 1)
        quality = min(1.0, max(0.0, round(trace.rng.gauss(0.45 + 0.37 * complete, 0.07), 4)))
        sample(end, series("agents.response.quality", ("response_type", "report")), quality)
