"""``burst_free``: a constant load of metric samples, made fast enough to measure the pipeline and not the simulator.

No workflows, spans or logs: every agent reports the same series (one of each metric) at a steady rate. Index and value
are slices, at random places, of one pool drawn per run, so that no Python object is made per sample.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from typing import Final, NamedTuple

from agents_emitter import events
from agents_emitter.events import SeriesDefinition
from agents_emitter.simulator.conditions import DEPLOYMENT, VERSION
from agents_emitter.simulator.emission import Emission
from agents_emitter.simulator.interval import SECOND_NS
from agents_emitter.simulator.metrics import METRICS, series
from agents_emitter.simulator.process import MAX_SAMPLES_PER_RECORD, NEVER, Life, Process
from agents_emitter.simulator.run import Plan
from agents_emitter.simulator.seeds import Random, log_normal, stream

DEFAULT_EVENTS_PER_SECOND: Final = 2_000.0
POOL_SAMPLES: Final = 16_384
TIME_PATTERNS: Final = 16

_MEDIANS: Final = {"s": 0.05, "By": 20_971_520.0, "{token}": 400.0, "{nat}": 2.4}


class Pool(NamedTuple):
    """Samples to cut from: parallel columns, each twice in a row so that a slice may begin anywhere."""

    places: array[int]
    values: array[float]
    offsets: tuple[array[int], ...]


def constant_load(plan: Plan) -> Iterator[Emission]:
    """Exactly ``round(events_per_second * duration)`` samples, each agent's an equal share, one record per batch.

    A batch holds samples of one slice of ``batch_seconds`` and is sent within the next; at most 8,192 a record.
    """
    rng = stream(plan.seed, "load")
    agents = plan.topology().agents
    life = (Life(0, VERSION, DEPLOYMENT),)
    processes = [Process(agent, plan.seed, life, NEVER, plan.columns) for agent in agents]
    definitions = tuple(series(name) for name in METRICS)
    heads = [events.encode_metric_head(process.resource, definitions, process.producer) for process in processes]
    batch_ns = round(plan.batch_seconds * SECOND_NS)
    pool = draw_pool(definitions, batch_ns, rng)
    seqs = [0] * len(agents)
    for at_ns, place, base_ns, length_ns, count in _schedule(plan, len(agents), batch_ns):
        for part in _parts(count):
            value = _encode(heads[place], seqs[place], base_ns, length_ns, batch_ns, part, pool, rng, plan)
            seqs[place] += 1
            yield Emission(at_ns, events.METRICS_TOPIC, processes[place].key, value, part)


def _schedule(plan: Plan, agents: int, batch_ns: int) -> Iterator[tuple[int, int, int, int, int]]:
    """(sent at, agent's place, slice start, slice length, samples), in order of time."""
    start, end = plan.interval
    rate = DEFAULT_EVENTS_PER_SECOND if plan.events_per_second is None else plan.events_per_second
    done = 0
    for base_ns in range(start, end, batch_ns):
        until_ns = min(base_ns + batch_ns, end)
        total = round(rate * (until_ns - start) / SECOND_NS)
        fresh, done = total - done, total
        for place in range(agents):
            count = fresh * (place + 1) // agents - fresh * place // agents
            at_ns = base_ns + batch_ns + batch_ns * place // agents  # also after a cut slice: in order
            yield at_ns, place, base_ns, until_ns - base_ns, count


def _parts(count: int) -> Iterator[int]:
    while count > 0:
        yield min(count, MAX_SAMPLES_PER_RECORD)
        count -= MAX_SAMPLES_PER_RECORD


def _encode(
    head: bytes,
    seq: int,
    base_ns: int,
    length_ns: int,
    batch_ns: int,
    count: int,
    pool: Pool,
    rng: Random,
    plan: Plan,
) -> bytes:
    first = int(rng.random() * POOL_SAMPLES)
    offsets = pool.offsets[int(rng.random() * TIME_PATTERNS)]
    stride = len(offsets) // count
    skip = int(rng.random() * stride)
    offset_ns = offsets[skip : skip + stride * count : stride]  # spread over the whole slice
    if length_ns < batch_ns:
        offset_ns = array("q", [offset * length_ns // batch_ns for offset in offset_ns])
    return events.encode_metric_batch(
        head,
        seq=seq,
        dropped_total=0,
        base_time_unix_nano=base_ns,
        index=pool.places[first : first + count],
        offset_ns=offset_ns,
        value=pool.values[first : first + count],
        columns=plan.columns,
    )


def draw_pool(definitions: tuple[SeriesDefinition, ...], batch_ns: int, rng: Random) -> Pool:
    """Values that fit their series: increments of 1, log-normal durations, noisy gauges."""
    index = array("H", [int(rng.random() * len(definitions)) for _ in range(POOL_SAMPLES)])
    value = array("d", [_draw(definitions[place], rng) for place in index])
    return Pool(index + index, value + value, tuple(_times(batch_ns, rng) for _ in range(TIME_PATTERNS)))


def _draw(definition: SeriesDefinition, rng: Random) -> float:
    if definition.kind == "counter":
        return 1.0
    median = _MEDIANS.get(definition.unit, 0.5)
    return round(log_normal(rng, median, 0.45 if definition.kind == "histogram" else 0.03), 9)


def _times(batch_ns: int, rng: Random) -> array[int]:
    return array("q", sorted(int(rng.random() * batch_ns) for _ in range(MAX_SAMPLES_PER_RECORD)))
