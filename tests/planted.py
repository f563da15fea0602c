"""Secrets, prompts and personal data planted in every field of events; each is found again by a word of its own."""

from __future__ import annotations

import logging
import random
import string
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import TracesData

from agents_emitter import Emitter, events

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


def records(garden: Garden, count: int, now_ns: int) -> Iterator[tuple[str, bytes]]:
    """(topic, value) as others than our emitter send them, every third of a shape that cannot be used."""
    for number in range(count):
        topic, value = FORMS[number % len(FORMS)](garden, now_ns + number)
        yield topic, value[:-4] if number % 3 == 2 else value


def _resource(garden: Garden) -> dict[str, str]:
    return {"service.name": garden.secret().text, "gen_ai.agent.id": garden.secret().text, **dict([garden.named()])}


def _attributes(garden: Garden) -> dict[str, Any]:
    return {
        **dict([garden.named(), garden.named()]),
        "gen_ai.tool.name": garden.secret().text,
        "k": [garden.secret().text],
    }


def _span_of(garden: Garden, now_ns: int) -> dict[str, Any]:
    return {
        "traceId": f"{now_ns:032x}",
        "spanId": f"{now_ns:016x}",
        "parentSpanId": "",
        "name": garden.inside().text,
        "kind": 1,
        "startTimeUnixNano": now_ns,
        "endTimeUnixNano": now_ns + 1000,
        "status": {"code": 2, "message": garden.inside().text},
        "attributes": _attributes(garden),
        "events": [{"timeUnixNano": now_ns, "name": garden.secret().text, "attributes": _attributes(garden)}],
        "links": [{"traceId": "05" * 16, "spanId": "06" * 8, "attributes": _attributes(garden)}],
    }


def _single(garden: Garden, now_ns: int) -> tuple[str, bytes]:
    labels = {**dict([garden.named(), garden.named()]), garden.secret().text: "x"}
    value = events.encode_single("shell.steps", 1.0, time_unix_nano=now_ns, labels=labels, resource=_resource(garden))
    return events.METRICS_TOPIC, value


def _batch(garden: Garden, now_ns: int) -> tuple[str, bytes]:
    labels = (garden.named(), garden.named())
    series = [events.SeriesDefinition("shell.queue", "1", "gauge", labels)]
    head = events.encode_metric_head(_resource(garden), series, garden.secret().text)
    return events.METRICS_TOPIC, events.encode_metric_batch(
        head, seq=0, dropped_total=0, base_time_unix_nano=now_ns, index=[0], offset_ns=[0], value=[1.0]
    )


def _spans(garden: Garden, now_ns: int) -> tuple[str, bytes]:
    rows = [_span_of(garden, now_ns)]
    return events.SPANS_TOPIC, events.encode_span_batch(
        _resource(garden), rows, producer=garden.secret().text, seq=now_ns % 10**6
    )


def _logs(garden: Garden, now_ns: int) -> tuple[str, bytes]:
    row = {"timeUnixNano": now_ns, "severityNumber": 9, "body": garden.inside().text, "attributes": _attributes(garden)}
    row["attributes"]["logger.name"] = garden.secret().text
    return events.LOGS_TOPIC, events.encode_log_batch(_resource(garden), [row], producer=garden.secret().text, seq=0)


def _otlp_resource(garden: Garden, message: Any) -> None:
    for name, value in _resource(garden).items():
        message.attributes.add(key=name).value.string_value = value


def _otlp_attributes(garden: Garden, attributes: Any) -> None:
    for name, value in _attributes(garden).items():
        if isinstance(value, str):
            attributes.add(key=name).value.string_value = value
        else:
            for item in value:
                attributes.add(key=name).value.array_value.values.add(string_value=item)


def _otlp_spans(garden: Garden, now_ns: int) -> tuple[str, bytes]:
    data = TracesData()
    group = data.resource_spans.add()
    _otlp_resource(garden, group.resource)
    span = group.scope_spans.add().spans.add(trace_id=f"{now_ns:016x}".encode(), span_id=bytes([1] * 8), kind=1)
    span.name, span.start_time_unix_nano, span.end_time_unix_nano = garden.secret().text, now_ns, now_ns + 5
    _otlp_attributes(garden, span.attributes)
    span.status.code, span.status.message = 2, garden.inside().text
    _otlp_attributes(garden, span.events.add(name=garden.secret().text, time_unix_nano=now_ns).attributes)
    return "otlp_spans", data.SerializeToString()


def _otlp_metrics(garden: Garden, now_ns: int) -> tuple[str, bytes]:
    request = ExportMetricsServiceRequest()
    group = request.resource_metrics.add()
    _otlp_resource(garden, group.resource)
    point = group.scope_metrics.add().metrics.add(name="shell.load").gauge.data_points.add(as_double=1.0)
    point.time_unix_nano = now_ns
    _otlp_attributes(garden, point.attributes)
    return "otlp_metrics", request.SerializeToString()


FORMS: tuple[Callable[[Garden, int], tuple[str, bytes]], ...] = (
    *(_single, _batch, _spans, _logs, _otlp_spans, _otlp_metrics, _spans),
)
