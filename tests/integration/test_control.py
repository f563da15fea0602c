"""An ack that a person gives while a worker runs: relayed to the findings, taken by the incident, on its topic."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from streams import topics
from streams.app.control import say
from streams.domain.alert import encode_alert
from streams.domain.control import Ack
from streams.domain.incident import decode_incident
from streams.records.cluster import Cluster
from tests.pipeline import Sent, eventually, open_pipeline
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
