"""The thin shell: a record is sent when its time has come."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Iterable

from agents_emitter.simulator.emission import Emission
from agents_emitter.simulator.interval import SECOND_NS

LONGEST_SLEEP_SECONDS = 0.5
"""So that ``stop`` is noticed."""


async def pace(
    emissions: Iterable[Emission],
    send: Callable[[Emission], Awaitable[object] | object],
    *,
    clock_ns: Callable[[], int],
    sleep: Callable[[float], Awaitable[object] | object],
    speed: float = 1.0,
    stop: Callable[[], bool] | None = None,
) -> int:
    """Sends each emission when its time has come, in order.

    What lies in the past when the pacing begins is replayed from its first record on, now; what lies in the future is
    waited for. At ``speed`` 2 simulated time runs twice as fast. A late record is sent at once: nothing is skipped.

    Args:
        emissions: in order of ``time_ns``.
        send: takes one emission; awaited if it returns an awaitable.
        clock_ns: nanoseconds since the epoch.
        sleep: waits a number of seconds; awaited if it returns an awaitable (``asyncio.sleep``).
        speed: simulated seconds per second, positive; infinity sends without waiting.
        stop: asked before each record and at least twice a second: True ends the pacing.

    Returns:
        How many emissions were sent.

    Raises:
        ValueError: a speed that is not positive.
    """
    if not speed > 0:
        raise ValueError(f"speed must be positive, got {speed}")
    begun_ns = clock_ns()
    origin_ns: int | None = None
    sent = 0
    for emission in emissions:
        if origin_ns is None:
            origin_ns = min(begun_ns, emission.time_ns)
        due_ns = begun_ns + int((emission.time_ns - origin_ns) / speed)
        if not await _wait_until(due_ns, clock_ns, sleep, stop):
            break
        await _settled(send(emission))
        sent += 1
    return sent


async def follow(
    emissions: Iterable[Emission],
    send: Callable[[Emission], Awaitable[object] | object],
    *,
    clock_ns: Callable[[], int],
    sleep: Callable[[float], Awaitable[object] | object],
    stop: Callable[[], bool] | None = None,
    caught_up: Callable[[], object] | None = None,
) -> int:
    """Sends each emission at its own time by the clock: what lies in the past goes at once, then the run is live.

    Args:
        emissions: as for :func:`pace`.
        send: as for :func:`pace`.
        clock_ns: as for :func:`pace`.
        sleep: as for :func:`pace`.
        stop: as for :func:`pace`.
        caught_up: called once, before the first emission that lies in the future.

    Returns:
        How many emissions were sent.
    """
    sent = 0
    for emission in emissions:
        if caught_up is not None and emission.time_ns > clock_ns():
            await _settled(caught_up())
            caught_up = None
        if not await _wait_until(emission.time_ns, clock_ns, sleep, stop):
            break
        await _settled(send(emission))
        sent += 1
    return sent


async def _wait_until(
    due_ns: int,
    clock_ns: Callable[[], int],
    sleep: Callable[[float], Awaitable[object] | object],
    stop: Callable[[], bool] | None,
) -> bool:
    """False when told to stop."""
    while not (stop is not None and stop()):
        left_ns = due_ns - clock_ns()
        if left_ns <= 0:
            return True
        await _settled(sleep(min(left_ns / SECOND_NS, LONGEST_SLEEP_SECONDS)))
    return False


async def _settled(result: Awaitable[object] | object) -> None:
    if inspect.isawaitable(result):
        await result
