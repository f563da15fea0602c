"""A worker that has warmed up compiles nothing when spans, windows or samples come."""

from __future__ import annotations

import subprocess
import sys

import pytest

COMPILED = """
import sys
from numba.core.registry import CPUDispatcher
from streams.app import warmup

def compiled():
    modules = [m for name, m in list(sys.modules.items()) if name.startswith("streams.")]
    found = [f for m in modules for f in vars(m).values() if isinstance(f, CPUDispatcher)]
    return {id(f): (f.__name__, len(f.signatures)) for f in found}
"""
SPANS = """
from benchmarks.data import otlp_spans, span_batches
from streams import topics
from streams.app.rekey import RekeyPart
from streams.app.sendbatch import batches_of, by_partition
from streams.app.sink import Many
from streams.app.traces import TracesPart
from streams.trace.assembly import TraceOperator

assert warmup.warm_up_spans() > 0
before = compiled()
part = TracesPart(topics.SPANS, 0, TraceOperator())
keyed = [r.value for r in otlp_spans(3000, topic=topics.SPANS)]
part.process(warmup._fetched([*keyed, *[r.value for r in span_batches(3000)]]), 10**18)
tick = b'{"v":1,"schema":"agents.tick/1","time_unix_nano":1}'
steps = part.process(warmup._fetched([tick], 2 * 10**12 + 10**8), 2 * 10**18)
bundles = [output.bundle for step in steps for output in step.results if isinstance(output, Many)]
assert len(bundles) > 1
changed = bundles[0].with_values({0: b"x"})
for pieces in by_partition([changed, *bundles], 4).values():
    list(batches_of(pieces, 0))
RekeyPart(topics.OTLP_SPANS, 0, 4).process(warmup._fetched([r.value for r in otlp_spans(3000)]), 0)
assert part.counts["aggregated"] > 3000 and not part.operator.open_traces, part.counts
"""
WINDOWS = """
from streams.detect.operator import DetectOperator
from tests.unit.window_batches import batch, series

assert warmup.warm_up_detection() == 1
before = compiled()
detect = DetectOperator(warmup_windows=30)
for number in range(200):
    steps = {series("agents.steps", "counter", agent__id=f"a{i}"): [number % 7] for i in range(3 + number // 60)}
    inference = {series("agents.inference.duration", "histogram", "s"): [0.1 * (number % 5)]}
    found = detect.apply(batch(number, {**steps, **inference}))
assert (found.scored, found.warming_up) == (6, 1), found
"""
METRICS = """
from agents_emitter.events import encode_tick
from aiokafka import ConsumerRecord
from benchmarks.data import batches, last_batches, otlp, singles, START_NS
from streams import topics
from streams.app.metrics import MetricsPartition, window_spec
from streams.domain.block import Block
from streams.domain.source import SourceLog
from streams.settings import Settings

spec = window_spec(Settings())
warmup.warm_up(spec)
before = compiled()
part = MetricsPartition(topics.METRICS, 0, spec, 1)
first = 0
steps = []

def read(records):
    global first
    block = warmup._fetched([record.value for record in records])
    block.offset[:] += first
    first += len(block)
    steps.extend(part.process(block[: len(block) // 2], 0))
    steps.extend(part.process(block[len(block) // 2 :], 0))

for made in (batches(60_000), batches(60_000, samples=100), singles(3_000), otlp(3_000)):
    read(list(made))
read(list(last_batches(START_NS + 400 * 10**9)))
assert part.operator.fates.aggregated > 60_000 and part.closed_total > 1_000, (part.operator.fates, part.closed_total)

state = {output.key.decode(): output.value for step in steps for output in step.checkpoint}
part = MetricsPartition(topics.METRICS, 0, spec, 1)
first = part.restore(state, SourceLog("", 1, 0, first)).offset
windows = [output for step in steps for output in step.results if output.topic == topics.WINDOWS]
for offset, output in enumerate(windows):
    part.read_back(ConsumerRecord(topics.WINDOWS, 0, offset, 0, 0, output.key, output.value, 0, 0, 0, ()))
assert part._window_offsets
read(list(last_batches(START_NS + 400 * 10**9)))
tick = encode_tick(START_NS + 800 * 10**9)
read([ConsumerRecord(topics.METRICS, 0, 0, 0, 0, b"", tick, 0, 0, 0, ())] * 2)
assert part.closed_total > 0
"""
REPORT = """
later = compiled()
print([later[f] for f in later if before.get(f) != later[f]])
"""


@pytest.mark.parametrize("program", [SPANS, WINDOWS, METRICS], ids=["spans", "windows", "metrics"])
def test_nothing_is_compiled_when_input_comes(program: str) -> None:
    """In an interpreter of its own: here other tests may have compiled what is missing."""
    found = subprocess.run(
        [sys.executable, "-c", COMPILED + program + REPORT], capture_output=True, text=True, check=False
    )
    assert (found.returncode, found.stdout.strip()) == (0, "[]"), found.stderr
