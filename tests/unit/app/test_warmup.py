"""A worker that has warmed up compiles nothing when spans come."""

from __future__ import annotations

import subprocess
import sys

PROGRAM = """
import sys
from numba.core.registry import CPUDispatcher
from benchmarks.data import otlp_spans, span_batches
from streams import topics
from streams.app import warmup
from streams.app.rekey import RekeyPart
from streams.app.traces import TracesPart
from streams.trace.assembly import TraceOperator

def compiled():
    modules = [m for name, m in list(sys.modules.items()) if name.startswith("streams.")]
    found = [f for m in modules for f in vars(m).values() if isinstance(f, CPUDispatcher)]
    return {id(f): (f.__name__, len(f.signatures)) for f in found}

assert warmup.warm_up_spans() > 0
before = compiled()
part = TracesPart(topics.SPANS, 0, TraceOperator())
keyed = [r.value for r in otlp_spans(3000, topic=topics.SPANS)]
part.process(warmup._fetched([*keyed, *[r.value for r in span_batches(3000)]]), 10**18)
part.process(warmup._fetched([b'{"v":1,"schema":"agents.tick/1","time_unix_nano":1}'], 2 * 10**12 + 10**8), 2 * 10**18)
RekeyPart(topics.OTLP_SPANS, 0, 4).process(warmup._fetched([r.value for r in otlp_spans(3000)]), 0)
assert part.counts["aggregated"] > 3000 and not part.operator.open_traces, part.counts
later = compiled()
print([later[f] for f in later if before.get(f) != later[f]])
"""


def test_nothing_is_compiled_when_spans_come() -> None:
    """In an interpreter of its own: here other tests may have compiled what is missing."""
    found = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=False)
    assert (found.returncode, found.stdout.strip()) == (0, "[]"), found.stderr
