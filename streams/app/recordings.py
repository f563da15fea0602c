"""Recorded series in CSV files through the default detector: ``streams detect replay``."""

from __future__ import annotations

import csv
import logging
import math
import time
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, Final, NamedTuple

from streams.detect.replay import Detection, read_time
from streams.errors import ConfigurationError

log = logging.getLogger(__name__)
SCORE: Final = "anomaly_score"
ROWS: Final = 4096
"""Of a file are judged and written at a time."""


class Columns(NamedTuple):
    """Which fields of a row are the time and the value."""

    time: int
    value: int


class Row(NamedTuple):
    """Time and value as they were written, and the time as a number."""

    stamp: str
    text: str
    at_ns: int


def replay_folder(source: Path, target: Path) -> dict[str, Any]:
    """Replays each CSV file of a folder tree alone and writes it, with scores, at the same place of another tree.

    Returns:
        files, points, skipped (rows without a time), missing (values that are no number; score 0), seconds of CPU time
        and points per such second.

    Raises:
        ConfigurationError: no CSV file there, the target is the source, or a file has no such columns.
    """
    if source.resolve() == target.resolve():
        raise ConfigurationError(f"{target} is the source itself: name another folder for the scores")
    files = sorted(path for path in source.rglob("*.csv") if path.is_file())
    if not files:
        raise ConfigurationError(f"no .csv file in {source}")
    figures = {"files": len(files), "points": 0, "skipped": 0, "missing": 0}
    begin = time.process_time()
    for path in files:
        place = target / path.relative_to(source)
        place.parent.mkdir(parents=True, exist_ok=True)
        for name, count in replay_file(path, place).items():
            figures[name] += count
    seconds = time.process_time() - begin
    rate = round(figures["points"] / seconds) if seconds else 0
    return {**figures, "cpu_seconds": round(seconds, 3), "points_per_second": rate}


def replay_file(path: Path, place: Path) -> dict[str, int]:
    """One file; what is written is complete or not there.

    Raises:
        ConfigurationError: no such columns, or not a text in UTF-8.
    """
    counts = {"points": 0, "skipped": 0, "missing": 0}
    unfinished = place.with_name(place.name + ".part")
    detection = Detection()
    try:
        with path.open(newline="", encoding="utf-8-sig") as given, unfinished.open("w", newline="") as out:
            writer = csv.writer(out, lineterminator="\n")
            writer.writerow(["timestamp", "value", SCORE])
            rows = _rows(path, csv.reader(given), counts)
            while some := list(islice(rows, ROWS)):
                values = [_number(row.text) for row in some]
                scores = detection.scores(values, [row.at_ns for row in some])
                writer.writerows([row.stamp, row.text, repr(score)] for row, score in zip(some, scores, strict=True))
                counts["points"] += len(some)
                counts["missing"] += sum(map(math.isnan, values))
    except (UnicodeDecodeError, csv.Error) as error:
        raise ConfigurationError(f"{path} is not a CSV file in UTF-8: {error}") from error
    unfinished.replace(place)
    if counts["skipped"]:
        log.warning("%s: %d rows have no time and were left out", path, counts["skipped"])
    return counts


def _rows(path: Path, reader: Iterator[Sequence[str]], counts: dict[str, int]) -> Iterator[Row]:
    columns = _columns(path, next(reader, []))
    for row in reader:
        try:
            stamp, text = row[columns.time], row[columns.value]
            at_ns = read_time(stamp)
        except (IndexError, ValueError, OverflowError):
            counts["skipped"] += bool(row)
            continue
        yield Row(stamp, text, at_ns)


def _columns(path: Path, header: Sequence[str]) -> Columns:
    names = [name.strip().lower() for name in header]
    try:
        return Columns(names.index("timestamp"), names.index("value"))
    except ValueError as error:
        raise ConfigurationError(
            f"{path}: the first line must name timestamp and value, it is {list(header)}"
        ) from error


def _number(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        return math.nan
    return value if math.isfinite(value) else math.nan
