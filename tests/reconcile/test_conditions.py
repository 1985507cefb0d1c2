"""Conditions and statuses: merged, so that what did not change is not written."""

from datetime import UTC, datetime, timedelta
from typing import Any

from gateway_operator.conditions import (
    ConditionState,
    build_status,
    is_transition,
    merge_conditions,
)

BEGAN = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
READY = ConditionState("ready", "Issued", "the key works")
STALLED = ConditionState("stalled", "SecretLost", "the Secret is gone")
WAITING = ConditionState("waiting", "DatabaseUnavailable", "the database does not answer")


def at(minutes: int) -> Any:
    return lambda: BEGAN + timedelta(minutes=minutes)


def test_ready_and_stalled_exclude_each_other() -> None:
    for condition, expected in ((READY, "TF"), (STALLED, "FT"), (WAITING, "FF")):
        ready, stalled = merge_conditions([], condition, 1, at(0))
        assert (ready["type"], stalled["type"]) == ("Ready", "Stalled")
        assert ready["status"][0] + stalled["status"][0] == expected
        assert ready["reason"] == stalled["reason"] == condition.reason


def test_the_time_of_a_condition_is_that_of_its_last_change() -> None:
    first = merge_conditions([], READY, 1, at(0))
    again = merge_conditions(first, READY, 1, at(5))
    assert again == first
    newer = merge_conditions(first, READY, 2, at(5))
    assert [each["lastTransitionTime"] for each in newer] == ["2026-11-23T12:00:00Z"] * 2
    assert [each["observedGeneration"] for each in newer] == [2, 2]
    waiting = merge_conditions(newer, WAITING, 2, at(7))
    assert [each["lastTransitionTime"] for each in waiting] == [
        "2026-11-23T12:07:00Z",  # not ready any more
        "2026-11-23T12:00:00Z",  # it was not stalled before either
    ]


def test_an_equal_condition_gives_an_equal_status() -> None:
    body: dict[str, Any] = {"metadata": {"generation": 4}}
    status = build_status(body, READY, at(0), keyId="key_1", prefix=None)
    assert "prefix" not in status
    assert build_status({**body, "status": status}, READY, at(9), keyId="key_1") == status


def test_a_message_of_any_length_fits_into_a_status() -> None:
    """A quota's or a policy's words go into it, and it may have written a page."""
    long = ConditionState("stalled", "RolloutStalled", "refused " * 10_000)
    body: dict[str, Any] = {"metadata": {"generation": 1}}
    status = build_status(body, long, at(0))
    assert {each["message"] for each in status["conditions"]} == {"refused " * 128}
    assert build_status({**body, "status": status}, long, at(9)) == status


def test_an_event_is_worth_it_when_the_reason_changed() -> None:
    body: dict[str, Any] = {"metadata": {"generation": 1}}
    status = build_status(body, READY, at(0))
    assert is_transition(None, status)
    assert not is_transition(status, build_status(body, READY, at(3), keyId="key_1"))
    assert is_transition(status, build_status(body, STALLED, at(3)))
