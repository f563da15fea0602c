from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

import pytest

from agents_emitter import Emitter
from agents_emitter.logs import MAX_BODY_CHARS, severity
from agents_emitter.transport import Transport
from tests.unit.emitter.broker import Broker, emitter_for, eventually


@pytest.fixture
def broker() -> Broker:
    return Broker()


@pytest.fixture
def emitter(broker: Broker) -> Iterator[Emitter]:
    with emitter_for(broker) as made:
        yield made


@pytest.fixture
def logger(emitter: Emitter) -> logging.Logger:
    logger = logging.Logger("agent.plan")
    logger.addHandler(emitter.log_handler())
    return logger


def logs(emitter: Emitter, broker: Broker) -> list[dict[str, Any]]:
    assert emitter.flush(60)
    return [log for record in broker.of("agents.logs") for log in record.body["logs"]]


def test_a_record_carries_its_trace_and_attributes(emitter: Emitter, broker: Broker, logger: logging.Logger) -> None:
    logger.info("outside")
    with emitter.span("x") as span:
        logger.warning("tool %s failed %d times", "search", 3, extra={"tool": "search", "odd": object()})
    first, second = logs(emitter, broker)
    assert "traceId" not in first
    assert (second["traceId"], second["spanId"]) == (span.context.trace_id, span.context.span_id)
    assert (second["severityNumber"], second["severityText"]) == (13, "WARN")
    assert second["body"] == "tool search failed 3 times"
    assert second["attributes"]["tool"] == "search"
    assert second["attributes"]["odd"].startswith("<object")
    assert second["attributes"]["logger.name"] == "agent.plan"
    assert broker.of("agents.logs")[0].key == b"agent-1"


def test_an_exception_is_shipped_with_its_stack(emitter: Emitter, broker: Broker, logger: logging.Logger) -> None:
    try:
        raise KeyError("missing")
    except KeyError:
        logger.exception("failed")
    attributes = logs(emitter, broker)[0]["attributes"]
    assert attributes["exception.type"] == "KeyError"
    assert "test_logs.py" in attributes["exception.stacktrace"]


@pytest.mark.parametrize(
    ("level", "expected"),
    [
        (5, (1, "TRACE")),
        (10, (5, "DEBUG")),
        (20, (9, "INFO")),
        (25, (9, "INFO")),
        (40, (17, "ERROR")),
        (99, (21, "FATAL")),
    ],
)
def test_levels_are_opentelemetrys(level: int, expected: tuple[int, str]) -> None:
    assert severity(level) == expected


def test_what_cannot_be_formatted_is_counted(emitter: Emitter, broker: Broker, logger: logging.Logger) -> None:
    logger.info("%d", "no number")
    logger.info("\ud800 surrogate " + "x" * 20_000)
    assert [log["body"] for log in logs(emitter, broker)] == ["? surrogate " + "x" * (MAX_BODY_CHARS - 12)]
    stats = emitter.stats().logs
    assert (stats.emitted, stats.delivered, stats.dropped_by_reason) == (2, 1, {"invalid": 1})


def test_shipping_never_feeds_itself(broker: Broker) -> None:
    """A client that logs on every attempt, as aiokafka does, must not make one record per attempt."""
    client, agent = logging.getLogger("aiokafka.conn"), logging.getLogger("test_logs.connect")

    async def connect() -> Transport:
        client.error("cannot connect")
        agent.error("logged in the sender's thread")
        return await broker.connect()

    broker.up = False
    root = logging.getLogger()
    emitter = emitter_for(broker, connect=connect)
    handler = emitter.log_handler()
    root.addHandler(handler)
    try:
        logging.getLogger("test_logs").warning("one")
        client.error("the agent's own use of the client")
        eventually(lambda: sum(emitter.stats().errors.values()) > 5)
        broker.up = True
        assert emitter.flush(60)
    finally:
        root.removeHandler(handler)
        emitter.close()
    assert emitter.stats().logs.emitted == 1


def test_the_clients_complaints_stay_out_of_the_agents_logs(broker: Broker, caplog: pytest.LogCaptureFixture) -> None:
    client = logging.getLogger("aiokafka.conn")

    async def connect() -> Transport:
        client.error("ours")
        return await broker.connect()

    with emitter_for(broker, connect=connect) as emitter:
        emitter.counter("c").add(1)
        assert emitter.flush(60)
        client.error("the agent's own")
    assert [record.message for record in caplog.records] == ["the agent's own"]
    assert client.filters == []
