"""The sender's own event loop: works while the interpreter exits, and is harmless in a forked child."""

from __future__ import annotations

import asyncio
import selectors
import socket
import threading
from typing import Any


class PrivateSelector(selectors.DefaultSelector):
    """A selector that a forked child can disarm.

    The child shares the kernel's epoll set with its parent: if the child's copy of a connection were collected, it
    would remove the parent's socket from the set, and the parent would wait for ever. Disarmed, nothing reaches it.
    """

    def disarm(self) -> None:
        """Close this process's handle of the set, without taking anything out of the set."""
        self.close()

    def get_key(self, fileobj: Any) -> selectors.SelectorKey:
        """As documented, and "not registered" when disarmed."""
        if self.get_map() is None:
            raise KeyError(fileobj)
        return super().get_key(fileobj)


class PrivateLoop(asyncio.SelectorEventLoop):
    """A loop that resolves names in daemon threads.

    The default executor refuses work once the main thread has ended, which is exactly when a short-lived agent's first
    connection may still be in the making; and it would keep the process until a slow resolver answers.
    """

    async def getaddrinfo(self, host: Any, port: Any, **arguments: Any) -> Any:
        """As documented."""
        answer = self.create_future()

        def settle(result: Any, error: Exception | None) -> None:
            if answer.done():
                return
            if error is None:
                answer.set_result(result)
            else:
                answer.set_exception(error)

        def look_up() -> None:
            try:
                outcome: tuple[Any, Exception | None] = (socket.getaddrinfo(host, port, **arguments), None)
            except (OSError, UnicodeError) as error:
                outcome = (None, error)
            if not self.is_closed():
                self.call_soon_threadsafe(settle, *outcome)

        try:
            threading.Thread(target=look_up, name="agents-emitter-resolver", daemon=True).start()
        except RuntimeError:  # newer interpreters start no thread while they exit
            look_up()
        return await answer
