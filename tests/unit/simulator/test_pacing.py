"""Pacing against a clock of the test's own."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from agents_emitter.simulator import Emission, follow, pace


class Time:
    """A clock that only sleeping moves."""

    def __init__(self, now_ns: int) -> None:
        self.now_ns = now_ns
        self.sent: list[tuple[int, int]] = []

    def clock_ns(self) -> int:
        return self.now_ns

    async def sleep(self, seconds: float) -> None:
        self.now_ns += round(seconds * 1e9)

    def send(self, emission: Emission) -> None:
        self.sent.append((emission.time_ns, self.now_ns))


def _at(*times: int) -> list[Emission]:
    return [Emission(time_ns, "agents.metrics", b"k", b"v", 1) for time_ns in times]


SECOND = 1_000_000_000


def _run(time: Time, emissions: list[Emission], speed: float = 1.0) -> int:
    return asyncio.run(pace(emissions, time.send, clock_ns=time.clock_ns, sleep=time.sleep, speed=speed))


def test_the_future_is_waited_for() -> None:
    time = Time(10 * SECOND)
    assert _run(time, _at(12 * SECOND, 15 * SECOND)) == 2
    assert time.sent == [(12 * SECOND, 12 * SECOND), (15 * SECOND, 15 * SECOND)]


def test_the_past_is_replayed_from_now_on() -> None:
    time = Time(100 * SECOND)
    _run(time, _at(12 * SECOND, 15 * SECOND))
    assert [at for _, at in time.sent] == [100 * SECOND, 103 * SECOND]


def test_speed_divides_the_gaps() -> None:
    time = Time(100 * SECOND)
    _run(time, _at(10 * SECOND, 30 * SECOND), speed=10.0)
    assert [at for _, at in time.sent] == [100 * SECOND, 102 * SECOND]


def test_infinite_speed_never_waits() -> None:
    time = Time(0)
    assert _run(time, _at(5 * SECOND, 10**18), speed=float("inf")) == 2
    assert time.now_ns == 0


def test_a_late_sender_skips_nothing() -> None:
    time = Time(0)

    async def slow(emission: Emission) -> None:
        time.send(emission)
        await time.sleep(5.0)

    emissions = _at(*(n * SECOND for n in range(4)))
    assert asyncio.run(pace(emissions, slow, clock_ns=time.clock_ns, sleep=time.sleep)) == 4
    assert [at for _, at in time.sent] == [0, 5 * SECOND, 10 * SECOND, 15 * SECOND]


def test_stop_ends_a_long_wait() -> None:
    time = Time(0)
    sent = asyncio.run(
        pace(
            _at(SECOND, 3_600 * SECOND),
            time.send,
            clock_ns=time.clock_ns,
            sleep=time.sleep,
            stop=lambda: time.now_ns >= 2 * SECOND,
        )
    )
    assert sent == 1
    assert time.now_ns < 3 * SECOND


@pytest.mark.parametrize("speed", [0.0, -1.0, float("nan")])
def test_a_speed_that_is_none_is_refused(speed: float) -> None:
    with pytest.raises(ValueError, match="speed"):
        _run(Time(0), [], speed=speed)


def _follow(time: Time, emissions: list[Emission], **how: Any) -> int:
    return asyncio.run(follow(emissions, time.send, clock_ns=time.clock_ns, sleep=time.sleep, **how))


def test_catching_up_sends_the_past_at_once_and_the_rest_by_the_clock() -> None:
    time = Time(100 * SECOND)
    met: list[int] = []
    sent = _follow(time, _at(*(s * SECOND for s in (10, 90, 100, 103, 110))), caught_up=lambda: met.append(time.now_ns))
    assert sent == 5
    assert [at // SECOND for _, at in time.sent] == [100, 100, 100, 103, 110]
    assert met == [100 * SECOND]


def test_a_history_that_ends_in_the_past_never_catches_up() -> None:
    met: list[int] = []
    assert _follow(Time(100 * SECOND), _at(10 * SECOND), caught_up=lambda: met.append(0)) == 1
    assert met == []


def test_catching_up_can_be_stopped() -> None:
    time = Time(100 * SECOND)
    assert _follow(time, _at(10 * SECOND, 200 * SECOND), stop=lambda: time.now_ns > 150 * SECOND) == 1
