"""How the brokers are reached: addresses, certificates, user and password.

The file that ``STREAMS_KAFKA_PROPERTIES_FILE`` names is in the form that Kafka's own tools and librdkafka read, one
``name=value`` a line. It is the only place for these secrets: not the environment, not the command line.
"""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from streams.errors import ConfigurationError
from streams.settings import Settings, variable

PROTOCOLS: Final = ("PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL")
MECHANISMS: Final = ("SCRAM-SHA-512", "SCRAM-SHA-256", "PLAIN")
_TLS: Final = ("ssl.ca.location", "ssl.certificate.location", "ssl.key.location", "ssl.key.password")
_SASL: Final = ("sasl.mechanism", "sasl.username", "sasl.password")
_NAMES: Final = ("security.protocol", *_TLS, *_SASL)


@dataclass(frozen=True, slots=True)
class Cluster:
    """Where the brokers are, and what every client of ours says to be let in.

    Attributes:
        addresses: "host:port,host:port"; what its text is. security: arguments of aiokafka's clients; not shown.
    """

    addresses: str
    security: Mapping[str, Any] = field(default_factory=dict, repr=False)

    @property
    def arguments(self) -> dict[str, Any]:
        """Arguments for any of aiokafka's clients."""
        return {"bootstrap_servers": self.addresses, **self.security}

    def __str__(self) -> str:
        return self.addresses


def cluster_of(settings: Settings) -> Cluster:
    """The cluster of the settings.

    Raises:
        ConfigurationError: the file, or one that it names, cannot be read or used. No value is shown.
    """
    path = settings.kafka_properties_file
    if not path:
        return Cluster(settings.brokers)
    place = f"{variable('kafka_properties_file')}={path}"
    try:
        text = Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{place}: {getattr(error, 'strerror', None) or 'not UTF-8'}: name the file") from None
    try:
        return Cluster(settings.brokers, security_of(text))
    except ConfigurationError as error:
        raise ConfigurationError(f"{place}: {error}") from None


def security_of(text: str) -> dict[str, Any]:
    """What a properties file says, as arguments of aiokafka's clients.

    Raises:
        ConfigurationError: names the property or the line and what is allowed; never a value that may be secret.
    """
    found = _properties(text)
    protocol = found.get("security.protocol", "PLAINTEXT")
    if protocol not in PROTOCOLS:
        raise ConfigurationError(f"security.protocol is {protocol!r}; write one of {', '.join(PROTOCOLS)}")
    made: dict[str, Any] = {"security_protocol": protocol}
    if protocol.endswith("SSL"):
        made["ssl_context"] = _context(found)
    else:
        _refuse(found, _TLS, "SSL or SASL_SSL")
    if protocol.startswith("SASL"):
        return made | _sasl(found)
    _refuse(found, _SASL, "SASL_SSL or SASL_PLAINTEXT")
    return made


def _properties(text: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for number, line in enumerate(text.splitlines(), 1):
        line = line.strip()
        if not line or line[0] in "#!":
            continue
        name, equals, value = (part.strip() for part in line.partition("="))
        if not equals or name not in _NAMES:
            raise ConfigurationError(f"line {number}: write one of {', '.join(_NAMES)}, = and a value")
        if name in found:
            raise ConfigurationError(f"line {number}: {name} is written twice")
        found[name] = value
    return found


def _refuse(found: Mapping[str, str], names: tuple[str, ...], protocol: str) -> None:
    """A password that nobody uses is a mistake that would be found too late."""
    for name in names:
        if name in found:
            raise ConfigurationError(f"{name} is used with security.protocol {protocol} only")


def _context(found: Mapping[str, str]) -> ssl.SSLContext:
    certificate, key = found.get("ssl.certificate.location"), found.get("ssl.key.location")
    if key and not certificate:
        raise ConfigurationError("ssl.certificate.location is missing beside ssl.key.location")
    try:
        context = ssl.create_default_context(cafile=found.get("ssl.ca.location"))
        if certificate:
            context.load_cert_chain(certificate, key, found.get("ssl.key.password"))
    except OSError as error:  # ssl.SSLError is one
        raise ConfigurationError(f"ssl.*.location: {error.strerror or error}: name PEM files") from None
    return context


def _sasl(found: Mapping[str, str]) -> dict[str, Any]:
    mechanism = found.get("sasl.mechanism", MECHANISMS[0])
    if mechanism not in MECHANISMS:
        raise ConfigurationError(f"sasl.mechanism is {mechanism!r}; write one of {', '.join(MECHANISMS)}")
    for name in ("sasl.username", "sasl.password"):
        if not found.get(name):
            raise ConfigurationError(f"{name} is missing")
    return {
        "sasl_mechanism": mechanism,
        "sasl_plain_username": found["sasl.username"],
        "sasl_plain_password": found["sasl.password"],
    }
