"""Values that the tests of the demo start from."""

from __future__ import annotations

from typing import Any

from streams import topics
from streams.demo.figures import Figures
from streams.demo.plan import SECOND_NS, Plan
from streams.demo.view import AlertRow, SourceRow, View
from streams.demo.watch import Seen, Step
from streams.domain.alert import AlertTransition, State, fingerprint

START_NS = 1_700_000_000 * SECOND_NS
FAULT_NS = START_NS + 25 * SECOND_NS
PLAN = Plan("model_outage", 120.0, START_NS - 10 * SECOND_NS, START_NS, FAULT_NS, FAULT_NS + 30 * SECOND_NS)


def transition(state: State, seq: int, seconds: float, **how: Any) -> AlertTransition:
    """A transition so many seconds after the fault began."""
    identity = {"alertname": how.get("name", "AgentErrorsHigh"), "agent.id": how.get("agent", "researcher-1")}
    at_ns = FAULT_NS + round(seconds * SECOND_NS)
    return AlertTransition(
        fingerprint=fingerprint(identity),
        seq=seq,
        state=state,
        previous=how.get("previous", ""),
        alertname=identity["alertname"],
        severity=how.get("severity", "high"),
        identity=identity,
        annotations={"value": "84 %", "threshold": "5 %"},
        starts_at_ns=at_ns,
        at_ns=at_ns,
        ends_at_ns=at_ns if state == "resolved" else 0,
        value=0.84,
        threshold=0.05,
    )


def steps(*transitions: AlertTransition, delay_seconds: float = 3.0) -> tuple[Step, ...]:
    """Transitions as the topic holds them, each published a little after its event time."""
    return tuple(Step(t, t.at_ns + round(delay_seconds * SECOND_NS)) for t in transitions)


def seen(*lives: tuple[Step, ...], **how: Any) -> Seen:
    """What was read: the lives of some alerts."""
    return Seen(alerts={life[0].transition.fingerprint: life for life in lives}, **how)


def figures(at_seconds: float = 0.0, **fates: int) -> Figures:
    """A scrape: ``metrics_late=3`` is three late events of agents.metrics."""
    by_word = {"metrics": topics.METRICS, "spans": topics.SPANS, "logs": topics.LOGS, "otlpspans": topics.OTLP_SPANS}
    counted = {(by_word[name.split("_")[0]], name.split("_")[1]): count for name, count in fates.items()}
    return Figures(at_seconds, fates=counted)


def view(**how: Any) -> View:
    """A view of a quiet pipeline."""
    alert = AlertRow("f1", "AgentErrorsHigh", "high", "researcher-1", "firing", "84 % (limit 5 %)", 7.0, True)
    filled: dict[str, Any] = {
        "elapsed_seconds": 42.0,
        "total_seconds": 120.0,
        "story": "model_outage since 17 s",
        "figures": Figures(
            1.0,
            fates={(topics.METRICS, "aggregated"): 190_748, (topics.METRICS, "late"): 12},
            lag=7,
            watermark_delay_seconds=3.94,
            windows=108_614,
            series=451,
        ),
        "per_second": 143.2,
        "sources": [
            SourceRow("simulator", "agents.metrics", 190_700, 101.25),
            SourceRow("simulator", "agents.spans", 60, 2.0),
            SourceRow("simulator", "agents.logs", 4, 0.1),
            SourceRow("OTel program", "otlp_spans", 1_285, 20.0),
            SourceRow("OTel program", "otlp_metrics", 386, 5.0),
            SourceRow("you", "any of agents.*", 1, None),
        ],
        "alerts": [alert],
        "counts": {"firing": 1},
        "notified": {"firing": 1},
        "anomalies": 33,
        "traces": 585,
        "last_anomaly": "agents.steps rate of tool-caller-2: 2.8, expected 0.555 (-0.78 to 1.89), score 0.99995",
        "addresses": {
            "metrics": "http://127.0.0.1:1/metrics",
            "ready": "http://127.0.0.1:1/health/ready",
            "prometheus": "http://127.0.0.1:3",
            "alertmanager": "http://127.0.0.1:4/api/v2/alerts",
            "kafka": "127.0.0.1:2",
            "logs": "/tmp/x/logs",
            "send": "echo '{}' | kcat -P -b 127.0.0.1:2 -t agents.metrics",
        },
        **how,
    }
    return View(**filled)
