"""The background sender: one daemon thread with its own event loop.

It encodes what the rings hold, keeps a connection, and sends each lane's oldest batches until they are acknowledged,
the same bytes as often as needed. It never gives up and never raises; what went wrong is counted by name.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

from agents_emitter.eventloop import PrivateLoop, PrivateSelector
from agents_emitter.lane import Lane
from agents_emitter.options import Options
from agents_emitter.spool import Batch
from agents_emitter.transport import Connect, Transport, Undeliverable, quiet_client_logs

POLL_SECONDS = 0.05
"""How often a ring is looked at, so that a burst is encoded before the flush interval ends."""
BACKLOG_INTERVALS = 20
"""A backlogged lane encodes full batches, or what is there after so many flush intervals: in an outage the bound of
the spool is not spent on heads of tiny batches."""
LANE_FAILURES = 5
"""After so many failures in a row a lane asks for a new connection although the other lanes are well."""
MAX_ERROR_NAMES = 100


class Reconnect(Exception):
    """The connection is no good: make another."""


class Sender:
    """See the module. Public methods may be called from any thread."""

    def __init__(
        self, lanes: Sequence[Lane], connect: Connect, options: Options, *, jitter: Callable[[], float]
    ) -> None:
        self._lanes = lanes
        self._connect = connect
        self._options = options
        self._jitter = jitter
        self.errors: Counter[str] = Counter()
        self.connects = 0
        self.periodic: list[tuple[float, Callable[[], None]]] = []
        self._acknowledged = 0
        self._selector = PrivateSelector()
        self._loop = PrivateLoop(self._selector)
        self._stopping = asyncio.Event()
        self._full = asyncio.Event()
        self._work = [asyncio.Event() for _ in lanes]
        self._encoded = [0.0 for _ in lanes]
        self._restore_logs: Callable[[], None] = lambda: None
        self._thread = threading.Thread(target=self._run, name="agents-emitter", daemon=True)

    @property
    def thread_id(self) -> int | None:
        """Identity of the thread, None before it runs."""
        return self._thread.ident

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def wake(self) -> None:
        """There is something to encode or to send now."""
        self._call(self._wake)

    def stop(self, timeout_seconds: float) -> None:
        """End the thread; returns after the timeout whether it has ended or not."""
        self._call(self._stopping.set)
        if self._thread.is_alive() and threading.current_thread() is not self._thread:
            self._thread.join(timeout_seconds)

    def disarm(self) -> None:
        """In a forked child: this copy has no thread; keep it from touching what the parent still uses."""
        self._selector.disarm()
        self._restore_logs()

    def count_error(self, error: BaseException) -> None:
        """Remember that something failed, by name. Bounded: beyond 100 names the rest count as ``other``."""
        name = type(error).__name__
        self.errors[name if name in self.errors or len(self.errors) < MAX_ERROR_NAMES else "other"] += 1

    def _call(self, function: Callable[[], Any]) -> None:
        try:
            self._loop.call_soon_threadsafe(function)
        except RuntimeError:
            return  # the loop has ended: there is nobody to tell

    def _wake(self) -> None:
        self._full.set()
        for event in self._work:
            event.set()

    def _run(self) -> None:
        self._restore_logs = quiet_client_logs()
        self._loop.set_exception_handler(self._loop_error)
        try:
            self._loop.run_until_complete(self._main())
        except Exception as error:  # noqa: BLE001  the thread's boundary: never into the agent's stderr
            self.count_error(error)
        finally:
            self._restore_logs()
            self._loop.close()

    def _loop_error(self, _loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        error = context.get("exception")
        if error is not None:
            self.count_error(error)
        else:
            self.errors["EventLoop"] += 1

    async def _main(self) -> None:
        tasks = [asyncio.create_task(self._encode_for_ever()), asyncio.create_task(self._deliver_for_ever())]
        tasks += [asyncio.create_task(self._repeat(seconds, function)) for seconds, function in self.periodic]
        await self._stopping.wait()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _repeat(self, seconds: float, function: Callable[[], None]) -> None:
        while True:
            try:
                function()
            except Exception as error:  # noqa: BLE001  a sampler's fault must not end the sender
                self.count_error(error)
            await asyncio.sleep(seconds)

    async def _encode_for_ever(self) -> None:
        last = time.monotonic()
        while not self._stopping.is_set():
            try:
                # not wait_for: until Python 3.12 it swallows a cancellation that meets the event (bpo-37658)
                async with asyncio.timeout(min(POLL_SECONDS, self._options.flush_interval_seconds)):
                    await self._full.wait()
            except TimeoutError:
                due = time.monotonic() - last >= self._options.flush_interval_seconds
                if not due and not any(self._is_full(lane) for lane in self._lanes):
                    continue
            self._full.clear()
            last = time.monotonic()
            for number in range(len(self._lanes)):
                self._encode(number, last)
                await asyncio.sleep(0)

    def _encode(self, number: int, now: float) -> None:
        lane = self._lanes[number]
        patience = BACKLOG_INTERVALS * self._options.flush_interval_seconds
        if lane.backlogged and not self._is_full(lane) and now - self._encoded[number] < patience:
            return
        self._encoded[number] = now
        try:
            lane.drain()
        except Exception as error:  # noqa: BLE001  a fault in one drain must not end encoding, counted
            self.count_error(error)
        self._work[number].set()

    def _is_full(self, lane: Lane) -> bool:
        return len(lane.ring.items) >= self._options.max_batch_samples

    async def _deliver_for_ever(self) -> None:
        failures = 0
        while not self._stopping.is_set():
            before = self._acknowledged
            try:
                await self._deliver_once()
            except Exception as error:  # noqa: BLE001  whatever a broker or the client does, counted and tried again
                if not isinstance(error, Reconnect):
                    self.count_error(error)
            failures = 0 if self._acknowledged > before else failures + 1
            await asyncio.sleep(self._pause(failures))

    def _pause(self, failures: int) -> float:
        """Exponential backoff with full half-jitter: between half and all of base * 2^failures, up to the limit."""
        longest: float = min(
            self._options.backoff_limit_seconds, self._options.backoff_seconds * 2 ** min(failures, 20)
        )
        return longest * (0.5 + 0.5 * self._jitter())

    async def _deliver_once(self) -> None:
        """Connect and send until the connection is no good."""
        async with asyncio.timeout(self._options.connect_timeout_seconds):
            transport = await self._connect()
        self.connects += 1
        pumps = [asyncio.create_task(self._pump(transport, i)) for i in range(len(self._lanes))]
        try:
            await asyncio.gather(*pumps)
        finally:
            for pump in pumps:
                pump.cancel()
            await asyncio.gather(*pumps, return_exceptions=True)
            await self._close(transport)

    async def _close(self, transport: Transport) -> None:
        try:
            await transport.close()
        except Exception as error:  # noqa: BLE001  a connection that cannot even be closed is left behind, counted
            self.count_error(error)

    async def _pump(self, transport: Transport, number: int) -> None:
        """Send one lane's batches, oldest first, a window at a time."""
        lane, work = self._lanes[number], self._work[number]
        failures = 0
        while True:
            work.clear()
            window = lane.window()
            if not window:
                await work.wait()
                continue
            before = self._acknowledged
            error = await self._send_window(transport, lane, window)
            if error is None:
                failures = 0
                continue
            self.count_error(error)
            failures += 1
            if self._acknowledged == before or failures >= LANE_FAILURES:
                raise Reconnect from error
            await asyncio.sleep(self._pause(failures))

    async def _send_window(
        self, transport: Transport, lane: Lane, window: list[tuple[int, Batch]]
    ) -> BaseException | None:
        """Try each batch once; one of the errors if any batch has to be sent again."""
        attempts = {
            asyncio.create_task(transport.send(lane.topic, batch.key, batch.value)): number for number, batch in window
        }
        failure: BaseException | None = None
        try:
            # aiokafka may take up to twice its own timeout; then it is stuck, and cancelling is all that is left
            await asyncio.wait(attempts, timeout=3 * self._options.delivery_timeout_seconds)
        finally:  # also when another lane gave the connection up: what was acknowledged must be counted
            failure = self._settle(lane, attempts)
        return failure

    def _settle(self, lane: Lane, attempts: dict[asyncio.Task[None], int]) -> BaseException | None:
        failure: BaseException | None = None
        for attempt, number in attempts.items():
            attempt.cancel()
            error = attempt.exception() if attempt.done() and not attempt.cancelled() else TimeoutError()
            if error is None:
                lane.acknowledge(number)
                self._acknowledged += 1
            elif isinstance(error, Undeliverable):
                self.count_error(error)
                lane.refuse(number)
            else:
                failure = error
        return failure
