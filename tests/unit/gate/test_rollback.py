"""Whether a rollback may be asked for, and the command: the same for the same request, not too soon after another."""

from __future__ import annotations

from dataclasses import replace

import pytest

from streams.domain.command import VALID_SECONDS, decode_command, encode_command
from streams.domain.deployment import Deployment
from streams.gate.lifecycle import LifecycleConflict, move, register, request, validated
from streams.gate.rollback import requested
from streams.subscribe.commands import checked, signed

SECOND = 10**9
KEY = b"0123456789abcdef"


def deployed(name: str, service: str = "shop", environment: str = "prod") -> Deployment:
    asked = request(name, service, "2", environment, "1", "canary", "abc", "default")
    return register(None, asked, 100 * SECOND, "ci")


def ask(deployment: Deployment, *known: Deployment, at: int = 200, cooldown: float = 60.0) -> tuple[Deployment, str]:
    after, command = requested(deployment, [deployment, *known], "errors", "ann", at * SECOND, cooldown)
    return after, command.id


def test_the_command_says_what_and_why() -> None:
    gates = [{"name": "a", "status": "fail", "blocking": True, "reason": "r"}, {"name": "b", "status": "pass"}]
    failed = validated(deployed("d1"), {"verdict": "fail", "gates": gates}, "fail", "ci", 150 * SECOND)
    after, command = requested(failed, [failed], "errors", "ann", 200 * SECOND, 60.0)
    assert (after.state, after.steps[-1].by) == ("rollback_requested", "ann")
    assert (command.service, command.from_version, command.to_version) == ("shop", "2", "1")
    assert command.evidence == {
        "verdict": "fail",
        "at": None,
        "failed": [{"name": "a", "blocking": True, "reason": "r"}],
    }
    assert command.expires_at_ns - command.at_ns == VALID_SECONDS * SECOND
    assert decode_command(encode_command(command)) == command
    assert requested(deployed("d2"), [], "x", "y", 200 * SECOND, 60.0)[1].evidence == {}


def test_the_same_request_is_the_same_command_also_where_it_was_not_kept() -> None:
    after, first = ask(deployed("d1"))
    again, second = ask(after, at=300)
    assert (again is after, second) == (True, first)
    assert ask(deployed("d1"), at=300)[1] == first, "it was sent, but the new state was lost"
    failed = move(after, "rollback_failed", "no", "ci", 400 * SECOND)
    assert ask(failed, at=500)[1] != first
    with pytest.raises(LifecycleConflict, match="has expired; move d1 to rollback_failed"):
        ask(after, at=200 + int(VALID_SECONDS))


def test_another_deployment_of_the_service_waits() -> None:
    earlier, _ = ask(deployed("d1"))
    with pytest.raises(LifecycleConflict, match=r"rolled back 10 s ago \(deployment d1\): again in 50 s"):
        ask(deployed("d2"), earlier, at=210)
    for other, at in ((deployed("d2"), 260), (deployed("d2", "other"), 210), (deployed("d2", environment="test"), 210)):
        assert ask(other, earlier, at=at)[0].state == "rollback_requested"
    assert ask(move(earlier, "rollback_failed", "no", "ci", 201 * SECOND), at=202)[0].state == "rollback_requested"


def test_the_states_hold() -> None:
    gone = replace(deployed("d1"), state="rolled_back")
    with pytest.raises(LifecycleConflict, match="nothing may follow"):
        ask(gone)


def test_only_what_is_signed_fresh_and_whole_is_acted_on() -> None:
    _, command = requested(deployed("d1"), [], "errors", "ann", 200 * SECOND, 60.0)
    value, headers = signed(KEY, command, 200 * SECOND)
    assert checked(KEY, value, headers, 201 * SECOND) == command
    other = encode_command(replace(command, to_version="0"))
    for key, body, given, at in (
        (b"another key 1234", value, headers, 201),
        (KEY, other, headers, 201),
        (KEY, value, [], 201),
        (KEY, value, [headers[0], ("X-Streams-Signature", b"v1=\xff")], 201),
        (KEY, value, headers, 200 + 301),
    ):
        with pytest.raises(ValueError, match="signature"):
            checked(key, body, given, at * SECOND)
    late = 200 + int(VALID_SECONDS)
    with pytest.raises(ValueError, match="expired"):
        checked(KEY, *signed(KEY, command, late * SECOND), late * SECOND)
    for body in (b"[]", b"{}", b'{"schema":"agents.command/1"}', b"x"):
        with pytest.raises(ValueError):  # noqa: PT011 - of any kind
            decode_command(body)
