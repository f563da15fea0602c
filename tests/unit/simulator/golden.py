"""The pinned bytes of every scenario: ``python -m tests.unit.simulator.golden`` writes them anew.

Write them anew only when the simulator is meant to say something else, and say so in the commit.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from agents_emitter.simulator import SCENARIOS, simulate
from tests.unit.simulator.runs import START_NS

PATH = Path(__file__).with_name("golden.json")


def fingerprint(scenario: str, **how: Any) -> str:
    """sha256 over every field of every emission."""
    settings = {"seed": 7, "start_ns": START_NS, "duration_seconds": 90.0, **how}
    digest = hashlib.sha256()
    for emission in simulate(scenario, **settings):
        digest.update(f"{emission.time_ns}|{emission.topic}|{emission.events}|".encode())
        digest.update(emission.key + b"|" + emission.value + b"\n")
    return digest.hexdigest()


def main() -> None:
    """Writes the file."""
    PATH.write_text(json.dumps({name: fingerprint(name) for name in SCENARIOS}, indent=2) + "\n")


if __name__ == "__main__":
    main()
