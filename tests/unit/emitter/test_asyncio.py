from __future__ import annotations

import asyncio

from agents_emitter import Emitter
from tests.unit.emitter.broker import Broker, emitter_for


def test_an_asyncio_program_is_never_blocked() -> None:
    """The loop must turn while the emitter waits for a broker that does not answer."""
    broker = Broker()
    broker.answers = False
    turns_while_closing: list[int] = []

    async def turn() -> None:
        while True:
            turns_while_closing.append(1)
            if len(turns_while_closing) == 50:
                broker.answers = True
            await asyncio.sleep(0)

    async def main() -> Emitter:
        async with emitter_for(broker) as emitter:
            emitter.counter("c").add(1)
            assert not await emitter.aflush(timeout_seconds=0.01)
            turning = asyncio.create_task(turn())
        turning.cancel()
        return emitter

    emitter = asyncio.run(main())
    assert len(turns_while_closing) >= 50
    assert emitter.stats().samples.delivered == 1


def test_the_emitter_outlives_the_loop_it_was_made_in() -> None:
    broker = Broker()

    async def main() -> Emitter:
        return emitter_for(broker)

    emitter = asyncio.run(main())
    emitter.counter("c").add(1)
    assert emitter.close()
    assert len(broker.samples()) == 1
