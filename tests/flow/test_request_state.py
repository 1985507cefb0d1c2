"""The states of a request: every step from every state, legal or not, as they are drawn."""

import asyncio
from collections.abc import Iterator
from typing import Any, get_args

import pytest

from gateway.core.concurrency.worker_thread import WorkerThread
from gateway.core.errors import Draining
from gateway.core.shares import Shares
from gateway.dialects.chat.dialect import ChatDialect
from gateway.http.cycle import Cycle
from gateway.pipeline import request_state as drawn
from gateway.pipeline.connection import CYCLE, NAMED, ClientGone, Connection
from gateway.pipeline.request_state import (
    BOOKINGS,
    PHASES,
    Booking,
    BookingStep,
    IllegalStep,
    Phase,
    RequestState,
    Step,
)

#: a way to each phase
WAYS: dict[Phase, tuple[Step, ...]] = {
    "arriving": (),
    "admitted": ("admit",),
    "queued": ("admit", "queue"),
    "charging": ("admit", "charge"),
    "waiting": ("admit", "queue", "charge", "book"),
    "dispatched": ("admit", "charge", "book", "dispatch"),
}
BOOKED: dict[Booking, tuple[BookingStep, ...]] = {
    "none": (),
    "charged": ("charge",),
    "ended": ("charge", "end"),
    "refunding": ("charge", "refund"),
    "refunded": ("charge", "refund", "confirm"),
}
#: where nothing is lost by leaving at once
MAY_BE_LEFT: set[Phase] = {"queued", "waiting", "dispatched"}

every_phase = pytest.mark.parametrize("phase", get_args(Phase))


@pytest.fixture
def loop() -> Iterator[asyncio.Runner]:
    with asyncio.Runner() as runner:
        yield runner


async def request_in(phase: Phase) -> RequestState:
    line: Any = None
    cycle = Cycle(line, b"POST", "1.1", keep_alive=True, expects_continue=False)
    cycle.task = asyncio.ensure_future(asyncio.Event().wait())  # type: ignore[arg-type]
    connection = Connection({"headers": [], NAMED: {}, CYCLE: cycle}, Shares(1))
    made = RequestState(ChatDialect(WorkerThread()), connection)
    for step in WAYS[phase]:
        made.go(step)
    assert made.phase == phase
    return made


def test_every_state_and_step_is_drawn() -> None:
    drawing = drawn.__doc__ or ""
    for name in (*get_args(Phase), *get_args(Step), *get_args(Booking), *get_args(BookingStep)):
        assert name in drawing, name
    assert set(PHASES.values()) == {*get_args(Phase)} - {"arriving"}
    assert set(BOOKINGS.values()) == {*get_args(Booking)} - {"none"}
    assert {step for _, step in PHASES} == {*get_args(Step)}
    assert {step for _, step in BOOKINGS} == {*get_args(BookingStep)}


@every_phase
@pytest.mark.parametrize("step", get_args(Step))
def test_a_step_leads_where_it_is_drawn_or_raises(
    loop: asyncio.Runner, phase: Phase, step: Step
) -> None:
    request = loop.run(request_in(phase))
    if (phase, step) in PHASES:
        request.go(step)
        assert request.phase == PHASES[phase, step]
        return
    with pytest.raises(IllegalStep, match=f"{phase} cannot {step}"):
        request.go(step)
    assert request.phase == phase


@every_phase
@pytest.mark.parametrize("step", get_args(Step))
def test_what_is_finished_goes_nowhere(loop: asyncio.Runner, phase: Phase, step: Step) -> None:
    request = loop.run(request_in(phase))
    request.finish()
    with pytest.raises(IllegalStep, match=f"{phase} and finished"):
        request.go(step)
    assert request.phase == phase, "it stays to be read"


@pytest.mark.parametrize("booking", get_args(Booking))
@pytest.mark.parametrize("step", get_args(BookingStep))
def test_a_booking_is_made_once_and_ended_once(
    loop: asyncio.Runner, booking: Booking, step: BookingStep
) -> None:
    request = loop.run(request_in("charging"))
    for each in BOOKED[booking]:
        request.book(each)
    if (booking, step) in BOOKINGS:
        request.book(step)
        assert request.booking == BOOKINGS[booking, step]
        return
    with pytest.raises(IllegalStep, match=f"{booking} cannot {step}"):
        request.book(step)
    assert request.booking == booking


@every_phase
def test_a_client_may_leave_only_while_it_waits(loop: asyncio.Runner, phase: Phase) -> None:
    """Not while it is charged: nobody would know whether it was."""

    request = loop.run(request_in(phase))
    request.leave()
    assert isinstance(request.cut_by, ClientGone) is (phase in MAY_BE_LEFT)
    assert bool(request.connection.task.cancelling()) is (phase in MAY_BE_LEFT)


@every_phase
def test_a_drain_cuts_every_request_that_is_not_finished(
    loop: asyncio.Runner, phase: Phase
) -> None:
    request = loop.run(request_in(phase))
    first, second = Draining("first"), Draining("second")
    request.cut(first)
    request.cut(second)
    assert request.cut_by is first
    assert request.connection.task.cancelling() == 1
    ended = loop.run(request_in(phase))
    ended.finish()
    ended.cut(first)
    assert ended.cut_by is None
    assert not ended.connection.task.cancelling()
