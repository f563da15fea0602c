"""Settings: what is read, what is refused and with which words, and that the reference page is true."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import FrozenInstanceError, fields
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.errors import ConfigurationError
from streams.settings import Settings, describe, reference_page, unknown, variable

ROOT = Path(__file__).parents[2]

GOOD = {
    "STREAMS_BROKERS": ("a:1, [::1]:9092", "a:1, [::1]:9092"),
    "STREAMS_ROLE": ("traces", "traces"),
    "STREAMS_PARTITIONS": ("12", 12),
    "STREAMS_LATENESS_SECONDS": ("0.5", 0.5),
    "STREAMS_WINDOW_SECONDS": ("10,20, 40", (10, 20, 40)),
    "STREAMS_ALERTMANAGER_URLS": ("http://a:9093,https://b/x", ("http://a:9093", "https://b/x")),
    "STREAMS_THRESHOLDS_PATH": ("/etc/t.yml", Path("/etc/t.yml")),
    "STREAMS_INSTANCE_ID": ("worker-1", "worker-1"),
    "STREAMS_HTTP_PORT": ("0", 0),
}

BAD = {
    "STREAMS_BROKERS": ["localhost", "a:1,,b:2", "a:0", "a:99999", ":9092", "a:x"],
    "STREAMS_GROUP_PREFIX": ["a b", "ü", "x" * 101],
    "STREAMS_ROLE": ["boss", "ALL"],
    "STREAMS_PARTITIONS": ["0", "-1", "four", "4.0"],
    "STREAMS_PANE_SECONDS": ["0", "0.5"],
    "STREAMS_WINDOW_SECONDS": ["60,10", "10,10", "10,", "0,10", "10;20", "15"],
    "STREAMS_LATENESS_SECONDS": ["-1", "nan", "inf", "5s"],
    "STREAMS_DETECTOR_THRESHOLD": ["1.1", "-0.1", "nan"],
    "STREAMS_ALERTMANAGER_URLS": ["a:9093", "ftp://a", "http://", "http://a:x", "http://a,"],
    "STREAMS_HTTP_HOST": ["a b", "http://a"],
    "STREAMS_HTTP_PORT": ["65536", "-1"],
    "STREAMS_WORK_FOLDER": ["~/x", "."],
    "STREAMS_LOG_LEVEL": ["info", "TRACE"],
    "STREAMS_LOG_FORMAT": ["xml"],
    "STREAMS_SESSION_TIMEOUT_SECONDS": ["41"],
    "STREAMS_HEARTBEAT_SECONDS": ["4"],
}


@pytest.mark.parametrize("name", GOOD)
def test_reads_a_value(name: str) -> None:
    text, expected = GOOD[name]
    settings = Settings.from_environ({name: text})
    assert getattr(settings, name.removeprefix("STREAMS_").lower()) == expected


@pytest.mark.parametrize(("name", "text"), [(name, text) for name, texts in BAD.items() for text in texts])
def test_refuses_by_naming_variable_value_and_what_is_allowed(name: str, text: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        Settings.from_environ({name: text})
    message = str(caught.value)
    assert message.startswith(f"{name}=")
    assert text.strip() in message
    assert "allowed is " in message


def test_relation_between_two_settings_names_both() -> None:
    with pytest.raises(
        ConfigurationError, match=r"STREAMS_SESSION_TIMEOUT_SECONDS=50.*STREAMS_REQUEST_TIMEOUT_SECONDS=40"
    ):
        Settings.from_environ({"STREAMS_SESSION_TIMEOUT_SECONDS": "50"})
    raised = {"STREAMS_SESSION_TIMEOUT_SECONDS": "50", "STREAMS_REQUEST_TIMEOUT_SECONDS": "60"}
    assert Settings.from_environ(raised).session_timeout_seconds == 50
    with pytest.raises(ConfigurationError, match=r"STREAMS_WINDOW_SECONDS=10,60,300.*STREAMS_PANE_SECONDS=7"):
        Settings.from_environ({"STREAMS_PANE_SECONDS": "7"})


def test_direct_construction_is_checked_too() -> None:
    with pytest.raises(ConfigurationError, match="STREAMS_PARTITIONS=0"):
        Settings(partitions=0)


def test_empty_means_default() -> None:
    empty = {variable(spec.name): " " for spec in fields(Settings)}
    assert Settings.from_environ({**empty, "HOME": "/h"}) == Settings.from_environ({"HOME": "/h"})


def test_frozen() -> None:
    with pytest.raises(FrozenInstanceError):
        Settings().partitions = 5  # type: ignore[misc]


@pytest.mark.parametrize(
    ("environ", "folder"),
    [
        ({"XDG_CACHE_HOME": "/x", "HOME": "/h"}, "/x/agent-streams"),
        ({"XDG_CACHE_HOME": "relative", "HOME": "/h"}, "/h/.cache/agent-streams"),
        ({"HOME": "/h"}, "/h/.cache/agent-streams"),
        ({}, ".streams/agent-streams"),
        ({"HOME": "/h", "STREAMS_CACHE_FOLDER": "/c"}, "/c"),
    ],
)
def test_cache_folder(environ: dict[str, str], folder: str) -> None:
    assert Settings.from_environ(environ).cache_folder == Path(folder)


def test_unknown_variables_are_named_with_the_nearest() -> None:
    environ = {
        "STREAMS_ALERTMANAGER_URL": "http://a",
        "STREAMS_ROLE": "all",
        "STREAMS_TEST_SERVICES": "containers",
        "STREAMS_PORT_9100_TCP": "tcp://10.0.0.1:9100",
        "STREAMS_SERVICE_HOST": "10.0.0.1",
        "PATH": "/bin",
    }
    assert unknown(environ) == ["STREAMS_ALERTMANAGER_URL is no setting; did you mean STREAMS_ALERTMANAGER_URLS?"]


@given(st.dictionaries(st.sampled_from([variable(s.name) for s in fields(Settings)]), st.text(max_size=20)))
def test_any_text_gives_settings_or_a_configuration_error(environ: dict[str, str]) -> None:
    try:
        settings = Settings.from_environ(environ)
    except ConfigurationError as error:
        assert any(str(error).startswith(f"{variable(s.name)}=") for s in fields(Settings))  # noqa: PT017
    else:
        assert isinstance(settings, Settings)


def test_every_setting_is_documented() -> None:
    for row in describe():
        assert row.meaning.endswith("."), row.name
        assert row.allowed, row.name
        suffix = row.name.rpartition("_")[2]
        assert {"seconds": "s", "ms": "ms", "bytes": "By", "windows": "windows"}.get(suffix, row.unit) == row.unit, row


def test_reference_page_is_what_the_code_says() -> None:
    page = (ROOT / "docs/SETTINGS.md").read_text()
    assert page == reference_page(), "run: .venv/bin/python -m streams.settings > docs/SETTINGS.md"


def test_module_prints_the_page() -> None:
    run = subprocess.run(
        [sys.executable, "-m", "streams.settings"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert run.stdout == reference_page()
