"""What an agent does inside its own process: infer, ask a model, run a tool."""

from __future__ import annotations

from typing import Final

from agents_emitter.simulator.interval import SECOND_NS
from agents_emitter.simulator.metrics import series
from agents_emitter.simulator.seeds import log_normal
from agents_emitter.simulator.topology import MODELS
from agents_emitter.simulator.trace import CLIENT, INTERNAL, Frame, Result, Trace

MODEL_ATTEMPTS: Final = 4
BACKOFF_SECONDS: Final = 0.05
"""Doubles with each attempt."""
TOOL_TIMEOUT_NS: Final = 10 * SECOND_NS
PREDICTION_ACCURACY: Final = 0.87


def infer(trace: Trace, parent: Frame, start_ns: int) -> Result:
    """One active-inference step: a belief update with its free energy; median 22 ms, never fails."""
    agent = parent.process.agent
    if not parent.alive(start_ns):
        return Result(start_ns, "crashed")
    frame = Frame(parent.process, trace.span_id(), start_ns)
    factor = trace.conditions.duration_factor(agent, start_ns)
    result = Result(trace.after(start_ns, 0.022 * factor))
    energy = round(log_normal(trace.rng, trace.conditions.free_energy(agent, start_ns), 0.18), 4)
    attributes = {"agents.belief.free_energy": energy, "gen_ai.agent.id": agent.id}
    correct = "true" if trace.rng.random() < PREDICTION_ACCURACY else "false"
    if trace.record(frame, parent.span_id, "inference state", INTERNAL, result, attributes):
        end, sample = result.end_ns, parent.process.sample
        sample(end, series("agents.inference.duration", ("operation", "state")), trace.seconds(frame, end))
        sample(end, series("agents.belief.updates", ("update_type", "posterior"), ("outcome", "success")), 1.0)
        sample(end, series("agents.belief.predictions", ("correct", correct)), 1.0)
        sample(end, series("agents.belief.free_energy"), energy)
    return result


def chat(trace: Trace, parent: Frame, start_ns: int) -> Result:
    """A model call with up to four attempts and exponential backoff: each attempt is a span."""
    provider, _ = MODELS[parent.process.agent.role]
    result = Result(start_ns)
    for attempt in range(MODEL_ATTEMPTS):
        at = result.end_ns
        if not parent.alive(at):
            return Result(at, "crashed")
        failed = trace.rng.random() < trace.conditions.model_failure_ratio(provider, at)
        result = _attempt(trace, parent, at, failed)
        if not failed:
            return result
        trace.error(parent, result, "medium")
        trace.log(parent, result.end_ns, "WARN", f"model call failed, attempt {attempt + 1} of {MODEL_ATTEMPTS}")
        result = Result(trace.after(result.end_ns, BACKOFF_SECONDS * 2**attempt, 0.2), result.error)
    return result


def _attempt(trace: Trace, parent: Frame, start_ns: int, failed: bool) -> Result:
    """One request to the model; tokens and duration go together."""
    provider, model = MODELS[parent.process.agent.role]
    frame = Frame(parent.process, trace.span_id(), start_ns)
    names = (
        ("gen_ai.operation.name", "chat"),
        ("gen_ai.provider.name", provider),
        ("gen_ai.request.model", model),
    )
    tokens = {"input": int(log_normal(trace.rng, 600, 0.5)) + 1, "output": int(log_normal(trace.rng, 120, 0.4)) + 1}
    if failed:
        result = Result(trace.after(start_ns, 0.03, 0.3), "model_unavailable")
    else:
        result = Result(trace.after(start_ns, 0.05 + 0.0008 * tokens["output"], 0.2))
    attributes = {**dict(names), "gen_ai.conversation.id": trace.conversation, "server.address": f"{provider}.example"}
    if not failed:
        attributes |= {"gen_ai.response.model": model}
        usage = {f"gen_ai.usage.{kind}_tokens": count for kind, count in tokens.items()}
    else:
        usage = {}
    if trace.record(frame, parent.span_id, f"chat {model}", CLIENT, result, {**attributes, **usage}):
        end, sample = result.end_ns, parent.process.sample
        definition = series("gen_ai.client.operation.duration", *names, ("error.type", result.error))
        sample(end, definition, trace.seconds(frame, end))
        for kind in () if failed else ("input", "output"):
            sample(end, series("gen_ai.client.token.usage", *names, ("gen_ai.token.type", kind)), float(tokens[kind]))
    return result


def run_tool(trace: Trace, parent: Frame, start_ns: int) -> Result:
    """The tool caller's tool; gives up after ten seconds with ``timeout``."""
    agent = parent.process.agent
    if not parent.alive(start_ns):
        return Result(start_ns, "crashed")
    frame = Frame(parent.process, trace.span_id(), start_ns)
    end_ns = trace.after(start_ns, 0.11 * trace.conditions.tool_factor(agent, start_ns))
    error = "tool_error" if trace.rng.random() < trace.conditions.tool_failure_ratio(agent, start_ns) else ""
    if end_ns - start_ns > TOOL_TIMEOUT_NS:
        end_ns, error = start_ns + TOOL_TIMEOUT_NS, "timeout"
    result = Result(end_ns, error)
    attributes = {
        "gen_ai.operation.name": "execute_tool",
        "gen_ai.tool.name": agent.tool,
        "gen_ai.tool.type": "function",
        "gen_ai.tool.call.id": f"call-{frame.span_id[:8]}",
        "gen_ai.conversation.id": trace.conversation,
    }
    if trace.record(frame, parent.span_id, f"execute_tool {agent.tool}", INTERNAL, result, attributes):
        names = (("gen_ai.tool.name", agent.tool), ("error.type", error))
        definition = series("gen_ai.execute_tool.duration", *names)
        parent.process.sample(result.end_ns, definition, trace.seconds(frame, result.end_ns))
    return result
