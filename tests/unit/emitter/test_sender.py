from __future__ import annotations

import logging
import sys
import threading
from collections import Counter
from typing import Any

import pytest

from agents_emitter import Emitter
from agents_emitter.lane import WINDOW_BATCHES
from agents_emitter.sender import LANE_FAILURES
from tests.unit.emitter.broker import Broker, agree, emitter_for, eventually


def total(broker: Broker) -> float:
    return sum(value for _, _, value in broker.samples())


def test_batches_leave_by_themselves_within_the_flush_interval() -> None:
    broker = Broker()
    with emitter_for(broker) as emitter:
        emitter.counter("c").add(1)
        eventually(lambda: total(broker) == 1)
        eventually(lambda: emitter.stats().samples.delivered == 1)
        assert broker.threads == {emitter.sender_thread_id}


def test_a_full_batch_does_not_wait_for_the_flush_interval() -> None:
    broker = Broker()
    with emitter_for(broker, flush_interval_seconds=3600.0, max_batch_samples=10) as emitter:
        emitter.counter("c").add(1)
        for _ in range(9):
            emitter.counter("c").add(1)
        eventually(lambda: total(broker) == 10)


def test_an_agent_may_start_before_the_broker() -> None:
    broker = Broker()
    broker.up = False
    with emitter_for(broker) as emitter:
        emitter.counter("c").add(1)
        eventually(lambda: emitter.stats().errors.get("ConnectionRefusedError", 0) >= 3)
        assert emitter.stats().samples.buffered == 1
        broker.up = True
        assert emitter.flush(60)
    assert total(broker) == 1


def test_what_was_not_acknowledged_is_sent_again_with_the_same_bytes() -> None:
    broker = Broker()
    broker.loses_acknowledgements = True
    with emitter_for(broker) as emitter:
        emitter.counter("c").add(1)
        eventually(lambda: len(broker.records) >= 4)
        assert emitter.stats().samples.delivered == 0
        broker.loses_acknowledgements = False
        emitter.counter("c").add(2)
        assert emitter.flush(60)
        stats = emitter.stats()
    assert stats.connects > 1
    assert stats.samples.delivered == 2
    by_seq: dict[int, set[bytes]] = {}
    for record in broker.records:
        by_seq.setdefault(record.body["seq"], set()).add(record.value)
    assert [len(by_seq[seq]) for seq in sorted(by_seq)] == [1, 1]
    assert total(broker) == 3


def test_an_outage_drops_the_oldest_and_the_sums_agree_with_the_topic() -> None:
    broker = Broker()
    with emitter_for(broker, spool_batches=10, ring_samples=1000) as emitter:
        counter = emitter.counter("c").labels()
        counter.add(1)
        assert emitter.flush(60)
        broker.up = False
        emitted = 1
        while emitter.stats().samples.dropped_by_reason.get("spool", 0) < 50:
            counter.add(1)
            emitted += 1
            assert emitter.stats().samples.spooled_batches <= 10
        broker.up = True
        assert emitter.flush(60)
        stats = emitter.stats().samples
    assert agree(emitter)
    assert stats.emitted == emitted
    assert stats.buffered == 0
    assert total(broker) == stats.delivered == emitted - stats.dropped
    seqs = sorted(record.body["seq"] for record in broker.of("agents.metrics"))
    assert seqs[0] == 0
    assert len(seqs) < seqs[-1] + 1, "dropped batches leave a gap"


def test_the_ring_refuses_what_is_new_when_nobody_drains_it() -> None:
    broker = Broker()
    with emitter_for(broker, ring_samples=10, flush_interval_seconds=3600.0) as emitter:
        with emitter._state:  # the sender cannot drain
            for i in range(25):
                emitter.gauge("g").set(i)
            assert emitter.stats().samples.dropped_by_reason == {"overflow": 15}
            assert agree(emitter)
        assert emitter.flush(60)
    assert [value for _, _, value in broker.samples()] == list(range(10))
    assert broker.of("agents.metrics")[-1].body["dropped_total"] == 15


def test_a_missing_topic_does_not_hold_the_others_up() -> None:
    broker = Broker()
    broker.missing = {"agents.spans"}
    with emitter_for(broker) as emitter:
        with emitter.span("x"):
            pass
        for i in range(20):
            emitter.counter("c").add(1)
            eventually(lambda expected=i + 1: emitter.stats().samples.delivered == expected)  # type: ignore[misc]
        stats = emitter.stats()
        assert stats.spans.buffered == 1
        assert stats.connects <= 1 + stats.errors.get("ConnectionResetError", 0) / LANE_FAILURES
        broker.missing = set()
        assert emitter.flush(60)
        assert emitter.stats().spans.delivered == 1


def test_a_record_nobody_takes_is_dropped_and_the_rest_goes_on() -> None:
    broker = Broker()
    broker.limit_bytes = 1000
    with emitter_for(broker) as emitter:
        logger = logging.Logger("agent")
        logger.addHandler(emitter.log_handler())
        logger.warning("x" * 2000)
        assert emitter.flush(60)
        logger.warning("short")
        assert emitter.flush(60)
        assert emitter.stats().logs.dropped_by_reason == {"too_large": 1}
    assert [log["body"] for record in broker.of("agents.logs") for log in record.body["logs"]] == ["short"]


def test_a_broker_that_never_answers_does_not_hold_close_up() -> None:
    broker = Broker()
    broker.answers = False
    emitter = emitter_for(broker, spool_batches=1000)
    emitter.counter("c").add(1)
    eventually(lambda: len(broker.attempts) == 1)
    emitter.counter("c").add(1)
    emitter.stats()
    assert not emitter.close(timeout_seconds=0.05)
    stats = emitter.stats().samples
    assert stats.dropped_by_reason == {"unconfirmed": 1, "closed": 1}
    assert agree(emitter)
    emitter.counter("c").add(1)
    assert emitter.stats().samples.dropped_by_reason == {"unconfirmed": 1, "closed": 2}
    assert emitter.close()


def test_closing_at_any_moment_ends_the_thread() -> None:
    for _ in range(30):
        emitter = emitter_for(Broker())
        emitter.counter("c").add(1)
        assert emitter.close()
        assert emitter.sender_thread_id not in {thread.ident for thread in threading.enumerate()}


def test_sums_agree_at_any_moment_under_load_from_many_threads() -> None:
    broker = Broker()
    disagreements = 0
    with emitter_for(broker, ring_samples=2000, spool_batches=20) as emitter:
        switch = sys.getswitchinterval()
        sys.setswitchinterval(1e-5)
        try:
            threads = [threading.Thread(target=_emit, args=(emitter, n)) for n in range(4)]
            for thread in threads:
                thread.start()
            while any(thread.is_alive() for thread in threads):
                broker.up = not broker.up
                disagreements += not agree(emitter)
        finally:
            sys.setswitchinterval(switch)
        broker.up = True
        assert emitter.flush(60)
        stats = emitter.stats().samples
    assert disagreements == 0
    assert stats.emitted == 4 * 5000
    assert stats.delivered + stats.dropped == stats.emitted
    assert stats.delivered == len(broker.samples())
    assert max(Counter((r.body["producer"], r.body["seq"]) for r in broker.of("agents.metrics")).values()) == 1


def _emit(emitter: Emitter, number: int) -> None:
    bound = emitter.counter("c").labels(thread=number)
    for _ in range(5000):
        bound.add(1)


@pytest.mark.parametrize("error", [RuntimeError("x"), OSError(), KeyError("k")])
def test_whatever_the_client_raises_is_counted_and_tried_again(error: Exception) -> None:
    broker = Broker()
    calls: list[int] = []

    async def connect() -> Any:
        calls.append(1)
        if len(calls) < 3:
            raise error
        return await broker.connect()

    with emitter_for(broker, connect=connect) as emitter:
        emitter.counter("c").add(1)
        assert emitter.flush(60)
        assert emitter.stats().errors == {type(error).__name__: 2}


def test_in_an_outage_small_batches_are_put_together() -> None:
    """Every batch repeats its head: encoding each few samples at once would fill the spool with heads."""
    broker = Broker()
    broker.up = False
    hour = 3600.0
    with emitter_for(broker, flush_interval_seconds=hour) as emitter:
        sender, ring = emitter._sender, emitter._samples
        assert sender is not None
        counter = emitter.counter("c").labels()
        for _ in range(WINDOW_BATCHES + 1):
            counter.add(1)
            emitter.flush(timeout_seconds=0)
        assert emitter.stats().samples.spooled_batches == WINDOW_BATCHES + 1
        later = 1e9  # seconds: after anything the sender's own clock says
        sender._encode(0, later)
        counter.add(1)
        sender._encode(0, later + 19 * hour)
        assert len(ring.items) == 1
        sender._encode(0, later + 20 * hour)
        assert len(ring.items) == 0
        broker.up = True
        assert emitter.flush(60)
    assert total(broker) == WINDOW_BATCHES + 2
