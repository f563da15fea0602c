"""Sends records through Faust's producer and waits until the broker has them all."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Final, NamedTuple

from aiokafka import ConsumerRecord
from aiokafka.errors import KafkaError

from agents_emitter.redaction import Redactor
from streams import topics
from streams.app.sendbatch import Content, Piece, SendBatch, batches_of, by_partition, fitting
from streams.domain.block import LogRecord
from streams.domain.bundle import Bundle
from streams.domain.keys import partitions_of
from streams.errors import PublishRefused
from streams.publish.deadletter import dead_letter

MS_NS: Final = 1_000_000
_BACKOFF_SECONDS = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0)


class Output(NamedTuple):
    """One record to send. ``partition`` None: by key."""

    topic: str
    key: bytes | None
    value: bytes | None
    partition: int | None = None
    headers: tuple[tuple[str, bytes], ...] = ()

    @property
    def largest_bytes(self) -> int:
        """Of its value."""
        return len(self.value or b"")

    @property
    def records(self) -> int:
        """How many it stands for."""
        return 1


class Many(NamedTuple):
    """Records of one topic, each to the partition of its key.

    In one delivery a topic has either these or single outputs: they do not keep their order to each other.
    """

    topic: str
    bundle: Bundle

    @property
    def largest_bytes(self) -> int:
        """Of its largest value."""
        return int(self.bundle.sizes.max(initial=0))

    @property
    def records(self) -> int:
        """How many it stands for."""
        return len(self.bundle)


def singly(outputs: Iterable[Output | Many]) -> Iterator[Output]:
    """The same, each record an output of its own."""
    for output in outputs:
        if isinstance(output, Many):
            yield from (Output(output.topic, key, value) for key, value in output.bundle)
        else:
            yield output


class Sink:
    """Delivery of outputs, in order between calls; dead letters are redacted here, whoever sets them aside.

    ``retried`` is called after each attempt that failed.
    """

    def __init__(
        self,
        app: Any,
        max_bytes: int,
        redactor: Redactor,
        retried: Callable[[], None] = lambda: None,
        *,
        clock_ns: Callable[[], int] = time.time_ns,  # noqa: TID251 - the shell's default clock
    ) -> None:
        self._app, self._clock_ns = app, clock_ns
        self._max_bytes = max_bytes
        self._redactor = redactor
        self._retried = retried

    async def deliver(self, outputs: Iterable[Output | Many]) -> list[int]:
        """Returns when the broker has acknowledged every record; tries for ever while it does not answer.

        Returns:
            The offset each single output got, in their order.

        Raises:
            PublishRefused: a record is larger than the broker takes: sending it again cannot help.
        """
        singles, bundles = [], dict[str, list[Bundle]]()
        for output in outputs:
            size = output.largest_bytes
            if size > self._max_bytes:
                raise PublishRefused(f"a record of {size} bytes for {output.topic} exceeds {self._max_bytes}")
            if isinstance(output, Many):
                bundles.setdefault(output.topic, []).append(output.bundle)
            else:
                singles.append(self._redacted(output) if output.topic == topics.DEAD_LETTERS else output)
        attempt = 0
        while True:
            try:
                return await self._send(singles, bundles)
            except (TimeoutError, KafkaError):
                self._retried()
                await asyncio.sleep(_BACKOFF_SECONDS[min(attempt, len(_BACKOFF_SECONDS) - 1)])
                attempt += 1

    def _redacted(self, letter: Output) -> Output:
        record = self._redactor.record
        return letter._replace(
            key=letter.key and record(letter.key),
            value=letter.value and record(letter.value),
            headers=tuple((name, record(value) if name == "detail" else value) for name, value in letter.headers),
        )

    async def _send(self, outputs: list[Output], bundles: dict[str, list[Bundle]]) -> list[int]:
        """Writes the batches itself: a record then costs no call, no future and no hash of its own."""
        producer = self._app.producer._ensure_producer()
        groups: dict[tuple[str, int], list[int]] = {}
        for at, place in enumerate(await self._places(producer, outputs)):
            groups.setdefault(place, []).append(at)
        pieces: dict[tuple[str, int], list[Piece]] = {}
        for topic, found in bundles.items():
            chosen = by_partition(found, len(await producer.partitions_for(topic)))
            pieces |= {(topic, partition): piece for partition, piece in chosen.items()}
        offsets = [0] * len(outputs)
        sent = [self._send_group(producer, place, outputs, at, offsets) for place, at in groups.items()]
        sent += [self._send_pieces(producer, place, piece) for place, piece in pieces.items()]
        failures = [e for e in await asyncio.gather(*sent, return_exceptions=True) if isinstance(e, BaseException)]
        for failure in failures:
            raise failure
        return offsets

    async def _places(self, producer: Any, outputs: list[Output]) -> list[tuple[str, int]]:
        """Topic and partition of each output: the one it names, that of its key, or (without either) the first."""
        by_key: dict[str, list[int]] = {}
        for at, output in enumerate(outputs):
            if output.partition is None:
                by_key.setdefault(output.topic, []).append(at)
        places = [(output.topic, output.partition or 0) for output in outputs]
        for topic, found in by_key.items():
            partitions = len(await producer.partitions_for(topic))
            chosen = partitions_of([outputs[at].key or b"" for at in found], partitions)
            for at, partition in zip(found, chosen.tolist(), strict=True):
                places[at] = (topic, partition)
        return places

    async def _send_group(
        self, producer: Any, place: tuple[str, int], outputs: list[Output], chosen: list[int], offsets: list[int]
    ) -> None:
        """Sends the chosen outputs to one partition, in order, and fills in their offsets."""
        sizes = [len(outputs[at].key or b"") + len(outputs[at].value or b"") for at in chosen]
        sent: list[tuple[Any, list[int]]] = []
        first = 0
        try:
            while first < len(chosen):
                taken = chosen[first : fitting(sizes, first)]
                records = [Content(outputs[at].key, outputs[at].value, outputs[at].headers) for at in taken]
                batch = SendBatch.of(records, self._clock_ns() // MS_NS)
                sent.append((await producer.send_batch(batch, place[0], partition=place[1]), taken))
                first += len(taken)
        finally:
            done = await asyncio.gather(*(future for future, _ in sent), return_exceptions=True)
        for metadata, (_, taken_at) in zip(done, sent, strict=True):
            if isinstance(metadata, BaseException):
                raise metadata
            for i, at in enumerate(taken_at):
                offsets[at] = metadata.offset + i

    async def _send_pieces(self, producer: Any, place: tuple[str, int], pieces: Sequence[Piece]) -> None:
        """Sends chosen records of bundles to one partition, in order."""
        sent: list[Any] = []
        try:
            for batch in batches_of(pieces, self._clock_ns() // MS_NS):
                sent.append(await producer.send_batch(batch, place[0], partition=place[1]))
        finally:
            done = await asyncio.gather(*sent, return_exceptions=True)
        for outcome in done:
            if isinstance(outcome, BaseException):
                raise outcome


def dead_letter_output(record: ConsumerRecord | LogRecord, reason: str, detail: str, topic: str, now_ns: int) -> Output:
    """A record for the dead-letter topic: original bytes (the sink redacts them), reason, where it was."""
    letter = dead_letter(
        key=record.key,
        value=record.value,
        reason=reason,
        detail=detail,
        topic=topic,
        partition=record.partition,
        offset=record.offset,
        at_ns=now_ns,
    )
    return Output(topics.DEAD_LETTERS, letter.key, letter.value, None, tuple(letter.headers))
