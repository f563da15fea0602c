"""Says in the log what became of a source log: for people, and as fields for machines."""

from __future__ import annotations

import logging
from typing import Final

from faust.types import TP

from streams import topics
from streams.domain.source import RECREATED, REPARTITIONED, RETENTION, STATE_MISSING, TRUNCATED, Seat

log = logging.getLogger(__name__)
_ADVICE: Final = {
    RECREATED: "the topic was deleted and made again: read from its beginning, counts go on",
    TRUNCATED: "the log ends before what was applied (an unclean leader election?): read from its end",
    RETENTION: "retention removed records before they were read: more workers, or a longer retention.ms",
    REPARTITIONED: "the topic has another number of partitions: keys have moved, and for a while their re-sent batches "
    "are not known as duplicates",
}


def tell(tp: TP, seat: Seat) -> None:
    """Says what a restart found, for people and as fields."""
    for change in seat.changes:
        fields = {
            "topic": tp.topic,
            "partition": tp.partition,
            "change": change,
            "offset": seat.held,
            "unread_offsets": seat.unread,
            "open_offsets": seat.open,
            "partitions": seat.source.partitions,
        }
        level = logging.ERROR if change != REPARTITIONED else logging.WARNING
        log.log(
            level,
            "%s/%d: %s; from offset %d; %d offsets were never read, open windows lack %d",
            tp.topic,
            tp.partition,
            _ADVICE[change],
            seat.held,
            seat.unread,
            seat.open,
            extra={"fields": fields},
        )


def tell_loss(tp: TP, lost: int) -> None:
    """Says that retention was faster than the reading."""
    fields = {"topic": tp.topic, "partition": tp.partition, "change": RETENTION, "unread_offsets": lost}
    log.error("%s/%d: %s; %d offsets", tp.topic, tp.partition, _ADVICE[RETENTION], lost, extra={"fields": fields})


def tell_missing(tp: TP, committed: int) -> None:
    """Says that there was state once."""
    fields = {"topic": tp.topic, "partition": tp.partition, "change": STATE_MISSING, "offset": committed}
    log.error(
        "%s/%d has no checkpoint, was %s deleted? Counts and totals begin anew, from the committed offset %d",
        tp.topic,
        tp.partition,
        topics.STATE,
        committed,
        extra={"fields": fields},
    )
