"""Whether the tests' broker is a container or a child process, and how the container would be made."""

from __future__ import annotations

import pytest

from streams.errors import ServiceUnavailable
from streams.services.kafka import KafkaService
from tests.kafka_container import ContainerKafka, broker_class, use_containers


def _never() -> bool:
    raise AssertionError("the engine was asked though no containers are wanted")


@pytest.mark.parametrize("environment", [{}, {"STREAMS_TEST_SERVICES": ""}, {"STREAMS_TEST_SERVICES": "embedded"}])
def test_embedded_unless_asked_and_the_engine_is_left_alone(environment: dict[str, str]) -> None:
    assert not use_containers(environment, _never)
    assert broker_class(environment, _never) is KafkaService


def test_containers_when_asked_and_an_engine_answers() -> None:
    assert broker_class({"STREAMS_TEST_SERVICES": "containers"}, lambda: True) is ContainerKafka


def test_asked_without_an_engine_fails_instead_of_falling_back() -> None:
    with pytest.raises(ServiceUnavailable, match="no Docker engine answers"):
        use_containers({"STREAMS_TEST_SERVICES": "containers"}, lambda: False)


def test_an_unknown_choice_is_refused() -> None:
    with pytest.raises(ValueError, match="STREAMS_TEST_SERVICES=podman: allowed is embedded or containers"):
        use_containers({"STREAMS_TEST_SERVICES": "podman"}, _never)


def test_the_container_has_the_interface_and_the_limits_of_the_child_process(tmp_path: object) -> None:
    interface = {"start", "stop", "kill", "pause", "resume", "restart", "consumer_groups"}
    assert all(callable(getattr(ContainerKafka, name)) and callable(getattr(KafkaService, name)) for name in interface)


def test_the_container_is_configured_as_the_child_process(tmp_path: object) -> None:
    from pathlib import Path

    folder = Path(str(tmp_path))
    container = ContainerKafka(folder, cache_folder=folder, port=20_003)
    embedded = KafkaService(folder, cache_folder=folder, port=20_003)
    assert container.bootstrap == embedded.bootstrap
    properties = dict(line.split("=", 1) for line in embedded._configuration().splitlines())
    given = {name.removeprefix("KAFKA_").lower().replace("_", "."): v for name, v in container.variables().items()}
    shared = [name for name in given if name in properties and "listeners" not in name and "voters" not in name]
    assert {name: given[name] for name in shared} == {name: properties[name] for name in shared}
    assert {"message.max.bytes", "auto.create.topics.enable", "broker.session.timeout.ms"} <= set(shared)
