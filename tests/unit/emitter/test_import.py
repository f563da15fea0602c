from __future__ import annotations

import subprocess
import sys

import pytest

import agents_emitter


def loaded_after(statement: str) -> set[str]:
    code = f"import sys; {statement}; print('\\n'.join(sys.modules))"
    return set(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split())


def test_the_event_schema_loads_no_client() -> None:
    loaded = loaded_after("import agents_emitter.events")
    assert {
        m for m in loaded if m.partition(".")[0] in {"aiokafka", "psutil", "asyncio", "opentelemetry", "streams"}
    } == set()
    assert {m for m in loaded if m.startswith("agents_emitter")} == {"agents_emitter", "agents_emitter.events"}


def test_the_emitter_loads_the_client_in_its_own_thread_only() -> None:
    loaded = loaded_after("from agents_emitter import Emitter, LogHandler, get_emitter; get_emitter()")
    assert {m for m in loaded if m.partition(".")[0] in {"aiokafka", "psutil", "opentelemetry", "streams"}} == set()


def test_every_public_name_resolves() -> None:
    assert all(getattr(agents_emitter, name) is not None for name in agents_emitter.__all__)
    with pytest.raises(AttributeError, match="nothing_like_it"):
        agents_emitter.nothing_like_it  # noqa: B018
