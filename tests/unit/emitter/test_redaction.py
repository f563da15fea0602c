from __future__ import annotations

from collections import Counter
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents_emitter.redaction import CONTENT, SECRET, Redactor, is_card, mark
from tests.planted import Garden, emit, identity
from tests.unit.emitter.broker import Broker, emitter_for


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("mail john.doe@example.com.", "mail [redacted:email]."),
        ("x password=hunter2&a=1", "x password=[redacted:secret]&a=1"),
        ('{"password": "correct horse", "b":1}', '{"password": "[redacted:secret]", "b":1}'),
        (r"{\"api_key\": \"abc def\"}", r"{\"api_key\": \"[redacted:secret]\"}"),
        ("Authorization: Bearer abcdefgh123", "Authorization: [redacted:secret]"),
        ("Cookie: a=b; c=d", "Cookie: [redacted:secret]"),
        ("got Bearer abcdefghijkl", "got Bearer [redacted:secret]"),
        ("https://u:p@h.com/x", "https://[redacted:secret]@h.com/x"),
        ("sk-proj-abcdefghij0123456789", "[redacted:secret]"),
        ("AKIAIOSFODNN7EXAMPLE", "[redacted:secret]"),
        ("k -----BEGIN RSA PRIVATE KEY-----\nMIIE\ncut", "k [redacted:secret]"),
        ("t eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.abc-_x", "t [redacted:jwt]"),
        ("card 4111 1111 1111 1111 12/27", "card [redacted:card] 12/27"),
        ("22 4111-1111-1111-1111 3", "22 [redacted:card] 3"),
        ("pan 378282246310005", "pan [redacted:card]"),
    ],
)
def test_what_patterns_find(text: str, kept: str) -> None:
    assert Redactor().text(text) == kept


@pytest.mark.parametrize(
    "text",
    [
        "failed: token expired",
        "max_tokens=500",
        "pip install pkg@1.2.3",
        "agent@host1",
        "task-sk, disk-1",
        "at 1764431431123456789 ns",
        "uuid 550e8400-4111-4111-8111-446655440000",
        "trace 4bf92f3577b34da6a3ce929d0e0e4736",
        "card 4111 1111 1111 1112",
        "key error",
    ],
)
def test_what_only_looks_like_it_stays(text: str) -> None:
    assert Redactor().text(text) == text


@pytest.mark.parametrize(
    ("name", "kept"),
    [
        ("gen_ai.input.messages", mark(CONTENT)),
        ("gen_ai.prompt.0.content", mark(CONTENT)),
        ("agents.prompt", mark(CONTENT)),
        ("dbPassword", mark(SECRET)),
        ("http.request.header.authorization", mark(SECRET)),
        ("accessToken", mark(SECRET)),
        ("gen_ai.prompt.0.role", "plain"),
        ("gen_ai.prompt.name", "plain"),
        ("gen_ai.token.type", "plain"),
        ("gen_ai.usage.input_tokens", "plain"),
        ("secretary", "plain"),
        ("compass", "plain"),
    ],
)
def test_names_decide_about_whole_values(name: str, kept: str) -> None:
    assert Redactor().value(name, "plain") == kept


def test_values_of_every_kind() -> None:
    redactor = Redactor()
    given = {"a": [1, "x@y.example", {"password": 5}], "n": 4111111111111111, "t": 1764431431123, "password": True}
    assert redactor.attributes(given) == {
        "a": [1, "[redacted:email]", {"password": "[redacted:secret]"}],
        "n": "[redacted:card]",
        "t": 1764431431123,
        "password": True,
    }


def test_what_is_allowed_passes_and_captured_content_is_still_searched() -> None:
    redactor = Redactor(["user.email"], content=True)
    assert redactor.value("user.email", "a@b.example") == "a@b.example"
    assert redactor.value("gen_ai.input.messages", "hi, password=x") == "hi, password=[redacted:secret]"
    assert redactor.value("password", "x") == mark(SECRET)


def test_replacements_are_counted_by_rule() -> None:
    found: Counter[str] = Counter()
    redactor = Redactor(found=lambda rule: found.update([rule]))
    redactor.attributes({"prompt": "x", "note": "a@b.example and c@d.example", "empty": ""})
    redactor.attributes({"prompt": "", "token": mark(SECRET)})
    assert found == {"content": 1, "email": 2}


def test_the_memory_of_clean_texts_is_bounded() -> None:
    redactor = Redactor()
    for number in range(20_000):
        redactor.value(f"name{number}", f"text{number}")
    assert len(redactor._clean) <= 8192
    assert len(redactor._rules) <= 8192


def test_labels_that_were_clean_are_known_and_others_are_replaced_each_time() -> None:
    found: Counter[str] = Counter()
    redactor = Redactor(found=lambda rule: found.update([rule]))
    clean = (("password_policy", "strict"), ("user", "ann"))
    mixed = (("password", "strict"), ("user", "ann"))
    for _ in range(3):
        assert redactor.pairs(clean) is clean
        assert redactor.pairs(mixed) == (("password", mark(SECRET)), ("user", "ann"))
        assert redactor.pairs((("user", "ann@example.com"),)) == (("user", mark("email")),)
    assert found == {SECRET: 3, "email": 3}


def test_the_memory_of_clean_labels_is_bounded() -> None:
    redactor = Redactor()
    for i in range(20_000):
        redactor.pairs((("agent.id", f"a{i}"), ("long", "x" * 200)))
    assert len(redactor._clean_pairs) <= 8192
    assert all(len(name) + len(value) <= 128 for name, value in redactor._clean_pairs)


def test_the_body_of_a_genai_event_is_content() -> None:
    row = {"body": "tell me", "attributes": {"event.name": "gen_ai.user.message"}}
    assert Redactor().row(row)["body"] == mark(CONTENT)
    assert Redactor(content=True).row(row)["body"] == "tell me"


def test_a_record_in_json_is_taken_apart_and_anything_else_keeps_its_length() -> None:
    redactor = Redactor()
    otlp = {"attributes": [{"key": "gen_ai.input.messages", "value": {"arrayValue": {"values": []}}}], "n": 1}
    assert orjson.loads(redactor.record(orjson.dumps(otlp)))["attributes"] == [
        {"key": "gen_ai.input.messages", "value": {"stringValue": mark(CONTENT)}}
    ]
    clean = b'{"a" : 1}'
    assert redactor.record(clean) is clean
    assert redactor.record(b"\x0a\xff mail x@y.example \x00") == b"\x0a\xff mail *********** \x00"
    hidden = redactor.record(b"\x0a\x05hello\x0a\x15gen_ai.input.messages\x12\x04\xffabcd")
    assert hidden == b"\x0a\x05*****\x0a\x15*********************\x12\x04\xff****"


def test_an_identity_stays_one_of_its_own() -> None:
    redactor = Redactor()
    one, other = redactor.identity("a@b.example-1"), redactor.identity("a@b.example-2")
    assert one != other
    assert one.startswith("[redacted:email]")
    assert redactor.identity("planner-1") == "planner-1"


@given(st.text(alphabet='abP@.=:"\\ -4512eyJkpasword/[]\n', max_size=80))
def test_again_changes_nothing(text: str) -> None:
    redactor = Redactor()
    once = redactor.text(text)
    assert Redactor().text(once) == once


@given(
    st.recursive(
        st.text() | st.integers() | st.none(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)
    )
)
def test_nothing_breaks_it(value: Any) -> None:
    Redactor().value("note", value)


@given(st.binary(max_size=200))
def test_a_record_of_any_bytes_keeps_its_length_or_is_json(raw: bytes) -> None:
    kept = Redactor().record(raw)
    assert len(kept) == len(raw) or orjson.loads(raw) is not None


def test_hostile_texts_take_linear_time() -> None:
    """A pattern that tries every split would not end here: 200,000 characters of each kind."""
    for part in ("a@", "4 ", "password=", "eyJ.", "://a:", "a.", "-----BEGIN PRIVATE KEY-----", "bearer "):
        Redactor().text(part * (200_000 // len(part)))


def test_a_card_has_a_checksum() -> None:
    assert is_card("4012 8888 8888 1881")
    assert not is_card("4012 8888 8888 1882")
    assert not is_card("9012888888881881")


def test_names_and_units_of_metrics_are_refused() -> None:
    with emitter_for(Broker()) as emitter:
        with pytest.raises(ValueError, match="looks like a secret"):
            emitter.counter("ghp_abcdefghijklmnopqrstuvwx")
        with pytest.raises(ValueError, match="looks like a secret"):
            emitter.gauge("x", "a@b.example")


def test_nothing_that_was_planted_leaves() -> None:
    """1,000 events with something in every field: no record that the broker gets, key and value, shows any of it."""
    broker, garden = Broker(), Garden(7)
    with emitter_for(broker, **identity(garden)) as emitter:
        emit(emitter, garden, 1_000)
        assert emitter.flush(60)
        stats = emitter.stats()
    assert stats.emitted >= 1_000
    assert stats.dropped == 0
    assert min(stats.redacted_by_rule.values()) > 100
    assert len(garden.traces) > 3_000
    assert [seen for record in broker.records for seen in garden.seen_in(record.key + record.value)] == []


def test_what_is_allowed_by_an_option_leaves() -> None:
    broker = Broker()
    with emitter_for(broker, redaction_allow=("user.email",), capture_content=True) as emitter:
        with emitter.span("x", attributes={"user.email": "a@b.example", "prompt": "hi"}):
            pass
        assert emitter.flush(60)
    (span,) = broker.of("agents.spans")[0].body["spans"]
    assert span["attributes"] == {"user.email": "a@b.example", "prompt": "hi"}
