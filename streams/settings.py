"""Every setting of the pipeline, in one frozen value. The only reader of the environment.

A setting is read from ``STREAMS_<FIELD>`` (``brokers`` from ``STREAMS_BROKERS``); lists are separated by commas; an
empty variable means the default. ``docs/SETTINGS.md`` is written from the fields below by
``python -m streams.settings``, and a test fails when the two differ.
"""

from __future__ import annotations

import difflib
import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import Field, dataclass, field, fields
from pathlib import Path
from typing import Any, Final, NamedTuple, Self, TypeVar
from urllib.parse import urlsplit

from streams.errors import ConfigurationError

PREFIX: Final = "STREAMS_"
FOREIGN_PREFIXES: Final = ("STREAMS_TEST_", "STREAMS_SERVICE_", "STREAMS_PORT")
"""Not settings: the test suite's own switches, and what Kubernetes sets for a service called ``streams``."""

DEMO_SECONDS_MIN: Final = 60.0
DEMO_SECONDS_MAX: Final = 10_800.0

T = TypeVar("T")


class Row(NamedTuple):
    """One setting as the reference page shows it; all text."""

    name: str
    variable: str
    default: str
    unit: str
    allowed: str
    meaning: str


def _setting(default: T, meaning: str, *, unit: str = "", allowed: str = "", check: Callable[[T], bool]) -> T:
    """A documented field: ``check`` says whether a value is allowed, ``allowed`` says the same in words."""
    metadata = {"meaning": meaning, "unit": unit, "allowed": allowed, "check": check}
    value: T = field(default=default, metadata=metadata)
    return value


def _number(default: T, meaning: str, *, unit: str, low: float, high: float) -> T:
    """A number in the closed range [low, high]."""
    return _setting(
        default,
        meaning,
        unit=unit,
        allowed=f"{low:.12g} to {high:.12g}",
        check=lambda value: low <= value <= high,  # type: ignore[operator]
    )


def _word(default: str, meaning: str, *choices: str) -> str:
    """One of a few words."""
    return _setting(default, meaning, allowed=", ".join(choices), check=lambda value: value in choices)


def _path(default: str, meaning: str, *, shown: str = "") -> Path:
    """A file or folder. ``shown`` is the default as :meth:`Settings.from_environ` computes it."""
    metadata = {
        "meaning": meaning,
        "unit": "",
        "allowed": "a path; ~ is not expanded",
        "check": _is_path,
        "shown": shown,
    }
    value: Path = field(default=Path(default), metadata=metadata)
    return value


def _is_path(path: Path) -> bool:
    return path != Path() and not str(path).startswith("~")


def _text(default: str, meaning: str, *, allowed: str, check: Callable[[str], bool]) -> str:
    return _setting(default, meaning, allowed=allowed, check=check)


def _receiver(meaning: str) -> str:
    return _text(
        "", meaning, allowed="empty, or an http(s) address", check=lambda value: not value or _is_http_url(value)
    )


def _file(meaning: str) -> str:
    """A file that may be left out."""
    return _text("", meaning + " Empty = none.", allowed="empty, or a path", check=lambda _: True)


def _is_broker_list(text: str) -> bool:
    return all(
        host and port.isascii() and port.isdigit() and 0 < int(port) < 65_536
        for host, _, port in (broker.strip().rpartition(":") for broker in text.split(","))
    )


def _is_http_url(text: str) -> bool:
    try:
        parts = urlsplit(text)
        return parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False


def _is_name(text: str) -> bool:
    """Kafka's rule for names of topics and groups: what is safe in file names and metrics too."""
    return 0 < len(text) <= 100 and all(c.isascii() and (c.isalnum() or c in "._-") for c in text)


_SECONDS: Final = "s"
_NAME_RULE: Final = "1 to 100 letters, digits, '.', '_', '-'"


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """All settings. Each field's metadata holds its meaning, unit and allowed values; :func:`describe` lists them."""

    brokers: str = _text(
        "127.0.0.1:9092",
        "Kafka brokers to ask first.",
        allowed="host:port, separated by commas",
        check=_is_broker_list,
    )
    kafka_properties_file: str = _file(
        "How they are reached: security.protocol, ssl.*, sasl.* as Kafka's tools read them."
    )
    group_prefix: str = _text(
        "streams",
        "Consumer groups are called PREFIX-ROLE; two pipelines on one broker need two prefixes.",
        allowed=_NAME_RULE,
        check=_is_name,
    )
    role: str = _word(
        "all", "What this worker does; all = the three roles in one process.", *("metrics", "traces", "alerts", "all")
    )
    instance_id: str = _text(
        "",
        "Static membership: a name kept over restarts; a killed worker's partitions wait for it. Empty = none.",
        allowed=f"empty, or {_NAME_RULE}",
        check=lambda value: not value or _is_name(value),
    )
    partitions: int = _number(4, "Partitions of topics that `streams topics create` makes.", unit="", low=1, high=1_000)
    replication_factor: int = _number(1, "Replicas of those topics; 3 in production.", unit="", low=1, high=16)

    pane_seconds: int = _number(
        10, "Base interval of aggregation; every window is a merge of panes.", unit=_SECONDS, low=1, high=3_600
    )
    window_seconds: tuple[int, ...] = _setting(
        (10, 60, 300),
        "Sizes of windows.",
        unit=_SECONDS,
        allowed="1 to 8 ascending sizes of 1 to 86400, each a multiple of pane_seconds",
        check=lambda sizes: (
            0 < len(sizes) <= 8 and all(0 < s <= 86_400 for s in sizes) and sorted(set(sizes)) == list(sizes)
        ),
    )
    lateness_seconds: float = _number(
        5.0,
        "How far the watermark stays behind the newest event; older events than the watermark are late.",
        unit=_SECONDS,
        low=0,
        high=86_400,
    )
    future_seconds: float = _number(
        60.0,
        "An event further ahead of the broker's append time than this is rejected.",
        unit=_SECONDS,
        low=1,
        high=86_400,
    )
    tick_interval_seconds: float = _number(
        1.0, "How often owned partitions are looked at for idleness.", unit=_SECONDS, low=0.05, high=60
    )
    idle_seconds: float = _number(
        1.0,
        "A partition whose time stands still for this long gets a tick (time as a record): its windows close.",
        unit=_SECONDS,
        low=0.1,
        high=3_600,
    )
    series_limit: int = _number(
        100_000,
        "Series per source partition; beyond it a metric's new series share its overflow series.",
        unit="series",
        low=1,
        high=10_000_000,
    )
    series_limit_per_agent: int = _number(
        10_000,
        "Of these, series of one agent (or of one service, where they name no agent).",
        unit="series",
        low=1,
        high=10_000_000,
    )
    series_idle_seconds: float = _number(
        900.0,
        "A series without events for this long is no longer exported or held.",
        unit=_SECONDS,
        low=10,
        high=604_800,
    )

    trace_quiet_seconds: float = _number(
        5.0, "A trace is assembled when no span of it came for this long.", unit=_SECONDS, low=0.1, high=3_600
    )
    trace_cap_seconds: float = _number(
        600.0, "A trace is assembled at this age in any case.", unit=_SECONDS, low=1, high=86_400
    )
    trace_span_limit: int = _number(
        10_000, "Spans kept per trace; more are counted and dropped.", unit="spans", low=1, high=1_000_000
    )
    trace_hung_seconds: float = _number(
        60.0, "An announced span that has not ended after this long is hung.", unit=_SECONDS, low=1, high=86_400
    )
    open_trace_limit: int = _number(
        50_000,
        "Traces held open per partition; beyond it the oldest leaves early.",
        unit="traces",
        low=1,
        high=10_000_000,
    )

    otlp_traces_url: str = _receiver(
        "OTLP/HTTP receiver that sampled traces are sent to, e.g. http://collector:4318/v1/traces. Empty = none; it "
        "must not lead back to our own topics."
    )
    otlp_logs_url: str = _receiver(
        "OTLP/HTTP receiver that agents' logs are sent to, redacted; as for traces. Empty = none."
    )
    otlp_headers_file: str = _file(
        "File of headers for OTLP receivers (a token), a line `name: value` each; never shown."
    )
    self_traces_url: str = _receiver(
        "OTLP/HTTP receiver of the pipeline's own spans (a run of records, a delivery). Empty = none."
    )
    otlp_queue_spans: int = _number(
        50_000, "Spans that wait for it at most; a trace beyond is dropped.", unit="spans", low=1, high=10_000_000
    )
    otlp_retry_seconds: float = _number(
        300.0, "A request that it does not take is given up after this.", unit=_SECONDS, low=1, high=86_400
    )
    sample_base_ratio: float = _number(
        0.01, "Share of traces sent that are neither failed, anomalous nor slow.", unit="1", low=0, high=1
    )
    sample_slow_seconds: float = _number(
        0.0, "A trace this long is slow whatever it does; 0 = no such limit.", unit=_SECONDS, low=0, high=86_400
    )
    sample_slow_factor: float = _number(
        3.0, "A trace is slow at this many times the usual of its root operation; 0 = never.", unit="1", low=0, high=1e6
    )

    detector: str = _text(
        "novelty", "Anomaly detector, by its name in the registry.", allowed=_NAME_RULE, check=_is_name
    )
    detector_threshold: float = _number(
        0.9999, "A window whose score is at least this is an anomaly.", unit="1", low=0, high=1
    )
    detector_warmup_windows: int = _number(
        750, "Windows of a series that are learnt in silence.", unit="windows", low=20, high=1_000_000
    )
    thresholds_path: Path = _path("monitoring/thresholds.yml", "Rules and their limits.")

    alertmanager_urls: tuple[str, ...] = _setting(
        (),
        "Alertmanagers; each gets every alert. None = alerts stay in their topic.",
        allowed="http(s) addresses, separated by commas",
        check=lambda urls: all(_is_http_url(url) for url in urls),
    )
    capture_content: str = _word(
        "off", "Whether prompts, answers and arguments of tools are kept where agents send them.", "on", "off"
    )
    redaction_allow: tuple[str, ...] = _setting(
        (),
        "Names of attributes and labels whose values are not redacted.",
        allowed="names",
        check=lambda names: all(names),
    )
    incident_markers: str = _word(
        "on",
        "Whether alerts that an incident explains are marked, so that Alertmanager inhibits them.",
        "on",
        "off",
    )
    alertmanager_resend_seconds: float = _number(
        60.0,
        "A firing alert is sent again this often; it ends by itself 4 times this after the last.",
        unit=_SECONDS,
        low=1,
        high=3_600,
    )

    alertmanager_ca_file: str = _file(
        "Certificates (PEM) that may have signed Alertmanager's, instead of the system's."
    )
    alertmanager_cert_file: str = _file("Our certificate (PEM) for an Alertmanager that wants one.")
    alertmanager_key_file: str = _file("Its key, if it is in a file of its own.")
    alertmanager_user: str = _text("", "User at Alertmanager. Empty = none.", allowed="any text", check=lambda _: True)
    alertmanager_password_file: str = _file("File with that user's password, read for each request.")
    alertmanager_token_file: str = _file("File with a bearer token for Alertmanager, read for each request.")
    unsent_webhook_file: str = _file("File with the address of a webhook that is told when Alertmanager takes nothing.")
    unsent_after_seconds: float = _number(
        120.0,
        "How long an Alertmanager may take nothing before that webhook is told.",
        unit=_SECONDS,
        low=1,
        high=86_400,
    )

    http_host: str = _text(
        "127.0.0.1",
        "Address that /metrics, /health/live and /health/ready listen on.",
        allowed="a host name or address",
        check=lambda value: bool(value) and not any(c.isspace() or c == "/" for c in value),
    )
    http_port: int = _number(9_100, "Their port; 0 = no HTTP server.", unit="", low=0, high=65_535)

    tls_cert_file: str = _file("Certificate with which `streams api` and a worker's /metrics answer in TLS.")
    tls_key_file: str = _file("Its key, if it is in a file of its own.")
    tls_clients_file: str = _file("Who signs certificates of clients: the API and /metrics are then for those only.")

    session_timeout_seconds: float = _number(
        10.0,
        "A worker that is silent for this long loses its partitions; at most request_timeout_seconds.",
        unit=_SECONDS,
        low=1,
        high=1_800,
    )
    heartbeat_seconds: float = _number(
        2.0,
        "How often a worker tells the group that it lives; at most a third of session_timeout_seconds.",
        unit=_SECONDS,
        low=0.1,
        high=600,
    )
    request_timeout_seconds: float = _number(
        40.0, "How long a request to the broker may take.", unit=_SECONDS, low=1, high=1_800
    )
    commit_interval_seconds: float = _number(0.5, "How often offsets are committed.", unit=_SECONDS, low=0.05, high=60)
    fetch_max_wait_ms: int = _number(
        20,
        "How long the broker may hold a fetch that has no data; a long one holds up the other partitions.",
        unit="ms",
        low=1,
        high=30_000,
    )
    state_snapshot_windows: int = _number(
        30, "Detector and alert state is written every so many windows.", unit="windows", low=1, high=100_000
    )
    watchdog_assignment_seconds: float = _number(
        30.0, "Not ready this long after partitions were assigned: exit 70.", unit=_SECONDS, low=1, high=3_600
    )
    watchdog_progress_seconds: float = _number(
        30.0, "Records waiting and none processed for this long: exit 70.", unit=_SECONDS, low=1, high=3_600
    )
    watchdog_loop_seconds: float = _number(
        10.0, "The event loop blocked for this long: exit 70.", unit=_SECONDS, low=1, high=3_600
    )

    trace_store_path: Path = _path(".streams/traces.sqlite3", "The trace read model that `streams traces feed` fills.")
    trace_store_seconds: float = _number(
        604_800.0, "Traces that began before this long are deleted from it.", unit=_SECONDS, low=60, high=315_360_000
    )
    trace_store_bytes: int = _number(
        10_000_000_000, "Beyond this size its oldest traces are deleted.", unit="By", low=1_000_000, high=1e13
    )

    gates_path: Path = _path("monitoring/gates.yml", "Profiles of deployment gates.")
    api_host: str = _text("127.0.0.1", "Where `streams api` listens.", allowed="an address or a name", check=bool)
    api_port: int = _number(8180, "Its port.", unit="1", low=1, high=65_535)
    api_tokens_file: str = _file("API tokens, a line `name scope sha256` each; needed to listen beyond loopback.")
    commands_key_file: str = _file("Key (16 bytes and more) that signs commands to roll back; without it none is sent.")
    commands_url: str = _receiver("Webhook that gets these commands too, signed as on their topic. Empty = none.")
    commands_private: str = _word("off", "Whether that webhook may be in a private network.", "off", "on")
    rollback_cooldown_seconds: float = _number(
        600.0,
        "So long after a rollback of a service none of another deployment is asked for.",
        unit="s",
        low=0,
        high=86_400,
    )
    api_requests_per_second: float = _number(
        20.0, "Of one token, or one address without; five seconds' worth at once.", unit="1/s", low=0.1, high=100_000
    )
    api_body_bytes: int = _number(65_536, "Larger bodies are refused.", unit="By", low=1_024, high=1_048_576)
    api_store_path: Path = _path(".streams/board.sqlite3", "The read model of alerts and incidents that it keeps.")
    api_store_seconds: float = _number(
        2_592_000.0, "What ended before this long is deleted from it.", unit=_SECONDS, low=60, high=315_360_000
    )

    work_folder: Path = _path(".streams", "Data and logs of services that the demo starts.")
    cache_folder: Path = _path(
        ".streams/cache", "Downloaded jars.", shown="$XDG_CACHE_HOME/agent-streams, else ~/.cache/agent-streams"
    )
    log_level: str = _word("INFO", "The least severe log line that is written.", "DEBUG", "INFO", "WARNING", "ERROR")
    log_format: str = _word("text", "Log lines for people or for machines.", "text", "json")

    def __post_init__(self) -> None:
        """Checks each field, then what must hold between fields."""
        for spec in fields(self):
            value = getattr(self, spec.name)
            if not spec.metadata["check"](value):
                raise _refuse(spec, _shown(value))
        self._check_relations()

    def _check_relations(self) -> None:
        for size in self.window_seconds:
            self._require(size % self.pane_seconds == 0, "window_seconds", "multiples of pane_seconds", "pane_seconds")
        # Faust stops at start with an assertion that names neither setting.
        self._require(
            self.session_timeout_seconds <= self.request_timeout_seconds,
            "session_timeout_seconds",
            "at most request_timeout_seconds",
            "request_timeout_seconds",
        )
        self._require(
            self.heartbeat_seconds * 3 <= self.session_timeout_seconds,
            "heartbeat_seconds",
            "at most a third of session_timeout_seconds",
            "session_timeout_seconds",
        )

    def _require(self, holds: bool, name: str, allowed: str, other: str) -> None:
        if not holds:
            raise ConfigurationError(
                f"{variable(name)}={_shown(getattr(self, name))}: allowed is {allowed} "
                f"({variable(other)}={_shown(getattr(self, other))})"
            )

    @classmethod
    def from_environ(cls, environ: Mapping[str, str]) -> Self:
        """Reads every ``STREAMS_*`` variable.

        Args:
            environ: names to text, e.g. ``os.environ``; ``XDG_CACHE_HOME`` and ``HOME`` place the cache folder.

        Raises:
            ConfigurationError: a value cannot be read or is not allowed; names variable, value and what is allowed.
        """
        values: dict[str, Any] = {"cache_folder": _cache_folder(environ)}
        for spec in fields(cls):
            text = environ.get(variable(spec.name), "").strip()
            if text:
                values[spec.name] = _parse(spec, text)
        return cls(**values)


def variable(name: str) -> str:
    """The environment variable of a field."""
    return PREFIX + name.upper()


def unknown(environ: Mapping[str, str]) -> list[str]:
    """One line for each ``STREAMS_*`` variable that is no setting, with the nearest name (for ``config check``)."""
    known = [variable(spec.name) for spec in fields(Settings)]
    strange = [n for n in environ if n.startswith(PREFIX) and n not in known and not n.startswith(FOREIGN_PREFIXES)]
    return [_advice(name, difflib.get_close_matches(name, known, n=1)) for name in sorted(strange)]


def unknown_variables() -> list[str]:
    """:func:`unknown` of this process's environment."""
    return unknown(os.environ)


def load() -> Settings:
    """The settings of this process.

    Raises:
        ConfigurationError: see :meth:`Settings.from_environ`.
    """
    return Settings.from_environ(os.environ)


def demo_seconds() -> float | None:
    """``DEMO_SECONDS``: how long ``streams demo`` shows the live pipeline; None = until Ctrl-C.

    Raises:
        ConfigurationError: it is no number of at least :data:`DEMO_SECONDS_MIN`.
    """
    text = os.environ.get("DEMO_SECONDS", "").strip()
    return checked_demo_seconds(text) if text else None


def checked_demo_seconds(text: str) -> float:
    """Text to seconds.

    Raises:
        ConfigurationError: see :func:`demo_seconds`.
    """
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not DEMO_SECONDS_MIN <= seconds <= DEMO_SECONDS_MAX:
        raise ConfigurationError(
            f"DEMO_SECONDS={text}: allowed is {DEMO_SECONDS_MIN:g} to {DEMO_SECONDS_MAX:g} [s] "
            "(a fault must begin, be found and pass)"
        )
    return seconds


def read_text(settings: Settings, field_name: str) -> str:
    """The text of a file that a setting names, e.g. ``thresholds_path``.

    Raises:
        ConfigurationError: it cannot be read.
    """
    try:
        path: Path = getattr(settings, field_name)
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigurationError(f"{variable(field_name)}={path}: {error.strerror}: name the file") from error


def describe() -> list[Row]:
    """All settings in the order of their declaration."""
    return [
        Row(
            spec.name,
            variable(spec.name),
            spec.metadata.get("shown") or _shown(spec.default) or "(empty)",
            spec.metadata["unit"],
            spec.metadata["allowed"],
            spec.metadata["meaning"],
        )
        for spec in fields(Settings)
    ]


def reference_page() -> str:
    """``docs/SETTINGS.md``."""
    lines = [
        "# Settings",
        "",
        "Written by `python -m streams.settings`; do not edit. Lists are separated by commas; an empty variable means",
        "the default. `streams config check` says which value is wrong and what is allowed.",
        "",
        "| variable | default | unit | allowed | meaning |",
        "|---|---|---|---|---|",
        *(f"| `{r.variable}` | `{r.default}` | {r.unit} | {r.allowed} | {r.meaning} |" for r in describe()),
    ]
    return "\n".join(lines) + "\n"


def _advice(name: str, nearest: list[str]) -> str:
    return f"{name} is no setting" + (f"; did you mean {nearest[0]}?" if nearest else "")


def _cache_folder(environ: Mapping[str, str]) -> Path:
    base = environ.get("XDG_CACHE_HOME") or ""
    if not base.startswith("/"):  # the XDG specification: relative paths are ignored
        home = environ.get("HOME") or ""
        base = f"{home}/.cache" if home.startswith("/") else ".streams"
    return Path(base) / "agent-streams"


def _parse(spec: Field[Any], text: str) -> Any:
    """Text to the type of the field's default."""
    try:
        return _PARSERS[str(spec.type)](text)
    except ValueError:
        raise _refuse(spec, text) from None


_PARSERS: Final[Mapping[str, Callable[[str], Any]]] = {
    "str": str,
    "int": int,
    "float": float,
    "Path": Path,
    "tuple[int, ...]": lambda text: tuple(int(part) for part in text.split(",")),
    "tuple[str, ...]": lambda text: tuple(part.strip() for part in text.split(",")),
}


def _refuse(spec: Field[Any], shown: str) -> ConfigurationError:
    unit = f" [{spec.metadata['unit']}]" if spec.metadata["unit"] else ""
    return ConfigurationError(f"{variable(spec.name)}={shown}: allowed is {spec.metadata['allowed']}{unit}")


def _shown(value: Any) -> str:
    if isinstance(value, tuple):
        return ",".join(str(part) for part in value)
    return f"{value:.12g}" if isinstance(value, float) else str(value)


if __name__ == "__main__":
    sys.stdout.write(reference_page())
