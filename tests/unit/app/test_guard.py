"""A blocked event loop ends the process."""

from __future__ import annotations

import threading
import time

import pytest

from streams.app.worker import EXIT_STALLED, Worker, exit_code
from streams.errors import (
    ConfigurationError,
    PublishRefused,
    ServiceUnavailable,
    StateEpochError,
    StateError,
    StateVersionError,
)
from streams.settings import Settings


def test_a_loop_that_does_not_move_ends_the_process_and_one_that_moves_does_not() -> None:
    ended: list[int] = []
    worker = Worker(Settings(role="metrics", http_port=0, watchdog_loop_seconds=1))
    guard = threading.Thread(target=worker.guard, args=(ended.append,))
    guard.start()
    deadline = time.monotonic() + 60
    moving_until = time.monotonic() + 2.5
    while time.monotonic() < moving_until:
        worker._loop_seen = time.monotonic()
        time.sleep(0.02)
        assert ended == []
    guard.join(max(0.0, deadline - time.monotonic()))
    assert ended == [EXIT_STALLED]


def test_a_worker_that_ends_as_asked_is_not_ended_by_the_guard() -> None:
    ended: list[int] = []
    worker = Worker(Settings(role="metrics", http_port=0, watchdog_loop_seconds=1))
    worker._stop.set()
    worker._loop_seen -= 100
    worker.guard(ended.append)
    assert ended == []


@pytest.mark.parametrize(
    ("failure", "code"),
    [
        (ConfigurationError(""), 2),
        (StateVersionError(""), 4),
        (StateError(""), 4),
        (StateEpochError(""), 70),
        (ServiceUnavailable(""), 70),
        (PublishRefused(""), 70),
        (RuntimeError(), 70),
    ],
)
def test_only_what_no_restart_mends_is_final(failure: Exception, code: int) -> None:
    assert exit_code(failure) == code
