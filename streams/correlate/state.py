"""A correlate operator's snapshot: JSON, versioned, read as data only."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final, NamedTuple

import orjson

from streams.correlate.book import AlertBook
from streams.correlate.lifecycle import Alert, LevelState
from streams.correlate.rule import Rule
from streams.domain.alert import decode_alert, encode_alert
from streams.errors import StateDamaged, StateVersionError

FORMAT_VERSION: Final = 1


class Restored(NamedTuple):
    """What ``restore`` brought back: open alerts; alerts whose rule changed; why nothing, where nothing was used."""

    alerts: int
    orphans: int
    reason: str


def encode(body: Mapping[str, Any], book: AlertBook) -> bytes:
    """Snapshot of an operator."""
    alerts = [_alert_object(key[1], alert) for key, alert in book.alerts.items()]
    orphans = [orjson.Fragment(encode_alert(last)) for last in book.orphans]
    whole = {"v": FORMAT_VERSION, **body, "alerts": alerts, "orphans": orphans, "numbers": list(book.numbers.items())}
    return orjson.dumps(whole)


@contextmanager
def decode(data: bytes, rules: Mapping[str, Rule], book: AlertBook) -> Iterator[dict[str, Any]]:
    """Fill the book from a snapshot and give its body to the caller's loading.

    Raises:
        StateVersionError: written by a newer version of this code.
        StateError: not a snapshot, of another format, or damaged (also where the caller's part finds so).
    """
    try:
        body = orjson.loads(data)
        if body["v"] > FORMAT_VERSION:
            raise StateVersionError(f"alert state has format {body['v']}, this version reads up to {FORMAT_VERSION}")
        if body["v"] != FORMAT_VERSION:
            raise StateDamaged(f"the snapshot's format is {body['v']!r}, ours is {FORMAT_VERSION}")
        book.numbers.update((name, number) for name, number in body["numbers"])
        book.orphans = [decode_alert(orjson.dumps(item)) for item in body["orphans"]]
        _load_alerts(body, rules, book)
        yield body
    except (ValueError, KeyError, TypeError, IndexError, AttributeError) as error:
        raise StateDamaged(f"not a snapshot of a correlate operator: {error!r}") from error


def _load_alerts(body: dict[str, Any], rules: Mapping[str, Rule], book: AlertBook) -> None:
    for item in body["alerts"]:
        last = decode_alert(orjson.dumps(item["last"]))
        rule = rules.get(last.alertname)
        if rule is None or body["rules"].get(rule.name) != rule.hash:
            book.orphans.append(last)
            continue
        key = (rule.name, tuple((name, value) for name, value in item["labels"]))
        levels = [LevelState(*level) for level in item["levels"]]
        book.alerts[key] = Alert(
            rule, dict(last.identity), last.fingerprint, last.seq, levels, item["at_ns"], last.starts_at_ns, last
        )


def _alert_object(labels: tuple[tuple[str, str], ...], alert: Alert) -> dict[str, Any]:
    levels = [[state.since_ns, state.reached, state.good_since_ns] for state in alert.levels]
    last = orjson.Fragment(encode_alert(alert.last)) if alert.last else None
    return {"labels": labels, "levels": levels, "at_ns": alert.at_ns, "last": last}
