"""The live display: looks at everything once a second, and draws it."""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Callable
from typing import Final

from rich.console import Console
from rich.live import Live

from streams.demo import screen, view
from streams.demo.figures import ENDS, Figures, read_figures
from streams.demo.notices import Notices
from streams.demo.plan import SECOND_NS, Plan
from streams.demo.stage import Stage, ended
from streams.demo.view import AlertRow, View
from streams.demo.watch import Watch

LOOK_SECONDS: Final = 1.0
POLL_SECONDS: Final = 0.2
"""How often the webhook is looked at: the precision of the time at which a notification arrived."""
LINE_SECONDS: Final = 5.0
DETAIL_LINES: Final = 3


class Show:
    """Looks and draws.

    Attributes:
        figures: scrapes of the last seconds, oldest first. notices: None without Alertmanager.
    """

    def __init__(
        self,
        stage: Stage,
        watch: Watch,
        console: Console,
        *,
        clock_ns: Callable[[], int],
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.figures: deque[Figures] = deque(maxlen=1 + round(view.RATE_SECONDS / LOOK_SECONDS))
        self.notices = Notices() if stage.stack.webhook is not None else None
        self._stage, self._watch, self._console = stage, watch, console
        self._clock_ns, self._monotonic = clock_ns, monotonic
        self._before: list[AlertRow] = []
        self._lines = 0

    def look(self) -> Figures | None:
        """One scrape; None where the worker does not answer."""
        text = self._stage.scrape()
        if text is None:
            return None
        figures = read_figures(text, self._monotonic())
        self.figures.append(figures)
        return figures

    def take_notices(self) -> None:
        """What Alertmanager has notified since the last time."""
        webhook = self._stage.stack.webhook
        if self.notices is not None and webhook is not None:
            self.notices.take(webhook.requests, self._clock_ns())

    def run(self, plan: Plan) -> None:
        """Shows the pipeline until the plan's end, or until a child has ended."""
        if self._console.is_terminal:
            self._run_page(plan)
        else:
            self._run_lines(plan)

    def _run_page(self, plan: Plan) -> None:
        first = screen.page(self._view(plan, 0.0), *self._size())
        with Live(first, console=self._console, screen=True, auto_refresh=False) as live:
            self._loop(plan, lambda now: live.update(screen.page(now, *self._size()), refresh=True), LOOK_SECONDS)

    def _size(self) -> tuple[int, int]:
        return self._console.width, self._console.height

    def _run_lines(self, plan: Plan) -> None:
        self._loop(plan, self._print, LINE_SECONDS)

    def _print(self, now: View) -> None:
        changed = screen.changes(self._before, now.alerts)
        self._before = list(now.alerts)
        details = [screen.detail(now)] if self._lines % DETAIL_LINES == 0 else []
        self._lines += 1
        for text in (screen.line(now), *details, *changed, *([now.trouble] if now.trouble else [])):
            self._console.print(text, highlight=False, soft_wrap=True, markup=False)

    def _loop(self, plan: Plan, draw: Callable[[View], None], every_seconds: float) -> None:
        begin = look_at = draw_at = self._monotonic()
        while True:
            now = self._monotonic()
            elapsed = now - begin
            self.take_notices()
            if now >= look_at:
                self.look()
                look_at = now + LOOK_SECONDS
            over = plan.seconds is not None and elapsed >= plan.seconds
            if now >= draw_at or over:
                shown = self._view(plan, elapsed)
                draw(shown)
                draw_at = now + every_seconds
                if over or shown.trouble:
                    return
            time.sleep(POLL_SECONDS)

    def trouble(self) -> str:
        """What is wrong with the demo's own processes, "" if nothing is."""
        stage = self._stage
        return ended({"the worker": stage.worker, "the simulator": stage.simulator}) or self._watch.seen().failure

    def _view(self, plan: Plan, elapsed_seconds: float) -> View:
        now_ns, seen, stage = self._clock_ns(), self._watch.seen(), self._stage
        since_ns = now_ns - round(elapsed_seconds * SECOND_NS)
        alerts = view.alert_rows(seen, self.notices, since_ns, now_ns)
        return View(
            elapsed_seconds=elapsed_seconds,
            total_seconds=plan.seconds,
            story=view.story(plan, now_ns),
            figures=self.figures[-1] if self.figures else None,
            per_second=view.rate(list(self.figures), ENDS),
            sources=view.source_rows(list(self.figures), seen, stage.otel is not None),
            alerts=alerts,
            counts=Counter(row.state for row in alerts),
            notified=None
            if self.notices is None
            else {s: self.notices.count(s, since_ns) for s in ("firing", "resolved")},
            anomalies=seen.anomalies_total,
            traces=seen.traces_total,
            last_anomaly=view.anomaly_line(seen.anomalies[-1]) if seen.anomalies else "",
            addresses=addresses(stage),
            trouble=self.trouble(),
        )


def addresses(stage: Stage) -> dict[str, str]:
    """Where to look, and how to send an event."""
    stack = stage.stack
    found = {
        "page": f"http://127.0.0.1:{stage.api_port}/",
        "metrics": stage.metrics_url,
        "ready": stage.metrics_url.replace("/metrics", "/health/ready"),
    }
    if stack.prometheus is not None:
        found["prometheus"] = stack.prometheus.url
    if stack.alertmanager is not None:
        found["alertmanager"] = f"{stack.alertmanager.url}/api/v2/alerts"
    found["kafka"] = stack.kafka.bootstrap
    event = '{"name":"x","value":1}'
    found["logs"] = str(stage.folder / "logs")
    found[screen.SEND] = f"echo '{event}' | kcat -P -b {stack.kafka.bootstrap} -t agents.metrics"
    return found
