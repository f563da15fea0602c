"""A real OTLP agent (rotel): OTLP over gRPC and HTTP in, Kafka out. What a user's OpenTelemetry collector is to us."""

from __future__ import annotations

import importlib.util
import sys
import sysconfig
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar, Final, Literal

from streams import topics
from streams.errors import DependencyMissing
from streams.services import ports
from streams.services.service import Service

_LIBRARY: Final = "libpython3.11.so.1.0"
_SYSTEM_FOLDERS: Final = ("/usr/lib", "/usr/lib64", "/lib64", "/usr/local/lib")


class RotelService(Service):
    """One agent. What it receives is in Kafka about 0.3 s later.

    Args:
        folder: work folder.
        kafka_bootstrap: broker that gets topics otlp_spans, otlp_metrics and otlp_logs (which must exist); None = it
            only receives, and prints a line per request into its log.
        record_format: how it writes Kafka records.
        grpc_port, http_port: its OTLP ports; free ones by default.

    Attributes:
        grpc_endpoint: "http://127.0.0.1:PORT" for OTLP/gRPC exporters.
        http_endpoint: "http://127.0.0.1:PORT"; OTLP/HTTP exporters add /v1/traces, /v1/metrics, /v1/logs.
    """

    name: ClassVar[str] = "rotel"

    def __init__(
        self,
        folder: Path,
        *,
        kafka_bootstrap: str | None = None,
        record_format: Literal["protobuf", "json"] = "protobuf",
        grpc_port: int | None = None,
        http_port: int | None = None,
    ) -> None:
        super().__init__(folder)
        self.grpc_port = ports.free_port() if grpc_port is None else grpc_port
        self.http_port = ports.free_port() if http_port is None else http_port
        self.grpc_endpoint = f"http://127.0.0.1:{self.grpc_port}"
        self.http_endpoint = f"http://127.0.0.1:{self.http_port}"
        self._kafka_bootstrap = kafka_bootstrap
        self._format = record_format

    def _ports(self) -> Sequence[int]:
        return (self.grpc_port, self.http_port)

    def _prepare(self) -> None:
        pass

    def _command(self) -> Sequence[str | Path]:
        receiver = ["--otlp-grpc-endpoint", f"127.0.0.1:{self.grpc_port}"]
        receiver += ["--otlp-http-endpoint", f"127.0.0.1:{self.http_port}", "--otlp-grpc-max-recv-msg-size-mib", "16"]
        return (_agent(), "start", *receiver, "--batch-timeout", "200ms", *self._exporter())

    def _exporter(self) -> Sequence[str]:
        if self._kafka_bootstrap is None:
            debug = [part for kind in ("traces", "metrics", "logs") for part in ("--debug-log", kind)]
            return ("--exporter", "blackhole", *debug)
        prefix = "--kafka-exporter-"
        options = {
            "brokers": self._kafka_bootstrap,
            "format": self._format,
            "traces-topic": topics.OTLP_SPANS,
            "metrics-topic": topics.OTLP_METRICS,
            "logs-topic": topics.OTLP_LOGS,
            "max-message-bytes": str(topics.BY_NAME[topics.OTLP_SPANS].max_record_bytes),
            "acks": "all",
        }
        return ("--exporter", "kafka", *(part for name, value in options.items() for part in (prefix + name, value)))

    def _variables(self) -> Mapping[str, str]:
        return {"LD_LIBRARY_PATH": str(python_library_folder())}

    def _ready(self) -> bool:
        return ports.accepts(self.grpc_port) and ports.accepts(self.http_port)


def python_library_folder() -> Path:
    """The folder of ``libpython3.11.so.1.0``, which the agent is linked against.

    Raises:
        DependencyMissing: this Python has none (statically built) and the system neither.
    """
    multiarch = sysconfig.get_config_var("MULTIARCH") or ""
    folders = [sysconfig.get_config_var("LIBDIR") or "", f"{sys.base_prefix}/lib"]  # LIBDIR is wrong in moved Pythons
    for folder in (*folders, f"/usr/lib/{multiarch}", *_SYSTEM_FOLDERS):
        if (Path(folder) / _LIBRARY).exists():
            return Path(folder)
    raise DependencyMissing(f"rotel needs {_LIBRARY}; on Debian, as root: apt-get install -y libpython3.11")


def _agent() -> Path:
    spec = importlib.util.find_spec("rotel")
    for folder in (spec.submodule_search_locations or ()) if spec else ():
        if (Path(folder) / "rotel-agent").exists():
            return Path(folder) / "rotel-agent"
    raise DependencyMissing("rotel, the OTLP agent, is not installed: pip install 'agent-streams[embedded]'")
