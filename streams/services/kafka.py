"""A real Apache Kafka broker: KRaft, one node, loopback only, ready in about 3 s."""

from __future__ import annotations

import socket
import ssl
import struct
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar, Final, NamedTuple

from streams.errors import ServiceUnavailable
from streams.services import jars, ports
from streams.services.process import launched
from streams.services.service import Service

# Fixed: a random one that begins with "-" breaks StorageTool's command line.
_CLUSTER_ID: Final = "MkU3OEVBNTcwNTJENDM2Qk"
MAX_RECORD_BYTES: Final = 16 * 1_048_576
_TOOL_SECONDS: Final = 60.0
_JVM: Final = ("-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1")


class GroupRow(NamedTuple):
    """One partition of a consumer group, as Kafka's own tool sees it.

    Attributes:
        topic, partition: which.
        committed: committed offset; None if none.
        end: the log's end offset.
        lag: end - committed; None if nothing is committed.
        member: consumer id; "" if no member owns the partition.
    """

    topic: str
    partition: int
    committed: int | None
    end: int | None
    lag: int | None
    member: str


class Doors(NamedTuple):
    """Who a broker lets in: SASL_SSL with SCRAM-SHA-512 for clients, and nobody without an access control list.

    Attributes:
        key_store: PEM file, private key (PKCS #8) and certificate. trust_store: PEM file, who signs certificates.
        users: name -> password. The first is the broker's own and may do everything.
    """

    key_store: Path
    trust_store: Path
    users: Mapping[str, str]


class KafkaService(Service):
    """One broker, also its own controller.

    Topics are never created by accident (``auto.create.topics.enable=false``). Data survives stop, kill and restart.

    Args:
        folder: work folder; data in ``data/``.
        cache_folder: where the jars are, or will be (:func:`streams.services.jars.default_cache_folder`).
        port: the broker's; a free one by default.
        advertised_port: what clients are told to connect to, when a proxy stands in front; ``port`` by default.
        heap_mib: the JVM's largest heap.
        doors: without: everybody on this machine, in plain text.

    Attributes:
        bootstrap: "127.0.0.1:PORT" for clients.
    """

    name: ClassVar[str] = "kafka"
    ready_seconds: ClassVar[float] = 60.0

    def __init__(
        self,
        folder: Path,
        *,
        cache_folder: Path,
        port: int | None = None,
        advertised_port: int | None = None,
        heap_mib: int = 256,
        doors: Doors | None = None,
    ) -> None:
        super().__init__(folder)
        self.port = ports.free_port() if port is None else port
        self.bootstrap = f"127.0.0.1:{advertised_port or self.port}"
        self._controller_port = ports.free_port()
        self._cache_folder = cache_folder
        self._heap_mib = heap_mib
        self._doors = doors
        self._class_path = ""

    def consumer_groups(self, group: str) -> list[GroupRow]:
        """Offsets and lag of a group, by Kafka's own ConsumerGroupCommand (a JVM: about 1 s).

        Returns:
            One row per partition with a commit or an owner; empty if the group is unknown.

        Raises:
            ServiceUnavailable: the tool failed.
        """
        command = "org.apache.kafka.tools.consumer.group.ConsumerGroupCommand"
        text = self._tool(command, "--bootstrap-server", self.bootstrap, "--describe", "--group", group)
        return parse_groups(text)

    def _ports(self) -> Sequence[int]:
        return (self.port, self._controller_port)

    def _prepare(self) -> None:
        self._class_path = jars.kafka_class_path(self._cache_folder)
        self._properties.write_text(self._configuration())
        if not (self.folder / "data" / "meta.properties").exists():
            users = [
                f"SCRAM-SHA-512=[name={n},password={p}]" for n, p in (self._doors.users.items() if self._doors else ())
            ]
            scram = [argument for user in users for argument in ("--add-scram", user)]
            self._tool("kafka.tools.StorageTool", "format", "-t", _CLUSTER_ID, "-c", str(self._properties), *scram)

    def _command(self) -> Sequence[str | Path]:
        heap = ("-Xms64m", f"-Xmx{self._heap_mib}m")
        return (jars.java(), *heap, *_JVM, "-cp", self._class_path, "kafka.Kafka", self._properties)

    def _ready(self) -> bool:
        return answers(self.port, trusted=self._doors.trust_store if self._doors else None)

    @property
    def _properties(self) -> Path:
        return self.folder / "server.properties"

    def _configuration(self) -> str:
        protocol = "SASL_SSL" if self._doors else "PLAINTEXT"
        listeners = f"{protocol}://127.0.0.1:{self.port},CONTROLLER://127.0.0.1:{self._controller_port}"
        return (_locked(self._doors) if self._doors else "") + _CONFIGURATION.format(
            listeners=listeners,
            advertised=f"{protocol}://{self.bootstrap}",
            controller_port=self._controller_port,
            data=self.folder.resolve() / "data",
            max_bytes=MAX_RECORD_BYTES,
        )

    def _tool(self, *arguments: str) -> str:
        class_path = self._class_path or jars.kafka_class_path(self._cache_folder)
        command: list[str | Path] = [jars.java(), "-Xmx128m", *_JVM, "-cp", class_path, *arguments]
        try:
            done = subprocess.run(launched(command), capture_output=True, text=True, timeout=_TOOL_SECONDS, check=False)
        except subprocess.TimeoutExpired:
            raise ServiceUnavailable(f"kafka: {arguments[0]} did not end within {_TOOL_SECONDS:g} s") from None
        if done.returncode != 0:
            raise ServiceUnavailable(f"kafka: {arguments[0]} failed:\n{done.stdout}{done.stderr[-2_000:]}")
        return done.stdout


def _locked(doors: Doors) -> str:
    name, password = next(iter(doors.users.items()))
    return _LOCKED.format(key_store=doors.key_store, trust_store=doors.trust_store, name=name, password=password)


def answers(port: int, trusted: Path | None = None) -> bool:
    """Whether a broker on 127.0.0.1:port answers an ApiVersions v0 request (in TLS where ``trusted`` names a PEM file).

    Kafka lets requests in only when the broker is registered and unfenced, so an answer means topics can be made.
    """
    client = b"probe"
    body = struct.pack(">hhih", 18, 0, 1, len(client)) + client
    try:
        with _connected(port, trusted) as connection:
            connection.settimeout(2.0)
            connection.sendall(struct.pack(">i", len(body)) + body)
            head = connection.makefile("rb").read(10)
    except OSError:
        return False
    return len(head) == 10 and struct.unpack(">iih", head)[1:] == (1, 0)


def _connected(port: int, trusted: Path | None) -> socket.socket:
    plain = socket.create_connection(("127.0.0.1", port), timeout=1.0)
    if trusted is None:
        return plain
    try:
        return ssl.create_default_context(cafile=str(trusted)).wrap_socket(plain, server_hostname="127.0.0.1")
    except OSError:
        plain.close()
        raise


def parse_groups(text: str) -> list[GroupRow]:
    """Rows of ``ConsumerGroupCommand --describe``; lines that are not rows (heads, warnings) are passed over."""
    rows = []
    for line in text.splitlines():
        cells = line.split()
        if len(cells) < 7 or not cells[2].isdigit():
            continue
        committed, end, lag = (int(cell) if cell.isdigit() else None for cell in cells[3:6])
        rows.append(GroupRow(cells[1], int(cells[2]), committed, end, lag, "" if cells[6] == "-" else cells[6]))
    return rows


# Kafka's own names; the controller's listener is for this process alone.
_LOCKED: Final = """\
listener.security.protocol.map=SASL_SSL:SASL_SSL,CONTROLLER:PLAINTEXT
inter.broker.listener.name=SASL_SSL
sasl.enabled.mechanisms=SCRAM-SHA-512
sasl.mechanism.inter.broker.protocol=SCRAM-SHA-512
listener.name.sasl_ssl.scram-sha-512.sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule \\
  required username="{name}" password="{password}";
ssl.keystore.type=PEM
ssl.keystore.location={key_store}
ssl.truststore.type=PEM
ssl.truststore.location={trust_store}
authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer
super.users=User:{name};User:ANONYMOUS
allow.everyone.if.no.acl.found=false
"""
# Replication 1 everywhere: one node. Few internal partitions and a small cleaner buffer: start-up and memory.
# A short broker session: after kill -9 the new broker may register only when the old one's session has expired.
_CONFIGURATION: Final = """\
node.id=1
process.roles=broker,controller
listeners={listeners}
advertised.listeners={advertised}
controller.listener.names=CONTROLLER
controller.quorum.voters=1@127.0.0.1:{controller_port}
log.dirs={data}
auto.create.topics.enable=false
num.partitions=1
default.replication.factor=1
offsets.topic.replication.factor=1
offsets.topic.num.partitions=4
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=4
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
share.coordinator.state.topic.num.partitions=1
group.initial.rebalance.delay.ms=0
broker.heartbeat.interval.ms=500
broker.session.timeout.ms=3000
message.max.bytes={max_bytes}
replica.fetch.max.bytes={max_bytes}
log.cleaner.dedupe.buffer.size=16777216
num.network.threads=2
num.io.threads=4
"""
