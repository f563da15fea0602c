"""Progress records: what is written is read, and what is none is refused."""

from __future__ import annotations

import orjson
import pytest

from streams.app.telling import outputs
from streams.domain.progress import Standing, decode_standing, encode_standing
from streams.publish.progress import Progress

STANDING = Standing("metrics", "agents.metrics", 3, 5, {"aggregated": 9, "late": 1}, 2, 0.5, 1.5)


@pytest.mark.parametrize("standing", [STANDING, Standing("alerts", "agents.findings", 0, 5, {})])
def test_what_is_written_is_read(standing: Standing) -> None:
    assert decode_standing(encode_standing(standing)) == standing
    newer = orjson.dumps({**orjson.loads(encode_standing(standing)), "new": 1})
    assert decode_standing(newer) == standing


@pytest.mark.parametrize(
    "change",
    [{"schema": "agents.alert/1"}, {"fates": 3}, {"fates": {"late": "x"}}, {"partition": None}, {"lag": "many"}],
)
def test_what_is_none_is_refused(change: dict[str, object]) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - the texts are for people
        decode_standing(orjson.dumps({**orjson.loads(encode_standing(STANDING)), **change}))


@pytest.mark.parametrize("value", [b"", b"{", b"[]", b"5", b"{}"])
def test_what_is_no_record_is_refused(value: bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011
        decode_standing(value)


def test_a_record_says_what_the_worker_knows_of_a_partition() -> None:
    known = Progress(
        "agents.metrics", 3, {"aggregated": 9, "late": 1}, lag=2, lag_seconds=0.5, watermark_delay_seconds=1.5
    )
    (output,) = outputs("metrics", [known], 5)
    assert (output.topic, output.key, output.partition) == ("streams.progress", b"metrics/agents.metrics/3", 0)
    assert decode_standing(output.value or b"") == STANDING
