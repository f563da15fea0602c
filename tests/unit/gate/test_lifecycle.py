import pytest

from streams.domain.deployment import MAX_STEPS, decode_deployment, encode_deployment
from streams.gate.lifecycle import NEXT, LifecycleConflict, Request, complete, move, register, validated

REQUEST = Request("d1", "shop", "2", "prod", "1", "canary", "abc", "default", "k1", "h1")
PASSED, FAILED, OPEN = {"verdict": "pass"}, {"verdict": "fail"}, {"verdict": "inconclusive"}


def begun():
    return register(None, REQUEST, 100, "ci")


def test_a_repeated_request_gives_the_known_deployment_another_body_is_a_conflict():
    known = move(begun(), "rolling", "go", "ci", 200)
    assert register(known, REQUEST, 300, "ci") is known
    with pytest.raises(LifecycleConflict, match="another body"):
        register(known, Request(**{**_fields(), "request_hash": "h2"}), 300, "ci")


def _fields():
    return {name: getattr(REQUEST, name) for name in Request.__dataclass_fields__}


def test_the_straight_way():
    deployment = validated(move(begun(), "rolling", "go", "ci", 200), PASSED, "pass", "ci", 300)
    deployment = complete(deployment, "done", "ci", 400)
    assert [s.state for s in deployment.steps] == ["registered", "rolling", "validating", "succeeded"]
    assert [s.at_ns for s in deployment.steps] == [100, 200, 300, 400]


def test_inconclusive_pauses_and_may_be_validated_again():
    paused = validated(begun(), OPEN, "inconclusive", "ci", 300)
    assert paused.state == "paused"
    assert validated(paused, PASSED, "pass", "ci", 400).state == "validating"


def test_only_a_passed_verdict_completes():
    for deployment in (
        begun(),
        validated(begun(), OPEN, "inconclusive", "ci", 2),
        validated(begun(), FAILED, "fail", "ci", 2),
    ):
        with pytest.raises(LifecycleConflict, match="validate until it is pass"):
            complete(deployment, "", "ci", 500)


def test_completing_twice_changes_nothing():
    done = complete(validated(begun(), PASSED, "pass", "ci", 300), "done", "ci", 400)
    assert complete(done, "again", "ci", 500) is done


@pytest.mark.parametrize("state", sorted(NEXT))
def test_every_state_allows_what_the_table_says_and_nothing_else(state):
    deployment = begun().stepped(begun().steps[0]).__class__(**{**_all(begun()), "state": state})
    for other in NEXT:
        if other == state:
            assert move(deployment, other, "", "ci", 200) is deployment
        elif other in NEXT[state]:
            assert move(deployment, other, "", "ci", 200).state == other
        else:
            with pytest.raises(LifecycleConflict, match="may follow"):
                move(deployment, other, "", "ci", 200)


def _all(deployment):
    return {name: getattr(deployment, name) for name in deployment.__dataclass_fields__}


def test_rolled_back_is_the_end():
    with pytest.raises(LifecycleConflict, match="nothing may follow"):
        move(begun().__class__(**{**_all(begun()), "state": "rolled_back"}), "rolling", "", "ci", 1)


def test_time_does_not_go_back_in_the_steps():
    assert move(begun(), "rolling", "", "ci", 50).updated_ns == 100


def test_steps_are_bounded_and_the_first_stays():
    deployment = begun()
    for i in range(MAX_STEPS * 2):
        deployment = move(deployment, "validating" if i % 2 else "rolling", str(i), "ci", 200 + i)
    assert len(deployment.steps) == MAX_STEPS
    assert deployment.steps[0].state == "registered"
    assert deployment.steps[-1].reason == str(MAX_STEPS * 2 - 1)


def test_a_record_comes_back_and_anything_else_is_refused():
    deployment = validated(begun(), PASSED, "pass", "ci", 300)
    assert decode_deployment(encode_deployment(deployment)) == deployment
    for value in (b"{}", b"[]", b"{", b'{"schema":"agents.deployment/1"}', b'{"schema":"other/1"}'):
        with pytest.raises(ValueError, match=r"deployment record|unexpected|expected|EOF|line"):
            decode_deployment(value)
