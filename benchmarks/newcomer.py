"""A newcomer's path, timed from a clean clone: ``python -m benchmarks.newcomer --json``.

One JSON line for each step: clone; kernels (compiled once for each tree, as ``make demo`` does); demo (Kafka,
Prometheus, Alertmanager, workers, simulator, until it says that it is live); agent (the first Python block of the
README with the demo's broker, until all it sent is acknowledged); metric (until Prometheus has its counter); trace
(until the API shows it); with ``--browser`` page (until Chromium, installed where it is missing, shows its spans). The
last line has the whole.

The packages are those of this environment; with ``--setup`` the clone makes its own, which needs a package index and is
a step of its own: then ``python3 -m benchmarks.newcomer --setup`` needs nothing but Python. Kafka's jars are fetched by
the first demo of a machine.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).parents[1]
BROKER: Final = "127.0.0.1:9092"
"""As the README has it."""
COUNTER: Final = 'agents_steps_total{service_name="research",agent_type="planner"}'
"""The demo's simulated system has a service and an agent of the same names, but not this agent in this service."""
LIVE: Final = "Live"
WAIT_SECONDS: Final = 300.0
END_SECONDS: Final = 90.0


class Steps:
    """Notes each step with its seconds, and those since the beginning."""

    def __init__(self, note: Callable[[dict[str, Any]], None]) -> None:
        self._note = note
        self._begin = time.monotonic()

    @contextlib.contextmanager
    def step(self, name: str) -> Iterator[None]:
        """One step; nothing is noted where it fails."""
        begin = time.monotonic()
        yield
        self._note({"step": name, "seconds": round(time.monotonic() - begin, 2), "since_start": self.total()})

    def total(self) -> float:
        """Seconds since the beginning."""
        return round(time.monotonic() - self._begin, 2)


LOOK: Final = """
import sys
from playwright.sync_api import sync_playwright
from streams.services import install
flags = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"]
with sync_playwright() as tools:
    page = tools.chromium.launch(executable_path=install.program("chromium"), args=flags).new_page()
    page.goto(sys.argv[1])
    page.get_by_text("research: plan").wait_for()
    page.get_by_text("the critical path is outlined").wait_for()
"""
"""What the page step runs: it waits for the span of the trace that it is given."""


def wait(condition: Callable[[], bool], what: str) -> None:
    """Polls ten times a second.

    Raises:
        SystemExit: it did not come true.
    """
    deadline = time.monotonic() + WAIT_SECONDS
    while not condition():
        if time.monotonic() > deadline:
            raise SystemExit(f"{what}: not within {WAIT_SECONDS:g} s")
        time.sleep(0.1)


def walk(folder: Path, steps: Steps, *, setup: bool, browser: bool) -> None:
    """All steps, in a folder that is empty.

    Raises:
        SystemExit, CalledProcessError: a step failed.
    """
    clone = folder / "agent-streams"
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("STREAMS_", "DEMO_"))}
    environment = {**kept, "PYTHONPATH": str(clone), "STREAMS_WORK_FOLDER": str(folder / "work")}
    python = sys.executable
    with steps.step("clone"):
        subprocess.run(["git", "clone", "--quiet", "--no-hardlinks", ROOT.as_uri(), clone], check=True)
    if setup:
        with steps.step("setup"):
            subprocess.run(["make", "setup", "services"], cwd=clone, check=True, stdout=sys.stderr)
        python = str(clone / ".venv/bin/python")
    with steps.step("kernels"):
        subprocess.run([python, "-m", "streams", "kernels"], cwd=clone, env=environment, check=True, stdout=sys.stderr)
    output = folder / "demo.txt"
    with demo(python, clone, environment, output, steps) as said:
        with steps.step("agent"):
            lines = five_lines((clone / "README.md").read_text(encoding="utf-8"), address(said, "kafka"))
            subprocess.run([python, "-c", lines], cwd=clone, env=environment, check=True, timeout=WAIT_SECONDS)
        with steps.step("metric"):
            prometheus = address(said, "prometheus")
            wait(lambda: bool(asked(f"{prometheus}/api/v1/query", query=COUNTER)["data"]["result"]), COUNTER)
        with steps.step("trace"):
            page = address(said, "page")
            wait(lambda: bool(trace_id(page)), "the trace")
        if browser:
            subprocess.run(
                [python, "-m", "streams.services.install", "--browser"], cwd=clone, env=environment, check=True
            )
            with steps.step("page"):
                look = [python, "-c", LOOK, f"{page}#/trace/{trace_id(page)}"]
                subprocess.run(look, cwd=clone, env=environment, check=True, timeout=WAIT_SECONDS)


@contextlib.contextmanager
def demo(python: str, clone: Path, environment: dict[str, str], output: Path, steps: Steps) -> Iterator[str]:
    """``streams demo`` until it is live; gives what it said. Ended as with Ctrl-C."""
    with output.open("wb") as file, steps.step("demo"):
        running = subprocess.Popen(
            [python, "-m", "streams", "demo"], cwd=clone, env=environment, stdout=file, stderr=subprocess.STDOUT
        )
        try:
            wait(lambda: running.poll() is not None or LIVE in output.read_text(), "the demo is live")
        except BaseException:
            running.kill()
            raise
    try:
        if running.poll() is not None:
            raise SystemExit(f"the demo ended:\n{output.read_text()}")
        yield output.read_text()
        running.send_signal(signal.SIGINT)
        running.wait(END_SECONDS)
    finally:
        running.kill()


def address(said: str, name: str) -> str:
    """Of a service, as the demo printed it last.

    Raises:
        SystemExit: it printed none.
    """
    found = re.findall(rf"^ +{name} +(\S+)$", said, re.MULTILINE)
    if not found:
        raise SystemExit(f"the demo has no {name}:\n{said}")
    return str(found[-1])


def five_lines(readme: str, broker: str) -> str:
    """The README's first program, for this broker.

    Raises:
        SystemExit: it is not there.
    """
    found = re.search(r"```python\n(.*?)```", readme, re.DOTALL)
    if found is None or BROKER not in found[1]:
        raise SystemExit("the README has no program that sends to " + BROKER)
    return found[1].replace(BROKER, broker)


def trace_id(page: str) -> str:
    """Of the trace whose root is the README's span, "" while there is none."""
    found = asked(f"{page}api/v1/traces", service="research", agent_id="planner-1", limit="200")["traces"]
    return next((str(t["trace_id"]) for t in found if (t["service"], t["operation"]) == ("research", "plan")), "")


def asked(url: str, **parameters: str) -> dict[str, Any]:
    """The JSON of an answer; one without results where there is none."""
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with direct.open(f"{url}?{urllib.parse.urlencode(parameters)}", timeout=10.0) as answer:
            found: dict[str, Any] = json.load(answer)
    except (OSError, ValueError):
        return {"data": {"result": []}, "traces": []}
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="JSON lines (the default prints the same for people)")
    parser.add_argument("--setup", action="store_true", help="make the clone's own environment first")
    parser.add_argument("--browser", action="store_true", help="look at the page with Chromium")
    arguments = parser.parse_args()

    def note(row: dict[str, Any]) -> None:
        text = json.dumps(row) if arguments.json else "  ".join(f"{name} {value}" for name, value in row.items())
        print(text, flush=True)

    steps = Steps(note)
    with tempfile.TemporaryDirectory(prefix="streams-newcomer-") as folder:
        walk(Path(folder), steps, setup=arguments.setup, browser=arguments.browser)
    note({"step": "all", "seconds": steps.total()})


if __name__ == "__main__":
    main()
