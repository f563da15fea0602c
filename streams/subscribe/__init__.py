"""Alerts and incidents as they happen, for your own program; see :func:`streams.subscribe.stream.subscribe`.

::

    async with subscribe("127.0.0.1:9092", group="pager", wanted=Wanted(severity="high")) as events:
        async for event in events:
            print(event.alert or event.incident)
            await events.done(event)
"""

from streams.subscribe.stream import Event, Subscription, subscribe
from streams.subscribe.wanted import Wanted

__all__ = ["Event", "Subscription", "Wanted", "subscribe"]
