from __future__ import annotations

import asyncio
import json
import multiprocessing
import os
import socket
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from agents_emitter import Emitter
from agents_emitter.transport import Transport
from tests.unit.emitter.broker import Broker, agree, emitter_for, eventually


def in_child(work: Callable[[], Any]) -> Any:
    """Run in a forked child and bring the result back."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            os.write(writing, json.dumps(work()).encode())
            status = 0
        finally:
            os._exit(status)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        data = pipe.read()
    assert os.waitpid(pid, 0)[1] == 0
    return json.loads(data)


def child_work(emitter: Emitter, broker: Broker) -> dict[str, Any]:
    broker.up = True
    before = len(broker.records)
    emitter.counter("c").labels(side="child").add(10)
    flushed = emitter.flush(60)
    mine = [record for record in broker.records[before:] if record.topic == "agents.metrics"]
    return {
        "flushed": flushed,
        "agree": agree(emitter),
        "emitted": emitter.stats().samples.emitted,
        "samples": [record.body["count"] for record in mine],
        "seqs": [record.body["seq"] for record in mine],
        "producers": sorted({record.body["producer"] for record in mine}),
        "pid": mine[0].body["resource"]["process.pid"],
        "own_pid": str(os.getpid()),
    }


def test_a_child_starts_anew_and_the_parent_goes_on() -> None:
    broker = Broker()
    with emitter_for(broker) as emitter:
        bound = emitter.counter("c").labels(side="parent")
        bound.add(1)
        assert emitter.flush(60)
        broker.up = False
        bound.add(2)
        emitter.stats()
        answers = [in_child(lambda: child_work(emitter, broker)) for _ in range(2)]
        broker.up = True
        bound.add(3)
        assert emitter.flush(60)
        stats = emitter.stats().samples
    assert (stats.emitted, stats.delivered) == (3, 3)
    assert [value for _, _, value in broker.samples()] == [1.0, 2.0, 3.0]
    for answer in answers:
        assert answer["flushed"]
        assert answer["agree"]
        assert (answer["emitted"], answer["samples"], answer["seqs"]) == (1, [1], [0])
        assert answer["pid"] == answer["own_pid"]
    producers = {record.body["producer"] for record in broker.of("agents.metrics")}
    producers.update(producer for answer in answers for producer in answer["producers"])
    assert len(producers) == 3


def test_children_do_not_draw_the_same_ids() -> None:
    with emitter_for(Broker()) as emitter:
        emitter.counter("c").add(1)
        assert emitter.flush(60)
        drawn = [in_child(lambda: emitter.span("x").context.trace_id) for _ in range(2)]
        assert len({*drawn, emitter.span("x").context.trace_id}) == 3


def test_forks_in_the_middle_of_work_lose_nothing_in_the_parent() -> None:
    broker = Broker()
    with emitter_for(broker, max_batch_samples=10) as emitter:
        stop = threading.Event()
        emitted: list[int] = []

        def emit() -> None:
            count = 0
            while not stop.is_set():
                emitter.counter("c").add(1, n=count % 500)
                count += 1
                if count % 100 == 0:
                    stop.wait(0.001)
            emitted.append(count)

        thread = threading.Thread(target=emit)
        thread.start()
        for _ in range(10):
            assert in_child(lambda: emitter.counter("c").add(1, n=-1) or emitter.flush(60)) is True
        stop.set()
        thread.join()
        assert emitter.flush(60)
        stats = emitter.stats().samples
    assert stats.emitted == emitted[0] == stats.delivered == len(broker.samples())


def test_a_childs_destructors_do_not_touch_the_parents_connection() -> None:
    """Parent and child share the kernel's epoll set: the child must not take the parent's sockets out of it."""
    listener = socket.create_server(("127.0.0.1", 0))

    def echo() -> None:
        peer, _ = listener.accept()
        with peer:
            while data := peer.recv(1):
                peer.sendall(data)

    class Connection:
        def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            self.reader, self.writer = reader, writer

        async def send(self, topic: str, key: bytes, value: bytes) -> None:
            self.writer.write(b"?")
            await self.reader.readexactly(1)

        async def close(self) -> None:
            self.writer.close()
            await self.writer.wait_closed()

    async def connect() -> Transport:
        return Connection(*await asyncio.open_connection(*listener.getsockname()))

    def destroy() -> bool:
        loop = emitter._inherited[0]._loop
        for descriptor in descriptors:
            loop._remove_reader(descriptor)  # type: ignore[attr-defined]  # what the destructor of a connection does
        return True

    server = threading.Thread(target=echo)
    server.start()
    with listener, emitter_for(Broker(), connect=connect) as emitter:
        emitter.counter("c").add(1)
        assert emitter.flush(60)
        sender = emitter._sender
        assert sender is not None
        descriptors = list(sender._selector.get_map())
        assert len(descriptors) == 2, "the loop's own pipe and the connection"
        assert in_child(destroy)
        emitter.counter("c").add(1)
        assert emitter.flush(60), "the parent still hears its sockets"
        assert emitter.stats().connects == 1
    server.join()


class FileTransport:
    """Records as lines of a file, so that a child's can be read after it ended."""

    def __init__(self, path: Path) -> None:
        self.path = path

    async def send(self, topic: str, key: bytes, value: bytes) -> None:
        with self.path.open("ab") as file:
            file.write(value + b"\n")

    async def close(self) -> None:
        pass


def _emit_and_end(emitter: Emitter) -> None:
    emitter.counter("c").add(7)


def test_children_of_multiprocessing_deliver_when_they_end(tmp_path: Path) -> None:
    path = tmp_path / "records"

    async def connect() -> Transport:
        return FileTransport(path)

    with emitter_for(Broker(), connect=connect, flush_interval_seconds=3600.0) as emitter:
        child = multiprocessing.get_context("fork").Process(target=_emit_and_end, args=(emitter,))
        child.start()
        child.join()
        assert child.exitcode == 0
        records = [json.loads(line) for line in path.read_bytes().splitlines()]
        assert [(record["count"], record["resource"]["process.pid"]) for record in records] == [(1, str(child.pid))]
        eventually(lambda: emitter.stats().samples.emitted == 0)
