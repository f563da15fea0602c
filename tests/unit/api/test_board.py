"""The board: each record once, the newest of each thing, pages in order, what is old goes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from streams import topics
from streams.api.board.query import Asked, BoardReader
from streams.api.board.writer import BoardWriter, Fetched
from streams.domain.alert import encode_alert
from streams.domain.anomaly import Anomaly, Score, encode_anomaly
from streams.domain.incident import encode_incident
from streams.domain.series import Series
from streams.domain.trace import Edge, encode_edge
from streams.errors import ServiceUnavailable
from tests.unit.subscribe.drawing import SECOND, alert, incident

LABELS = (("agent.id", "a1"), ("service.name", "planning"))


def anomaly(number: int) -> bytes:
    series = Series("agents.memory", "By", "gauge", LABELS)
    score = Score(0.99999, 1.0, 0.5, 1.5, False, 900)
    return encode_anomaly(
        Anomaly(series, number * SECOND, (number + 10) * SECOND, "mean", 9.0, score, "novelty", 0.9999, 1.7)
    )


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "board.sqlite3"


@pytest.fixture
def writer(path: Path) -> Iterator[BoardWriter]:
    made = BoardWriter(path)
    yield made
    made.close()


def log(topic: str, *values: bytes, first: int = 0, partition: int = 0) -> list[Fetched]:
    return [Fetched(topic, partition, first + n, 1_000 + n, value) for n, value in enumerate(values)]


def shown(path: Path, kind: str, asked: Asked = Asked(), limit: int = 100) -> list[dict[str, object]]:  # noqa: B008 - frozen
    """All pages joined."""
    reader, found, cursor = BoardReader(path), [], ""
    try:
        while True:
            page = reader.page(kind, asked, limit=limit, cursor=cursor)
            found += page.items
            cursor = page.next_cursor
            if not cursor:
                return found
    finally:
        reader.close()


def test_an_episode_is_its_newest_transition_and_each_episode_is_a_row(path: Path, writer: BoardWriter) -> None:
    writer.write(
        log(
            topics.ALERTS,
            encode_alert(alert(seq=1, state="pending")),
            encode_alert(alert(seq=2, state="firing")),
            encode_alert(alert(seq=3, state="resolved", ends_at_ns=20 * SECOND, at_ns=20 * SECOND)),
            encode_alert(alert(seq=2, state="firing")),  # written twice by a worker that died
            encode_alert(alert(seq=4, state="firing", starts_at_ns=50 * SECOND, at_ns=60 * SECOND)),
        )
    )
    assert [(a["seq"], a["state"]) for a in shown(path, "alerts")] == [(4, "firing"), (3, "resolved")]
    assert writer.outdated == 1


def test_an_alert_that_is_told_again_as_suppressed_is_newer_and_an_older_revision_is_not(
    path: Path, writer: BoardWriter
) -> None:
    said = [alert(seq=2), alert(seq=2, revision=7, suppressed="symptom", incident_id="i"), alert(seq=2, revision=6)]
    writer.write(log(topics.ALERTS, *map(encode_alert, said)))
    (row,) = shown(path, "alerts")
    assert (row["revision"], row["suppressed"], row["incident_id"]) == (7, "symptom", "i")
    writer.write(log(topics.ALERTS, encode_alert(alert(seq=3, state="resolved")), first=3))
    (row,) = shown(path, "alerts")
    assert (row["state"], row.get("suppressed")) == ("resolved", None)


def test_filters_of_alerts(path: Path, writer: BoardWriter) -> None:
    other = alert(fingerprint="f2", severity="warning", alertname="Other", identity={"service.name": "x"})
    writer.write(log(topics.ALERTS, encode_alert(alert()), encode_alert(other)))
    for asked, count in (
        (Asked(state="firing"), 2),
        (Asked(severity="high"), 1),
        (Asked(alertname="Other"), 1),
        (Asked(service="planning", agent="a1"), 1),
        (Asked(environment="prod"), 0),
        (Asked(since_ns=9 * SECOND), 2),
        (Asked(since_ns=9 * SECOND + 1), 0),
    ):
        assert len(shown(path, "alerts", asked)) == count, asked


def test_an_incident_is_its_newest_revision(path: Path, writer: BoardWriter) -> None:
    records = [incident(revision=1), incident(revision=3, status="resolved"), incident(revision=2)]
    writer.write(log(topics.INCIDENTS, *(encode_incident(one) for one in records)))
    (found,) = shown(path, "incidents")
    assert (found["revision"], found["status"]) == (3, "resolved")
    reader = BoardReader(path)
    assert (reader.incident("i1") or {})["causes"][0]["place"] == "contoso"
    assert reader.incident("i2") is None
    reader.close()


@pytest.mark.parametrize("limit", [1, 3, 1000])
def test_pages_join_to_the_whole_list_also_where_times_are_equal(path: Path, writer: BoardWriter, limit: int) -> None:
    writer.write(
        log(topics.ALERTS, *(encode_alert(alert(fingerprint=f"f{n:02}", at_ns=(n // 4) * SECOND)) for n in range(20)))
    )
    found = [str(a["fingerprint"]) for a in shown(path, "alerts", limit=limit)]
    assert len(found) == len(set(found)) == 20
    assert found == sorted(found, key=lambda f: (int(f[1:]) // 4, f), reverse=True)


def test_edges_are_summed(path: Path, writer: BoardWriter) -> None:
    edges = [Edge("a", "b", "unset", 2, 1, 0.5, 0.3, 5, 9), Edge("a", "b", "unset", 3, 0, 1.0, 0.9, 10, 12)]
    writer.write(log(topics.EDGES, *(encode_edge(edge) for edge in edges)))
    reader = BoardReader(path)
    (edge,) = reader.edges(0)
    assert (edge["calls"], edge["failed"], edge["seconds_sum"], edge["seconds_max"]) == (5, 1, 1.5, 0.9)
    assert (edge["first_seen_ns"], edge["last_seen_ns"]) == (5, 12)
    assert reader.edges(13) == []
    reader.close()


def test_a_record_is_taken_once_over_a_restart(path: Path, writer: BoardWriter) -> None:
    edge = encode_edge(Edge("a", "b", "unset", 2, 0, 0.5, 0.3, 5, 9))
    writer.write(log(topics.EDGES, edge, edge))
    writer.close()
    again = BoardWriter(path)
    assert again.offsets() == {(topics.EDGES, 0): 2}
    again.write(log(topics.EDGES, edge, edge, edge))
    reader = BoardReader(path)
    assert reader.edges(0)[0]["calls"] == 6
    assert reader.appended_ns() == 1_002_000_000
    reader.close()
    again.close()


@pytest.mark.parametrize("topic", [topics.ALERTS, topics.INCIDENTS, topics.ANOMALIES, topics.EDGES])
@pytest.mark.parametrize("value", [b"", b"{", b"[]", b"{}", b'{"schema":"agents.alert/1"}', b"null"])
def test_what_is_no_record_is_counted_and_passed_over(writer: BoardWriter, topic: str, value: bytes) -> None:
    writer.write(log(topic, value))
    assert (writer.unreadable, writer.written) == (1, 0)
    assert writer.offsets() == {(topic, 0): 1}


def test_what_is_old_goes_and_what_is_open_stays(path: Path, writer: BoardWriter) -> None:
    writer.write(
        [
            *log(topics.ALERTS, encode_alert(alert()), encode_alert(alert(fingerprint="f2", state="resolved"))),
            *log(
                topics.INCIDENTS,
                encode_incident(incident()),
                encode_incident(incident(incident_id="i2", status="resolved")),
            ),
            *log(topics.ANOMALIES, anomaly(1), anomaly(100)),
            *log(topics.EDGES, encode_edge(Edge("a", "b", "unset", 2, 0, 0.5, 0.3, 5, 9))),
        ]
    )
    writer.prune(60, 100 * SECOND)
    assert [a["fingerprint"] for a in shown(path, "alerts")] == ["f1"]
    assert [i["incident_id"] for i in shown(path, "incidents")] == ["i1"]
    assert len(shown(path, "anomalies")) == 1
    assert writer.pruned == 4


def test_counts_and_a_file_that_is_not_there(path: Path, tmp_path: Path, writer: BoardWriter) -> None:
    writer.write([*log(topics.ALERTS, encode_alert(alert())), *log(topics.INCIDENTS, encode_incident(incident()))])
    reader = BoardReader(path)
    assert reader.counts() == {"alerts": {"high": 1}, "incidents": {"high": 1}}
    for cursor in ("x", "5b5d", "7b7d", "00", b'[9223372036854775808,"a",1]'.hex()):
        with pytest.raises(ValueError, match="next_cursor"):
            reader.page("alerts", Asked(), cursor=cursor)
    reader.close()
    with pytest.raises(ServiceUnavailable):
        BoardReader(tmp_path / "none.sqlite3")


def test_a_file_of_another_version_is_begun_anew(path: Path, writer: BoardWriter) -> None:
    writer.write(log(topics.ALERTS, encode_alert(alert())))
    writer._db.execute("PRAGMA user_version = 99")
    writer.close()
    again = BoardWriter(path)
    assert again.offsets() == {}
    again.close()
