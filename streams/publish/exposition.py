"""The text that Prometheus reads, from arrays.

``prometheus_client`` makes an object and several strings per line: 100,000 lines took it 1.1 s of CPU with the
interpreter's lock held. Here the part of a line before its value is kept from scrape to scrape, and the values of a
family are written in one call.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

import numpy as np
import orjson
from numpy.typing import NDArray

from streams.domain.exemplar import Exemplar

F64 = NDArray[np.float64]
_ESCAPED: Final = str.maketrans({"\\": r"\\", "\n": r"\n", '"': r"\""})
_ESCAPED_HELP: Final = str.maketrans({"\\": r"\\", "\n": r"\n"})


def prefix(name: str, labels: Iterable[tuple[str, str]]) -> bytes:
    """A line up to its value, with the end of the line before it; names must be legal, values are escaped."""
    inside = ",".join([f'{label}="{value.translate(_ESCAPED)}"' for label, value in labels])
    return f"\n{name}{{{inside}}} ".encode() if inside else f"\n{name} ".encode()


def header(name: str, text: str, kind: str, *, openmetrics: bool) -> bytes:
    """HELP and TYPE of a family whose samples begin with ``name`` (OpenMetrics names a counter without its suffix)."""
    stem = name.removesuffix("_total") if openmetrics and kind == "counter" else name
    said = text.translate(_ESCAPED if openmetrics else _ESCAPED_HELP)
    return f"# HELP {stem} {said}\n# TYPE {stem} {kind}".encode()


def lines(prefixes: Sequence[bytes], values: F64, more: Mapping[int, bytes] | None = None) -> bytes:
    """Lines for as many values; ``more``: what follows the value, by line."""
    pieces: list[bytes] = [b""] * (2 * len(prefixes))
    pieces[::2] = prefixes
    pieces[1::2] = numbers(values)
    for line, text in (more or {}).items():
        pieces[2 * line + 1] += text
    return b"".join(pieces)


def exemplar(one: Exemplar) -> bytes:
    """What follows a bucket's value in OpenMetrics: the observation's span, value and time."""
    ids = f'trace_id="{one.trace_id}",span_id="{one.span_id}"'
    return f" # {{{ids}}} {one.value!r} {one.time_ns / 1e9:.3f}".encode()


def numbers(values: F64) -> list[bytes]:
    """Values as text: the shortest that reads back as the same number."""
    if not len(values):
        return []
    found = orjson.dumps(np.ascontiguousarray(values, np.float64), option=orjson.OPT_SERIALIZE_NUMPY)[1:-1].split(b",")
    for i in np.flatnonzero(~np.isfinite(values)).tolist():
        found[i] = b"NaN" if np.isnan(values[i]) else b"+Inf" if values[i] > 0 else b"-Inf"
    return found
