"""Control records: what is written is read, and what cannot be is refused."""

from __future__ import annotations

import orjson
import pytest

from streams.domain.control import Ack, Close, Control, Maintenance, Unlink, control_key, decode_control, encode_control
from streams.domain.finding import decode_finding

ACK = Ack("f1", "ann", "on it", 5, 9)
MAINTENANCE = Maintenance("m1", (("service.name", ("plan*", "act")),), "bob", "upgrade", 5, 9, cleared=True)


CLOSE = Close("i1", "ann", "the same database", 5, "i2")
UNLINK = Unlink("i1", "f1", "ann", "another matter", 5)
KEYS = [(ACK, b"ack/f1"), (MAINTENANCE, b"maintenance/m1"), (CLOSE, b"close/i1"), (UNLINK, b"unlink/i1/f1")]


@pytest.mark.parametrize(("control", "key"), KEYS)
def test_what_is_written_is_read_there_and_as_a_finding(control: Control, key: bytes) -> None:
    assert control_key(control) == key
    assert decode_control(encode_control(control)) == control
    assert decode_finding(encode_control(control)) == control
    newer = orjson.dumps({**orjson.loads(encode_control(control)), "new": 1})
    assert decode_control(newer) == control


BROKEN = {
    "no target": (ACK, {"target": ""}),
    "a target that is no text": (ACK, {"target": 5}),
    "a time that is none": (ACK, {"at_ns": "soon"}),
    "a time below 0": (ACK, {"until_ns": -1}),
    "another kind": (ACK, {"kind": "other"}),
    "another schema": (ACK, {"schema": "agents.alert/1"}),
    "no condition": (MAINTENANCE, {"where": []}),
    "a condition that is none": (MAINTENANCE, {"where": [["a"]]}),
    "an end at its begin": (MAINTENANCE, {"ends_at_ns": 5}),
    "no id": (MAINTENANCE, {"id": ""}),
    "no incident": (CLOSE, {"incident_id": ""}),
    "a part of itself": (CLOSE, {"into": "i1"}),
    "out of no incident": (UNLINK, {"incident_id": ""}),
    "no alert": (UNLINK, {"fingerprint": ""}),
    "said at no time": (CLOSE, {"at_ns": "now"}),
}


@pytest.mark.parametrize(("control", "change"), BROKEN.values(), ids=BROKEN)
def test_what_cannot_be_is_refused(control: Control, change: dict[str, object]) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - the texts are for people
        decode_control(orjson.dumps({**orjson.loads(encode_control(control)), **change}))


@pytest.mark.parametrize("value", [b"", b"{", b"[]", b"5", b"{}"])
def test_what_is_no_record_is_refused(value: bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011
        decode_control(value)
