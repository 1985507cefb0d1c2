"""The records: what each client sent and got, which faults there were and when.

Moments are seconds since 1970 by this machine's clock, which nothing steps: logs and the database
have the same.
"""

import re

from msgspec import Struct

#: what a client writes into its request, so that it is known again in the ledger and upstream
MARK = re.compile(rb"case-(\d{6,9})-")
#: attempts under one name: what stands for three of them is paid again by the next one
ATTEMPTS_MAX = 6


def mark(number: int) -> str:
    return f"case-{number:06d}-"


def number_of(idempotency_key: str | None, retry_count: int | None) -> int | None:
    """The number of the request that named itself so; None where no client did."""
    found = MARK.fullmatch((idempotency_key or "").encode())
    return None if found is None else int(found[1]) + (retry_count or 0)


class Script(Struct, frozen=True):
    """The request's script for the simulated upstream, and whether the answer is one.

    `ends`: `well`; `badly`, so that no client may see it complete; or `either`, where the dialects
    differ.
    """

    name: str
    text: str
    ends: str = "well"


class Asked(Struct, frozen=True, kw_only=True):
    """One request as it was planned. `leaves` is the moment at which its client goes.

    The attempts of one name have numbers that follow each other: `attempt` is 0 in the first one.
    """

    number: int
    gateway: int
    account: str
    key: str
    dialect: str
    model: str
    script: Script
    stream: bool
    reasons: bool
    leaves: str
    leaves_after: float = 0.0
    reads_slowly: bool = False
    is_probe: bool = False
    attempt: int = 0

    @property
    def name(self) -> str:
        """The idempotency key."""
        return mark(self.number - self.attempt)


class Got(Struct, kw_only=True):
    """The end of a request, as its client saw it."""

    asked: Asked
    began: float
    ended: float = 0.0
    #: all of the request was handed to the network
    sent: bool = False
    status: int | None = None
    request_id: str | None = None
    charged: int | None = None
    #: bytes of the answer's body
    size: int = 0
    #: some of the answer's content has come
    content: bool = False
    #: everything of the answer that a reader would miss has come
    finished: bool = False
    #: the answer came to its clean end
    complete: bool = False
    #: an error, as a status or as an event
    failed: bool = False
    #: the client went by itself
    left: bool = False
    #: how the connection ended where it should not have
    broken: str | None = None
    #: the key was dead before the request began
    dead_key: bool = False
    #: the beginning of an error, for the story
    shown: str = ""

    @property
    def outcome(self) -> str:
        """One word for the table."""
        if self.left:
            return "left"
        if self.status is None:
            return "no answer"
        if self.complete:
            return "complete"
        if self.status >= 500:
            return "5xx"
        if self.status >= 400:
            return "4xx"
        return "failed" if self.failed else "broken off"


class Fault(Struct, frozen=True):
    """One fault of the plan: what, to which gateway (where one is meant), when and for how long."""

    kind: str
    gateway: int
    after: float
    seconds: float

    def __str__(self) -> str:
        whom = "" if self.gateway < 0 else f" [{self.gateway}]"
        return f"{self.kind}{whom} +{self.after:.1f} s for {self.seconds:.1f} s"


class Incident(Struct, kw_only=True):
    """A fault as it happened; `ended` is when the service was there again."""

    fault: Fault
    began: float
    ended: float = float("inf")

    def overlaps(self, began: float, ended: float) -> bool:
        return self.began <= ended and self.ended >= began


class Restore(Struct, frozen=True):
    """A database put back to an older state: what it still knew of requests then."""

    dumped: float
    restored: float
    #: numbers of requests with a charge, and of those with a hold
    known: frozenset[int]
    open: frozenset[int]
