from __future__ import annotations

import agents_emitter
from agents_emitter import holder
from tests.unit.emitter.broker import Broker


def test_libraries_find_the_process_emitter() -> None:
    before = agents_emitter.get_emitter()
    before.counter("c").add(1)
    broker = Broker()
    try:
        emitter = agents_emitter.configure(None, service_name="s", connect=broker.connect, process_interval_seconds=0)
        assert agents_emitter.get_emitter() is emitter
        agents_emitter.get_emitter().counter("c").add(1)
        again = agents_emitter.configure(None, service_name="s")
        assert agents_emitter.get_emitter() is again
        assert len(broker.samples()) == 1, "the one before was closed, which delivers"
    finally:
        holder._default.clear()
