"""The way to one upstream: its places, who waits for one, and its circuit.

    enter ──▶ Visit ── sent ── answered ── complete ──▶ left
      │                  └───────┴── failed ──▶ left
      └─ no place, a pause ──▶ wait ── a turn ──▶ Visit

A place is taken before the request is charged and given back as soon as the upstream has ended. It
is given back once, whoever leaves and whenever.
"""

import asyncio
from collections.abc import Callable
from typing import Protocol

from gateway.core.errors import Blame, Failure, FaregateError, UpstreamError
from gateway.core.shares import Holder, Shares, Turns
from gateway.core.spec import FleetLimits, UpstreamSpec
from gateway.upstream.base import Upstream
from gateway.upstream.circuit_breaker import Circuit

#: requests that wait for one upstream, shared by their accounts; their bodies are held meanwhile
WAITING_MAX = 1000


class Sum(Protocol):
    """A number that is counted, or shown."""

    value: float


class Watcher(Protocol):
    """What is counted of one upstream: changes, seconds, codes and whether its circuit is open."""

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


_Waiting = tuple[Holder, "asyncio.Future[Visit | None]"]


class Gate:
    """One upstream's, on one replica."""

    def __init__(
        self, upstream: Upstream, spec: UpstreamSpec, limits: FleetLimits, watcher: Watcher
    ) -> None:
        self.upstream = upstream
        self.watcher = watcher
        self.queue_seconds = spec.queue_seconds
        self.circuit = Circuit(spec.circuit_failures)
        self.loop = asyncio.get_running_loop()
        self._places = min(
            spec.concurrent_requests or limits.upstream_connections, limits.upstream_connections
        )
        self._taken = 0
        self._waiting = Shares(WAITING_MAX)
        self._queue: Turns[_Waiting] = Turns()
        self._timer: asyncio.TimerHandle | None = None

    def enter(self, account: Holder) -> "Visit | None":
        """A visit for an account, where there may be one now and nobody waits for it."""
        if self._taken >= self._places or self._queue.length:
            return None
        trial = False
        if not self.circuit.is_calm:
            now = self.loop.time()
            if self.circuit.wait_of(account, now):
                return None
            trial = self.circuit.admit(now)
        self._taken += 1
        return Visit(self, account, trial)

    def closed_seconds(self, account: Holder) -> float:
        """For how long the account may not go: the upstream failed, or asked for a pause."""
        return 0.0 if self.circuit.is_calm else self.circuit.wait_of(account, self.loop.time())

    async def wait(self, account: Holder, seconds: float) -> "Visit | None":
        """A visit when it is the account's turn; None where that is not within `seconds`.

        Nobody waits for an upstream that fails, nor longer than it wants to be left alone, nor
        where an account has its share of those that wait.
        """
        closed = self.closed_seconds(account)
        hopeless = self.circuit.is_open or closed > seconds
        if seconds <= 0 or hopeless or not self._waiting.take(account):
            return None
        future: asyncio.Future[Visit | None] = self.loop.create_future()
        self.watcher.waiting.value += 1
        late = self.loop.call_later(seconds, _dismiss, future)
        self._line_up(account, future)
        try:
            return await future
        except asyncio.CancelledError:
            visit = None if future.cancelled() else future.result()
            if visit is not None:
                visit.leave()
            raise
        finally:
            late.cancel()
            self._queue.remove(account, (account, future))
            self._waiting.give_back(account)
            self.watcher.waiting.value -= 1

    def close(self) -> None:
        """No timer stays behind."""
        if self._timer is not None:
            self._timer.cancel()

    def give_back(self) -> None:
        """A place is free."""
        self._taken -= 1
        assert self._taken >= 0, "a place is given back once"
        if self._queue.length:
            self._hand_out()

    def note(self) -> None:
        """The circuit changed."""
        self.watcher.circuit_open.value = float(self.circuit.is_open)
        if self.circuit.is_open:  # whoever waits had better ask elsewhere, or later
            while (waiting := self._queue.pop()) is not None:
                _dismiss(waiting[1])
        else:
            self._hand_out()

    def _line_up(self, account: Holder, future: "asyncio.Future[Visit | None]") -> None:
        """Have it wait for a turn, after a pause that is its account's own."""
        if self.circuit.is_open:
            _dismiss(future)
        elif not future.done():
            self._queue.add(account, (account, future))
            self._hand_out()

    def _hand_out(self) -> None:
        while self._queue.length and self._taken < self._places:
            now = self.loop.time()
            closed = self.circuit.wait(now)
            if closed:
                self.close()
                self._timer = self.loop.call_later(closed, self._hand_out)
                return
            waiting = self._queue.pop()
            assert waiting is not None, "there is one"
            account, future = waiting
            own = self.closed_seconds(account)
            if own:
                self.loop.call_later(own, self._line_up, account, future)
            elif not future.done():
                self._taken += 1
                future.set_result(Visit(self, account, self.circuit.admit(now)))


class Visit:
    """One request at one upstream; whoever has it must let it `leave`, once or more often."""

    __slots__ = ("_accepted", "_account", "_answered", "_gate", "_was_trial", "has_left",
                 "sent_at", "upstream")  # fmt: skip

    def __init__(self, gate: Gate, account: Holder, was_trial: bool) -> None:
        self.upstream = gate.upstream
        #: when the request went to the upstream, if it has
        self.sent_at: float | None = None
        #: whether its place was given back
        self.has_left = False
        self._gate = gate
        self._account = account
        self._was_trial = was_trial
        self._accepted = False
        self._answered = False

    def sent(self) -> None:
        """The request goes to the upstream."""
        gate = self._gate
        self.sent_at = gate.loop.time()
        gate.watcher.in_flight.value += 1

    def accepted(self) -> None:
        """The status is good."""
        self._accepted = True
        self._gate.watcher.answered("200").value += 1

    def answered(self) -> None:
        """The first of the answer is here: an upstream that failed works again."""
        gate = self._gate
        assert self.sent_at is not None, "what was not sent is not answered"
        self._answered = True
        gate.watcher.first_byte(gate.loop.time() - self.sent_at)
        if gate.circuit.is_open:
            self._succeed()

    def complete(self) -> None:
        """The whole answer is here."""
        if self._gate.circuit.failures:
            self._succeed()
        self.leave()

    def fail(self, error: FaregateError) -> None:
        """It ended with an error, of the upstream's or about what the client sent."""
        if self.has_left:
            return
        gate, circuit = self._gate, self._gate.circuit
        failure, blame = _failure_of(error, self._answered)
        gate.watcher.failed(failure).value += 1
        if not self._accepted:
            gate.watcher.answered(error.code or str(error.status)).value += 1
        if failure in ("refused", "misconfigured"):  # it works, and says so
            if circuit.failures:
                self._succeed()
        elif blame != "client":
            was_open = circuit.is_open
            account = None if blame == "upstream" else self._account
            circuit.fail(gate.loop.time(), account, self._was_trial, error.retry_after_seconds)
            if circuit.is_open and not was_open:
                gate.note()
        self.leave()

    def leave(self) -> None:
        """Give the place back."""
        if self.has_left:
            return
        self.has_left = True
        if self.sent_at is not None:
            self._gate.watcher.in_flight.value -= 1
        self._gate.give_back()

    def _succeed(self) -> None:
        circuit = self._gate.circuit
        was_open = circuit.is_open
        circuit.succeed()
        if was_open:
            self._gate.note()


def _failure_of(error: FaregateError, answered: bool) -> tuple[Failure, Blame]:
    if not isinstance(error, UpstreamError):
        return "refused", "client"
    return "broken" if answered else error.failure, error.blame


def _dismiss(future: "asyncio.Future[Visit | None]") -> None:
    if not future.done():
        future.set_result(None)
