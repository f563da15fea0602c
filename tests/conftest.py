"""The neighbours that tests run against. A neighbour that is missing fails the test that asks for it; none is skipped.

Session scope: ``kafka``, ``prometheus``, ``alertmanager`` (which notifies ``webhook``), ``rotel`` (which writes to
``kafka``). Function scope: ``private_kafka``, a broker that a test may kill, pause and restart. Tests that share a
service use topics, groups and label values of their own (``unique_name``).
"""

from __future__ import annotations

import asyncio
import os
import uuid
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from streams import topics
from streams.services import install, jars
from streams.services.alertmanager import AlertmanagerService
from streams.services.kafka import KafkaService
from streams.services.prometheus import PrometheusService
from streams.services.rotel import RotelService
from streams.services.webhook import WebhookReceiver


def create_topics(bootstrap: str, new_topics: Sequence[NewTopic]) -> None:
    """Make topics and wait until the broker knows them; topics that exist are left alone."""

    async def create() -> None:
        admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
        await admin.start()
        try:
            present = set(await admin.list_topics())
            missing = [topic for topic in new_topics if topic.name not in present]
            if missing:
                await admin.create_topics(missing)
        finally:
            await admin.close()

    asyncio.run(create())


LONG = ("tests/acceptance/", "tests/faults/", "tests/unit/test_plants.py")


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What takes longest begins first, so that no process is left alone with it (order is random otherwise)."""
    items.sort(key=lambda item: not item.nodeid.startswith(LONG))


@pytest.fixture(scope="session")
def cache_folder() -> Path:
    """Kafka's jars; shared with the demo."""
    return jars.default_cache_folder(os.environ)


@pytest.fixture(scope="session")
def monitoring_packages() -> None:
    """Prometheus and Alertmanager are on this machine, installed now if need be."""
    install.install()


@pytest.fixture(scope="session")
def kafka(tmp_path_factory: pytest.TempPathFactory, cache_folder: Path) -> Iterator[Any]:
    """One broker for the session. With STREAMS_TEST_SERVICES=containers and a Docker engine: a container."""
    from tests import kafka_container

    make = kafka_container.broker_class(os.environ, kafka_container.docker_answers)
    broker = make(tmp_path_factory.mktemp("kafka"), cache_folder=cache_folder)
    broker.start()
    yield broker
    broker.stop()
    if isinstance(broker, kafka_container.ContainerKafka):
        broker.remove()


@pytest.fixture
def private_kafka(tmp_path: Path, cache_folder: Path) -> Iterator[KafkaService]:
    """A broker of the test's own, as a child process in any case: killed, paused and restarted at will."""
    with KafkaService(tmp_path / "kafka", cache_folder=cache_folder) as broker:
        yield broker


@pytest.fixture(scope="session")
def webhook() -> Iterator[WebhookReceiver]:
    """What Alertmanager notifies."""
    with WebhookReceiver() as receiver:
        yield receiver


@pytest.fixture(scope="session")
def alertmanager(
    tmp_path_factory: pytest.TempPathFactory, monitoring_packages: None, webhook: WebhookReceiver
) -> Iterator[AlertmanagerService]:
    """One Alertmanager for the session."""
    with AlertmanagerService(tmp_path_factory.mktemp("alertmanager"), webhook_url=webhook.url) as service:
        yield service


@pytest.fixture
def private_webhook() -> Iterator[WebhookReceiver]:
    """What an Alertmanager of the test's own notifies."""
    with WebhookReceiver() as receiver:
        yield receiver


@pytest.fixture
def private_alertmanager(
    tmp_path: Path, monitoring_packages: None, private_webhook: WebhookReceiver
) -> Iterator[AlertmanagerService]:
    """An Alertmanager of the test's own: killed and restarted at will, and nobody else's alerts in it."""
    with AlertmanagerService(tmp_path / "alertmanager", webhook_url=private_webhook.url) as service:
        yield service


@pytest.fixture(scope="session")
def prometheus(tmp_path_factory: pytest.TempPathFactory, monitoring_packages: None) -> Iterator[PrometheusService]:
    """One Prometheus for the session, without targets: ``set_targets`` gives it some."""
    with PrometheusService(tmp_path_factory.mktemp("prometheus")) as service:
        yield service


@pytest.fixture(scope="session")
def rotel(tmp_path_factory: pytest.TempPathFactory, kafka: Any) -> Iterator[RotelService]:
    """One OTLP agent for the session, whose topics exist on ``kafka``."""
    names = (topics.OTLP_SPANS, topics.OTLP_METRICS, topics.OTLP_LOGS)
    create_topics(kafka.bootstrap, [NewTopic(name, num_partitions=1, replication_factor=1) for name in names])
    with RotelService(tmp_path_factory.mktemp("rotel"), kafka_bootstrap=kafka.bootstrap) as service:
        yield service


@pytest.fixture
def unique_name() -> Callable[[str], str]:
    """Names for topics and groups on shared services: ``unique_name("orders")`` -> "orders-1f3a9c2e"."""
    return lambda prefix: f"{prefix}-{uuid.uuid4().hex[:8]}"
