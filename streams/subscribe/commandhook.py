"""Signed commands to a webhook: body and headers are value and headers of their record on ``agents.commands``.

A receiver checks both with :func:`streams.subscribe.commands.checked`, as a reader of the topic does.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from functools import partial
from typing import Final

from streams.errors import ConfigurationError, ServiceUnavailable
from streams.settings import Settings, variable
from streams.subscribe.target import target
from streams.subscribe.webhook import AGAIN, addresses, opened, post

ATTEMPTS: Final = 3
PAUSE_SECONDS: Final = 1.0
TIMEOUT_SECONDS: Final = 5.0


async def tell(settings: Settings, value: bytes, headers: Sequence[tuple[str, bytes]]) -> None:
    """Sends a command that is on its topic to the webhook of the settings, three times at most; nothing without one.

    Raises:
        ServiceUnavailable: it did not take it, or may not be there. The same request again sends the same command.
    """
    if not settings.commands_url:
        return
    allow = f"{variable('commands_private')}=on"
    look_up = partial(target, settings.commands_url, addresses, private=settings.commands_private == "on", allow=allow)
    why = "there was no answer"
    async with opened(TIMEOUT_SECONDS) as client:
        for attempt in range(ATTEMPTS):
            await asyncio.sleep(PAUSE_SECONDS * attempt)
            try:
                where = await asyncio.to_thread(look_up)
            except ConfigurationError as error:
                why = str(error)
                break
            answer = await post(client, where, value, {name: text.decode() for name, text in headers})
            if answer is not None and answer.is_success:
                return
            why = f"it answered {answer.status_code}" if answer is not None else "there was no answer"
            if answer is not None and answer.status_code < 500 and answer.status_code not in AGAIN:
                break
    raise ServiceUnavailable(
        f"the command is on agents.commands, but {variable('commands_url')} did not take it ({why}): "
        "the same request again sends the same command"
    )
