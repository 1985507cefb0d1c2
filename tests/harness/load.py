"""Clients that ask without a pause until they are asked to stop, and remember what they got."""

import threading
from collections import Counter
from collections.abc import Callable, Sequence
from types import TracebackType

import httpx

from tests.harness.dialects import DIALECTS, PATHS, body, ended_cleanly
from tests.harness.gateway import wait_until
from tests.harness.plain import NO_TLS


class Load:
    """`clients` threads in the three dialects, streamed and not, over the given gateways."""

    def __init__(
        self,
        urls: Sequence[str],
        keys: Sequence[str],
        *,
        clients: int = 12,
        text: Callable[[int], str] = lambda turn: "!chunks 4 15",
    ) -> None:
        self._urls = urls
        self._keys = keys
        self._text = text
        self._stop = threading.Event()
        self._lock = threading.Lock()
        #: statuses; 0 where the connection broke
        self.statuses: Counter[int] = Counter()
        #: answers that the client has seen to their clean end
        self.complete = 0
        self.request_ids: set[str] = set()
        self._threads = [
            threading.Thread(target=self._run, args=(number,)) for number in range(clients)
        ]

    def __enter__(self) -> "Load":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(60)
            assert not thread.is_alive(), "a client hangs"

    def wait_for(self, answers: int) -> None:
        """Wait until so many more answers were seen to their clean end."""
        served = self.complete
        wait_until(lambda: self.complete >= served + answers, f"{answers} more answers")

    def _run(self, number: int) -> None:
        with httpx.Client(timeout=30, verify=NO_TLS, trust_env=False) as http:
            turn = 0
            while not self._stop.is_set():
                turn += 1
                self._ask(http, number, turn)

    def _ask(self, http: httpx.Client, number: int, turn: int) -> None:
        dialect = DIALECTS[(number + turn) % 3]
        stream = (number + turn) % 2 == 0
        url = self._urls[(number + turn) % len(self._urls)] + PATHS[dialect]
        key = self._keys[(number * 7 + turn) % len(self._keys)]
        asked = {**body(dialect, self._text(turn)), "stream": stream}
        try:
            response = http.post(url, json=asked, headers={"x-api-key": key})
        except httpx.TransportError:
            with self._lock:
                self.statuses[0] += 1
            self._stop.wait(0.05)
            return
        complete = response.status_code == 200 and (
            not stream or ended_cleanly(dialect, response.text)
        )
        with self._lock:
            self.statuses[response.status_code] += 1
            self.complete += complete
            self.request_ids.add(response.headers["x-request-id"])
        if response.status_code >= 500:
            self._stop.wait(0.05)
