"""Builds the Faust app of a role."""

from __future__ import annotations

import atexit
import tempfile
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import faust
from faust.auth import SASLCredentials, SSLCredentials

from streams.app.part import Part
from streams.app.runtime import Runtime
from streams.app.sourceguard import FRESH_SECONDS
from streams.app.state import Choose
from streams.app.transport import RunTransport
from streams.publish.health import Health, unobserved
from streams.publish.selftrace import SelfTracer
from streams.records.cluster import cluster_of
from streams.settings import Settings


def make_app(settings: Settings, role: str) -> faust.App:
    """A Faust app with our transport, without tables, web server or exactly-once (docs/DESIGN.md says why)."""
    url = ";".join(f"kafka://{broker}" for broker in settings.brokers.split(","))
    app = faust.App(
        f"{settings.group_prefix}-{role}",
        broker=url,
        broker_credentials=_credentials(cluster_of(settings).security),
        autodiscover=False,
        web_enabled=False,
        store="memory://",
        datadir=_folder(),
        topic_allow_declare=False,
        topic_disable_leader=True,
        stream_wait_empty=False,
        stream_buffer_maxsize=16,  # blocks; with 8 the stream waits for the consumer, a tenth less by the clock
        broker_commit_interval=settings.commit_interval_seconds,
        broker_session_timeout=settings.session_timeout_seconds,
        broker_heartbeat_interval=settings.heartbeat_seconds,
        broker_request_timeout=settings.request_timeout_seconds,
        broker_max_poll_records=4000,
        consumer_max_fetch_size=16 * 1_048_576,
        consumer_auto_offset_reset="earliest",
        consumer_group_instance_id=f"{settings.instance_id}-{role}" if settings.instance_id else None,
        producer_max_request_size=16 * 1_048_576,
        producer_compression_type="zstd",
        producer_linger_ms=0,
        producer_max_batch_size=262_144,
        producer_request_timeout=30.0,
        producer_threaded=False,
    )
    transport = RunTransport(app.conf.broker_consumer, app)
    transport.fetch_max_wait_ms = settings.fetch_max_wait_ms
    app.transport = transport
    return app


def _credentials(security: Mapping[str, Any]) -> Any:
    """The same for Faust's own clients; None without a file."""
    context = security.get("ssl_context")
    if "sasl_mechanism" in security:
        return SASLCredentials(
            username=security["sasl_plain_username"],
            password=security["sasl_plain_password"],
            ssl_context=context,
            mechanism=security["sasl_mechanism"],
        )
    return SSLCredentials(context) if context is not None else None


def make_runtime(
    settings: Settings,
    role: str,
    sources: Sequence[str],
    make: Callable[[str, int], Part],
    choose: Choose,
    health: Health | None = None,
    release: Callable[[Part], None] = lambda _: None,
    tracer: SelfTracer | None = None,
) -> Runtime:
    """A role wired to its app: an agent per source topic, restore on assignment, ticks."""
    app = make_app(settings, role)
    runtime = Runtime(app, role, sources, make, choose, settings, health or unobserved(), release, tracer)
    for topic in sources:
        channel = app.topic(topic, value_type=bytes, value_serializer="raw", key_type=bytes, key_serializer="raw")
        app.agent(channel, concurrency=1, name=f"{role}.{topic}")(_agent(runtime))
    app.on_rebalance_complete.connect(_on_assigned(runtime), weak=False)
    app.timer(settings.tick_interval_seconds)(_on_timer(runtime))
    app.timer(FRESH_SECONDS)(_on_look(runtime))
    return runtime


@cache
def _folder() -> Path:
    """Where Faust makes the empty folders of tables that there are not; removed with the process."""
    folder = tempfile.TemporaryDirectory(prefix="streams-")
    atexit.register(folder.cleanup)
    return Path(folder.name)


def _agent(runtime: Runtime) -> Any:
    async def consume(stream: Any) -> None:
        async for event in stream.events():
            await runtime.process(event.message.tp, event.value)

    return consume


def _on_assigned(runtime: Runtime) -> Any:
    async def restore(*_: Any, **__: Any) -> None:
        await runtime.assigned()

    return restore


def _on_timer(runtime: Runtime) -> Any:
    async def tick(*_: Any) -> None:
        await runtime.tick()

    return tick


def _on_look(runtime: Runtime) -> Any:
    async def look(*_: Any) -> None:
        await runtime.check_sources()

    return look
