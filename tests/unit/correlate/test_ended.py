"""What ended not long ago: kept, taken back, bounded, the same after a snapshot."""

from __future__ import annotations

import orjson
import pytest

from streams.correlate import ended
from streams.correlate.ended import Ended
from streams.domain.alert import AlertTransition
from tests.unit.correlate.test_incidents import alert


def ends(number: int, at: float) -> AlertTransition:
    return alert(f"service-{number}", at, state="resolved", seq=9)


@pytest.mark.parametrize(
    ("told", "kept"),
    [
        pytest.param([ends(0, 5), ends(1, 6)], ["service-0", "service-1"], id="both ended"),
        pytest.param([ends(0, 5), alert("service-0", 6)], [], id="it fires again"),
        pytest.param([ends(0, 5), alert("service-0", 6, state="pending")], ["service-0"], id="pending is not told"),
        pytest.param([alert("service-0", 6)], [], id="it never ended"),
        pytest.param([ends(0, 0), ends(1, 900)], ["service-0", "service-1"], id="a quarter of an hour"),
        pytest.param([ends(0, 0), ends(1, 901)], ["service-1"], id="longer"),
        pytest.param([ends(0, 0), alert("service-1", 901)], [], id="time goes on with any of them"),
        pytest.param([ends(0, 0), ends(1, 1), ends(0, 2)], ["service-1", "service-0"], id="it ended once more"),
    ],
)
def test_what_is_kept(told: list[AlertTransition], kept: list[str]) -> None:
    memory = Ended()
    for transition in told:
        memory.take(transition)
    assert [t.identity["service.name"] for t in memory.alerts()] == kept
    again = Ended()
    again.load(orjson.loads(orjson.dumps(memory.dump())))
    assert again.alerts() == memory.alerts()


def test_it_is_bounded_by_count(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ended, "MAX_ENDED", 3)
    memory = Ended()
    for number in range(5):
        memory.take(ends(number, number))
    assert [t.identity["service.name"] for t in memory.alerts()] == ["service-2", "service-3", "service-4"]
