"""The building blocks of a trace: spans, the calls between agents, and the samples that belong to them.

Every duration that a metric reports is the duration of a span that is reported, to the nanosecond.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, NamedTuple

from agents_emitter.simulator.conditions import Conditions
from agents_emitter.simulator.interval import SECOND_NS
from agents_emitter.simulator.metrics import series
from agents_emitter.simulator.process import Process
from agents_emitter.simulator.seeds import Random, hex_id, log_normal
from agents_emitter.simulator.truth import Calls

INTERNAL: Final = 1
SERVER: Final = 2
CLIENT: Final = 3

NETWORK_SECONDS: Final = 0.0015
CALL_TIMEOUT_NS: Final = 2 * SECOND_NS
"""How long a client waits for an agent that does not exist."""

SEVERITY_NUMBERS: Final = {"INFO": 9, "WARN": 13, "ERROR": 17}


class Result(NamedTuple):
    """When something ended, and its ``error.type`` ("" for success)."""

    end_ns: int
    error: str = ""

    @property
    def outcome(self) -> str:
        """success, failure or timeout: the vocabulary of every ``outcome`` label."""
        return "timeout" if self.error == "timeout" else "failure" if self.error else "success"


class Frame(NamedTuple):
    """Where work happens: the process, its open span, and since when."""

    process: Process
    span_id: str
    start_ns: int

    def alive(self, time_ns: int) -> bool:
        """Whether the process has lived since the frame began."""
        return self.process.alive(self.start_ns, time_ns)


class World(NamedTuple):
    """What all traces of a run share."""

    conditions: Conditions
    processes: Mapping[str, Process]
    calls: dict[tuple[str, str], Calls]
    rng: Random


class Trace:
    """One trace in the making: gives out ids and puts spans, samples and logs into the processes' buffers."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.rng = world.rng
        self.conditions = world.conditions
        self.id = hex_id(world.rng, 128)
        self.conversation = f"conv-{self.id[:12]}"

    def span_id(self) -> str:
        """A new one."""
        return hex_id(self.rng, 64)

    def after(self, start_ns: int, median_seconds: float, sigma: float = 0.45) -> int:
        """The moment a log-normal duration later, at least one nanosecond."""
        return start_ns + 1 + int(log_normal(self.rng, median_seconds, sigma) * SECOND_NS)

    def record(
        self,
        frame: Frame,
        parent: str,
        name: str,
        kind: int,
        result: Result,
        attributes: Mapping[str, Any],
        links: Sequence[Mapping[str, Any]] = (),
    ) -> bool:
        """Reports the frame's span, unless its process died in between: then False."""
        if not frame.alive(result.end_ns):
            return False
        span: dict[str, Any] = {
            "traceId": self.id,
            "spanId": frame.span_id,
            "parentSpanId": parent,
            "name": name,
            "kind": kind,
            "startTimeUnixNano": frame.start_ns,
            "endTimeUnixNano": result.end_ns,
            "status": {"code": 2, "message": result.error} if result.error else {"code": 0},
            "attributes": {**attributes, "error.type": result.error} if result.error else dict(attributes),
        }
        if links:
            span["links"] = list(links)
        frame.process.spans.append((result.end_ns, self.id, span))
        return True

    def log(self, frame: Frame, time_ns: int, severity: str, body: str) -> None:
        """One log record in the frame's span; the pipeline counts them, so that no metric needs to."""
        if not frame.process.alive(time_ns, time_ns):
            return
        record = {
            "timeUnixNano": time_ns,
            "severityNumber": SEVERITY_NUMBERS[severity],
            "severityText": severity,
            "body": body,
            "attributes": {"gen_ai.conversation.id": self.conversation},
            "traceId": self.id,
            "spanId": frame.span_id,
        }
        frame.process.logs.append((time_ns, record))

    def error(self, frame: Frame, result: Result, severity: str) -> None:
        """Counts an error of the frame's agent."""
        definition = series("agents.errors", ("error_type", result.error), ("severity", severity))
        frame.process.sample(result.end_ns, definition, 1.0)

    def seconds(self, frame: Frame, end_ns: int) -> float:
        """Duration of a frame as metrics report it."""
        return (end_ns - frame.start_ns) / SECOND_NS

    def call(
        self,
        client: Frame,
        server: Process,
        name: str,
        operation: str,
        start_ns: int,
        serve: Callable[[Frame], Result],
    ) -> Result:
        """A call from one agent to another: a client span there, a server span here, and the work between them.

        A server that does not exist is waited for until the timeout; one that dies under the call resets it.
        """
        if not client.alive(start_ns):
            return Result(start_ns, "crashed")
        here = Frame(client.process, self.span_id(), start_ns)
        attributes = {
            "gen_ai.operation.name": operation,
            "gen_ai.agent.id": server.agent.id,
            "gen_ai.agent.name": server.agent.role,
            "gen_ai.conversation.id": self.conversation,
        }
        there = Frame(server, self.span_id(), self.after(start_ns, NETWORK_SECONDS))
        result, answered = self._serve(here, there, name, attributes, serve)
        if self.record(here, client.span_id, name, CLIENT, result, attributes):
            edge = self.world.calls.setdefault((client.process.agent.id, server.agent.id), Calls())
            edge.total += 1
            edge.answered += answered
            edge.failed += bool(result.error)
        if result.error in ("timeout", "connection_reset"):
            self.error(client, result, "high")
            self.log(here, result.end_ns - 1, "ERROR", f"call to {server.agent.id} failed: {result.error}")
        return result

    def _serve(
        self, here: Frame, there: Frame, name: str, attributes: Mapping[str, Any], serve: Callable[[Frame], Result]
    ) -> tuple[Result, bool]:
        """(what the client sees, whether a server span was reported)."""
        server = there.process
        if not there.alive(there.start_ns):
            return Result(here.start_ns + CALL_TIMEOUT_NS, "timeout"), False
        work = serve(there)
        done = Result(self.after(work.end_ns, 0.0004), work.error)
        if not self.record(there, here.span_id, name, SERVER, done, attributes):
            return Result(self.after(server.silence.start_ns, NETWORK_SECONDS), "connection_reset"), False
        return Result(self.after(done.end_ns, NETWORK_SECONDS), done.error), True
