"""When the operator counts as alive: by a clock of the test's own."""

from gateway_operator.probes import Liveness


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def make() -> tuple[Liveness, Clock]:
    clock = Clock()
    return Liveness(300, 180, clock), clock


def test_a_sweep_may_be_late_but_not_lost() -> None:
    liveness, clock = make()
    clock.now += 899
    assert liveness.failure() is None
    clock.now += 2
    assert liveness.failure() == "no sweep has ended for 901 s"
    liveness.loop_progress()
    assert liveness.failure() is None


def test_a_heartbeat_must_come_back_through_the_watch() -> None:
    liveness, clock = make()
    liveness.heartbeat_sent("2026-11-23T12:00:00")
    clock.now += 100
    liveness.heartbeat_sent("2026-11-23T12:01:40")
    clock.now += 79
    liveness.loop_progress()
    assert liveness.failure() is None
    clock.now += 2
    assert liveness.failure() == "the watch has been silent for 181 s", "the first one counts"
    liveness.heartbeat_seen("2026-11-23T11:00:00")
    assert liveness.failure() is not None, "an older one proves nothing"
    liveness.heartbeat_seen("2026-11-23T12:00:00")
    assert liveness.failure() is None


def test_the_heartbeat_of_another_operator_will_do() -> None:
    liveness, clock = make()
    liveness.heartbeat_sent("2026-11-23T12:00:00")
    liveness.heartbeat_seen("2026-11-23T12:00:01")
    clock.now += 500
    assert liveness.failure() is None


def test_nothing_comes_back_from_an_api_server_that_is_away() -> None:
    liveness, clock = make()
    liveness.heartbeat_sent("2026-11-23T12:00:00")
    liveness.pause()
    clock.now += 500
    assert liveness.failure() is None


def test_ready_is_once_and_for_all() -> None:
    liveness, _ = make()
    assert not liveness.is_ready
    liveness.set_ready()
    assert liveness.is_ready
