"""Between the start of a deployment and its validation the API is killed and Kafka goes away: nothing is promoted
meanwhile, and afterwards the same deployment is held against the same windows."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from streams import topics
from streams.domain.deployment import decode_deployment
from tests.integration.test_api import Api
from tests.integration.test_gatecheck import GATES, publish
from tests.pipeline import Pipeline, eventually, open_pipeline

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]


def health(api: Api, what: str) -> bool:
    assert api.running, api.log_tail()
    try:
        return httpx.get(f"{api.url}/health/{what}", timeout=5, trust_env=False).status_code == 200
    except httpx.HTTPError:
        return False


@contextmanager
def serving(pipeline: Pipeline, folder: Path, what: str) -> Iterator[Api]:
    """The API with files of its own in a new folder; ``what``: ``ready``, or ``live`` where there is no broker."""
    folder.mkdir()
    api = Api(pipeline, folder)
    api.start()
    try:
        eventually(lambda: health(api, what), f"the API is {what}")
        yield api
    finally:
        api.kill()


def test_start_then_no_api_then_no_kafka_then_validate(tmp_path: Path, cache_folder: Path) -> None:
    (tmp_path / "gates.yml").write_text(GATES)
    with open_pipeline(tmp_path, cache_folder, gates_path=tmp_path / "gates.yml") as pipeline:
        publish(pipeline, "kept", 1.5, 60, environment="production")
        body = {"deployment_id": "d1", "service": "kept", "version": "2", "baseline_version": "1"}
        with serving(pipeline, tmp_path / "first", "ready") as api:
            assert api.post("deployments/start", body)[0] == 201
        pipeline.broker.kill()
        with serving(pipeline, tmp_path / "second", "live") as api:
            for action in ("validate", "complete"):
                status, problem = api.post(f"deployments/d1/{action}", {"why": "now"} if action == "complete" else {})
                assert (status, "not on record" in problem["detail"]) == (503, True), problem
            pipeline.broker.start()
            eventually(lambda: health(api, "ready"), "it has read what is there")
            assert api.get("/api/v1/deployments/d1")["deployment"]["state"] == "registered"
            assert api.post("deployments/start", body)[0] == 200, "the same again: it is known"
            status, verdict = api.post("deployments/d1/validate", {})
            assert (status, verdict["verdict"], verdict["state"]) == (200, "fail", "failed"), verdict
            assert verdict["gates"][0]["effect"] == pytest.approx(0.5, abs=0.15)
            assert api.post("deployments/d1/complete", {"why": "now"})[0] == 409
        records = [decode_deployment(record.value or b"") for record in pipeline.read(topics.DEPLOYMENTS)]
        assert [one.state for one in records] == ["registered", "validating", "failed"]
