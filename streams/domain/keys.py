"""Keys of traces, and where Kafka's default partitioner puts keys, many at a time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from streams.domain.kernel import kernel

_SEED: Final = 0x9747B28C
_M: Final = 0x5BD1E995


@kernel
def murmur2(buf: Any, begin: int, end: int) -> int:
    """The positive hash of ``buf[begin:end]`` (murmur2, as the Java client and aiokafka have it)."""
    size = end - begin
    mask = np.uint64(0xFFFFFFFF)
    m = np.uint64(_M)
    h = np.uint64(_SEED ^ size) & mask
    at = np.uint64(begin)
    for _ in range(size // 4):
        k = np.uint64(0)
        for i in range(4):
            k |= np.uint64(buf[at + np.uint64(i)]) << np.uint64(8 * i)
        k = (k * m) & mask
        k ^= k >> np.uint64(24)
        k = (k * m) & mask
        h = ((h * m) & mask) ^ k
        at += np.uint64(4)
    rest = size % 4
    if rest > 0:
        for i in range(rest):
            h ^= np.uint64(buf[at + np.uint64(i)]) << np.uint64(8 * i)
        h = (h * m) & mask
    h ^= h >> np.uint64(13)
    h = (h * m) & mask
    h ^= h >> np.uint64(15)
    return np.int64(h & np.uint64(0x7FFFFFFF))


@kernel
def _fill(buf: Any, bounds: Any, partitions: int, out: Any) -> None:
    for i in range(out.shape[0]):
        out[i] = murmur2(buf, bounds[i], bounds[i + 1]) % partitions


def partitions_of(keys: Sequence[bytes], partitions: int) -> NDArray[np.int64]:
    """The partition of each of n keys: int64[n]."""
    bounds = np.zeros(len(keys) + 1, np.int64)
    np.cumsum([len(key) for key in keys], out=bounds[1:])
    out = np.empty(len(keys), np.int64)
    _fill(np.frombuffer(b"".join(keys), np.uint8), bounds, partitions, out)
    return out


def places_of(keys: NDArray[np.uint8], partitions: int) -> NDArray[np.int64]:
    """The partition of each of n keys of one width, uint8[n, w]: int64[n]."""
    out = np.empty(len(keys), np.int64)
    _fill(keys.reshape(-1), np.arange(len(keys) + 1) * keys.shape[1], partitions, out)
    return out


def trace_keys(high: NDArray[np.uint64], low: NDArray[np.uint64]) -> list[bytes]:
    """Trace ids as they are written: 32 hexadecimal digits each."""
    ids = written_ids(high, low).tobytes()
    return [ids[at : at + 32] for at in range(0, len(ids), 32)]


def written_ids(high: NDArray[np.uint64], low: NDArray[np.uint64]) -> NDArray[np.uint8]:
    """The same as uint8[n, 32]."""
    ids = np.stack([high, low], axis=1).astype(">u8").tobytes().hex().encode()
    return np.frombuffer(ids, np.uint8).reshape(-1, 32)
