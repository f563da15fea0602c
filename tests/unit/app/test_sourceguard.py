"""Nothing is published unless the broker has just said that the topics are the same."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

import pytest
from aiokafka.errors import KafkaConnectionError

from streams import topics
from streams.app import sourceguard
from streams.app.sourceguard import SourceGuard
from streams.app.topicids import Topic
from streams.errors import ConfigurationError, StateEpochError

Answer = Mapping[str, Topic] | Exception
HERE: Mapping[str, Topic] = {"a": Topic("1", 2), "b": Topic("2", 1), topics.STATE: Topic("9", 2)}


class Broker:
    """Gives one answer after the other; the last for ever."""

    def __init__(self, answers: Sequence[Answer]) -> None:
        self.answers, self.asked, self.now = list(answers), 0, 100.0

    async def ask(self) -> Mapping[str, Topic]:
        self.asked += 1
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        await asyncio.sleep(0)
        if isinstance(answer, Exception):
            raise answer
        return answer


@pytest.fixture(autouse=True)
def no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sourceguard, "RETRY_SECONDS", 0.0)


def guard(*answers: Answer) -> tuple[SourceGuard, Broker]:
    broker = Broker(answers)
    return SourceGuard(("a", "b"), broker.ask, monotonic=lambda: broker.now), broker


def test_an_answer_counts_for_a_second_and_one_asks_for_all() -> None:
    async def run() -> None:
        found, broker = guard(HERE)
        assert await found.assigned({"a"}) == {"a": HERE["a"], "b": HERE["b"]}
        broker.now += 1.0
        await found.confirm()
        assert broker.asked == 1
        broker.now += 0.1
        await asyncio.gather(*(found.confirm() for _ in range(5)))
        assert broker.asked == 2

    asyncio.run(run())


@pytest.mark.parametrize(
    ("name", "now", "message"),
    [
        ("a", Topic("3", 2), "a was deleted and made again: its id is 3, it was 1"),
        ("a", Topic("1", 4), "a has 4 partitions, it had 2"),
        ("b", Topic("3", 1), "b was deleted"),
    ],
)
def test_another_topic_of_the_name_is_found(name: str, now: Topic, message: str) -> None:
    """Also where it is away for a while first, where nobody answers, and where no partition of it is owned."""

    async def run() -> None:
        gone = {key: topic for key, topic in HERE.items() if key != name}
        found, broker = guard(HERE, KafkaConnectionError(), gone, gone, {**HERE, name: now})
        await found.assigned({"a"})
        broker.now += 5
        with pytest.raises(StateEpochError, match=message):
            await found.confirm()
        assert broker.asked == 5

    asyncio.run(run())


def test_one_that_the_group_left_out_while_it_was_away_is_found_when_it_is_back() -> None:
    async def run() -> None:
        gone = {key: topic for key, topic in HERE.items() if key != "a"}
        found, broker = guard(HERE, gone, {**HERE, "a": Topic("3", 2)})
        await found.assigned({"a", "b"})
        await found.assigned({"b"})
        broker.now += 5
        with pytest.raises(StateEpochError, match="a was deleted and made again"):
            await found.confirm()

    asyncio.run(run())


def test_what_was_never_there_and_comes_is_found() -> None:
    async def run() -> None:
        gone = {key: topic for key, topic in HERE.items() if key != "b"}
        found, broker = guard(gone, HERE)
        await found.assigned({"a"})
        broker.now += 5
        with pytest.raises(StateEpochError, match="b is there now"):
            await found.confirm()

    asyncio.run(run())


def test_what_is_owned_must_exist_and_its_state_must_fit() -> None:
    async def run() -> None:
        with pytest.raises(StateEpochError, match="c does not exist: run `streams topics create`"):
            await guard(HERE)[0].assigned({"a", "c"})
        with pytest.raises(
            ConfigurationError, match=r"a has 2 partitions, streams.state has 1: .*STREAMS_PARTITIONS=2"
        ):
            await guard({**HERE, topics.STATE: Topic("9", 1)})[0].assigned({"a"})

    asyncio.run(run())


def test_without_ids_topics_count_as_the_same() -> None:
    async def run() -> None:
        found, broker = guard({name: Topic("", topic.partitions) for name, topic in HERE.items()}, HERE)
        await found.assigned({"a"})
        broker.now += 5
        await found.confirm()

    asyncio.run(run())
