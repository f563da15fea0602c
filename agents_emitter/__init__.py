"""The library agents install: metrics, spans and logs into Kafka, without ever blocking or breaking the agent.

::

    import agents_emitter

    with agents_emitter.Emitter("127.0.0.1:9092", service_name="planner", agent_id="planner-1") as emitter:
        steps = emitter.counter("agents.steps").labels(step_type="plan", outcome="success")
        with emitter.span("invoke_agent planner"):
            steps.add(1)

What is where: ``emitter`` the front (``holder`` keeps the process's one), ``instruments`` the calls, ``ring`` the bound
before the sender, ``registry`` the series, ``encoders`` rings to records, ``spool`` records the broker has not
acknowledged, ``lane`` the accounts of one topic, ``sender`` the thread, ``eventloop`` its loop, ``transport`` aiokafka,
``lifetime`` exit and fork, ``spans``, ``propagation``, ``logs``, ``process``, ``text`` makes values safe, ``redaction``
what must not leave, ``foreign`` what another library made, ``otel`` takes it from the OpenTelemetry SDK; ``events`` is
the schema and imports none of them.

Importing the package loads nothing: names are resolved on first use, so ``agents_emitter.events`` stays a leaf.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from agents_emitter.emitter import Emitter
    from agents_emitter.holder import configure, get_emitter
    from agents_emitter.logs import LogHandler
    from agents_emitter.options import Options
    from agents_emitter.propagation import SpanContext, extract, inject, inject_kafka
    from agents_emitter.stats import KindStats, Stats

_HOMES = {
    "Emitter": "emitter",
    "configure": "holder",
    "get_emitter": "holder",
    "LogHandler": "logs",
    "Options": "options",
    "SpanContext": "propagation",
    "extract": "propagation",
    "inject": "propagation",
    "inject_kafka": "propagation",
    "KindStats": "stats",
    "Stats": "stats",
}

__all__ = [
    "Emitter",
    "KindStats",
    "LogHandler",
    "Options",
    "SpanContext",
    "Stats",
    "configure",
    "extract",
    "get_emitter",
    "inject",
    "inject_kafka",
]


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{home}"), name)
