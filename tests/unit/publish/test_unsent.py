"""The alert by the second way: when it is sent, again, and taken back."""

from __future__ import annotations

import asyncio
import socket
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from streams.errors import ConfigurationError
from streams.publish.alertmanager import AlertmanagerPublisher, AlertmanagerSettings
from streams.publish.delivery import SECOND_NS, rfc3339
from streams.publish.unsent import ALERT, UnsentAlarm, body, read_url
from streams.services.webhook import WebhookReceiver
from tests.alertmanager_fake import FakeAlertmanager
from tests.unit.publish.builders import CountedStats, transition

NOW = 1_700_000_000 * SECOND_NS
DEADLINE_SECONDS = 20.0


class Outcomes:
    def __init__(self) -> None:
        self.seen: Counter[str] = Counter()

    def told_otherwise(self, outcome: str) -> None:
        self.seen[outcome] += 1


@pytest.fixture
def hook() -> Iterator[WebhookReceiver]:
    with WebhookReceiver() as receiver:
        yield receiver


async def until(holds: Any) -> None:
    deadline = time.monotonic() + DEADLINE_SECONDS
    while not holds():
        assert time.monotonic() < deadline, "it never came"
        await asyncio.sleep(0.01)


def alarm(failing: dict[str, int], url: str = "http://nobody", **more: Any) -> UnsentAlarm:
    fields = {"clock_ns": time.time_ns, "stats": Outcomes(), "poll_seconds": 0.01, "again_seconds": (0.01, 0.05)}
    return UnsentAlarm(url, lambda: failing, **{**fields, **more})


def test_nobody_is_told_of_a_short_failure_and_once_of_a_long_one() -> None:
    failing = {"a": NOW, "b": NOW + 100 * SECOND_NS}
    watch = alarm(failing)
    assert watch.due(NOW + 119 * SECOND_NS) == {}
    assert watch.due(NOW + 120 * SECOND_NS) == {"a": ("firing", NOW)}
    watch._told["a"] = (NOW, NOW + 120 * SECOND_NS)
    assert watch.due(NOW + 130 * SECOND_NS) == {}
    assert watch.due(NOW + 3_720 * SECOND_NS) == {"a": ("firing", NOW), "b": ("firing", NOW + 100 * SECOND_NS)}
    del failing["a"], failing["b"]
    assert watch.due(NOW + 3_730 * SECOND_NS) == {"a": ("resolved", NOW)}


def test_the_body_is_a_notification_of_alertmanagers() -> None:
    made = body({"b": ("resolved", NOW), "a": ("firing", NOW)}, NOW + SECOND_NS)
    assert (made["version"], made["status"]) == ("4", "firing")
    first, second = made["alerts"]
    assert first["labels"] == {"alertname": ALERT, "peer": "a", "severity": "critical"}
    assert first["endsAt"].startswith("0001-")
    assert (second["status"], second["endsAt"]) == ("resolved", rfc3339(NOW + SECOND_NS))


def test_a_peer_that_takes_nothing_is_told_of_and_its_return_too(hook: WebhookReceiver) -> None:
    async def scenario() -> None:
        with FakeAlertmanager() as fake:
            fake.fail_always = 503
            settings = AlertmanagerSettings(backoff_seconds=(0.01, 0.05))
            publisher = AlertmanagerPublisher(
                [fake.url], clock_ns=time.time_ns, stats=CountedStats(), settings=settings
            )
            watch = UnsentAlarm(
                hook.url, publisher.failing, time.time_ns, Outcomes(), after_seconds=0.1, poll_seconds=0.01
            )
            await publisher.start()
            watch.start()
            publisher.update(transition())
            await until(lambda: [a["status"] for a in hook.alerts] == ["firing"])
            assert hook.alerts[0]["labels"]["peer"] == fake.url.removeprefix("http://")
            codes = len(fake.codes)
            await until(lambda: len(fake.codes) > codes + 3)
            assert len(hook.alerts) == 1
            fake.fail_always = 0
            await until(lambda: [a["status"] for a in hook.alerts] == ["firing", "resolved"])
            await watch.stop()
            await publisher.stop()

    asyncio.run(scenario())


def test_a_webhook_that_is_away_is_tried_again_and_shown_nowhere() -> None:
    async def scenario() -> None:
        with socket.socket() as listening:
            listening.bind(("127.0.0.1", 0))  # bound but not listening: refused
            url = f"http://127.0.0.1:{listening.getsockname()[1]}/secret"
            outcomes = Outcomes()
            watch = alarm({"a": time.time_ns() - 1_000 * SECOND_NS}, url, stats=outcomes)
            assert "secret" not in repr(watch)
            watch.start()
            await until(lambda: outcomes.seen["failed"] >= 3)
            await watch.stop()
            await watch.stop()

    asyncio.run(scenario())


def test_its_address_comes_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / "url"
    path.write_text("https://hooks.example/T0/secret\n")
    assert read_url(str(path)) == "https://hooks.example/T0/secret"
    for wrong in ("", "hooks.example/secret", "ftp://a/secret", "http://a b/secret", "http://a:x/secret"):
        path.write_text(wrong)
        with pytest.raises(ConfigurationError) as refused:
            read_url(str(path))
        assert "secret" not in str(refused.value)
    with pytest.raises(ConfigurationError):
        read_url(str(tmp_path / "missing"))
