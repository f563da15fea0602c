"""What the agent's own process uses, sampled by the sender's thread, and a heartbeat that says it is alive."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from agents_emitter.emitter import Emitter


class ProcessSampler:
    """Resident memory, CPU (1 = all processors busy), open files and threads of this process, and ``agents.heartbeat``.

    psutil is loaded by the first sample, in the sender's thread. The first sample has no CPU figure: it needs two.
    """

    def __init__(self, emitter: Emitter) -> None:
        self._memory = emitter.gauge("process.memory.usage", unit="By").labels()
        self._cpu = emitter.gauge("process.cpu.utilization", unit="1").labels()
        self._files = emitter.gauge("process.open_file_descriptor.count", unit="{count}").labels()
        self._threads = emitter.gauge("process.thread.count", unit="{thread}").labels()
        self._heartbeat = emitter.counter("agents.heartbeat", unit="1").labels()
        self._process: Any = None
        self._processors = 1

    def sample(self) -> None:
        """Take one sample of everything and beat once.

        Raises:
            psutil.Error: the system refuses to tell; the heartbeat was sent.
        """
        self._heartbeat.add(1)
        if self._process is None:
            import psutil

            self._process = psutil.Process()
            self._processors = psutil.cpu_count() or 1
            self._process.cpu_percent()
        else:
            self._cpu.set(self._process.cpu_percent() / 100 / self._processors)
        self._memory.set(self._process.memory_info().rss)
        self._threads.set(self._process.num_threads())
        count_files = getattr(self._process, "num_fds", None) or self._process.num_handles
        self._files.set(count_files())
