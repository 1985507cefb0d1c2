"""Counters of one process, and the last requests it received.

    received = completed + cancelled + refused + failed + broken + open

Owns the numbers behind `GET /stats`; counts answers only. Bodies are kept as they came,
the newest 200 and together at most 64 MiB; the headers with a credential never are.
"""

from collections import Counter, deque
from typing import Any, Literal

import msgspec

Headers = list[tuple[bytes, bytes]]
#: `completed`: the whole answer was sent. `cancelled`: the client went away. `refused`: a rule or
#: the credential. `failed`: an error the script asked for. `broken`: an end the script asked for
#: that is no end (`!cut`, `!hang-up`, `!end-early`), or our own stop.
Outcome = Literal["completed", "cancelled", "refused", "failed", "broken"]

_CREDENTIALS = (b"authorization", b"x-api-key", b"x-goog-api-key")
_REQUESTS_MAX = 200
_REQUESTS_BYTES_MAX = 64 * 1024 * 1024


class Stats:
    """Counts what happens to the requests of one simulated upstream."""

    def __init__(self) -> None:
        self.received = 0
        self.open = 0
        self.streams_started = 0
        self.chunks_sent = 0
        self.outcomes: Counter[str] = Counter()
        self.models: Counter[str] = Counter()
        self._requests: deque[tuple[Headers, bytes]] = deque()
        self._requests_bytes = 0

    def begin(self) -> None:
        """A request has arrived; `end` must follow."""
        self.received += 1
        self.open += 1

    def end(self, outcome: Outcome) -> None:
        self.open -= 1
        self.outcomes[outcome] += 1

    def keep(self, headers: Headers, body: bytes) -> None:
        """Remember a request, and forget the oldest ones over the limits."""
        self._requests.append((headers, body))
        self._requests_bytes += len(body)
        while len(self._requests) > _REQUESTS_MAX or self._requests_bytes > _REQUESTS_BYTES_MAX:
            self._requests_bytes -= len(self._requests.popleft()[1])

    def reset(self) -> None:
        """Start from nothing, except for the requests that are open: they still end."""
        self.received = self.open
        self.streams_started = self.chunks_sent = 0
        self.outcomes.clear()
        self.models.clear()
        self._requests.clear()
        self._requests_bytes = 0

    def snapshot(self) -> dict[str, Any]:
        """The counters as `GET /stats` shows them."""
        outcomes = ("completed", "cancelled", "refused", "failed", "broken")
        return {
            "received": self.received,
            "open": self.open,
            **{outcome: self.outcomes[outcome] for outcome in outcomes},
            "streams_started": self.streams_started,
            "chunks_sent": self.chunks_sent,
            "models": dict(self.models),
        }

    def requests(self) -> list[dict[str, Any]]:
        """The requests that are kept, newest last: `headers` and `body`.

        A body that is no JSON is shown as text.
        """
        return [
            {
                "headers": {
                    name.decode("latin-1"): value.decode("latin-1")
                    for name, value in headers
                    if name not in _CREDENTIALS
                },
                "body": _show(body),
            }
            for headers, body in self._requests
        ]


def _show(body: bytes) -> Any:
    try:
        return msgspec.json.decode(body)
    except (ValueError, RecursionError):
        return body.decode("utf-8", "replace")
