"""The properties file of the brokers, by tables: what it comes to, and errors that say what to write and no secret."""

from __future__ import annotations

import ssl
from pathlib import Path

import pytest

from streams.errors import ConfigurationError
from streams.records.cluster import Cluster, cluster_of, security_of
from streams.settings import Settings

SECRET = "correct horse"
USER = f"sasl.username=me\nsasl.password={SECRET}\n"


@pytest.mark.parametrize(
    ("text", "arguments"),
    [
        ("", {"security_protocol": "PLAINTEXT"}),
        ("# nothing\n\n! here\n", {"security_protocol": "PLAINTEXT"}),
        (
            f"security.protocol = SASL_PLAINTEXT\nsasl.mechanism=PLAIN\n{USER}",
            {
                "security_protocol": "SASL_PLAINTEXT",
                "sasl_mechanism": "PLAIN",
                "sasl_plain_username": "me",
                "sasl_plain_password": SECRET,
            },
        ),
        (
            f"security.protocol=SASL_PLAINTEXT\n{USER.replace(SECRET, 'a=b')}",
            {
                "security_protocol": "SASL_PLAINTEXT",
                "sasl_mechanism": "SCRAM-SHA-512",
                "sasl_plain_username": "me",
                "sasl_plain_password": "a=b",
            },
        ),
    ],
)
def test_what_a_file_comes_to(text: str, arguments: dict[str, str]) -> None:
    assert security_of(text) == arguments


def test_tls_checks_the_broker_s_certificate_and_name() -> None:
    context = security_of("security.protocol=SSL\n")["ssl_context"]
    assert (context.verify_mode, context.check_hostname) == (ssl.CERT_REQUIRED, True)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("security.protocol=TLS", "security.protocol is 'TLS'; write one of PLAINTEXT, SSL"),
        ("sasl.jaas.config=x", "line 1: write one of security.protocol, ssl.ca.location"),
        ("\nsecurity.protocol", "line 2: write one of"),
        ("security.protocol=SSL\nsecurity.protocol=SSL", "line 2: security.protocol is written twice"),
        (USER, "sasl.username is used with security.protocol SASL_SSL or SASL_PLAINTEXT only"),
        (f"security.protocol=SSL\n{USER}", "sasl.username is used with"),
        (f"security.protocol=SASL_PLAINTEXT\nssl.ca.location=/x\n{USER}", "ssl.ca.location is used with"),
        ("security.protocol=SASL_PLAINTEXT\nsasl.username=me", "sasl.password is missing"),
        (
            f"security.protocol=SASL_PLAINTEXT\nsasl.mechanism=GSSAPI\n{USER}",
            "sasl.mechanism is 'GSSAPI'; write one of",
        ),
        ("security.protocol=SSL\nssl.ca.location=/nowhere.pem", "ssl.*.location: No such file or directory"),
        ("security.protocol=SSL\nssl.key.location=/x", "ssl.certificate.location is missing beside ssl.key.location"),
    ],
)
def test_what_cannot_be_says_what_to_write(text: str, message: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        security_of(text)
    assert message in str(caught.value)
    assert SECRET not in str(caught.value)


def test_the_cluster_of_the_settings_shows_its_addresses_and_never_a_secret(tmp_path: Path) -> None:
    assert cluster_of(Settings.from_environ({"STREAMS_BROKERS": "a:1"})) == Cluster("a:1")
    path = tmp_path / "client.properties"
    path.write_text(f"security.protocol=SASL_PLAINTEXT\n{USER}")
    settings = Settings.from_environ({"STREAMS_BROKERS": "a:1", "STREAMS_KAFKA_PROPERTIES_FILE": str(path)})
    found = cluster_of(settings)
    assert found.arguments["bootstrap_servers"] == str(found) == "a:1"
    assert found.arguments["sasl_plain_password"] == SECRET
    assert SECRET not in repr(found) + repr(settings)
    path.write_text(f"sasl.pasword={SECRET}")
    with pytest.raises(
        ConfigurationError, match=r"STREAMS_KAFKA_PROPERTIES_FILE=.*client.properties: line 1"
    ) as caught:
        cluster_of(settings)
    assert SECRET not in str(caught.value)
    path.unlink()
    with pytest.raises(ConfigurationError, match="No such file or directory: name the file"):
        cluster_of(settings)
