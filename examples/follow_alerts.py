"""Prints incidents and alerts as they happen, and goes on where it was after a restart.

python examples/follow_alerts.py 127.0.0.1:9092 --group my-pager --severity high
"""

from __future__ import annotations

import argparse
import asyncio

from streams.subscribe import Wanted, subscribe
from streams.subscribe.stream import Start


async def follow(brokers: str, group: str, wanted: Wanted, count: int) -> None:
    """Until so many were printed; 0 = for ever."""
    async with subscribe(brokers, group=group, wanted=wanted, start=Start(0)) as events:
        async for event in events:
            if event.incident is not None:
                cause = event.incident.causes[0].place if event.incident.causes else "unknown"
                print(f"incident {event.incident.status}: {event.incident.title}; likeliest cause: {cause}", flush=True)
            elif event.alert is not None:
                print(f"alert {event.alert.state}: {event.alert.annotations.get('summary', '')}", flush=True)
            await events.done(event)
            count -= 1
            if count == 0:
                return


def main() -> None:
    """Console entry."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("brokers")
    parser.add_argument("--group", default="follow-alerts")
    parser.add_argument("--severity", default="")
    parser.add_argument("--count", type=int, default=0, help="end after so many; 0 = never")
    arguments = parser.parse_args()
    asyncio.run(follow(arguments.brokers, arguments.group, Wanted(arguments.severity), arguments.count))


if __name__ == "__main__":
    main()
