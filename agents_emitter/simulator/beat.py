"""What an agent reports by the clock: heartbeat, gauges of its process, the start of each life."""

from __future__ import annotations

from collections import deque

from agents_emitter.simulator.conditions import MEGABYTE, Conditions
from agents_emitter.simulator.interval import Interval
from agents_emitter.simulator.metrics import series
from agents_emitter.simulator.process import Process
from agents_emitter.simulator.seeds import Random
from agents_emitter.simulator.workflow import COORDINATIONS, Session


class Beat:
    """Heartbeats of one agent at ``first_ns``, ``first_ns + period_ns``, ... inside the run.

    Gauges follow first-order autoregressive noise around a level of the agent's own; sessions are counted from the
    coordinated workflows that were told to :meth:`session` (bounded: ended ones are dropped at each beat).
    """

    def __init__(self, process: Process, conditions: Conditions, run: Interval, period_ns: int, rng: Random) -> None:
        """Args: ``run`` bounds the beats; the phase within the period is drawn from ``rng``."""
        self.first_ns = run.start_ns + int(rng.random() * period_ns)
        self._process = process
        self._conditions = conditions
        self._run = run
        self._period_ns = period_ns
        self._next = 0
        self._rng = rng
        self._level = rng.uniform(18.5, 21.0) * MEGABYTE
        self._noise = 0.0
        self._cpu_noise = 0.0
        self._sessions: deque[Session] = deque()
        for life in process.starts:
            begin_ns = max(life.from_ns, run.start_ns)
            labels = (("event", life.event), ("outcome", "success"))
            process.sample(begin_ns, series("agents.lifecycle.events", *labels), 1.0)

    def session(self, session: Session) -> None:
        """A coordinated session of this agent, to be counted while it is open."""
        self._sessions.append(session)

    def until(self, time_ns: int, load: float) -> None:
        """Every beat before a moment that has not been given yet.

        Args:
            time_ns: exclusive.
            load: arrival rate relative to the mean: the processor follows it.
        """
        before_ns = min(time_ns, self._run.end_ns)
        beats = -((self.first_ns - before_ns) // self._period_ns)
        for number in range(self._next, beats):
            self._give(self.first_ns + number * self._period_ns, load)
        self._next = max(self._next, beats)

    def _give(self, time_ns: int, load: float) -> None:
        rng, agent, sample = self._rng, self._process.agent, self._process.sample
        self._noise = 0.9 * self._noise + rng.gauss(0.0, 0.12) * MEGABYTE
        self._cpu_noise = 0.8 * self._cpu_noise + rng.gauss(0.0, 0.01)
        leaked = self._conditions.leaked_bytes(agent, time_ns)
        memory = int(self._level + self._noise + leaked)
        cpu = round(min(1.0, max(0.005, 0.1 + 0.06 * load + self._cpu_noise)), 4)
        sample(time_ns, series("agents.heartbeat"), 1.0)
        sample(time_ns, series("agents.active"), 1.0)
        sample(time_ns, series("agents.memory"), float(memory))
        sample(time_ns, series("agents.cpu"), cpu)
        sample(time_ns, series("process.memory.usage"), float(memory + 44 * MEGABYTE))
        sample(time_ns, series("process.cpu.utilization"), round(cpu / 2, 4))
        sample(time_ns, series("process.open_file_descriptor.count"), float(24 + int(rng.random() * 6)))
        sample(time_ns, series("process.thread.count"), float(9 + int(rng.random() * 3)))
        if agent.role == "coordinator":
            self._count_sessions(time_ns)

    def _count_sessions(self, time_ns: int) -> None:
        self._sessions = deque(session for session in self._sessions if session.end_ns > time_ns)
        started = [session.coordination for session in self._sessions if session.start_ns <= time_ns]
        for name in COORDINATIONS:
            definition = series("agents.coordination.sessions.active", ("coordination_type", name))
            self._process.sample(time_ns, definition, float(started.count(name)))
