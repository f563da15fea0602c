"""Secrets, prompts and personal data planted in every field of events; each is found again by a word of its own."""

from __future__ import annotations

import logging
import random
import string
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from agents_emitter import Emitter

CONTENT_NAMES = (
    *("gen_ai.input.messages", "gen_ai.output.messages", "gen_ai.system_instructions", "gen_ai.tool.call.arguments"),
    *("gen_ai.tool.call.result", "gen_ai.prompt.0.content", "input.value", "output.value", "prompt", "tool_arguments"),
    *("llm.input_messages.0.message.content", "traceloop.entity.input", "system_prompt", "agents.completion"),
)
SECRET_NAMES = (
    *("password", "db.password", "apiKey", "client_secret", "http.request.header.authorization", "session.cookie"),
    *("access_token", "private_key", "card.cvv"),
)
PLAIN_NAMES = ("note", "url.full", "exception.message", "step", "user")
LETTERS = string.ascii_letters + string.digits


class Plant(NamedTuple):
    """A text to put somewhere, and what must not be seen of it anywhere."""

    text: str
    trace: str


class Garden:
    """Makes plants, each with another trace, and remembers all."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)
        self.traces: list[str] = []

    def word(self, chars: int = 20) -> str:
        """A word that nothing else has."""
        return "".join(self._random.choices(LETTERS, k=chars))

    def secret(self) -> Plant:
        """One that a pattern finds, wherever it stands."""
        word = self.word()
        email = self.word(12).lower()
        card = card_number(self._random)
        made = self._random.choice(
            (
                Plant(f"password={word}", word),
                Plant(f'{{"api_key": "{word} {word}"}}', word),
                Plant(f"Authorization: Bearer {word}", word),
                Plant(f"https://user:{word}@host.example/x", word),
                Plant(f"sk-proj-{word}", word),
                Plant(f"ghp_{word}{word}", word),
                Plant(f"AKIA{word[:16].upper()}", word[:16].upper()),
                Plant(f"eyJ{word}.eyJ{word}.{word}", word),
                Plant(f"{email}@mail.example", email),
                Plant(card, card),
                Plant(f"-----BEGIN PRIVATE KEY-----\n{word}\n-----END PRIVATE KEY-----", word),
            )
        )
        return self._keep(made)

    def inside(self) -> Plant:
        """The same in the middle of a sentence."""
        plant = self.secret()
        return Plant(f"it failed: {plant.text} was refused", plant.trace)

    def content(self) -> Plant:
        """What only the name of its field gives away."""
        word = self.word()
        return self._keep(Plant(f"the patient {word} says", word))

    def named(self) -> tuple[str, str]:
        """An attribute with a telling name, or a plain one with a secret inside."""
        kind = self._random.randrange(3)
        if kind == 0:
            return self._random.choice(CONTENT_NAMES), self.content().text
        if kind == 1:
            return self._random.choice(SECRET_NAMES), self.content().text
        return self._random.choice(PLAIN_NAMES), self.inside().text

    def _keep(self, plant: Plant) -> Plant:
        self.traces.append(plant.trace)
        return plant

    def seen_in(self, raw: bytes) -> list[str]:
        """The traces that can be read in these bytes."""
        return [trace for trace in self.traces if trace.encode() in raw]


def card_number(source: random.Random) -> str:
    """A Visa number with a right checksum."""
    digits = "4" + "".join(source.choices(string.digits, k=14))
    doubled = sum(sum(divmod(2 * int(digit), 10)) for digit in digits[::-2])
    return digits + str(-(doubled + sum(map(int, digits[-2::-2]))) % 10)


def emit(emitter: Emitter, garden: Garden, events: int) -> None:
    """So many events: samples, spans and logs in turn, with something planted in each of their fields."""
    logger = logging.Logger("agent." + garden.secret().text)
    logger.addHandler(emitter.log_handler())
    kinds: tuple[Callable[[Emitter, Garden, logging.Logger], Any], ...] = (_sample, _span, _log)
    for number in range(events):
        kinds[number % 3](emitter, garden, logger)


def _sample(emitter: Emitter, garden: Garden, logger: logging.Logger) -> None:
    labels = dict([garden.named(), garden.named()])
    labels[f"of_{garden.secret().text}"] = "x"
    emitter.counter("agents.steps").add(1, **labels)


def _span(emitter: Emitter, garden: Garden, logger: logging.Logger) -> None:
    try:
        with emitter.span(f"call {garden.secret().text}", attributes=dict([garden.named()]), announce=True) as span:
            span.set_attribute(garden.secret().text, "x")
            span.set_attribute("list", [garden.inside().text, 1, garden.secret().text])
            span.set_attribute("gen_ai.tool.name", garden.secret().text)
            span.add_event(garden.secret().text, dict([garden.named()]))
            span.add_link(span.context, dict([garden.named()]))
            raise ValueError(garden.inside().text)
    except ValueError:
        return


def _log(emitter: Emitter, garden: Garden, logger: logging.Logger) -> None:
    name, value = garden.named()
    try:
        raise ValueError(garden.inside().text)
    except ValueError:
        logger.exception("tried %s", garden.inside().text, extra={name: value})


def identity(garden: Garden) -> dict[str, Any]:
    """Arguments of an emitter that tell too much."""
    return {
        "service_name": garden.inside().text,
        "agent_id": garden.secret().text,
        "agent_type": garden.secret().text,
        "resource": dict(garden.named() for _ in range(9)),
    }


def readings(records: list[bytes], garden: Garden) -> Iterator[str]:
    """Every trace that is in some record, as often as it is there."""
    for record in records:
        yield from garden.seen_in(record)
