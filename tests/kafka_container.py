"""Kafka from a container engine, with the interface of :class:`streams.services.kafka.KafkaService`."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Self

from testcontainers.core.container import DockerContainer

from streams.errors import ServiceUnavailable
from streams.services import jars, ports
from streams.services.kafka import MAX_RECORD_BYTES, GroupRow, KafkaService, answers, parse_groups

IMAGE = f"apache/kafka:{jars.KAFKA_VERSION}"
CHOICE = "STREAMS_TEST_SERVICES"


def use_containers(environment: Mapping[str, str], engine_answers: Callable[[], bool]) -> bool:
    """Whether the broker comes from a container.

    Raises:
        ValueError: the variable has an unknown value.
        ServiceUnavailable: containers are asked for and no engine answers. Not a silent fall-back.
    """
    choice = environment.get(CHOICE, "")
    if choice not in ("", "embedded", "containers"):
        raise ValueError(f"{CHOICE}={choice}: allowed is embedded or containers")
    if choice != "containers":
        return False
    if not engine_answers():
        raise ServiceUnavailable(f"{CHOICE}=containers, but no Docker engine answers `docker version`")
    return True


def docker_answers() -> bool:
    """Whether a Docker engine answers."""
    try:
        return subprocess.run(["docker", "version"], capture_output=True, timeout=20, check=False).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return False


def broker_class(environment: Mapping[str, str], engine_answers: Callable[[], bool]) -> Callable[..., Any]:
    """What the ``kafka`` fixture makes its broker of."""
    return ContainerKafka if use_containers(environment, engine_answers) else KafkaService


class ContainerKafka:
    """One broker in a container; the same port inside and outside, so that what it advertises is true for both."""

    def __init__(self, folder: Path, *, cache_folder: Path, port: int | None = None) -> None:
        self.folder = folder
        self.port = ports.free_port() if port is None else port
        self.bootstrap = f"127.0.0.1:{self.port}"
        self._container: DockerContainer | None = None

    def variables(self) -> dict[str, str]:
        """The image turns KAFKA_A_B into the property a.b."""
        listeners = f"PLAINTEXT://0.0.0.0:{self.port},CONTROLLER://127.0.0.1:9093"
        return {
            "CLUSTER_ID": "MkU3OEVBNTcwNTJENDM2Qk",
            "KAFKA_NODE_ID": "1",
            "KAFKA_PROCESS_ROLES": "broker,controller",
            "KAFKA_LISTENERS": listeners,
            "KAFKA_ADVERTISED_LISTENERS": f"PLAINTEXT://{self.bootstrap}",
            "KAFKA_CONTROLLER_LISTENER_NAMES": "CONTROLLER",
            "KAFKA_CONTROLLER_QUORUM_VOTERS": "1@127.0.0.1:9093",
            "KAFKA_LISTENER_SECURITY_PROTOCOL_MAP": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
            "KAFKA_AUTO_CREATE_TOPICS_ENABLE": "false",
            "KAFKA_OFFSETS_TOPIC_REPLICATION_FACTOR": "1",
            "KAFKA_TRANSACTION_STATE_LOG_REPLICATION_FACTOR": "1",
            "KAFKA_TRANSACTION_STATE_LOG_MIN_ISR": "1",
            "KAFKA_SHARE_COORDINATOR_STATE_TOPIC_REPLICATION_FACTOR": "1",
            "KAFKA_SHARE_COORDINATOR_STATE_TOPIC_MIN_ISR": "1",
            "KAFKA_GROUP_INITIAL_REBALANCE_DELAY_MS": "0",
            "KAFKA_BROKER_HEARTBEAT_INTERVAL_MS": "500",
            "KAFKA_BROKER_SESSION_TIMEOUT_MS": "3000",
            "KAFKA_MESSAGE_MAX_BYTES": str(MAX_RECORD_BYTES),
            "KAFKA_REPLICA_FETCH_MAX_BYTES": str(MAX_RECORD_BYTES),
        }

    def start(self) -> Self:
        if self._container is None:
            container = DockerContainer(IMAGE).with_bind_ports(self.port, self.port)
            for name, value in self.variables().items():
                container = container.with_env(name, value)
            self._container = container.start()
        else:
            self._wrapped().start()
        self._wait_ready()
        return self

    def stop(self) -> None:
        """Ends the broker; its data stays until :meth:`remove`."""
        self._wrapped().stop(timeout=10)

    def kill(self) -> None:
        self._wrapped().kill()

    def pause(self) -> None:
        self._wrapped().pause()

    def resume(self) -> None:
        self._wrapped().unpause()

    def restart(self) -> Self:
        self.stop()
        return self.start()

    def remove(self) -> None:
        """Deletes the container and its data."""
        if self._container is not None:
            self._container.stop()
            self._container = None

    def consumer_groups(self, group: str) -> list[GroupRow]:
        command = ["/opt/kafka/bin/kafka-consumer-groups.sh", "--bootstrap-server", self.bootstrap]
        code, output = self._wrapped().exec_run([*command, "--describe", "--group", group])
        if code != 0:
            raise ServiceUnavailable(f"kafka-consumer-groups.sh: {output.decode(errors='replace')}")
        return parse_groups(output.decode())

    def _wrapped(self) -> Any:
        if self._container is None:
            raise ServiceUnavailable("kafka container: not started")
        return self._container.get_wrapped_container()

    def _wait_ready(self) -> None:
        deadline = time.monotonic() + 60
        while not answers(self.port):
            if time.monotonic() > deadline:
                raise ServiceUnavailable(f"{IMAGE}: not ready within 60 s\n{self._wrapped().logs(tail=20)!r}")
            time.sleep(0.1)
