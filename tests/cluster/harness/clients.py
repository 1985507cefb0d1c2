"""Clients of the gateway: single questions, a crowd that asks at once, and open streams.

All send their questions in chunks. Of a body whose length is known, a proxy written in Go looks for
the end only after it has passed it on, and where it is late at that, on a busy machine, it cuts an
answer that began meanwhile (https://github.com/golang/go/issues/40747).
"""

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from types import TracebackType
from typing import Any

import httpx

from tests.harness.dialects import DIALECTS, PATHS, body, ended_cleanly

SECONDS = 60.0


def send_in_chunks(request: Any) -> None:
    """Have a client's request with a body go out without its length."""
    if request.headers.pop("content-length", None):
        request.headers["transfer-encoding"] = "chunked"


class Client:
    """One way to the gateways, with the host name that the ingress wants."""

    def __init__(self, url: str, host: str | None = None) -> None:
        self.url = url
        self.headers = {"host": host} if host else {}
        self.http = httpx.Client(
            base_url=url,
            headers=self.headers,
            timeout=SECONDS,
            trust_env=False,
            limits=httpx.Limits(max_connections=None, max_keepalive_connections=64),
            event_hooks={"request": [send_in_chunks]},
        )

    def ask(
        self, key: str, text: str = "Hello", *, dialect: str = "chat", **more: Any
    ) -> httpx.Response:
        """One charged request."""
        with self.stream(key, text, dialect=dialect, **more) as response:
            response.read()
        return response

    @contextmanager
    def stream(self, key: str, text: str, *, dialect: str, **more: Any) -> Iterator[httpx.Response]:
        """The same, with the answer still to be read."""
        with self.http.stream(
            "POST", PATHS[dialect], json=body(dialect, text, **more), headers={"x-api-key": key}
        ) as response:
            yield response

    def ask_account(self, key: str) -> httpx.Response:
        return self.http.get("/api/v1/account", headers={"x-api-key": key})

    def account(self, key: str) -> dict[str, Any]:
        response = self.ask_account(key)
        assert response.status_code == 200, response.text
        return dict(response.json())

    def balance(self, key: str) -> int:
        return int(self.account(key)["balance"])

    def status(self, key: str) -> int:
        """The status of a free route for a key; 0 where nobody answers."""
        try:
            return self.http.get("/api/openai/v1/models", headers={"x-api-key": key}).status_code
        except httpx.TransportError:
            return 0

    def close(self) -> None:
        self.http.close()

    def __enter__(self) -> "Client":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def ask_at_once(client: Client, key: str, requests: int, *, clients: int = 20) -> Counter[int]:
    """So many requests from so many clients, in all dialects; how often each status came."""
    statuses: Counter[int] = Counter()
    lock = threading.Lock()
    numbers = iter(range(requests))

    def run() -> None:
        while True:
            with lock:
                number = next(numbers, None)
            if number is None:
                return
            dialect = DIALECTS[number % 3]
            response = client.ask(key, dialect=dialect, stream=number % 2 == 0)
            with lock:
                statuses[response.status_code] += 1

    _join([threading.Thread(target=run) for _ in range(clients)])
    return statuses


def _join(threads: Sequence[threading.Thread]) -> None:
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(SECONDS * 3)
        assert not thread.is_alive(), "a client hangs"


class Streams:
    """Streams that run while something else happens. In the block all of them are open."""

    def __init__(
        self, client: Client, key: str, count: int, *, seconds: float, chunks_per_second: int = 4
    ) -> None:
        self._client = client
        self._key = key
        self._text = f"!chunks {int(seconds * chunks_per_second)} {1000 // chunks_per_second}"
        self._count = count
        self._lock = threading.Lock()
        self._threads = [threading.Thread(target=self._run, args=(n,)) for n in range(count)]
        self.begun = 0
        self.complete = 0
        #: what happened to those that did not end cleanly
        self.cut: list[str] = []

    @property
    def ended(self) -> int:
        return self.complete + len(self.cut)

    def __enter__(self) -> "Streams":
        for thread in self._threads:
            thread.start()
        deadline = time.monotonic() + SECONDS
        while self.begun < self._count:
            assert not self.cut, self.cut
            assert time.monotonic() < deadline, f"{self.begun} of {self._count} streams began"
            time.sleep(0.05)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for thread in self._threads:
            thread.join(SECONDS * 2)
            assert not thread.is_alive(), "a stream hangs"

    def _run(self, number: int) -> None:
        dialect = DIALECTS[number % 3]
        try:
            with self._client.stream(
                self._key, self._text, dialect=dialect, stream=True
            ) as response:
                text = self._read(response)
                clean = response.status_code == 200 and ended_cleanly(dialect, text)
                found = f"{response.status_code} {text[-300:]}"
        except httpx.TransportError as error:
            clean, found = False, repr(error)
        with self._lock:
            self.complete += clean
            if not clean:
                self.cut.append(f"{dialect}: {found}")

    def _read(self, response: httpx.Response) -> str:
        parts: list[str] = []
        for part in response.iter_text():
            if not parts:
                with self._lock:
                    self.begun += 1
            parts.append(part)
        return "".join(parts)


class Asking:
    """A client that asks without a pause while the block lasts, and remembers what it got."""

    def __init__(self, ask: Callable[[], int], *, pause: float = 0.1) -> None:
        self._ask = ask
        self._pause = pause
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self.statuses: Counter[int] = Counter()

    def _run(self) -> None:
        while not self._stop.wait(self._pause):
            try:
                status = self._ask()
            except httpx.TransportError:
                status = 0
            self.statuses[status] += 1

    def __enter__(self) -> "Asking":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(SECONDS * 2)
        assert not self._thread.is_alive(), "a client hangs"
