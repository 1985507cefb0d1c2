"""When an upstream is asked, by a clock that the tests hold."""

from copy import copy

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.upstream.circuit import (
    ASKED_SECONDS_MAX,
    PAUSE_SECONDS_MAX,
    PAUSE_SECONDS_MIN,
    Circuit,
)

FAILURES = 3


def fail(circuit: Circuit, now: float, trial: bool = False, asked: float | None = None) -> None:
    circuit.fail(now, trial, asked)


def opened(now: float = 0.0) -> Circuit:
    circuit = Circuit(FAILURES)
    for _ in range(FAILURES):
        assert circuit.is_calm
        fail(circuit, now)
    return circuit


def test_failures_in_a_row_open_it() -> None:
    circuit = opened(7.0)
    assert circuit.is_open
    assert circuit.wait(7.0) == PAUSE_SECONDS_MIN


def test_an_answer_in_between_starts_the_row_anew() -> None:
    circuit = Circuit(FAILURES)
    for _ in range(10):
        fail(circuit, 0.0)
        fail(circuit, 0.0)
        circuit.succeed()
    assert circuit.is_calm


def test_after_the_pause_one_request_may_try() -> None:
    circuit = opened()
    assert circuit.wait(PAUSE_SECONDS_MIN) == 0.0
    assert circuit.admit(PAUSE_SECONDS_MIN) is True
    assert circuit.wait(PAUSE_SECONDS_MIN) == PAUSE_SECONDS_MIN


def test_a_trial_that_is_answered_closes_it() -> None:
    circuit = opened()
    circuit.admit(PAUSE_SECONDS_MIN)
    circuit.succeed()
    assert circuit.is_calm
    assert circuit.admit(PAUSE_SECONDS_MIN) is False


def test_a_trial_that_nobody_hears_of_closes_the_way_to_nobody() -> None:
    circuit = opened()
    now = 0.0
    for _ in range(5):
        now += circuit.wait(now)
        assert circuit.admit(now) is True
    assert now == 5 * PAUSE_SECONDS_MIN


def test_pauses_grow_with_trials_that_fail_up_to_a_bound() -> None:
    circuit = opened()
    now, pauses = 0.0, []
    for _ in range(7):
        pauses.append(circuit.wait(now))
        now += pauses[-1]
        fail(circuit, now, circuit.admit(now))
    assert pauses == [1, 2, 4, 8, 16, PAUSE_SECONDS_MAX, PAUSE_SECONDS_MAX]
    circuit.succeed()
    for _ in range(FAILURES):
        fail(circuit, now)
    assert circuit.wait(now) == PAUSE_SECONDS_MIN


def test_what_went_before_it_opened_and_fails_changes_nothing() -> None:
    circuit = opened(0.0)
    for _ in range(100):
        fail(circuit, 0.9)
    assert circuit.wait(PAUSE_SECONDS_MIN) == 0.0


@pytest.mark.parametrize(("asked", "given"), [(7.5, 7.5), (3600.0, ASKED_SECONDS_MAX)])
def test_a_pause_that_is_asked_for_is_given_and_then_everybody_may_go(
    asked: float, given: float
) -> None:
    circuit = Circuit(FAILURES)
    fail(circuit, 10.0, asked=asked)
    assert not circuit.is_calm
    assert not circuit.is_open
    assert circuit.wait(10.0) == given
    assert circuit.wait(10.0 + given) == 0.0
    assert circuit.is_calm
    assert circuit.admit(10.0 + given) is False


def test_of_two_pauses_the_one_that_ends_later_counts() -> None:
    circuit = Circuit(FAILURES)
    fail(circuit, 0.0, asked=20.0)
    fail(circuit, 1.0, asked=2.0)
    assert circuit.wait(1.0) == 19.0


def test_none_is_no_circuit() -> None:
    circuit = Circuit(0)
    for now in range(100):
        fail(circuit, float(now), asked=60.0)
    assert circuit.is_calm


STEPS = st.lists(
    st.tuples(
        st.sampled_from(("ask", "succeed", "fail", "fail and ask for a pause")),
        st.floats(0, 100, allow_nan=False),
    ),
    max_size=200,
)


@given(STEPS, st.integers(1, 5))
def test_nobody_is_kept_away_for_longer_than_the_longest_pause(
    steps: list[tuple[str, float]], failures_max: int
) -> None:
    circuit = Circuit(failures_max)
    now, trial = 0.0, False
    for step, number in steps:
        now += number / 10
        match step:
            case "ask" if circuit.wait(now) == 0.0:
                trial = circuit.admit(now)
                assert trial == circuit.is_open
            case "succeed":
                circuit.succeed()
                assert not circuit.is_open
            case "fail":
                fail(circuit, now, trial)
            case "fail and ask for a pause":
                fail(circuit, now, trial, asked=number)
        wait = circuit.wait(now)
        assert 0.0 <= wait <= max(ASKED_SECONDS_MAX, PAUSE_SECONDS_MAX) + 1e-6
        assert copy(circuit).wait(now + wait) == pytest.approx(0.0, abs=1e-6)
        assert circuit.is_open <= (circuit.failures >= failures_max)
        assert circuit.is_calm <= (wait == 0.0)
