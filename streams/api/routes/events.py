"""Alerts and incidents as they happen: server-sent events, with resume."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Annotated, Any

from fastapi import APIRouter, Header, HTTPException, Request
from fastapi.responses import StreamingResponse

from streams.api.context import Context, Shared, needs
from streams.subscribe.stream import Start, Subscription, subscribe
from streams.subscribe.webhook import body_of

router = APIRouter(prefix="/api/v1", tags=["stream"], dependencies=[needs("read")])
BEAT_SECONDS = 15.0
MOST = 200
"""Streams at the same time; one more is answered with 503."""
_open: set[object] = set()


@router.get("/stream", response_class=StreamingResponse)
async def stream(
    request: Request, shared: Shared, last_event_id: Annotated[str, Header(max_length=64)] = ""
) -> StreamingResponse:
    """``event: alert`` or ``incident``, data as ``streams alerts tail --json`` has it.

    The id is the time at which it was sent (ms); a browser that comes back sends it as Last-Event-ID and gets what was
    written since, some of it perhaps again.
    """
    if last_event_id and not (last_event_id.isascii() and last_event_id.isdigit() and len(last_event_id) < 16):
        raise HTTPException(422, "Last-Event-ID is a number of milliseconds")
    if len(_open) >= MOST:
        raise HTTPException(503, "too many streams are open", {"Retry-After": "30"})
    start = Start(int(last_event_id)) if last_event_id else Start()
    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    return StreamingResponse(_lines(request, shared, start), media_type="text/event-stream", headers=headers)


async def _lines(request: Request, shared: Context, start: Start) -> AsyncIterator[bytes]:
    mark: Any = object()
    cluster = shared.ledger.brokers
    _open.add(mark)
    try:
        async with subscribe(str(cluster), security=cluster.security, start=start) as events:
            yield b": ready\n\n"
            while not await request.is_disconnected():
                yield await _next(shared, events)
    finally:
        _open.discard(mark)


async def _next(shared: Context, events: Subscription) -> bytes:
    try:
        event = await asyncio.wait_for(anext(events), BEAT_SECONDS)
    except TimeoutError:
        return b": still here\n\n"
    kind = b"alert" if event.alert is not None else b"incident"
    return b"id: %d\nevent: %b\ndata: %b\n\n" % (shared.clock_ns() // 1_000_000, kind, body_of(event))
