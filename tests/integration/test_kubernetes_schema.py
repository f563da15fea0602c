"""examples/kubernetes/ against the schemas of Kubernetes, by the command of OPERATIONS.md (111 MB, so not locked)."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
EXAMPLE = "examples/kubernetes/streams.yml"
pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]


def validated(path: Path) -> subprocess.CompletedProcess[str]:
    (command,) = re.findall(
        r"`uv (tool run --from kubernetes-validate[^`]+)`", (ROOT / "docs/OPERATIONS.md").read_text()
    )
    words = [str(path) if word == EXAMPLE else word for word in command.split()]
    assert str(path) in words
    line = [Path(sys.executable).parent / "uv", *words]
    return subprocess.run(line, capture_output=True, text=True, check=False, timeout=240)


def test_the_example_is_valid_and_a_mistake_in_it_is_found(tmp_path: Path) -> None:
    done = validated(ROOT / EXAMPLE)
    assert done.returncode == 0, done.stdout + done.stderr
    text = (ROOT / EXAMPLE).read_text()
    (tmp_path / "planted.yml").write_text(text.replace("maxReplicas:", "maxReplica:", 1))
    planted = validated(tmp_path / "planted.yml")
    assert planted.returncode != 0
    assert "maxReplica" in planted.stdout + planted.stderr
