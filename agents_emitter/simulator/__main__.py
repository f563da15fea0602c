"""``python -m agents_emitter.simulator``: sends a scenario to a broker and says exactly what it sent.

The shell around the pure generator: here, and only here, are a clock, an event loop and a Kafka producer.
"""

from __future__ import annotations

import argparse
import asyncio
import dataclasses
import signal
import sys
import time
from collections.abc import Callable, Collection, Sequence
from typing import Any

import orjson

from agents_emitter.simulator import SCENARIOS, Emission, GroundTruth, Simulation, follow, ground_truth, pace, simulate

Clock = Callable[[], int]


class Tally:
    """Counts of what was sent, by topic."""

    def __init__(self) -> None:
        self.records: dict[str, int] = {}
        self.events: dict[str, int] = {}

    def add(self, emission: Emission) -> None:
        """One more record."""
        self.records[emission.topic] = self.records.get(emission.topic, 0) + 1
        self.events[emission.topic] = self.events.get(emission.topic, 0) + emission.events


def arguments() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m agents_emitter.simulator", description=__doc__.splitlines()[0])
    parser.add_argument("--scenario", choices=SCENARIOS, default="normal_day")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=60.0, help="length of the run in simulated seconds")
    parser.add_argument("--agents", type=int, default=12, help="at least 5")
    parser.add_argument("--services", type=int, default=3)
    parser.add_argument("--events-per-second", type=float, help="samples, spans and logs together, on average")
    parser.add_argument("--batch-seconds", type=float, default=1.0, help="how often each agent sends")
    parser.add_argument("--heartbeat-seconds", type=float, default=5.0)
    parser.add_argument("--plain", action="store_true", help="metric columns as JSON arrays instead of base64")
    parser.add_argument("--start-ns", type=int, help="nanoseconds since the epoch; now by default")
    parser.add_argument("--fault-from-seconds", type=float, help="the fault's begin after the start of the run")
    parser.add_argument("--fault-seconds", type=float, default=30.0, help="its length, where its begin is given")
    parser.add_argument("--speed", type=float, default=1.0, help="simulated seconds per second; inf: at once")
    parser.add_argument(
        "--catch-up", action="store_true", help="what lies in the past at once, the rest by the clock; says so between"
    )
    parser.add_argument(
        "--live-only",
        action="append",
        default=[],
        metavar="TOPIC",
        help="with --catch-up: records of this topic that lie in the past are not sent; may be repeated",
    )
    parser.add_argument("--brokers", help="host:port[,host:port]")
    parser.add_argument("--dry-run", action="store_true", help="count only, send nothing")
    return parser


def _settings(options: argparse.Namespace, start_ns: int) -> dict[str, Any]:
    fault_from = options.fault_from_seconds
    return {
        "scenario": options.scenario,
        "seed": options.seed,
        "start_ns": start_ns,
        "duration_seconds": options.seconds,
        "agents": options.agents,
        "services": options.services,
        "events_per_second": options.events_per_second,
        "batch_seconds": options.batch_seconds,
        "columns": "plain" if options.plain else "packed",
        "heartbeat_seconds": options.heartbeat_seconds,
        "fault_seconds": None if fault_from is None else (fault_from, fault_from + options.fault_seconds),
    }


def summary(simulation: Simulation, truth: GroundTruth, tally: Tally) -> dict[str, Any]:
    """What was sent and what is true about it, ready for JSON."""
    return {
        "scenario": truth.scenario,
        "seed": truth.seed,
        "start_ns": truth.start_ns,
        "end_ns": truth.end_ns,
        "records": tally.records,
        "events": tally.events,
        "events_total": sum(tally.events.values()),
        "faults": [dataclasses.asdict(fault) for fault in truth.faults],
        "calls": {f"{client}>{server}": dataclasses.asdict(c) for (client, server), c in simulation.calls.items()},
    }


class Delivery:
    """Hands records to a Kafka producer; a record counts once the broker has acknowledged it.

    Attributes:
        withheld: topics that get nothing for now.
    """

    def __init__(self, producer: Any, tally: Tally) -> None:
        self._producer, self._tally = producer, tally
        self.withheld: Collection[str] = ()
        self._waiting: list[tuple[Emission, asyncio.Future[Any]]] = []

    async def send(self, emission: Emission) -> None:
        """Sends one; at most 1,000 are on their way.

        Raises:
            aiokafka.errors.KafkaError: the broker did not take a record.
        """
        if emission.topic in self.withheld:
            return
        future = await self._producer.send(emission.topic, key=emission.key, value=emission.value)
        self._waiting.append((emission, future))
        if len(self._waiting) >= 1_000:
            await self.settle()

    async def settle(self) -> None:
        """Waits for what is on its way."""
        for emission, acknowledged in self._waiting:
            await acknowledged
            self._tally.add(emission)
        self._waiting.clear()


async def send_all(simulation: Simulation, options: argparse.Namespace, tally: Tally, clock_ns: Clock) -> None:
    """Sends everything at its time, until the end or a signal.

    Raises:
        aiokafka.errors.KafkaError: the broker did not take a record.
    """
    from aiokafka import AIOKafkaProducer

    stopping = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    producer = AIOKafkaProducer(
        bootstrap_servers=options.brokers, acks="all", linger_ms=20, max_request_size=4 * 1_048_576
    )
    await producer.start()
    delivery = Delivery(producer, tally)

    async def caught_up() -> None:
        await delivery.settle()
        delivery.withheld = ()
        told = {"caught_up_ns": clock_ns(), "events": tally.events, "events_total": sum(tally.events.values())}
        sys.stdout.write(orjson.dumps(told).decode() + "\n")
        sys.stdout.flush()

    try:
        shell: dict[str, Any] = {"clock_ns": clock_ns, "sleep": asyncio.sleep, "stop": stopping.is_set}
        if options.catch_up:
            delivery.withheld = options.live_only
            await follow(simulation, delivery.send, caught_up=caught_up, **shell)
        else:
            await pace(simulation, delivery.send, speed=options.speed, **shell)
        await delivery.settle()
    finally:
        await producer.stop()


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command line; 0 on success, 2 for arguments that make no sense."""
    parser = arguments()
    options = parser.parse_args(argv)
    if not options.dry_run and not options.brokers:
        parser.error("--brokers HOST:PORT is needed (or --dry-run)")
    clock_ns = time.time_ns  # noqa: TID251 - this is the shell
    start_ns = clock_ns() if options.start_ns is None else options.start_ns
    try:
        simulation = simulate(**_settings(options, start_ns))
        truth = ground_truth(**_settings(options, start_ns))
    except ValueError as error:
        parser.error(str(error))
    tally = Tally()
    if options.dry_run:
        for emission in simulation:
            tally.add(emission)
    else:
        asyncio.run(send_all(simulation, options, tally, clock_ns))
    sys.stdout.write(orjson.dumps(summary(simulation, truth, tally), option=orjson.OPT_INDENT_2).decode() + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
