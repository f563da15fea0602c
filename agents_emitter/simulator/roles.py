"""How each role serves a call: the bodies of the server spans."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from agents_emitter.simulator.metrics import series
from agents_emitter.simulator.process import Process
from agents_emitter.simulator.topology import Cell
from agents_emitter.simulator.trace import INTERNAL, Frame, Result, Trace
from agents_emitter.simulator.work import chat, infer, run_tool

STEP_ERROR: Final = "internal_error"
DEPENDENCY_ERROR: Final = "dependency_failed"


def finish(trace: Trace, frame: Frame, step_type: str, result: Result) -> Result:
    """Ends an agent's step: its own failures, the step's count, the error's count and log."""
    if not frame.alive(result.end_ns):
        return result
    failure = trace.conditions.step_failure_ratio(frame.process.agent, frame.start_ns)
    if not result.error and trace.rng.random() < failure:
        result = Result(result.end_ns, STEP_ERROR)
    definition = series("agents.steps", ("step_type", step_type), ("outcome", result.outcome))
    frame.process.sample(result.end_ns, definition, 1.0)
    if result.error:
        trace.error(frame, result, "high")
        trace.log(frame, result.end_ns, "ERROR", f"{step_type} failed: {result.error}")
    return result


def invoke(trace: Trace, client: Frame, server: Process, start_ns: int, serve: Callable[[Frame], Result]) -> Result:
    """``invoke_agent``: a call whose server side is also measured as ``gen_ai.invoke_agent.duration``."""

    def measured(frame: Frame) -> Result:
        result = serve(frame)
        if frame.alive(result.end_ns):
            seconds = trace.seconds(frame, result.end_ns)
            frame.process.sample(result.end_ns, series("gen_ai.invoke_agent.duration"), seconds)
        return result

    return trace.call(client, server, f"invoke_agent {server.agent.id}", "invoke_agent", start_ns, measured)


def remember(trace: Trace, client: Frame, memory: Process, operation: str, start_ns: int) -> Result:
    """``search_memory`` or ``upsert_memory`` at the cell's memory agent; median 8 ms."""

    def serve(frame: Frame) -> Result:
        factor = trace.conditions.duration_factor(memory.agent, frame.start_ns)
        return finish(trace, frame, "memory", Result(trace.after(frame.start_ns, 0.008 * factor)))

    return trace.call(client, memory, operation, operation, start_ns, serve)


def plan(trace: Trace, frame: Frame) -> Result:
    """The planner: one inference and one model call inside a ``plan`` span."""
    agent = frame.process.agent
    inner = Frame(frame.process, trace.span_id(), trace.after(frame.start_ns, 0.0005))
    result = infer(trace, inner, inner.start_ns)
    if not result.error:
        result = chat(trace, inner, result.end_ns)
    result = finish(trace, inner, "plan", result)
    attributes = {"gen_ai.operation.name": "plan", "gen_ai.agent.id": agent.id, "gen_ai.agent.name": agent.role}
    trace.record(inner, frame.span_id, f"plan {agent.id}", INTERNAL, result, attributes)
    return result


def use_tool(trace: Trace, frame: Frame) -> Result:
    """The tool caller."""
    return finish(trace, frame, "tool_call", run_tool(trace, frame, frame.start_ns))


def research(trace: Trace, frame: Frame, cell: Cell) -> Result:
    """The researcher: infer, search memory, use up to two tools, ask the model.

    What memory or a tool fails to give is done without, unless the conditions say that the agent depends on it.
    """
    agent, processes = frame.process.agent, trace.world.processes
    depends = trace.conditions.depends(agent, frame.start_ns)
    missing = False
    result = infer(trace, frame, frame.start_ns)
    if not result.error:
        result = remember(trace, frame, processes[cell.memory.id], "search_memory", result.end_ns)
        missing = bool(result.error)
    for caller in trace.rng.sample(cell.tool_callers, min(trace.rng.choice((0, 1, 1, 2)), len(cell.tool_callers))):
        result = invoke(trace, frame, processes[caller.id], result.end_ns, lambda there: use_tool(trace, there))
        missing = missing or bool(result.error)
    if missing and depends:
        return finish(trace, frame, "research", Result(result.end_ns, DEPENDENCY_ERROR))
    return finish(trace, frame, "research", chat(trace, frame, result.end_ns))
