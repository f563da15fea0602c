"""The state of a part that is one JSON body: written whole, restored whole."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import orjson

from streams import topics
from streams.app.blob import BlobWriter, Snapshot
from streams.app.outbox import Step
from streams.app.sink import Many, Output
from streams.domain.source import Seat, Source, SourceLog, take_seat
from streams.domain.upgrade import upgraded
from streams.errors import StateDamaged

BODY_FORMAT: Final = 1


class Keeper:
    """Writes and restores the body of one source partition.

    Args:
        key: what it belongs to in the state topic; no other keeper's key may begin with ``key/``.
        partition: of the state topic.
    """

    def __init__(self, key: str, partition: int) -> None:
        self._key, self._partition = key, partition
        self._blob = BlobWriter(key)

    def restore(
        self,
        state: Mapping[str, bytes],
        log: SourceLog,
        held: Callable[[dict[str, Any], int], int] = lambda _, applied: applied + 1,
    ) -> tuple[dict[str, Any], Seat] | None:
        """The newest body and where it goes on; None where there is none.

        Args:
            state: the state topic's records of the partition.
            log: the source as it is now.
            held: from body and applied offset: the first offset that open work needs.

        Raises:
            StateVersionError: written by a newer version of this code.
            StateError: nothing of it is complete.
        """
        snapshot = self._blob.restore(state, log.epoch)
        if snapshot is None:
            return None
        body = upgraded(f"state record {self._key}", orjson.loads(snapshot.value), BODY_FORMAT, {})
        return body, take_seat(snapshot.source, snapshot.applied, held(body, snapshot.applied), log)

    def usable(
        self, state: Mapping[str, bytes], log: SourceLog, discarded: Callable[[str], None]
    ) -> tuple[dict[str, Any], Seat] | None:
        """As :meth:`restore`, for a part that can begin anew: ``discarded`` is told why, where nothing is complete.

        Raises:
            StateVersionError: written by a newer version of this code.
        """
        try:
            return self.restore(state, log)
        except StateDamaged as error:
            discarded(str(error))
            return None

    def step(
        self,
        results: Sequence[Output | Many],
        body: Mapping[str, Any],
        applied: int,
        source: Source,
        done: Callable[[], None],
    ) -> Step:
        """Results, then the body as of ``applied``, then ``done``."""
        value = orjson.dumps({"v": BODY_FORMAT, **body})
        records = self._blob.records(Snapshot(applied, value, source))
        state = [Output(topics.STATE, key, value, self._partition) for key, value in records]
        return Step(results, state, lambda _: done())
