"""What a person says while a worker runs: relayed to the findings, taken by the incident, on its topic."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from streams import topics
from streams.app.control import say
from streams.domain.alert import encode_alert
from streams.domain.control import Ack
from streams.domain.incident import Incident, decode_incident
from streams.domain.progress import Standing, decode_standing
from streams.records.cluster import Cluster
from tests.pipeline import Pipeline, Sent, eventually, open_pipeline
from tests.unit.correlate.test_incidents import alert

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]


def test_an_ack_reaches_the_incident_through_the_worker(tmp_path: Path, cache_folder: Path) -> None:
    fired = alert("back", 0)
    with open_pipeline(tmp_path, cache_folder, partitions=1) as pipeline:
        pipeline.worker("alerts").up()
        pipeline.produce([Sent(topics.FINDINGS, b"f", encode_alert(fired))])

        def members() -> list[tuple[str, str]]:
            incidents = [decode_incident(record.value or b"") for record in pipeline.read(topics.INCIDENTS)]
            return [(m.suppressed, m.suppressed_by) for incident in incidents[-1:] for m in incident.members]

        eventually(lambda: members() == [("", "")], "the incident is there and speaks")
        say(Cluster(pipeline.broker.bootstrap), Ack(fired.fingerprint, "ann", "on it", time.time_ns()))
        eventually(lambda: members() == [("acked", "ann: on it")], "the ack is in the incident")

        def newest() -> dict[str, Incident]:
            found = [decode_incident(record.value or b"") for record in pipeline.read(topics.INCIDENTS)]
            return {one.incident_id: one for one in sorted(found, key=lambda one: one.revision)}

        def last() -> Incident:
            return max(newest().values(), key=lambda one: one.revision)

        name, by = last().incident_id, ("--by", "bob", "--why", "the disk is new")
        for _ in range(2):
            done = pipeline.command("alerts", "resolve", name, *by)
            assert done.returncode == 0, done.stderr
        eventually(lambda: last().status == "resolved", "the incident is resolved")
        assert last().resolved_by == "bob: the disk is new"
        assert [(m.suppressed, m.suppressed_by) for m in last().members] == [("acked", "bob: the disk is new")]
        refused = pipeline.command("alerts", "merge", name, name, *by)
        assert (refused.returncode, "a part of itself" in refused.stderr) == (2, True)
        pipeline.produce([Sent(topics.FINDINGS, b"g", encode_alert(alert("far", 10)))])
        eventually(lambda: last().status == "open", "another one is open")
        other = last().incident_id
        assert pipeline.command("alerts", "merge", other, name, *by).returncode == 0
        eventually(lambda: newest()[other].merged_into == name, "it is a part of the first")
        whole = newest()[name]
        assert (whole.status, [member.service for member in whole.members]) == ("open", ["back", "far"])
        out = next(member for member in whole.members if member.service == "far").fingerprint
        assert pipeline.command("alerts", "unlink", name, out, *by).returncode == 0
        eventually(lambda: [m.service for m in last().members] == ["far"], "it has an incident of its own")
        assert last().members[0].why == f"taken out of {name} by bob: the disk is new"
        assert [member.service for member in newest()[name].members] == ["back"]
        _it_says_how_far_it_is(pipeline)


def _it_says_how_far_it_is(pipeline: Pipeline) -> None:
    def told() -> dict[bytes, Standing]:
        found = [decode_standing(record.value or b"") for record in pipeline.read(topics.PROGRESS)]
        return {standing.key: standing for standing in found if standing.lag == 0}

    eventually(lambda: b"alerts/agents.findings/0" in told(), "the worker says that it has applied all")
    standing = told()[b"alerts/agents.findings/0"]
    assert (standing.lag_seconds, standing.fates["aggregated"] > 0) == (0.0, True)
