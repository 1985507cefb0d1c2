"""When an upstream is asked, by a clock that the tests hold."""

from copy import copy

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.upstream.circuit_breaker import (
    ASKED_SECONDS_MAX,
    PAUSE_SECONDS_MAX,
    PAUSE_SECONDS_MIN,
    CircuitBreaker,
)

FAILURES = 3


def fail(
    circuit: CircuitBreaker,
    now: float,
    probe: bool = False,
    asked: float | None = None,
    account: int | None = None,
) -> None:
    """A failure, unless stated otherwise one that no account can cause."""
    circuit.fail(now, account, probe, asked)


def opened(now: float = 0.0) -> CircuitBreaker:
    circuit = CircuitBreaker(FAILURES)
    for _ in range(FAILURES):
        assert circuit.is_closed
        fail(circuit, now)
    return circuit


def test_failures_in_a_row_open_it() -> None:
    circuit = opened(7.0)
    assert circuit.is_open
    assert circuit.wait_seconds(7.0) == PAUSE_SECONDS_MIN


@pytest.mark.parametrize("failures_max", [1, 2, 3, 5, 1000])
def test_failures_of_one_account_never_open_it(failures_max: int) -> None:
    circuit = CircuitBreaker(failures_max)
    for _ in range(3 * failures_max):
        fail(circuit, 0.0, account=7)
    assert circuit.is_closed
    assert circuit.wait_seconds_of(8, 0.0) == 0.0


def test_one_account_is_half_of_a_row_at_most() -> None:
    circuit = CircuitBreaker(5)
    for _ in range(100):
        fail(circuit, 0.0, account=7)
    fail(circuit, 0.0, account=8)
    assert circuit.is_closed
    fail(circuit, 0.0, account=9)
    assert circuit.is_open


def test_a_row_of_one_needs_a_second_account_all_the_same() -> None:
    circuit = CircuitBreaker(1)
    fail(circuit, 0.0, account=7)
    assert circuit.is_closed
    fail(circuit, 0.0, account=8)
    assert circuit.is_open


def test_what_no_account_can_cause_makes_a_row_with_what_one_did() -> None:
    circuit = CircuitBreaker(FAILURES)
    fail(circuit, 0.0, account=7)
    fail(circuit, 0.0)
    assert circuit.is_closed
    fail(circuit, 0.0)
    assert circuit.is_open


def test_an_account_whose_trials_fail_keeps_the_way_closed_for_itself_alone() -> None:
    circuit = opened()
    now = 0.0
    for _ in range(10):
        now += circuit.wait_seconds_of(7, now)
        assert circuit.try_probe(now)
        fail(circuit, now, probe=True, account=7)
        assert circuit.wait_seconds_of(8, now) == PAUSE_SECONDS_MIN
        assert circuit.wait_seconds_of(7, now) == 2 * PAUSE_SECONDS_MIN
    now += circuit.wait_seconds_of(8, now)
    assert circuit.try_probe(now)
    circuit.succeed()
    assert circuit.wait_seconds_of(7, now) == 0.0


def test_trials_of_several_accounts_that_fail_make_the_pause_longer() -> None:
    circuit = opened()
    now, pauses = 0.0, []
    for account in (7, 8, 7, 8):
        pauses.append(circuit.wait_seconds_of(account, now))
        now += pauses[-1]
        fail(circuit, now, circuit.try_probe(now), account=account)
    assert pauses == [1, 1, 2, 4]


def test_an_answer_in_between_starts_the_row_anew() -> None:
    circuit = CircuitBreaker(FAILURES)
    for _ in range(10):
        fail(circuit, 0.0)
        fail(circuit, 0.0)
        circuit.succeed()
    assert circuit.is_closed


def test_after_the_pause_one_request_may_try() -> None:
    circuit = opened()
    assert circuit.wait_seconds(PAUSE_SECONDS_MIN) == 0.0
    assert circuit.try_probe(PAUSE_SECONDS_MIN) is True
    assert circuit.wait_seconds(PAUSE_SECONDS_MIN) == PAUSE_SECONDS_MIN


def test_a_probe_that_is_answered_closes_it() -> None:
    circuit = opened()
    circuit.try_probe(PAUSE_SECONDS_MIN)
    circuit.succeed()
    assert circuit.is_closed
    assert circuit.try_probe(PAUSE_SECONDS_MIN) is False


def test_a_probe_that_nobody_hears_of_closes_the_way_to_nobody() -> None:
    circuit = opened()
    now = 0.0
    for _ in range(5):
        now += circuit.wait_seconds(now)
        assert circuit.try_probe(now) is True
    assert now == 5 * PAUSE_SECONDS_MIN


def test_pauses_grow_with_trials_that_fail_up_to_a_bound() -> None:
    circuit = opened()
    now, pauses = 0.0, []
    for _ in range(7):
        pauses.append(circuit.wait_seconds(now))
        now += pauses[-1]
        fail(circuit, now, circuit.try_probe(now))
    assert pauses == [1, 2, 4, 8, 16, PAUSE_SECONDS_MAX, PAUSE_SECONDS_MAX]
    circuit.succeed()
    for _ in range(FAILURES):
        fail(circuit, now)
    assert circuit.wait_seconds(now) == PAUSE_SECONDS_MIN


def test_what_went_before_it_opened_and_fails_changes_nothing() -> None:
    circuit = opened(0.0)
    for _ in range(100):
        fail(circuit, 0.9)
    assert circuit.wait_seconds(PAUSE_SECONDS_MIN) == 0.0


@pytest.mark.parametrize(("asked", "given"), [(7.5, 7.5), (3600.0, ASKED_SECONDS_MAX)])
def test_a_pause_that_is_asked_for_is_given_and_then_everybody_may_go(
    asked: float, given: float
) -> None:
    circuit = CircuitBreaker(FAILURES)
    fail(circuit, 10.0, asked=asked, account=1)
    fail(circuit, 10.0, asked=asked, account=2)
    assert not circuit.is_closed
    assert not circuit.is_open
    assert circuit.wait_seconds(10.0) == given
    assert circuit.wait_seconds_of(3, 10.0) == given
    assert circuit.wait_seconds_of(3, 10.0 + given) == 0.0
    assert circuit.is_closed
    assert circuit.try_probe(10.0 + given) is False


def test_a_pause_that_one_account_was_asked_for_is_its_own() -> None:
    circuit = CircuitBreaker(FAILURES)
    fail(circuit, 0.0, asked=20.0, account=1)
    fail(circuit, 1.0, asked=2.0, account=1)
    assert circuit.wait_seconds_of(1, 1.0) == 19.0
    assert circuit.wait_seconds_of(2, 1.0) == 0.0


def test_everybody_waits_for_as_long_as_two_accounts_were_asked_to() -> None:
    circuit = CircuitBreaker(FAILURES)
    for account, asked in ((1, 20.0), (2, 5.0), (3, 10.0), (1, 30.0)):
        fail(circuit, 0.0, asked=asked, account=account)
    assert circuit.wait_seconds(0.0) == 10.0
    assert [circuit.wait_seconds_of(account, 0.0) for account in range(1, 5)] == [
        30.0,
        10.0,
        10.0,
        10.0,
    ]


def test_a_pause_that_is_over_is_nobodys_second() -> None:
    circuit = CircuitBreaker(FAILURES)
    fail(circuit, 0.0, asked=20.0, account=1)
    fail(circuit, 30.0, asked=20.0, account=2)
    assert circuit.wait_seconds_of(3, 30.0) == 0.0


def test_none_is_no_circuit() -> None:
    circuit = CircuitBreaker(0)
    for now in range(100):
        fail(circuit, float(now), asked=60.0)
    assert circuit.is_closed


STEPS = st.lists(
    st.tuples(
        st.sampled_from(("ask", "succeed", "fail", "fail and ask for a pause")),
        st.floats(0, 100, allow_nan=False),
        st.sampled_from((None, 1, 2, 3)),
    ),
    max_size=200,
)


@given(STEPS, st.integers(1, 5))
def test_nobody_is_kept_away_for_longer_than_the_longest_pause(
    steps: list[tuple[str, float, int | None]], failures_max: int
) -> None:
    circuit = CircuitBreaker(failures_max)
    now, probe, failed = 0.0, False, set[int | None]()
    longest = max(ASKED_SECONDS_MAX, 2 * PAUSE_SECONDS_MAX) + 1e-6
    for step, number, account in steps:
        now += number / 10
        match step:
            case "ask" if circuit.wait_seconds(now) == 0.0:
                probe = circuit.try_probe(now)
                assert probe == circuit.is_open
            case "succeed":
                circuit.succeed()
                failed.clear()
                assert not circuit.is_open
            case "fail":
                fail(circuit, now, probe, account=account)
                failed.add(account)
            case "fail and ask for a pause":
                fail(circuit, now, probe, asked=number, account=account)
                failed.add(account)
        for who in (1, 2, 3, 4):
            wait = circuit.wait_seconds_of(who, now)
            assert circuit.wait_seconds(now) <= wait <= longest
            assert copy(circuit).wait_seconds_of(who, now + wait) == pytest.approx(0.0, abs=1e-6)
            assert circuit.is_closed <= (wait == 0.0)
        assert circuit.is_open <= (circuit.failures >= failures_max)
        assert circuit.is_open <= (None in failed or len(failed) > 1)
