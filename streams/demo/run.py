"""The demo's acts: set up, history, live, closing."""

from __future__ import annotations

import logging
import re
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from types import FrameType
from typing import Final, NoReturn

from rich.console import Console

from streams import topics
from streams.demo import folding, summary
from streams.demo.figures import SIMULATED, exported_names, samples
from streams.demo.plan import HISTORY_SECONDS, History, Plan, Report, make_plan, read_history, read_report
from streams.demo.rules import DIVISOR
from streams.demo.screen import SEND
from streams.demo.show import Show, addresses
from streams.demo.stage import Stage
from streams.demo.summary import Ending, Otel
from streams.demo.watch import Watch
from streams.errors import ServiceUnavailable
from streams.services.process import ChildProcess, wait_until
from streams.settings import Settings

HISTORY_WAIT_SECONDS: Final = 180.0
END_SECONDS: Final = 15.0
SETTLE_SECONDS: Final = 30.0
NOTICE_SECONDS: Final = 10.0
OTEL_SERVICE: Final = "otel-librarian"
OTEL_MOST_SECONDS: Final = 10_800.0
OTEL_EARLIER_SECONDS: Final = 5.0
"""The OpenTelemetry program needs some seconds to start, and ends before the display."""


def run_demo(settings: Settings, *, scenario: str = "model_outage", seconds: float | None = None) -> int:
    """Runs the demo.

    Args:
        settings: ``work_folder`` and ``cache_folder`` are used; the demo's worker gets its own settings.
        scenario: what the simulated agents go through.
        seconds: of live display, not counting the set-up; None = until Ctrl-C.

    Returns:
        0, or 1 if the alert did not arrive or the sums disagree, or 130 if it was interrupted before the alert was due.

    Raises:
        StreamsError: it could not be set up.
    """
    # A client that meets a topic made a moment ago logs errors while it tries again; what stays wrong is on the page.
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    with _terminated(), Stage(settings) as stage:
        demo = Demo(stage, Console(highlight=False))
        watch = demo.set_up()
        try:
            return demo.play(scenario, seconds, watch)
        finally:
            watch.stop()


@contextmanager
def _terminated() -> Iterator[None]:
    """SIGTERM unwinds like Ctrl-C, so that everything is stopped."""

    def interrupt(_: int, __: FrameType | None) -> NoReturn:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


class Demo:
    """The acts on a stage. ``clock_ns`` is wall time: simulated events carry it."""

    def __init__(
        self,
        stage: Stage,
        console: Console,
        clock_ns: Callable[[], int] = time.time_ns,  # noqa: TID251 - the shell's clock
    ) -> None:
        self._stage, self._console, self._clock_ns = stage, console, clock_ns

    def set_up(self) -> Watch:
        """Services, topics; returns what reads the results."""
        stage = self._stage
        if not stage.fetched:
            self._say("Fetching Apache Kafka (60 MB, only once) ...")
        with self._timed("Kafka, Prometheus, Alertmanager, OTLP agent"):
            stage.start_services()
        for name, address in stage.stack.addresses().items():
            self._say(f"    {name:13} {address}")
        for line in stage.stack.missing:
            self._say(f"    missing: {line}")
        with self._timed("topics"):
            stage.create_topics()
        self._say(f"  rules: waiting times of monitoring/thresholds.yml divided by {DIVISOR}, in {stage.thresholds}")
        watch = Watch(stage.stack.kafka.bootstrap)
        watch.start()
        return watch

    def play(self, scenario: str, seconds: float | None, watch: Watch) -> int:
        """History, live, closing; returns the exit code."""
        show = Show(self._stage, watch, self._console, clock_ns=self._clock_ns)
        plan = self._replay(scenario, seconds, show)
        self._stage.start_otel(OTEL_MOST_SECONDS if seconds is None else seconds - OTEL_EARLIER_SECONDS)
        watch.go_live()
        for name, address in addresses(self._stage).items():
            self._say(address if name == SEND else f"    {name:13} {address}")
        self._say("Live; Ctrl-C ends it." if seconds is None else f"Live for {seconds:g} s; Ctrl-C ends it earlier.")
        interrupted = False
        try:
            show.run(plan)
        except KeyboardInterrupt:
            interrupted = True
        return self._close(plan, show, watch, interrupted)

    def _replay(self, scenario: str, seconds: float | None, show: Show) -> Plan:
        stage = self._stage
        with self._timed("worker with all three roles"):
            stage.start_worker()
            stage.wait_loaded()
        stage.start_api()
        begin = time.monotonic()
        plan = make_plan(scenario, seconds, self._clock_ns())
        with self._timed(f"simulator, with {HISTORY_SECONDS // 60} minutes of history for the detectors"):
            stage.start_simulator(plan)
            stage.wait_worker()
            history = self._history()
            read = partial(_read, show, history)
            wait_until(read, seconds=HISTORY_WAIT_SECONDS, what="the worker reads the history")
        rate = history.events_total / (time.monotonic() - begin)
        self._say(f"    {history.events_total:,} events of the past sent, read and judged: {rate:,.0f} a second")
        return plan

    def _history(self) -> History:
        found: list[History] = []

        def told() -> bool:
            found.extend(filter(None, [read_history(_text(self._stage.simulator))]))
            return bool(found)

        simulator = self._stage.simulator
        if simulator is None:
            raise ServiceUnavailable("the simulator was not started")
        simulator.wait_ready(told, seconds=HISTORY_WAIT_SECONDS)
        return found[0]

    def _close(self, plan: Plan, show: Show, watch: Watch, interrupted: bool) -> int:
        self._say("Ending: the sources stop, the pipeline reads what is left.")
        trouble = show.trouble()
        self._stage.end_sources(END_SECONDS, patient=plan.seconds is not None and not interrupted)
        report = read_report(_text(self._stage.simulator))
        self._settle(report, show, watch)
        expected = () if report is None else report.expected_alerts
        self._await_notices(plan, expected, show, watch)
        seen = watch.seen()
        fired = [f for steps in seen.alerts.values() if (f := folding.first_firing(steps, plan.fault_start_ns))]
        ending = Ending(
            plan=plan,
            sums=summary.make_sums(report, show.figures[-1] if show.figures else None, seen),
            moments=summary.make_moments(plan, expected, seen, show.notices),
            expected=expected,
            with_alertmanager=show.notices is not None and self._stage.stack.alertmanager is not None,
            fired=len(fired),
            notified=sum(folding.told_apart(f, show.notices) for f in fired),
            folded=folding.make_folded(plan.fault_start_ns, seen, show.notices),
            interrupted=interrupted,
            otel=self._otel(watch, show),
            trouble=[trouble] if trouble else [],
        )
        for line in summary.report_lines(ending):
            self._say(line)
        return ending.exit_code

    def _settle(self, report: Report | None, show: Show, watch: Watch) -> None:
        """Waits until everything that was sent is accounted for; what is missing then shows in the sums."""
        if report is None:
            return

        def settled() -> bool:
            show.take_notices()
            figures, otel = show.look(), self._otel(watch, show)
            told = otel is None or otel.asked is None or min(otel.traces, otel.steps or 0) >= otel.asked
            sums = summary.make_sums(report, figures, watch.seen())
            return told and all(s.came <= sum(s.fates.values()) for s in sums)

        self._wait(settled, SETTLE_SECONDS)

    def _await_notices(self, plan: Plan, expected: Sequence[str], show: Show, watch: Watch) -> None:
        """An alert that has fired may still be on its way to the webhook."""

        def arrived() -> bool:
            show.take_notices()
            found = summary.make_moments(plan, expected, watch.seen(), show.notices)
            return not found or any(m.arrived_ns is not None for m in found)

        if show.notices is not None:
            self._wait(arrived, NOTICE_SECONDS)

    def _wait(self, condition: Callable[[], bool], seconds: float) -> None:
        try:
            wait_until(condition, seconds=seconds, what="the end")
        except ServiceUnavailable:
            return  # the summary says what is missing

    def _otel(self, watch: Watch, show: Show) -> Otel | None:
        if self._stage.otel is None or not show.figures:
            return None
        text = self._stage.scrape() or ""
        asked = re.findall(r"^(\d+) questions asked", _text(self._stage.otel), re.MULTILINE)
        mine = f'service_name="{OTEL_SERVICE}"'
        answers = [s.value for s in samples(text, "agents_steps_total", mine) if s.labels.get("step_type") == "answer"]
        figures = show.figures[-1]
        return Otel(
            asked=int(asked[0]) if asked else None,
            traces=watch.seen().traces.get(OTEL_SERVICE, 0),
            spans=figures.events([topics.OTLP_SPANS]),
            points=figures.events([topics.OTLP_METRICS]),
            steps=round(sum(answers)) if answers else None,
            names=exported_names(text, OTEL_SERVICE),
        )

    def _say(self, text: str) -> None:
        self._console.print(text, markup=False, soft_wrap=True)

    @contextmanager
    def _timed(self, what: str) -> Iterator[None]:
        """Says what is going on, and how long it took."""
        begin = time.monotonic()
        if self._console.is_terminal:
            with self._console.status(f"{what} ..."):
                yield
        else:
            self._say(f"  {what} ...")
            yield
        self._say(f"  {what}: {time.monotonic() - begin:.1f} s")


def _read(show: Show, history: History) -> bool:
    figures = show.look()
    return figures is not None and figures.events(SIMULATED) >= history.events_total and (figures.lag or 0) < 100


def _text(child: ChildProcess | None) -> str:
    if child is None or not child.log.exists():
        return ""
    return child.log.read_text(encoding="utf-8", errors="replace")
