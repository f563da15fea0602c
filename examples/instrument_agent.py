"""An agent instrumented with agents_emitter: one emitter, a span around the work, two metrics. Nothing else changes.

python examples/instrument_agent.py 127.0.0.1:9092
"""

from __future__ import annotations

import sys
from time import perf_counter

from agents_emitter import Emitter


def plan(task: str) -> list[str]:
    """What the agent does: the steps of a task."""
    return [part.strip() for part in task.split(",")]


def main(brokers: str) -> None:
    """Does one task. Leaving the ``with`` block delivers what is buffered."""
    with Emitter(brokers, service_name="planning", agent_id="planner-1", agent_type="planner") as emitter:
        began = perf_counter()
        with emitter.span("plan planner", attributes={"gen_ai.operation.name": "plan"}):
            steps = plan("read the question, search, answer")
        emitter.counter("agents.steps").add(len(steps), step_type="plan", outcome="success")
        emitter.histogram("agents.inference.duration", unit="s").record(perf_counter() - began, operation="plan")


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "127.0.0.1:9092")
