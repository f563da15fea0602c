"""docker-compose.cluster.yml upon docker-compose.kafka.yml: three brokers that know each other, and clients of all."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from streams import topics
from streams.services import jars
from streams.settings import Settings, unknown

ROOT = Path(__file__).parents[2]
BASE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.kafka.yml").read_text())
CLUSTER: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.cluster.yml").read_text())
BROKERS = ("broker", "broker-2", "broker-3")


def merged(name: str) -> dict[str, Any]:
    """A service as compose merges the two files: mappings by key, what else there is by the last file."""
    below, above = BASE["services"].get(name, {}), CLUSTER["services"].get(name, {})
    both = {key: {**below[key], **above[key]} for key in below.keys() & above.keys() if isinstance(below[key], dict)}
    return {**below, **above, **both}


def variables(name: str) -> dict[str, str]:
    return {key: str(value) for key, value in merged(name)["environment"].items()}


def test_clients_know_all_brokers_and_every_topic_is_on_each() -> None:
    clients = {name for name, one in BASE["services"].items() if "STREAMS_BROKERS" in one.get("environment", {})}
    assert "api" in clients
    for name in sorted(clients):
        assert unknown(variables(name)) == []
        settings = Settings.from_environ(variables(name))
        assert settings.brokers == ",".join(f"{broker}:9092" for broker in BROKERS)
        assert settings.replication_factor == len(BROKERS)
        assert settings.alertmanager_urls == ("http://alertmanager:9093",), "what the first file says, stays"


def test_brokers_are_one_quorum_of_distinct_nodes() -> None:
    told = [variables(name) for name in BROKERS]
    assert [one["KAFKA_NODE_ID"] for one in told] == ["1", "2", "3"]
    for key in ("CLUSTER_ID", "KAFKA_CONTROLLER_QUORUM_VOTERS"):
        assert len({one[key] for one in told}) == 1
    voters = [f"{one['KAFKA_NODE_ID']}@{name}:9093" for name, one in zip(BROKERS, told, strict=True)]
    assert told[0]["KAFKA_CONTROLLER_QUORUM_VOTERS"] == ",".join(voters)


@pytest.mark.parametrize("name", BROKERS)
def test_one_broker_may_be_away(name: str) -> None:
    told = variables(name)
    assert {value for key, value in told.items() if key.endswith("REPLICATION_FACTOR")} == {"3"}
    assert {value for key, value in told.items() if key.endswith(("MIN_ISR", "INSYNC_REPLICAS"))} == {"2"}
    assert "CONTROLLER://0.0.0.0:9093" in told["KAFKA_LISTENERS"].split(","), "other brokers vote there"
    assert int(told["KAFKA_MESSAGE_MAX_BYTES"]) >= max(topic.max_record_bytes for topic in topics.TOPICS)


@pytest.mark.parametrize("name", BROKERS)
def test_each_broker_is_told_addresses_that_reach_it(name: str) -> None:
    service = merged(name)
    listeners = dict(part.split("://") for part in variables(name)["KAFKA_LISTENERS"].split(","))
    advertised = dict(part.split("://") for part in variables(name)["KAFKA_ADVERTISED_LISTENERS"].split(","))
    assert advertised["INTERNAL"] == f"{name}:9092"
    assert service["ports"] == [f"{advertised['HOST']}:{listeners['HOST'].rsplit(':', 1)[1]}"]
    (volume,) = service["volumes"]
    assert volume.split(":")[0] in {**BASE["volumes"], **CLUSTER["volumes"]}


@pytest.mark.parametrize("name", BROKERS[1:])
def test_the_others_are_limited_as_the_first_is(name: str) -> None:
    first, other = BASE["services"]["broker"], merged(name)
    assert other["image"] == f"apache/kafka:{jars.KAFKA_VERSION}"
    for key in ("user", "mem_limit", "cpus", "pids_limit", "cap_drop", "security_opt", "restart", "logging"):
        assert other[key] == first[key], key


def test_nothing_is_shared_between_brokers_and_topics_wait_for_all() -> None:
    services = [merged(name) for name in BROKERS]
    for key in ("ports", "volumes"):
        assert len({tuple(service[key]) for service in services}) == len(BROKERS)
    assert set(merged("topics")["depends_on"]) == set(BROKERS)
    said = {key for name in BROKERS for key in variables(name)}
    assert said == set(variables("broker")), "no broker has a variable that another lacks"
