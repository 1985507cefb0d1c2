"""When the operator counts as alive: by a clock of the test's own."""

import asyncio

import kopf
import pytest

from gateway_operator.probes import Pulse, register_liveness


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def make() -> tuple[Pulse, Clock]:
    clock = Clock()
    return Pulse(300, 180, clock), clock


def test_a_sweep_may_be_late_but_not_lost() -> None:
    pulse, clock = make()
    clock.now += 899
    assert pulse.ailment() is None
    clock.now += 2
    assert pulse.ailment() == "no sweep has ended for 901 s"
    pulse.turn()
    assert pulse.ailment() is None


def test_a_heartbeat_must_come_back_through_the_watch() -> None:
    pulse, clock = make()
    pulse.beat("2026-11-23T12:00:00")
    clock.now += 100
    pulse.beat("2026-11-23T12:01:40")
    clock.now += 79
    pulse.turn()
    assert pulse.ailment() is None
    clock.now += 2
    assert pulse.ailment() == "the watch has been silent for 181 s", "the first one counts"
    pulse.hear("2026-11-23T11:00:00")
    assert pulse.ailment() is not None, "an older one proves nothing"
    pulse.hear("2026-11-23T12:00:00")
    assert pulse.ailment() is None


def test_the_heartbeat_of_another_operator_will_do() -> None:
    pulse, clock = make()
    pulse.beat("2026-11-23T12:00:00")
    pulse.hear("2026-11-23T12:00:01")
    clock.now += 500
    assert pulse.ailment() is None


def test_nothing_comes_back_from_an_api_server_that_is_away() -> None:
    pulse, clock = make()
    pulse.beat("2026-11-23T12:00:00")
    pulse.excuse()
    clock.now += 500
    assert pulse.ailment() is None


def test_ready_is_once_and_for_all() -> None:
    pulse, _ = make()
    assert not pulse.is_ready
    pulse.be_ready()
    assert pulse.is_ready


def test_a_probe_fails_at_once_and_is_not_tried_again() -> None:
    pulse, clock = make()
    registry = kopf.OperatorRegistry()
    register_liveness(registry, pulse)
    (handler,) = registry._activities.get_all_handlers()
    assert asyncio.run(handler.fn()) == "alive"  # type: ignore[arg-type, call-arg]  # kopf gives more
    clock.now += 1000
    with pytest.raises(kopf.PermanentError, match="no sweep has ended"):
        asyncio.run(handler.fn())  # type: ignore[arg-type, call-arg]  # kopf gives more
