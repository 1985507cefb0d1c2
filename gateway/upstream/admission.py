"""The way to one upstream: its places, who waits for one, and its circuit.

    try_acquire ──▶ Permit ── sent ── answered ── complete ──▶ released
      │                          └───────┴── failed ──▶ released
      └─ no place, a pause ──▶ acquire ── a turn ──▶ Permit

A place is taken before the request is charged and given back as soon as the upstream has ended. It
is given back once, in every case.
"""

import asyncio
from collections.abc import Callable
from typing import Protocol

from gateway.core.errors import Blame, Failure, FaregateError, UpstreamError
from gateway.core.shares import FairQueue, Holder, Shares
from gateway.core.spec import FleetLimits, UpstreamSpec
from gateway.upstream.base import Upstream
from gateway.upstream.circuit_breaker import CircuitBreaker

#: requests that wait for one upstream, shared by their accounts; their bodies are held meanwhile
WAITING_MAX = 1000


class Sum(Protocol):
    """A number that is counted, or shown."""

    value: float


class UpstreamObserver(Protocol):
    """The instruments of one upstream: changes, seconds, codes and whether its circuit is open."""

    @property
    def in_flight(self) -> Sum: ...

    @property
    def waiting(self) -> Sum: ...

    @property
    def first_byte(self) -> Callable[[float], None]: ...

    @property
    def circuit_open(self) -> Sum: ...

    @property
    def fell_back(self) -> Sum: ...

    @property
    def answered(self) -> Callable[[str], Sum]: ...

    @property
    def failed(self) -> Callable[[Failure], Sum]: ...


_Waiting = tuple[Holder, "asyncio.Future[Permit | None]"]


class UpstreamAdmission:
    """One upstream's, on one replica."""

    def __init__(
        self,
        upstream: Upstream,
        spec: UpstreamSpec,
        limits: FleetLimits,
        observer: UpstreamObserver,
    ) -> None:
        self.upstream = upstream
        self.observer = observer
        self.queue_seconds = spec.queue_seconds
        self.circuit = CircuitBreaker(spec.circuit_failures)
        self.loop = asyncio.get_running_loop()
        self._places = min(
            spec.concurrent_requests or limits.upstream_connections, limits.upstream_connections
        )
        self._taken = 0
        self._waiting = Shares(WAITING_MAX)
        self._queue: FairQueue[_Waiting] = FairQueue()
        self._timer: asyncio.TimerHandle | None = None

    def try_acquire(self, account: Holder) -> "Permit | None":
        """A permit for an account, where there may be one now and nobody waits for it."""
        if self._taken >= self._places or self._queue.length:
            return None
        probe = False
        if not self.circuit.is_closed:
            now = self.loop.time()
            if self.circuit.wait_seconds_of(account, now):
                return None
            probe = self.circuit.try_probe(now)
        self._taken += 1
        return Permit(self, account, probe)

    def closed_seconds(self, account: Holder) -> float:
        """For how long the account may not go: the upstream failed, or asked for a pause."""
        if self.circuit.is_closed:
            return 0.0
        return self.circuit.wait_seconds_of(account, self.loop.time())

    async def acquire(self, account: Holder, seconds: float) -> "Permit | None":
        """A permit when it is the account's turn; None where that is not within `seconds`.

        Nobody waits for an upstream that fails, nor longer than it wants to be left alone, nor
        where an account has its share of those that wait.
        """
        closed = self.closed_seconds(account)
        hopeless = self.circuit.is_open or closed > seconds
        if seconds <= 0 or hopeless or not self._waiting.take(account):
            return None
        future: asyncio.Future[Permit | None] = self.loop.create_future()
        self.observer.waiting.value += 1
        late = self.loop.call_later(seconds, _give_up, future)
        self._enqueue(account, future)
        try:
            return await future
        except asyncio.CancelledError:
            permit = None if future.cancelled() else future.result()
            if permit is not None:
                permit.release()
            raise
        finally:
            late.cancel()
            self._queue.remove(account, (account, future))
            self._waiting.give_back(account)
            self.observer.waiting.value -= 1

    def close(self) -> None:
        """No timer stays behind."""
        if self._timer is not None:
            self._timer.cancel()

    def release(self) -> None:
        """A place is free."""
        self._taken -= 1
        assert self._taken >= 0, "a place is given back once"
        if self._queue.length:
            self._grant()

    def circuit_changed(self) -> None:
        """The circuit changed."""
        self.observer.circuit_open.value = float(self.circuit.is_open)
        if self.circuit.is_open:  # those who wait had better ask elsewhere, or later
            while (waiting := self._queue.pop()) is not None:
                _give_up(waiting[1])
        else:
            self._grant()

    def _enqueue(self, account: Holder, future: "asyncio.Future[Permit | None]") -> None:
        """Have it wait for a turn, after a pause that is its account's own."""
        if self.circuit.is_open:
            _give_up(future)
        elif not future.done():
            self._queue.add(account, (account, future))
            self._grant()

    def _grant(self) -> None:
        while self._queue.length and self._taken < self._places:
            now = self.loop.time()
            closed = self.circuit.wait_seconds(now)
            if closed:
                self.close()
                self._timer = self.loop.call_later(closed, self._grant)
                return
            waiting = self._queue.pop()
            assert waiting is not None, "there is one"
            account, future = waiting
            own = self.closed_seconds(account)
            if own:
                self.loop.call_later(own, self._enqueue, account, future)
            elif not future.done():
                self._taken += 1
                future.set_result(Permit(self, account, self.circuit.try_probe(now)))


class Permit:
    """One request at one upstream; its holder must `release` it, once or more often."""

    __slots__ = (
        "_accepted",
        "_account",
        "_admission",
        "_answered",
        "_was_probe",
        "has_left",
        "sent_at",
        "upstream",
    )  # fmt: skip

    def __init__(self, admission: UpstreamAdmission, account: Holder, was_probe: bool) -> None:
        self.upstream = admission.upstream
        #: when the request went to the upstream, if it has
        self.sent_at: float | None = None
        #: set once its place was given back
        self.has_left = False
        self._admission = admission
        self._account = account
        self._was_probe = was_probe
        self._accepted = False
        self._answered = False

    def sent(self) -> None:
        """The request goes to the upstream."""
        admission = self._admission
        self.sent_at = admission.loop.time()
        admission.observer.in_flight.value += 1

    def accepted(self) -> None:
        """The status is good."""
        self._accepted = True
        self._admission.observer.answered("200").value += 1

    def answered(self) -> None:
        """The first of the answer is here: an upstream that failed works again."""
        admission = self._admission
        assert self.sent_at is not None, "what was not sent is not answered"
        self._answered = True
        admission.observer.first_byte(admission.loop.time() - self.sent_at)
        if admission.circuit.is_open:
            self._succeed()

    def complete(self) -> None:
        """The whole answer is here."""
        if self._admission.circuit.failures:
            self._succeed()
        self.release()

    def fail(self, error: FaregateError) -> None:
        """It ended with an error, of the upstream's or about what the client sent."""
        if self.has_left:
            return
        admission, circuit = self._admission, self._admission.circuit
        failure, blame = _failure_of(error, self._answered)
        admission.observer.failed(failure).value += 1
        if not self._accepted:
            admission.observer.answered(error.code or str(error.status)).value += 1
        if failure in ("refused", "misconfigured"):  # it works, and refuses
            if circuit.failures:
                self._succeed()
        elif blame != "client":
            was_open = circuit.is_open
            account = None if blame == "upstream" else self._account
            circuit.fail(admission.loop.time(), account, self._was_probe, error.retry_after_seconds)
            if circuit.is_open and not was_open:
                admission.circuit_changed()
        self.release()

    def release(self) -> None:
        """Give the place back."""
        if self.has_left:
            return
        self.has_left = True
        if self.sent_at is not None:
            self._admission.observer.in_flight.value -= 1
        self._admission.release()

    def _succeed(self) -> None:
        circuit = self._admission.circuit
        was_open = circuit.is_open
        circuit.succeed()
        if was_open:
            self._admission.circuit_changed()


def _failure_of(error: FaregateError, answered: bool) -> tuple[Failure, Blame]:
    if not isinstance(error, UpstreamError):
        return "refused", "client"
    return "broken" if answered else error.failure, error.blame


def _give_up(future: "asyncio.Future[Permit | None]") -> None:
    if not future.done():
        future.set_result(None)
